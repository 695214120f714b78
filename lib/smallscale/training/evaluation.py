"""What does a model answer, and how often is it right?"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from smallscale.core.devices import fitting_threads
from smallscale.core.modes import eval_mode
from smallscale.core.validation import as_tensor, require, shown, type_and_shape

Model = Callable[[Tensor], Tensor]  # an nn.Module, or any function of a batch of inputs
BATCH = 1024  # images that a model is asked about at once


def predict_logits(model: Model, images: Any, *, batch_size: int = BATCH) -> Tensor:
    """Return the model's outputs (n, classes) for images (n, ...), on the CPU.

    The model is in eval mode meanwhile, and no gradients are kept. Raises ValueError
    for a model that cannot take the images, or does not return one tensor with a row
    for each of them.

    >>> predict_logits(lambda images: 2 * images, [[0.5, 1.0]])
    tensor([[1., 2.]])
    """
    images = as_tensor("images", images)
    with eval_mode(model), torch.no_grad(), fitting_threads(images):
        batches = torch.split(images, batch_size)
        rows = [_rows(model, batch).cpu() for batch in batches]
    shapes = {tuple(each.shape[1:]) for each in rows}
    message = "model must return logits of one shape, however many images it is given"
    require(len(shapes) == 1, f"{message}; got rows of {shown(shapes)}")
    return torch.cat(rows)


def _rows(model: Model, images: Tensor) -> Tensor:
    """Return the model's outputs for images, once there is a row for each of them."""
    with explained(model, images):
        logits = outputs(model, images)
    shape = tuple(logits.shape)
    message = "model must return a row of logits for each image, (batch, classes)"
    good = shape[:1] == (len(images),)
    require(good, f"{message}; got {shape} for {len(images)}")
    return logits


def correct(model: Model, images: Any, labels: Any) -> Tensor:
    """Return (n,) of bool: whether each of images (n, ...) is read as its label (n,).

    An image for which the model returns NaN is read as nothing, so it is wrong.
    Raises ValueError for labels that are not one for each image, and for a model that
    does not return logits (n, classes) of at least two classes.

    >>> correct(lambda images: images, [[0.0, 1.0], [1.0, 0.0]], [1, 1])
    tensor([ True, False])
    """
    logits = predict_logits(model, images)
    labels = as_tensor("labels", labels).cpu()
    require_logits(logits, len(logits))
    real = logits.layout == torch.strided and not logits.is_complex()
    allowed = "model must return logits that are real numbers in a dense tensor"
    require(
        real and logits.dtype != torch.bool,
        f"{allowed}; got {logits.dtype}, {logits.layout}",
    )
    message = f"labels must be one for each image: ({len(logits)},)"
    good = labels.shape == logits.shape[:1]
    require(good, f"{message}; got {type_and_shape(labels)}")
    right: Tensor = logits.argmax(1) == labels
    return right & ~logits.isnan().any(1)


def accuracy(model: Model, images: Any, labels: Any) -> float:
    """Return the fraction of images (n, ...) that are read as their labels (n,).

    >>> accuracy(lambda images: images, [[0.0, 1.0], [1.0, 0.0]], [1, 1])
    0.5
    """
    return float(correct(model, images, labels).double().mean())


def outputs(model: Model, images: Tensor) -> Tensor:
    """Return model(images), computed in the type and on the device of its parameters.

    A function without parameters gets the images as they are. The model gets a copy: a
    first layer that works in place leaves the caller's images alone.
    Raises ValueError for a model that returns anything but a tensor.
    """
    like = next(model.parameters(), images) if isinstance(model, nn.Module) else images
    answer: Any = model(images.to(like, copy=True))
    message = (
        "model must return its logits as one tensor (batch, classes); "
        f"got {type(answer).__name__}: wrap it in a function that returns them, such "
        "as lambda images: model(images).logits"
    )
    require(isinstance(answer, Tensor), message)
    logits: Tensor = answer
    return logits


def require_logits(logits: Tensor, images: int) -> None:
    """Refuse outputs that are not (images, classes), of at least two classes."""
    shape = tuple(logits.shape)
    good = len(shape) == 2 and shape[0] == images and shape[1] >= 2
    allowed = "model must return logits (batch, classes), at least 2 classes"
    require(good, f"{allowed}; got {shape} for {images}")


@contextmanager
def explained(model: Model, images: Tensor) -> Iterator[None]:
    """Say in one line what is no model, or that a model cannot take these images."""
    message = "model must be a torch module, or a function of a batch of images"
    require(callable(model), f"{message}; got {shown(model)}")
    try:
        yield
    except torch.OutOfMemoryError:
        raise
    except (RuntimeError, TypeError, IndexError) as error:
        message = "model must take images of this type and shape"
        given = type_and_shape(images)
        why = " ".join(f"{type(error).__name__}: {error}".split())
        raise ValueError(f"{message}; given {given}, it fails: {why}") from error
