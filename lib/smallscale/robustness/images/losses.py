"""What does an attacker climb? Losses that are high where an image is read wrong.

Cross-entropy is what the model was trained on. The difference of logits ratio (Croce
and Hein 2020) ignores the scale of the logits, by which a model can hide its gradient.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from smallscale.core.validation import require
from smallscale.robustness.images.norms import choose
from smallscale.training.evaluation import Model, outputs

# Images in one call of the model: memory stays bounded however many are attacked.
IMAGES_PER_CALL = 256

# (logits (batch, classes), labels (batch,)) -> (batch,)
LossOfEach = Callable[[Tensor, Tensor], Tensor]


def dlr_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the difference of logits ratio of each image, above 0 where read wrong.
        -(z_y - max_{i != y} z_i) / (z_(1) - z_(3)),   z_(k) the k-th largest logit
    (Croce and Hein 2020, section 4).

    It is the same for logits and for logits times 100 plus 7, where cross-entropy's
    gradient would round to zero.
    logits: (batch, classes); labels: (batch,). Returns (batch,).
    Raises ValueError for fewer than 3 classes.

    >>> logits = torch.tensor([[5.0, 3.0, 1.0]])
    >>> dlr_loss(logits, torch.tensor([1]))  # -(3 - 5) / (5 - 1)
    tensor([0.5000])
    """
    _require_three_classes(logits)
    ranked = logits.sort(dim=1, descending=True).values
    first, third = ranked[:, 0], ranked[:, 2]
    return -margin(logits, labels) / (first - third).clamp_min(1e-12)  # section 4


def margin(logits: Tensor, labels: Tensor) -> Tensor:
    """Return z_y - max_{i != y} z_i, (batch,): below 0 where read wrong."""
    of_label = logits.gather(1, labels[:, None]).squeeze(1)
    of_others = logits.scatter(1, labels[:, None], -torch.inf)
    return of_label - of_others.amax(1)


LOSSES: Mapping[str, LossOfEach] = {
    "ce": partial(F.cross_entropy, reduction="none"),
    "dlr": dlr_loss,
}


@dataclass(frozen=True)
class Found:
    """What an attacker learns of a batch of images by asking the model.

    loss: (batch,) what it wants raised; fooled: (batch,) of bool, whether each image is
    read as the attacker wants; gradient: of the loss, shaped as the images.
    """

    loss: Tensor
    fooled: Tensor
    gradient: Tensor

    def where(self, decision: Tensor, other: "Found") -> "Found":
        """Return this where the decision (batch,) holds for an image, else other."""
        return Found(
            loss=choose(decision, self.loss, other.loss),
            fooled=choose(decision, self.fooled, other.fooled),
            gradient=choose(decision, self.gradient, other.gradient),
        )


def loss_and_gradient(
    model: Model,
    x: Tensor,
    y: Tensor,
    loss: str = "ce",
    *,
    targeted: bool = False,
    differentiate: bool = True,
) -> Found:
    """Return the loss at images x, its gradient, and whether the model is fooled.

    x: (batch, ...); y: (batch,), the true classes, or with targeted=True the classes to
    be read as, whose loss the attacker wants lowered: then the loss counts with a
    minus.
    loss: one of LOSSES. differentiate=False: the gradient is zero, and costs nothing.
    """
    parts = [
        _of_a_part(model, images, labels, LOSSES[loss], targeted, differentiate)
        for images, labels in zip(
            torch.split(x, IMAGES_PER_CALL),
            torch.split(y, IMAGES_PER_CALL),
            strict=True,
        )
    ]
    return Found(
        loss=torch.cat([part.loss for part in parts]),
        fooled=torch.cat([part.fooled for part in parts]),
        gradient=torch.cat([part.gradient for part in parts]),
    )


def _of_a_part(
    model: Model,
    images: Tensor,
    labels: Tensor,
    loss: LossOfEach,
    targeted: bool,
    differentiate: bool,
) -> Found:
    with torch.set_grad_enabled(differentiate):
        images = images.clone().requires_grad_(differentiate)
        logits = outputs(model, images).to(images.device)
        value = loss(logits, labels) * (-1 if targeted else 1)
    read_as_labels = logits.argmax(1) == labels
    return Found(
        loss=value.detach().to(images.dtype),
        fooled=read_as_labels == targeted,
        gradient=_gradient(value, images)
        if differentiate
        else images.new_zeros(images.shape),
    )


def _gradient(loss: Tensor, images: Tensor) -> Tensor:
    """Return the gradient of each image's loss with respect to it.

    The losses are summed, not averaged: an image's gradient is its own, whatever the
    batch.
    """
    gradient = None
    if loss.requires_grad:
        # With respect to the images and nothing else: no parameter's .grad is touched.
        (gradient,) = torch.autograd.grad(loss.sum(), images, allow_unused=True)
    message = (
        "model must be differentiable; "
        "from its outputs no gradient leads back to the images"
    )
    require(gradient is not None, message)
    assert gradient is not None
    return gradient


def _require_three_classes(logits: Tensor) -> None:
    classes = logits.shape[1]
    message = f"the dlr loss needs logits of at least 3 classes; got {classes}"
    require(classes >= 3, f"{message}: use loss='ce'")
