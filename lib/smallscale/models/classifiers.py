"""What is the smallest classifier that shows the effect?"""

import torch
from torch import nn

from smallscale.core.seeds import seeded
from smallscale.core.validation import require, whole_number

LARGEST_UNSTRIDED = 16  # pixels; a larger image is halved by the first convolution too


def small_cnn(
    image_shape: tuple[int, int, int], classes: int = 10, *, seed: int = 0
) -> nn.Sequential:
    """Return a convolutional classifier: two 3x3 convolutions, then two linear layers.

    It maps images (batch, channels, height, width) to logits (batch, classes), and has
    38,282 parameters for 1x8x8 digits, 105,866 for 1x28x28. Its layers are only Conv2d,
    ReLU, Flatten and Linear, which are those that certificates bound; so it halves the
    image by stride, where others pool.

    image_shape: (channels, height, width).
    seed: of the initial weights; no global state is touched.
    Raises ValueError for a shape that is not three positive whole numbers, or fewer
    than two classes.

    >>> small_cnn((1, 8, 8))(torch.zeros(2, 1, 8, 8)).shape
    torch.Size([2, 10])
    """
    possible = len(image_shape) == 3 and all(side >= 1 for side in image_shape)
    wanted = "image_shape must be (channels, height, width), each at least 1"
    require(possible, f"{wanted}; got {image_shape}")
    classes = whole_number("classes", classes, least=2)
    # 28x28 comes down to 7x7, 8x8 to 4x4.
    stride = 2 if max(image_shape[1:]) > LARGEST_UNSTRIDED else 1
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
    """Return a classifier with one hidden layer.

    It maps (batch, ...) with `inputs` values each to logits (batch, classes), and has
    2,410 parameters for digits of 8x8 pixels.

    activation: GELU is smooth; nn.ReLU has a kink.
    seed: of the initial weights; no global state is touched.
    Raises ValueError for sizes below 1, or fewer than two classes.

    >>> small_mlp(64)(torch.zeros(2, 1, 8, 8)).shape
    torch.Size([2, 10])
    """
    inputs = whole_number("inputs", inputs)
    classes = whole_number("classes", classes, least=2)
    hidden = whole_number("hidden", hidden)
    with seeded(seed):
        return nn.Sequential(
            nn.Flatten(),
            nn.Linear(inputs, hidden),
            activation(),
            nn.Linear(hidden, classes),
        )
