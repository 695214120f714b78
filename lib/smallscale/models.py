"""What is the smallest network that shows the effect? The models that several themes share."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn


@contextmanager
def seeded(seed: int, device: torch.device | str = "cpu") -> Iterator[None]:
    """Inside, torch's global generators start from `seed`; afterwards they stand where they stood before.

    For what offers no `generator` of its own: the initialisation of layers, dropout. device: the one whose
    generator is seeded beside the CPU's.
    """
    device = torch.device(device)
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        # torch.manual_seed would also reach the GPUs that fork_rng does not put back.
        torch.default_generator.manual_seed(seed)
        for each in devices:
            with torch.cuda.device(each):
                torch.cuda.manual_seed(seed)
        yield


def small_cnn(image_shape: tuple[int, int, int], classes: int = 10, *, seed: int = 0) -> nn.Sequential:
    """A convolutional classifier of images (batch, channels, height, width) to logits (batch, classes).

    Two 3x3 convolutions with 16 and 32 channels, then two linear layers: 38,282 parameters for 1x8x8 digits,
    105,866 for 1x28x28. Only Conv2d, ReLU, Flatten and Linear, which are the layers that certificates bound;
    so it halves the image by stride, where others pool.

    image_shape: (channels, height, width). seed: of the initial weights; no global state is touched.
    Raises ValueError for a shape that is not three positive whole numbers, or fewer than two classes.
    """
    if len(image_shape) != 3 or any(side < 1 for side in image_shape):
        raise ValueError(f"image_shape must be (channels, height, width), each at least 1; got {image_shape}")
    if classes < 2:
        raise ValueError(f"classes must be at least 2; got {classes}")
    channels, height, width = image_shape
    stride = 2 if max(height, width) > 16 else 1  # 28x28 comes down to 7x7, 8x8 to 4x4
    for step in (stride, 2):
        height, width = (height - 1) // step + 1, (width - 1) // step + 1  # a 3x3 kernel with padding 1
    with seeded(seed):
        return nn.Sequential(
            nn.Conv2d(channels, 16, kernel_size=3, stride=stride, padding=1),
            nn.ReLU(),
            nn.Conv2d(16, 32, kernel_size=3, stride=2, padding=1),
            nn.ReLU(),
            nn.Flatten(),  # (batch, 32, height, width) -> (batch, 32 * height * width)
            nn.Linear(32 * height * width, 64),
            nn.ReLU(),
            nn.Linear(64, classes),
        )
