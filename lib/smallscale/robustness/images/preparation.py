"""May this model be attacked with these images? What is checked before an attack.

An attack meets the model in eval mode, with images inside the bounds. What cannot be
right is refused in one line; what would make the result misleading is warned of.
"""

import math
import warnings
from collections.abc import Iterator, Mapping, Set
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from smallscale.core.devices import fitting_threads
from smallscale.core.modes import eval_mode
from smallscale.core.validation import (
    as_float,
    as_tensor,
    finite_number,
    one_of,
    require,
    shown,
    type_and_shape,
)
from smallscale.robustness.images.losses import require_finite
from smallscale.robustness.images.norms import (
    FLOAT_TYPES,
    NORMS,
    Ball,
    Bounds,
    farthest,
)
from smallscale.training.evaluation import (
    BATCH,
    Model,
    explained,
    outputs,
    require_logits,
)

COMPUTED_WITH = "float16, bfloat16, float32 or float64"

TRAINING_MODE = (
    "the model is in training mode, where dropout is random and batch statistics move; "
    "it is attacked in eval mode and put back: call model.eval() first"
)
INFERENCE = (
    "model must not be made under torch.inference_mode, whose weights keep no gradient "
    "from passing on to the images; make it, or load its weights, outside of that mode"
)
PROBABILITIES = (
    "the model's outputs look like probabilities: they lie in [0, 1] and add up to 1. "
    "A second softmax flattens the gradient and robustness is overestimated; "
    "let the model return logits"
)


@contextmanager
def prepared_for_attack(
    model: Model, images: Any, labels: Any, eps: Any, norm: str, bounds: Bounds
) -> Iterator[tuple[Ball, Tensor]]:
    """Check the arguments, and yield the ball around the images and the labels.

    Inside, the model is in eval mode; afterwards each part of it is as it was. The ball
    is in float32 at least, so that no step of a search rounds away.
    images, labels, eps, norm, bounds: as for `pgd`; numbers of any library.
    Warns, once and at the caller of the attack, of a model in training mode, and of
    outputs that look like probabilities. Raises ValueError for what cannot be right.
    """
    ball, y = checked_ball(images, labels, eps, norm, bounds)
    require(not _made_for_inference(model), INFERENCE)
    if isinstance(model, nn.Module) and any(part.training for part in model.modules()):
        # The attack's caller is above this generator, contextlib and the attack.
        warnings.warn(TRAINING_MODE, stacklevel=4)
    with eval_mode(model), fitting_threads(ball.centre), torch.inference_mode(False):
        x = ball.centre.detach().clone()
        y = y.to(x.device, torch.int64, copy=True)
        inspect_outputs(model, x, y)
        wide = x.to(torch.promote_types(x.dtype, torch.float32))
        radius = min(ball.eps, farthest(wide, norm, ball.bounds))
        yield Ball(wide, radius, norm, ball.bounds, dtype=x.dtype), y


def checked_ball(
    images: Any, labels: Any, eps: Any, norm: str, bounds: Bounds
) -> tuple[Ball, Tensor]:
    """Return the ball around the images, and the labels, as tensors.

    Raises ValueError, one line, for what cannot be right before the model is even
    asked.
    """
    x = as_tensor("images", images)
    y = as_tensor("labels", labels)
    one_of("norm", norm, NORMS)
    radius = finite_number("eps", eps, least=0)
    bounds = checked_bounds(bounds)
    _check_images(x, *bounds)
    _check_labels(y, len(x))
    return Ball(x, radius, norm, bounds), y


def checked_bounds(bounds: Any) -> Bounds:
    """Return the least and the greatest value of a pixel, as Python's numbers.

    Raises ValueError for anything but two numbers, the lower one first.
    """
    try:
        low, high = (as_float(end) for end in bounds)
    except (TypeError, ValueError):  # not two of anything
        low = high = math.nan
    if isinstance(bounds, (Set, Mapping)):  # which have no order
        low = high = math.nan
    message = "bounds must be (low, high), two numbers with low < high"
    require(low < high, f"{message}; got {shown(bounds)}")
    return low, high


