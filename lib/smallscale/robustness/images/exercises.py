"""Is the answer right, and if not, why? Checks for the exercises on adversarial images.

Each check returns a sentence.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from smallscale.notebook.exercises import NOT_YET, matching_message
from smallscale.robustness.images.curves import Attack
from smallscale.robustness.images.losses import margin
from smallscale.robustness.images.norms import direction, l2_norm, random_signs_like
from smallscale.training.evaluation import Model, accuracy, predict_logits

PIXEL_TOLERANCE = 1e-5  # what rounding may add to a change of one pixel
LENGTH_TOLERANCE = 1e-3
BEYOND_LUCK = 0.1  # how much lower than random signs an attack must get


# Exercise 1: how far is the boundary of a linear model?

RIGHT_RADIUS = (
    "Right: |w·x + b| / ||w||_1. No search is needed where the model is linear."
)
WRONG_RADII: dict[str, Callable[[Tensor, Tensor, Tensor], Tensor]] = {
    "That is the distance in l2, the length of the change. In linf all pixels may move "
    "by eps at once, so the value falls by eps * ||w||_1.": lambda gap, w, b: (
        gap.abs() / w.norm()
    ),
    "That is where one pixel alone is allowed to move. In linf all of them "
    "move.": lambda gap, w, b: gap.abs() / w.abs().max(),
    "A radius is not negative: w·x + b may be, and then the attacker moves the other "
    "way.": lambda gap, w, b: gap / w.abs().sum(),
    "With sum(w) all pixels move the same way, and what one gains another loses. Each "
    "moves by its own sign.": lambda gap, w, b: gap.abs() / w.sum().abs(),
    "The bias is missing: the boundary is where w·x + b is 0.": lambda gap, w, b: (
        (gap - b).abs() / w.abs().sum()
    ),
    "It is upside down: the steeper the model, the smaller the radius.": (
        lambda gap, w, b: w.abs().sum() / gap.abs()
    ),
    "The mean of |w| forgets how many pixels there are, and the number of pixels is "
    "the point: take their sum.": lambda gap, w, b: gap.abs() / w.abs().mean(),
}
TOO_FAR = (
    "At the radius {radius:.4f} every pixel can move with its own sign, and the "
    "reading flipped before: at {truth:.4f}. Random directions find that out too late."
)
TOO_NEAR = "At the radius {radius:.4f} nothing flips yet; it does at {truth:.4f}."


def check_flipping_radius(radius: Callable[[Tensor, Tensor, Tensor], Any]) -> str:
    """Check radius(w, b, x), the least eps at which w·x + b can change its sign.

    w, x: (pixels,); b: one number. No pixel's bound is in the way. It is asked for
    several models of several sizes, so a number that fits one of them is no answer.
    """
    generator = torch.Generator().manual_seed(0)
    message = ""
    for pixels in (3, 64, 64, 784):
        w, x = torch.randn(2, pixels, generator=generator)
        b = torch.randn(1, generator=generator).squeeze()
        # Both signs occur: the reading is class 1 for some models, 0 for others.
        b = b - (w @ x + b) * (pixels == 64) * 1.5
        answer = radius(w.clone(), b.clone(), x.clone())
        if answer is None:
            return NOT_YET
        found = torch.as_tensor(answer, dtype=torch.float32)
        if found.numel() != 1 or not found.isfinite().all():
            return "The answer must be one finite number for each model."
        message = message or _radius_message(float(found), w, b, x)
    return message or RIGHT_RADIUS


def _radius_message(found: float, w: Tensor, b: Tensor, x: Tensor) -> str:
    """Return what is wrong with a radius; empty if nothing is."""
    gap = w @ x + b
    truth = float(gap.abs() / w.abs().sum())
    if abs(found - truth) <= 0.01 * truth:
        return ""
    for message, wrong in WRONG_RADII.items():
        value = float(wrong(gap, w, b))
        if abs(found - value) <= 1e-4 * abs(value):
            return message
    said = TOO_FAR if found > truth else TOO_NEAR
    return said.format(radius=found, truth=truth)


# Exercise 2: a step in l2

RIGHT_STEP = (
    "Right: length 1, along the gradient, and no NaN where the gradient is zero."
)
LINF_STEP = (
    "That is the step for linf: every pixel moves by the same amount, so its l2 length "
    "is 6.93 here, not 1."
)
ONE_LENGTH_FOR_ALL = (
    "The whole batch was divided by one length. Each image has its own: flatten it, "
    "and take its norm."
)
ONE_LENGTH_PER_CHANNEL = (
    "Each channel was divided by its own length. An image is one point, with all of "
    "its channels: it has one length."
)
ONE_LENGTH_PER_PIXEL = (
    "Each pixel's channels were divided by their own length. An image has one length, "
    "over channels, rows and columns."
)
SQUARED_LENGTH = "It was divided by the sum of squares. A length is its root."
SUM_OF_CHANGES = (
    "It was divided by the sum of absolute values, which is the length in l1."
)
NO_STEP = "That is the gradient itself. Divide it by its length."
NAN_AT_ZERO = (
    "Almost: a gradient of zeros gives NaN. "
    "Keep the length you divide by away from zero."
)
WRONG_DIRECTION = (
    "The lengths are right, the directions are not: a step points along the gradient, "
    "uphill in the loss."
)
ONE_SHAPE = (
    "Right for this batch, and wrong for one of another size. Take the shape from the "
    "gradient."
)


def check_l2_step(step: Callable[[Tensor], Any]) -> str:
    """Check a function that turns gradients into steps of l2 length 1 each.

    Gradients and steps: (batch, channels, height, width).
    """
    generator = torch.Generator().manual_seed(0)
    sizes = torch.tensor([0.1, 1.0, 10.0]).view(3, 1, 1, 1)
    gradient = torch.randn(3, 3, 4, 4, generator=generator) * sizes
    squares = gradient.square().sum((1, 2, 3), keepdim=True)
    answer = step(gradient.clone())
    unknown = ""
    message = matching_message(
        answer,
        {
            RIGHT_STEP: direction(gradient, "l2"),
            LINF_STEP: gradient.sign(),
            ONE_LENGTH_FOR_ALL: gradient / gradient.norm(),
            ONE_LENGTH_PER_CHANNEL: gradient / gradient.norm(dim=(2, 3), keepdim=True),
            ONE_LENGTH_PER_PIXEL: gradient / gradient.norm(dim=1, keepdim=True),
            SQUARED_LENGTH: gradient / squares,
            SUM_OF_CHANGES: gradient / gradient.abs().sum((1, 2, 3), keepdim=True),
            NO_STEP: gradient,
        },
        shape=f"The answer must have the gradients' shape, {tuple(gradient.shape)}.",
        otherwise=unknown,
    )
    if message == unknown:
        return _what_is_wrong_with(torch.as_tensor(answer))
    if message == RIGHT_STEP:
        return _on_other_batches(step, generator)
    return message


def _on_other_batches(step: Callable[[Tensor], Any], generator: torch.Generator) -> str:
    """Return the message for a step that is right on one batch."""
    another = torch.randn(2, 1, 5, 7, generator=generator)
    try:
        answer = torch.as_tensor(step(another.clone()))
        at_zero = torch.as_tensor(step(torch.zeros(1, 1, 4, 4)))
    except RuntimeError:
        return ONE_SHAPE
    if answer.shape != another.shape:
        return ONE_SHAPE
    if not torch.allclose(answer, direction(another, "l2"), atol=LENGTH_TOLERANCE):
        return ONE_SHAPE
    return RIGHT_STEP if at_zero.isfinite().all() else NAN_AT_ZERO


def _what_is_wrong_with(steps: Tensor) -> str:
    """Return the message for steps (batch, ...) that are no known mistake."""
    lengths = l2_norm(steps)
    if torch.allclose(lengths, torch.ones_like(lengths), atol=LENGTH_TOLERANCE):
        return WRONG_DIRECTION
    listed = ", ".join(f"{length:.2f}" for length in lengths.tolist())
    return f"The steps' l2 lengths are {listed}; each should be 1."


# Exercise 3: an attack without gradients


class CountedModel:
    """A model that counts how many images it was asked about, and keeps no gradient."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self.asked = 0

    def __call__(self, images: Tensor) -> Tensor:
        """Return the logits of the images (batch, ...), and count them."""
        self.asked += len(images)
        return predict_logits(self.model, images)


