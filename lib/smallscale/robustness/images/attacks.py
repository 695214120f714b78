"""How little must an image change before a classifier reads it wrong?

FGSM takes one step along the gradient of the loss (Goodfellow et al. 2015); PGD takes
many small ones, each brought back into the ball of allowed changes (Madry et al. 2018).
Both ask for the loss's gradient with respect to the image, and nothing else of the
model.

The ball is around the original image. Normalisation belongs inside the model, so that
eps means the same everywhere. An attack is an upper bound on robust accuracy: what it
does not find may still be there.
"""

from typing import Any

import torch
from torch import Tensor

from smallscale.core.seeds import generator_or_new
from smallscale.core.validation import (
    as_float,
    finite_number,
    flag,
    one_of,
    whole_number,
)
from smallscale.robustness.images.losses import (
    LOSSES,
    Found,
    loss_and_gradient,
    require_classes_for,
    strongest_others,
)
from smallscale.robustness.images.norms import Ball, Bounds, choose, direction
from smallscale.robustness.images.preparation import prepared_for_attack
from smallscale.training.evaluation import Model, predict_logits

LARGEST_STEP = 1e6  # in radii


def fgsm(
    model: Model,
    images: Any,
    labels: Any,
    eps: float,
    *,
    norm: str = "linf",
    bounds: Bounds = (0.0, 1.0),
) -> Tensor:
    """Return images changed by one step of length eps: the fast gradient sign method.
        linf: x' = clip(x + eps * sign(g)),   l2: x' = clip(x + eps * g / ||g||_2)
    with g the gradient of cross-entropy at x (Goodfellow et al. 2015, section 4).

    images: (batch, channels, height, width) within bounds; labels: (batch,), the true
    classes. eps: the radius of the ball, in the images' unit: per pixel for "linf", of
    the whole image for "l2".
    Returns images of the same shape and type, detached. An image read wrong before is
    still read wrong: where the step would put it right, the original is returned. No
    image's result depends on what else is in the batch.
    Raises ValueError for arguments that cannot be right.

    >>> def two_pixels_as_logits(images):
    ...     return images.flatten(1)
    >>> fgsm(two_pixels_as_logits, [[[[0.75, 0.5]]]], [0], 0.25)
    tensor([[[[0.5000, 0.7500]]]])
    """
    with prepared_for_attack(model, images, labels, eps, norm, bounds) as (ball, y):
        x = ball.as_images(ball.centre)
        before = loss_and_gradient(model, x, y)
        step = ball.eps * direction(before.gradient, norm)  # section 4
        adversarial = ball.as_images(ball.project(ball.centre + step))
        after = loss_and_gradient(model, adversarial, y, differentiate=False)
        put_right = before.fooled & ~after.fooled
        return choose(put_right, x, adversarial)


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
    random_start: bool = False,
    targeted: bool = False,
    bounds: Bounds = (0.0, 1.0),
    loss: str = "ce",
    generator: torch.Generator | None = None,
) -> Tensor:
    """Return the worst images that projected gradient descent finds in the eps-ball.
        x <- project(x + step_size * direction(gradient of the loss at x))
    direction(g) is sign(g) for linf, g / ||g||_2 for l2 (Madry et al. 2018, sec. 2.1).

    images, labels, eps, norm, bounds: as for `fgsm`; with targeted=True, labels are the
    classes to be read as. steps: for each start; step_size: by default 2.5 * eps /
    steps, enough to cross the ball and come back.
    restarts: how often the search starts. random_start=True: always from a random point
    of the ball, as Madry et al. do. By default the first start is the image itself,
    which is the basic iterative method (Kurakin et al. 2017), and the others are
    random. Each draws one random change for all images, so that no result depends on
    what else is in the batch, or how large it is.
    loss: "ce", cross-entropy, or "dlr", which no scaling of the logits can blind. With
    targeted=True "dlr" is the targeted one (Croce and Hein 2020, eq. 7), away from the
    class that the image is read as; it needs 4 classes, the other one 3.
    generator: of the random starts; None is a private one seeded 0.

    Returns images of the same shape and type, detached: of all points visited, the
    original among them, one that fools the model if any does, and of those the one with
    the highest loss (targeted: the lowest). So an image read wrong from the start stays
    wrong, a restart can only make it worse, and eps = 0 returns the image. The search
    is in float32 at least, so that in bfloat16 or float16 no step rounds away.
    Raises ValueError for arguments that cannot be right.

    >>> def two_pixels_as_logits(images):
    ...     return images.flatten(1)
    >>> pgd(two_pixels_as_logits, [[[[0.75, 0.5]]]], [0], 0.25)
    tensor([[[[0.5000, 0.7500]]]])
    """
    _check_search(steps, step_size, restarts, random_start, loss)
    targeted = flag("targeted", targeted)
    generator = generator_or_new(generator)
    with prepared_for_attack(model, images, labels, eps, norm, bounds) as (ball, y):
        size = _size_of_step(ball, steps, step_size)
        how = _how(model, ball, y, loss, targeted)

        def look(x: Tensor, *, differentiate: bool = True) -> Found:
            shown = ball.as_images(x)
            return loss_and_gradient(
                model, shown, y, differentiate=differentiate, **how
            )

        worst = WorstImages(ball)
        if random_start:  # the image itself counts as visited all the same
            worst.keep(ball.centre, look(ball.centre, differentiate=False))
        for restart in range(restarts):
            at_random = random_start or restart > 0
            x = ball.random_point(generator) if at_random else ball.centre
            for _ in range(steps):
                found = look(x)
                worst.keep(x, found)
                step = size * direction(found.gradient, norm)
                x = ball.project(x + step)  # section 2.1: x + step, then projected
            worst.keep(x, look(x, differentiate=False))
        return ball.as_images(worst.images)


