"""What does a model answer, and how often is it right? In eval mode, without gradients."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from smallscale.core.devices import fitting_threads

Model = Callable[[Tensor], Tensor]  # an nn.Module, or any function of a batch of inputs


def predict_logits(model: Model, images: Any, *, batch_size: int = 1024) -> Tensor:
    """The model's outputs (n, classes) for images (n, ...), in eval mode, without gradients, on the CPU."""
    images = torch.as_tensor(images)
    with eval_mode(model), torch.no_grad(), fitting_threads(images):
        return torch.cat(
            [outputs(model, part).cpu() for part in images.split(batch_size)]
        )


def correct(model: Model, images: Any, labels: Any) -> Tensor:
    """Which of the images (n, ...) are read as their labels (n,), (n,) of bool."""
    return predict_logits(model, images).argmax(1) == torch.as_tensor(labels)


def accuracy(model: Model, images: Any, labels: Any) -> float:
    """The fraction of images (n, ...) that are read as their labels (n,)."""
    return float(correct(model, images, labels).double().mean())


def outputs(model: Model, images: Tensor) -> Tensor:
    """model(images), in the floating type and on the device of the model's parameters, where it has any.

    The model gets a copy: a first layer that works in place leaves the caller's images alone.
    """
    like = next(model.parameters(), images) if isinstance(model, nn.Module) else images
    return model(images.to(like, copy=True))


@contextmanager
def eval_mode(model: Model) -> Iterator[None]:
    """Inside, every part of the model is in eval mode; afterwards each is as it was."""
    modes = (
        {module: module.training for module in model.modules()}
        if isinstance(model, nn.Module)
        else {}
    )
    try:
        for module in modes:
            module.training = False
        yield
    finally:
        for module, mode in modes.items():
            module.training = mode
