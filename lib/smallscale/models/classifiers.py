"""What is the smallest classifier that shows the effect?"""

import torch
from torch import nn

from smallscale.core.seeds import seeded


def small_cnn(
    image_shape: tuple[int, int, int], classes: int = 10, *, seed: int = 0
) -> nn.Sequential:
    """A convolutional classifier of images (batch, channels, height, width) to logits (batch, classes).

    Two 3x3 convolutions with 16 and 32 channels, then two linear layers: 38,282 parameters for 1x8x8 digits,
    105,866 for 1x28x28. Only Conv2d, ReLU, Flatten and Linear, which are the layers that certificates bound;
    so it halves the image by stride, where others pool.

    image_shape: (channels, height, width). seed: of the initial weights; no global state is touched.
    Raises ValueError for a shape that is not three positive whole numbers, or fewer than two classes.
    """
    if len(image_shape) != 3 or any(side < 1 for side in image_shape):
        raise ValueError(
            f"image_shape must be (channels, height, width), each at least 1; got {image_shape}"
        )
    if classes < 2:
        raise ValueError(f"classes must be at least 2; got {classes}")
    stride = (
        2 if max(image_shape[1:]) > 16 else 1
    )  # 28x28 comes down to 7x7, 8x8 to 4x4
    with seeded(seed):
        first = nn.Conv2d(image_shape[0], 16, kernel_size=3, stride=stride, padding=1)
        second = nn.Conv2d(16, 32, kernel_size=3, stride=2, padding=1)
        features = nn.Sequential(first, nn.ReLU(), second, nn.ReLU(), nn.Flatten())
        inputs = features(torch.zeros(1, *image_shape)).shape[1]
        return nn.Sequential(
            *features, nn.Linear(inputs, 64), nn.ReLU(), nn.Linear(64, classes)
        )


def small_mlp(
    inputs: int,
    classes: int = 10,
    *,
    hidden: int = 32,
    activation: type[nn.Module] = nn.GELU,
    seed: int = 0,
) -> nn.Sequential:
    """A classifier with one hidden layer, of (batch, ...) with `inputs` values each to logits (batch, classes).

    2,410 parameters for digits of 8x8 pixels. Smooth unless `activation` has a kink, as nn.ReLU has.
    seed: of the initial weights; no global state is touched.
    Raises ValueError for sizes below 1, or fewer than two classes.
    """
    if inputs < 1 or hidden < 1 or classes < 2:
        raise ValueError(
            f"inputs and hidden must be at least 1, classes at least 2; got {inputs}, {hidden}, {classes}"
        )
    with seeded(seed):
        return nn.Sequential(
            nn.Flatten(),
            nn.Linear(inputs, hidden),
            activation(),
            nn.Linear(hidden, classes),
        )
