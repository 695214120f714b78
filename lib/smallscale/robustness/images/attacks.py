"""How little must an image change before a classifier reads it wrong?

FGSM takes one step along the gradient of the loss (Goodfellow et al. 2015); PGD takes many small ones, each
brought back into the ball of allowed changes (Madry et al. 2018). Both ask for the loss's gradient with respect
to the image, and nothing else of the model.

The ball is around the original image. Normalisation belongs inside the model, so that eps means the same
everywhere. An attack is an upper bound on robust accuracy: what it does not find may still be there.
"""

import math
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from numbers import Integral
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from smallscale.core.devices import fitting_threads
from smallscale.robustness.images.norms import (
    Bounds,
    choose,
    direction,
    project,
    random_change,
)
from smallscale.training.evaluation import Model, eval_mode, outputs

CHUNK = 256  # images in one call of the model: memory stays bounded however many are attacked


def fgsm(
    model: Model,
    images: Any,
    labels: Any,
    eps: float,
    *,
    norm: str = "linf",
    bounds: Bounds = (0.0, 1.0),
) -> Tensor:
    """The fast gradient sign method (Goodfellow et al. 2015, section 4): one step of length eps.

        linf: clip(x + eps * sign(g)),   l2: clip(x + eps * g / ||g||_2),   g the gradient of cross-entropy

    images: (batch, channels, height, width) within bounds; labels: (batch,), the true classes.
    eps: radius of the ball, in the images' unit: per pixel for "linf", of the whole image for "l2".
    Returns images of the same shape and type, detached. One read wrong before is still read wrong: where the
    step would put it right, the original is returned. Independent of what else is in the batch.
    Raises ValueError for arguments that cannot be right.
    """
    with attackable(model, images, labels, eps, norm, bounds) as (x, y, eps):
        _, wrong, gradient = look(model, x, y)
        adversarial = project(x + eps * direction(gradient, norm), x, eps, norm, bounds)
        _, still_wrong, _ = look(model, adversarial, y, differentiate=False)
        return choose(wrong & ~still_wrong, x, adversarial)


def pgd(
    model: Model,
    images: Any,
    labels: Any,
    eps: float,
    *,
    norm: str = "linf",
    steps: int = 40,
    step_size: float | None = None,
    restarts: int = 1,
    targeted: bool = False,
    bounds: Bounds = (0.0, 1.0),
    loss: str = "ce",
    generator: torch.Generator | None = None,
) -> Tensor:
    """Projected gradient descent (Madry et al. 2018, section 2.1): the worst image found in the eps-ball.

        x <- clip(project(x + step_size * direction(gradient of the loss at x)))

    images, labels, eps, norm, bounds: as for `fgsm`; with targeted=True, labels are the classes to be read as.
    steps: per start; step_size: by default 2.5 * eps / steps, enough to cross the ball and come back.
    restarts: the first start is the image itself, the others are random points of the ball. Each draws one
        random change for all images, so that no result depends on what else is in the batch, or how large it is.
    loss: "ce", cross-entropy, or "dlr", which no scaling of the logits can blind (`dlr_loss`).
    generator: of the random starts; None is a private one seeded 0.

    Returns images of the same shape and type, detached: of all points visited, the original among them, one that
    fools the model if any does, and of those the one with the highest loss (targeted: the lowest). So an image
    read wrong from the start stays wrong, a restart can only make it worse, and eps = 0 returns the image.
    Raises ValueError for arguments that cannot be right.
    """
    check_search(steps, step_size, restarts, loss)
    generator = torch.Generator().manual_seed(0) if generator is None else generator
    with attackable(model, images, labels, eps, norm, bounds) as (x, y, eps):
        step_size = 2.5 * eps / steps if step_size is None else as_number(step_size)
        worst, worst_gain, fooled = (
            x,
            x.new_full(y.shape, -torch.inf),
            y.new_zeros(y.shape, dtype=torch.bool),
        )
        for restart in range(restarts):
            here = (
                x
                if restart == 0
                else project(
                    x + random_change(x, eps, norm, generator), x, eps, norm, bounds
                )
            )
            for step in range(steps + 1):
                gain, fools, gradient = look(
                    model,
                    here,
                    y,
                    loss=loss,
                    targeted=targeted,
                    differentiate=step < steps,
                )
                better = (fools & ~fooled) | ((fools == fooled) & (gain > worst_gain))
                worst, worst_gain = (
                    choose(better, here, worst),
                    choose(better, gain, worst_gain),
                )
                fooled = fooled | fools
                if step < steps:
                    here = project(
                        here + step_size * direction(gradient, norm),
                        x,
                        eps,
                        norm,
                        bounds,
                    )
        return worst