def require_images(images: Tensor) -> None:
    """Refuse what is no batch of images in a type that torch computes with."""
    _require_dense("images", images)
    shape = "images must be floating-point, (batch, channels, height, width)"
    good = images.dim() >= 2 and images.is_floating_point()
    require(good, f"{shape}; got {type_and_shape(images)}")
    allowed = f"images must be in {COMPUTED_WITH}"
    require(images.dtype in FLOAT_TYPES, f"{allowed}; got {images.dtype}")


def require_finite_logits(logits: Tensor, images: int, *, first: int = 0) -> None:
    """Refuse outputs that are not finite floating-point numbers (images, classes).

    first: the position of the first of these images.
    """
    _require_dense("model's logits", logits)
    require_logits(logits, images)
    allowed = f"model must return logits in {COMPUTED_WITH}"
    require(logits.dtype in FLOAT_TYPES, f"{allowed}; got {logits.dtype}")
    require_finite(logits, first)


def _require_dense(name: str, values: Tensor) -> None:
    """Refuse a tensor that is sparse, nested or quantized, or that holds no numbers."""
    message = f"{name} must be a dense tensor that holds its numbers"
    require(not values.is_nested, f"{message}; got a nested tensor")
    dense = values.layout == torch.strided and not values.is_quantized
    require(dense, f"{message}; got {values.layout}, {values.dtype}")
    # A subclass may say "meta" and hold its numbers elsewhere.
    is_empty = values.is_meta and type(values) is Tensor
    require(not is_empty, f"{message}; got one on the meta device")


def _check_images(images: Tensor, low: float, high: float) -> None:
    require_images(images)
    if images.numel() == 0:
        return
    least, most = images.detach().min(), images.detach().max()
    allowed = f"images must lie within bounds [{low:g}, {high:g}]"
    remedy = "normalise inside the model, or give the bounds of your images"
    # Compared in the images' own type; NaN fails both comparisons.
    inside = least >= low and most <= high
    require(inside, f"{allowed}; got {least:g} to {most:g}: {remedy}")


def _check_labels(labels: Tensor, images: int) -> None:
    """Refuse labels that are not one whole number for each image."""
    _require_dense("labels", labels)
    real = labels.is_floating_point() or labels.is_complex()
    real = real or labels.dtype == torch.bool
    whole = labels.numel() == 0 or not real  # an empty list has no type of its own
    good = labels.shape == (images,) and whole
    allowed = f"labels must be whole numbers, one for each image: ({images},)"
    require(good, f"{allowed}; got {type_and_shape(labels)}")


def inspect_outputs(model: Model, x: Tensor, y: Tensor) -> None:
    """Look at the outputs for the images: refuse what cannot be attacked.

    Warns of outputs that look like probabilities. x: (batch, ...); y: (batch,).
    """
    if len(x) == 0:
        return
    found = []
    for k, some in enumerate(torch.split(x, BATCH)):
        with torch.no_grad(), explained(model, some):
            logits = outputs(model, some)
        require_finite_logits(logits, len(some), first=k * BATCH)
        found.append(logits)
    least, most = int(y.min()), int(y.max())
    last = min(logits.shape[1] for logits in found) - 1
    allowed = f"labels must lie in 0..{last}, the model's classes"
    require(least >= 0 and most <= last, f"{allowed}; got {least}..{most}")
    if all(_look_like_probabilities(logits) for logits in found):
        # The attack's caller: one call further up than in `prepared_for_attack`.
        warnings.warn(PROBABILITIES, stacklevel=5)


def _made_for_inference(model: Model) -> bool:
    """Say whether any weight was made under torch.inference_mode."""
    if not isinstance(model, nn.Module):
        return False
    return any(each.is_inference() for each in (*model.parameters(), *model.buffers()))


def _look_like_probabilities(logits: Tensor) -> bool:
    inside = bool(logits.min() >= 0) and bool(logits.max() <= 1)
    return inside and torch.allclose(logits.sum(1), logits.new_ones(()), atol=1e-3)
