"""Is the answer right, and if not, why? Checks for the exercises on adversarial images.

Each check returns a sentence.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from smallscale.notebook.exercises import NOT_YET, matching_message
from smallscale.robustness.images.curves import Attack
from smallscale.robustness.images.norms import direction, l2_norm
from smallscale.training.evaluation import Model, accuracy

PIXEL_TOLERANCE = 1e-5  # what rounding may add to a change of one pixel

RIGHT_STEP = (
    "Right: length 1, along the gradient, and no NaN where the gradient is zero."
)
LINF_STEP = (
    "That is the step for linf: every pixel moves by the same amount, so its l2 length "
    "is 4 here, not 1."
)
ONE_LENGTH_FOR_ALL = (
    "The whole batch was divided by one length. Each image has its own: flatten it, "
    "and take its norm."
)
NAN_AT_ZERO = (
    "Almost: a gradient of zeros gives NaN. "
    "Keep the length you divide by away from zero."
)
WRONG_DIRECTION = (
    "The lengths are right, the directions are not: a step points along the gradient, "
    "uphill in the loss."
)


def check_l2_step(step: Callable[[Tensor], Any]) -> str:
    """Check a function that turns gradients into steps of l2 length 1 each.

    Gradients and steps: (batch, channels, height, width).
    """
    generator = torch.Generator().manual_seed(0)
    sizes = torch.tensor([0.1, 1.0, 10.0]).view(3, 1, 1, 1)
    gradient = torch.randn(3, 1, 4, 4, generator=generator) * sizes
    answer = step(gradient.clone())
    unknown = ""
    message = matching_message(
        answer,
        {
            RIGHT_STEP: direction(gradient, "l2"),
            LINF_STEP: gradient.sign(),
            ONE_LENGTH_FOR_ALL: gradient / gradient.norm(),
        },
        shape=f"The answer must have the gradients' shape, {tuple(gradient.shape)}.",
        otherwise=unknown,
    )
    if message == unknown:
        return _what_is_wrong_with(torch.as_tensor(answer))
    if message == RIGHT_STEP:
        at_zero = torch.as_tensor(step(torch.zeros(1, 1, 4, 4)))
        return RIGHT_STEP if at_zero.isfinite().all() else NAN_AT_ZERO
    return message


def _what_is_wrong_with(steps: Tensor) -> str:
    """Return the message for steps (batch, ...) that are no known mistake."""
    lengths = l2_norm(steps)
    if torch.allclose(lengths, torch.ones_like(lengths), atol=1e-4):
        return WRONG_DIRECTION
    listed = ", ".join(f"{length:.2f}" for length in lengths.tolist())
    return f"The steps' l2 lengths are {listed}; each should be 1."


def check_attack(
    attack: Attack,
    model: Model,
    images: Tensor,
    labels: Tensor,
    eps: float,
    *,
    beat: float,
) -> str:
    """Check an linf attack(model, images, labels, eps), which must get below `beat`.

    Its images must lie inside the ball and in [0, 1], and the model's accuracy on them
    must be below `beat`.
    """
    answer: Any = attack(model, images.clone(), labels, eps)
    if answer is None:
        return NOT_YET
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
    reached = accuracy(model, answer, labels)
    if reached >= beat:
        return (
            f"Inside the rules, but accuracy is {reached:.2f}, and the goal is below "
            f"{beat:.2f}."
        )
    return f"Right: accuracy fell to {reached:.2f}, below {beat:.2f}, inside the ball."