def dlr_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """The difference of logits ratio (Croce and Hein 2020, section 4), (batch,): above 0 where read wrong.

        -(z_y - max_{i != y} z_i) / (z_(1) - z_(3)),   z_(k) the k-th largest logit

    The same for logits and for logits times 100 plus 7, where cross-entropy's gradient would round to zero.
    logits: (batch, classes), at least 3 classes, else ValueError; labels: (batch,).
    """
    if logits.shape[1] < 3:
        raise ValueError(
            f"the dlr loss needs logits of at least 3 classes; got {logits.shape[1]}: use loss='ce'"
        )
    ranked = logits.sort(dim=1, descending=True).values
    return -margin(logits, labels) / (ranked[:, 0] - ranked[:, 2]).clamp_min(1e-12)


def margin(logits: Tensor, labels: Tensor) -> Tensor:
    """z_y - max_{i != y} z_i, (batch,): below 0 where read wrong."""
    return logits.gather(1, labels[:, None]).squeeze(1) - logits.scatter(
        1, labels[:, None], -torch.inf
    ).amax(1)


LOSSES: dict[str, Callable[..., Tensor]] = {
    "ce": partial(F.cross_entropy, reduction="none"),
    "dlr": dlr_loss,
}


def look(
    model: Model,
    x: Tensor,
    y: Tensor,
    *,
    loss: str = "ce",
    targeted: bool = False,
    differentiate: bool = True,
) -> tuple[Tensor, Tensor, Tensor]:
    """What the attacker wants raised (batch,), whether the model is fooled (batch,), the gradient, shaped as x.

    The loss is summed, not averaged: an image's gradient is its own, whatever the batch.
    """
    parts = []
    for images, labels in zip(x.split(CHUNK), y.split(CHUNK), strict=True):
        with torch.set_grad_enabled(differentiate):
            images = images.clone().requires_grad_(differentiate)
            logits = outputs(model, images).to(images.device)
            gain = LOSSES[loss](logits, labels) * (-1 if targeted else 1)
        fools = (logits.argmax(1) == labels) == targeted
        gradient = None if differentiate else torch.zeros_like(images)
        if (
            differentiate and gain.requires_grad
        ):  # to the images and nothing else: no parameter's .grad is touched
            (gradient,) = torch.autograd.grad(gain.sum(), images, allow_unused=True)
        if gradient is None:
            raise ValueError(
                "model must be differentiable; from its outputs no gradient leads back to the images"
            )
        parts.append((gain.detach().to(x.dtype), fools, gradient))
    gains, fooled, gradients = zip(*parts, strict=True)
    return torch.cat(gains), torch.cat(fooled), torch.cat(gradients)


@contextmanager
def attackable(
    model: Model, images: Any, labels: Any, eps: Any, norm: str, bounds: Bounds
) -> Iterator[tuple[Tensor, Tensor, float]]:
    """Images, labels and eps, checked; inside, the model is in eval mode, and put back afterwards."""
    images, labels, eps = (
        torch.as_tensor(images),
        torch.as_tensor(labels),
        as_number(eps),
    )
    check_arguments(images, labels, eps, norm, bounds)
    if isinstance(model, nn.Module) and any(
        module.training for module in model.modules()
    ):
        warnings.warn(
            "the model is in training mode, where dropout is random and batch statistics move; "
            "it is attacked in eval mode and put back: call model.eval() first",
            stacklevel=4,  # the attack's caller: above this generator, contextlib and the attack
        )
    with eval_mode(model), fitting_threads(images), torch.inference_mode(False):
        x, y = images.detach().clone(), labels.to(images.device, torch.int64, copy=True)
        inspect_outputs(model, x, y)
        yield x, y, eps