def check_attack(
    attack: Attack,
    model: Model,
    images: Tensor,
    labels: Tensor,
    eps: float,
    *,
    questions: int = 300,
) -> str:
    """Check an linf attack(model, images, labels, eps) that may ask `questions` times.

    questions: for each image. The attack must leave BEYOND_LUCK less than random signs
    leave with as many questions. Its images must lie inside the ball and in [0, 1].
    """
    counted = CountedModel(model)
    try:
        answer: Any = attack(counted, images.clone(), labels, eps)
    except RuntimeError as error:
        if "grad" not in str(error):
            raise
        return "The model gives no gradients here, only its logits: search with those."
    if answer is None:
        return NOT_YET
    wrong = _breaks_a_rule(answer, images, eps)
    if wrong:
        return wrong
    each = counted.asked / len(images)
    if each > questions:
        return (
            f"The model was asked {each:,.0f} times for each image; {questions} are "
            "allowed. Which changes are worth a question?"
        )
    reached = accuracy(model, answer, labels)
    lucky = best_of_random_signs(model, images, labels, eps, questions)
    by_luck = accuracy(model, lucky, labels)
    goal = by_luck - BEYOND_LUCK
    if reached < goal:
        return (
            f"Right: {reached:.2f} are read right after {each:.0f} questions each; "
            f"random signs leave {by_luck:.2f} after {questions}."
        )
    if counted.asked == 0:
        return (
            f"Accuracy is {reached:.2f}, and the goal is below {goal:.2f}. The model "
            "was never asked: its logits say which changes help."
        )
    return (
        f"Inside the rules, but accuracy is {reached:.2f}, and the goal is below "
        f"{goal:.2f}. Random signs alone leave {by_luck:.2f} after {questions} "
        "questions: keep what helped, and change only a part of it."
    )


