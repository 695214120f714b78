"""What does an attacker climb? Losses that are high where an image is read wrong.

Cross-entropy is what the model was trained on. The difference of logits ratio (Croce
and Hein 2020) ignores the scale of the logits, by which a model can hide its gradient.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from smallscale.core.validation import require
from smallscale.robustness.images.norms import choose
from smallscale.training.evaluation import Model, outputs

DLR_CLASSES = 3
TARGETED_DLR_CLASSES = 4

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
    Raises ValueError for logits of fewer than 3 classes.

    >>> logits = torch.tensor([[5.0, 3.0, 1.0]])
    >>> dlr_loss(logits, torch.tensor([1]))  # -(3 - 5) / (5 - 1)
    tensor([0.5000])
    """
    _require_classes(logits, DLR_CLASSES)
    ranked = logits.sort(dim=1, descending=True).values
    first, third = ranked[:, 0], ranked[:, 2]
    return -margin(logits, labels) / (first - third).clamp_min(1e-12)  # section 4


def targeted_dlr_loss(logits: Tensor, labels: Tensor, targets: Tensor) -> Tensor:
    """Return the difference of logits ratio towards a target, above 0 beyond the label.
        -(z_y - z_t) / (z_(1) - (z_(3) + z_(4)) / 2),   z_(k) the k-th largest logit
    (Croce and Hein 2020, eq. 7).

    logits: (batch, classes); labels: (batch,), the classes to leave; targets: (batch,),
    the classes to reach. Returns (batch,).
    Raises ValueError for logits of fewer than 4 classes.

    >>> logits = torch.tensor([[5.0, 3.0, 2.0, 0.0]])
    >>> targeted_dlr_loss(logits, torch.tensor([0]), torch.tensor([1]))  # -2 / (5 - 1)
    tensor([-0.5000])
    """
    _require_classes(logits, TARGETED_DLR_CLASSES)
    ranked = logits.sort(dim=1, descending=True).values
    first, third, fourth = ranked[:, 0], ranked[:, 2], ranked[:, 3]
    of_label = logits.gather(1, labels[:, None]).squeeze(1)
    of_target = logits.gather(1, targets[:, None]).squeeze(1)
    scale = (first - (third + fourth) / 2).clamp_min(1e-12)
    return -(of_label - of_target) / scale  # eq. 7


def strongest_others(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the other classes, the most likely first, (batch, classes - 1)."""
    of_others = logits.scatter(1, labels[:, None], -torch.inf)
    return of_others.argsort(dim=1, descending=True, stable=True)[:, :-1]


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
    rival: Tensor | None = None,
    differentiate: bool = True,
) -> Found:
    """Return the loss at images x, its gradient, and whether the model is fooled.

    x: (batch, ...); y: (batch,), the true classes, or with targeted=True the classes to
    be read as, whose loss the attacker wants lowered: then the loss counts with a
    minus.
    loss: one of LOSSES; "dlr" with rival (batch,) is the targeted one: towards the
    rival, or with targeted=True from the rival to y; "difference" is the rival's logit
    less that of y.
    differentiate=False: the gradient is zero, and costs nothing.
    Loss and gradient are in float32 at least. Raises ValueError for logits that are NaN
    or infinite, which are no reading, and names the image.
    """
    images = torch.split(x, IMAGES_PER_CALL)
    labels = torch.split(y, IMAGES_PER_CALL)
    rivals: Sequence[Tensor | None] = [None] * len(images)
    if rival is not None:
        rivals = torch.split(rival, IMAGES_PER_CALL)
    parts: list[Found] = []
    for some, its_labels, its_rivals in zip(images, labels, rivals, strict=True):
        first = IMAGES_PER_CALL * len(parts)
        with numbered_as(range(first, first + len(some))):
            parts.append(
                _of_a_part(
                    model, some, its_labels, loss, targeted, its_rivals, differentiate
                )
            )
    return Found(
        loss=torch.cat([part.loss for part in parts]),
        fooled=torch.cat([part.fooled for part in parts]),
        gradient=torch.cat([part.gradient for part in parts]),
    )


def _of_a_part(
    model: Model,
    images: Tensor,
    labels: Tensor,
    loss: str,
    targeted: bool,
    rival: Tensor | None,
    differentiate: bool,
) -> Found:
    wide = torch.promote_types(images.dtype, torch.float32)
    with torch.set_grad_enabled(differentiate):
        leaf = images.to(wide, copy=True).requires_grad_(differentiate)
        logits = outputs(model, _as_given(model, leaf, images)).to(images.device)
        logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
        require_finite(logits)
        value = _loss_of(logits, labels, loss, targeted, rival)
    read_as_labels = logits.argmax(1) == labels
    return Found(
        loss=value.detach().to(wide),
        fooled=read_as_labels == targeted,
        gradient=_gradient(value, leaf) if differentiate else torch.zeros_like(leaf),
    )


def _as_given(model: Model, leaf: Tensor, images: Tensor) -> Tensor:
    """Return the leaf in the type that the model is to be given its images in.

    A model with weights casts its images itself: its gradient need not pass through
    the images' narrower type, where it could round to zero.
    """
    casts = isinstance(model, nn.Module) and any(True for _ in model.parameters())
    return leaf if casts else leaf.to(images.dtype)


def _loss_of(
    logits: Tensor, labels: Tensor, loss: str, targeted: bool, rival: Tensor | None
) -> Tensor:
    """Return what the attacker wants raised, (batch,)."""
    if loss == "difference" and rival is not None:
        both = torch.stack([labels, rival], 1)
        of_label, of_rival = logits.gather(1, both).unbind(1)
        return of_rival - of_label
    if loss == "dlr" and rival is not None:
        leave, reach = (rival, labels) if targeted else (labels, rival)
        return targeted_dlr_loss(logits, leave, reach)
    return LOSSES[loss](logits, labels) * (-1 if targeted else 1)


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


class NotFinite(ValueError):
    """A model returned NaN or infinity for an image of the batch, or one near it.

    image: its position in the batch.
    """

    def __init__(self, image: int) -> None:
        super().__init__(
            "model must return finite logits; some are NaN or infinite at image "
            f"{image} of the batch, or at a changed copy of it"
        )
        self.image = image


def require_finite(logits: Tensor, first: int = 0) -> None:
    """Refuse logits (batch, classes) that are NaN or infinite.

    first: the position in the batch of the first of these images.
    """
    finite = logits.isfinite().flatten(1).all(1)
    if not finite.all():
        raise NotFinite(first + int((~finite).int().argmax()))


@contextmanager
def numbered_as(positions: Sequence[int] | Tensor) -> Iterator[None]:
    """Name an image by its position in the batch that these images were taken from.

    positions: in that batch, one for each image that the model is asked about inside.
    """
    try:
        yield
    except NotFinite as error:
        raise NotFinite(int(positions[error.image])) from None


def require_classes_for(loss: str, classes: int, *, targeted: bool = False) -> None:
    """Refuse an attack by the dlr loss on a model of too few classes."""
    least = TARGETED_DLR_CLASSES if targeted else DLR_CLASSES
    name = "the targeted dlr loss" if targeted else "the dlr loss"
    message = f"{name} needs logits of at least {least} classes; got {classes}"
    require(loss != "dlr" or classes >= least, f"{message}: use loss='ce'")


def _require_classes(logits: Tensor, least: int) -> None:
    shape = tuple(logits.shape)
    good = len(shape) == 2 and shape[1] >= least
    message = f"logits must be (batch, classes), of at least {least} classes"
    require(good, f"{message}; got {shape}")