def inspect_outputs(model: Model, x: Tensor, y: Tensor) -> None:
    """A look at the outputs for a few images: what cannot be attacked is refused, what misleads is warned of."""
    if len(x) == 0:
        return
    few = x[:8]
    with torch.no_grad():
        logits = outputs(model, few)
    shape = tuple(logits.shape)
    if len(shape) != 2 or shape[0] != len(few) or shape[1] < 2:
        raise ValueError(
            f"model must return logits (batch, classes), at least 2 classes; got {shape} for {len(few)}"
        )
    if not logits.isfinite().all():
        raise ValueError("model must return finite logits; some are NaN or infinite")
    least, most, last = int(y.min()), int(y.max()), shape[1] - 1
    if least < 0 or most > last:
        raise ValueError(
            f"labels must lie in 0..{last}, the model's classes; got {least}..{most}"
        )
    if (
        logits.min() >= 0
        and logits.max() <= 1
        and torch.allclose(logits.sum(1), logits.new_ones(()), atol=1e-3)
    ):
        warnings.warn(
            "the model's outputs look like probabilities: they lie in [0, 1] and add up to 1. A second softmax "
            "flattens the gradient and robustness is overestimated; let the model return logits",
            stacklevel=5,
        )


def check_arguments(
    images: Tensor, labels: Tensor, eps: float, norm: str, bounds: Bounds
) -> None:
    """Raise ValueError, one line, for what cannot be right before the model is even asked."""
    if norm not in ("linf", "l2"):
        raise ValueError(f"norm must be 'linf' or 'l2'; got {norm!r}")
    if not 0 <= eps < math.inf:
        raise ValueError(f"eps must be a finite number, at least 0; got {eps}")
    low, high = bounds
    if not low < high:
        raise ValueError(f"bounds must be (low, high) with low < high; got {bounds}")
    if images.dim() < 2 or not images.is_floating_point():
        raise ValueError(
            f"images must be floating-point, (batch, channels, height, width); got {kind(images)}"
        )
    whole = labels.numel() == 0 or not (
        labels.is_floating_point() or labels.dtype == torch.bool
    )
    if labels.shape != images.shape[:1] or not whole:
        raise ValueError(
            f"labels must be whole numbers, one for each image: ({len(images)},); got {kind(labels)}"
        )
    if images.numel() and not (
        images.min() >= low and images.max() <= high
    ):  # NaN fails both
        got = f"{images.min():g} to {images.max():g}: normalise inside the model, or give the bounds of your images"
        raise ValueError(
            f"images must lie within bounds [{low:g}, {high:g}]; got {got}"
        )


def kind(given: Tensor) -> str:
    """Type and shape, for a message."""
    return f"{given.dtype}, {tuple(given.shape)}"


def check_search(steps: int, step_size: float | None, restarts: int, loss: str) -> None:
    """Raise ValueError, one line, for a search that cannot be run."""
    for name, value in (("steps", steps), ("restarts", restarts)):
        if not (isinstance(value, Integral) and value >= 1):
            raise ValueError(f"{name} must be a whole number, at least 1; got {value}")
    if loss not in LOSSES:
        raise ValueError(f"loss must be one of {', '.join(LOSSES)}; got {loss!r}")
    if step_size is not None and not 0 < as_number(step_size) < math.inf:
        raise ValueError(
            f"step_size must be a finite number above 0, or None for 2.5 * eps / steps; got {step_size}"
        )


def as_number(value: Any) -> float:
    """A Python, numpy or torch number as float; NaN, which every check refuses, for what is none."""
    try:
        return float(value)
    except (TypeError, ValueError, RuntimeError):
        return math.nan