def _breaks_a_rule(answer: Any, images: Tensor, eps: float) -> str:
    """Return which rule attacked images break; empty for none."""
    if not isinstance(answer, Tensor) or answer.shape != images.shape:
        return (
            f"The answer must be a tensor of the images' shape, {tuple(images.shape)}."
        )
    if not torch.isfinite(answer).all():
        return "Some pixels are not finite."
    largest = float((answer - images).abs().max())
    if largest > eps + PIXEL_TOLERANCE:
        return (
            f"A pixel changed by {largest:.3f}, outside the ball of radius {eps:g} "
            "around the original image."
        )
    if answer.min() < 0 or answer.max() > 1:
        return (
            "Some pixels left [0, 1]: no camera could have taken such an image. "
            "Clamp at the end."
        )
    return ""


def best_of_random_signs(
    model: Model, images: Tensor, labels: Tensor, eps: float, questions: int
) -> Tensor:
    """Return for each image, of `questions` random changes by ±eps, the most harmful.

    It is what luck alone does: no question depends on the answer to another.
    """
    generator = torch.Generator().manual_seed(0)
    best, least = images, margin(predict_logits(model, images), labels)
    for _ in range(questions - 1):
        change = eps * random_signs_like(images, generator)
        tried = (images + change).clamp(0, 1)
        found = margin(predict_logits(model, tried), labels)
        lower = found < least
        best = torch.where(lower[:, None, None, None], tried, best)
        least = torch.where(lower, found, least)
    return best
