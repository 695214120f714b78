"""Is the model robust, or is the attack blind? Three measurements that tell them apart.

A gradient attack that fails says nothing where there is no gradient to follow (Athalye
et al. 2018). The checks follow the idea of AutoAttack's warnings (Croce and Hein 2020):
look at the gradients themselves, and attack a second time with a loss that the model's
confidence cannot flatten.
"""

import warnings
from dataclasses import dataclass
from typing import Any

from smallscale.core.validation import as_tensor, require
from smallscale.robustness.images.attacks import pgd
from smallscale.robustness.images.losses import DLR_CLASSES, loss_and_gradient
from smallscale.robustness.images.norms import Bounds
from smallscale.robustness.images.preparation import prepared_for_attack
from smallscale.training.evaluation import Model, accuracy, predict_logits

# A trained network has next to no image whose whole gradient is exactly zero.
MOST_ZERO_GRADIENTS = 0.01
# Two good attacks differ by a point or three; beyond five, one of them was blind.
LARGEST_GAP = 0.05


@dataclass(frozen=True)
class GradientMasking:
    """What `gradient_masking` measured, and what it means.

    n: the number of images. As fractions of them:
    zero_gradients: images whose cross-entropy gradient is exactly zero in every pixel;
    accuracy_ce, accuracy_dlr: accuracy under PGD on cross-entropy, and on the DLR loss,
    which ignores the scale of the logits.
    """

    n: int
    zero_gradients: float
    accuracy_ce: float
    accuracy_dlr: float

    @property
    def warnings(self) -> list[str]:
        """A paragraph for each sign of masking: what it means, and what to do."""
        found = []
        if self.zero_gradients > MOST_ZERO_GRADIENTS:
            found.append(
                f"Zero gradients: for {self.zero_gradients:.1%} of the images the "
                "gradient of cross-entropy is exactly zero, so a gradient attack "
                "stands still there and its failure is no evidence of robustness. "
                "Usual causes: logits so large that softmax rounds to 0 and 1, or a "
                "step that rounds or thresholds its input. Attack with a loss that "
                "does not saturate (pgd's loss='dlr'), and through a smooth stand-in "
                "for such a step."
            )
        if self.accuracy_ce - self.accuracy_dlr > LARGEST_GAP:
            found.append(
                "The loss decides: accuracy under attack is "
                f"{self.accuracy_ce:.1%} with cross-entropy and "
                f"{self.accuracy_dlr:.1%} with a loss that ignores the scale of the "
                "logits. Robustness does not depend on the attacker's loss, so the "
                "higher number is an artefact. Report the lower one, and distrust it "
                "too until an attack without gradients agrees."
            )
        return found


def gradient_masking(
    model: Model,
    images: Any,
    labels: Any,
    eps: float,
    *,
    norm: str = "linf",
    steps: int = 40,
    bounds: Bounds = (0, 1),
) -> GradientMasking:
    """Look for signs that an attack on `model` fails for want of a gradient.

    images, labels, eps, norm, steps, bounds: as for `pgd`; at least 3 classes, which
    the DLR loss needs. No warning is not a proof: masking that both losses share, such
    as noise, goes unseen here.
    Raises ValueError as `pgd` does, and for an empty batch.

    >>> def three_pixels_as_logits(images):
    ...     return images.flatten(1)
    >>> image = [[[[0.75, 0.5, 0.25]]]]
    >>> gradient_masking(three_pixels_as_logits, image, [0], 0.01).warnings
    []
    """
    images, labels = as_tensor("images", images), as_tensor("labels", labels)
    message = "images must hold at least one image; got an empty batch"
    require(images.shape[:1] != (0,), message)
    with prepared_for_attack(model, images, labels, eps, norm, bounds) as (ball, y):
        x = ball.as_images(ball.centre)
        classes = predict_logits(model, x[:1]).shape[1]
        message = "model must have at least 3 classes, which the DLR loss compares"
        require(classes >= DLR_CLASSES, f"{message}; got {classes}")
        gradient = loss_and_gradient(model, x, y).gradient
        is_zero = (gradient.flatten(1) == 0).all(1)

    def accuracy_under_pgd(loss: str) -> float:
        attacked = pgd(
            model,
            images,
            labels,
            eps,
            norm=norm,
            steps=steps,
            random_start=True,
            bounds=bounds,
            loss=loss,
        )
        return accuracy(model, attacked, labels)

    with warnings.catch_warnings():
        # What there is to warn of was said once above; the attacks would say it again.
        warnings.simplefilter("ignore")
        return GradientMasking(
            n=len(images),
            zero_gradients=float(is_zero.double().mean()),
            accuracy_ce=accuracy_under_pgd("ce"),
            accuracy_dlr=accuracy_under_pgd("dlr"),
        )