class WorstImages:
    """Of all points that an attack visits, the worst for each image.

    One that fools the model is worse than one that does not; of two alike, the one with
    the higher loss is worse. images: (batch, ...), the worst so far, in the search's
    type.
    """

    def __init__(self, ball: Ball) -> None:
        self.images = images = ball.centre
        self.loss = images.new_full(images.shape[:1], -torch.inf)
        self.fooled = torch.zeros_like(self.loss, dtype=torch.bool)

    def keep(self, x: Tensor, found: Found) -> None:
        """Take each image of x (batch, ...) that is worse than the worst so far."""
        first_to_fool = found.fooled & ~self.fooled
        higher = (found.fooled == self.fooled) & (found.loss > self.loss)
        worse = first_to_fool | higher
        self.images = choose(worse, x, self.images)
        self.loss = choose(worse, found.loss, self.loss)
        self.fooled = self.fooled | found.fooled


def _size_of_step(ball: Ball, steps: int, step_size: float | None) -> float:
    if step_size is None:
        return 2.5 * ball.eps / steps
    # Beyond that a step ends where the ball ends, and could become infinite.
    return min(as_float(step_size), LARGEST_STEP * ball.eps)


def _how(
    model: Model, ball: Ball, y: Tensor, loss: str, targeted: bool
) -> dict[str, Any]:
    """Return the options of `loss_and_gradient` for this loss and these labels."""
    options: dict[str, Any] = {"loss": loss, "targeted": targeted}
    if loss != "dlr" or len(y) == 0:
        return options
    logits = predict_logits(model, ball.as_images(ball.centre)).to(y.device)
    require_classes_for(loss, logits.shape[1], targeted=targeted)
    if targeted:  # away from what the image is read as, unless that is the target
        options["rival"] = strongest_others(logits, y)[:, 0]
    return options


def _check_search(
    steps: Any, step_size: Any, restarts: Any, random_start: Any, loss: str
) -> None:
    """Raise ValueError, one line, for a search that cannot be run."""
    whole_number("steps", steps)
    whole_number("restarts", restarts)
    flag("random_start", random_start)
    one_of("loss", loss, LOSSES)
    if step_size is not None:
        finite_number("step_size", step_size, above=0)
