"""Is the answer right, and if not, why? Checks for the exercises on distribution shift.

Each check returns a sentence.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Generator, Tensor

from smallscale.notebook.exercises import NOT_YET, matching_message
from smallscale.robustness.shift.groups import Striped, worst_group_accuracy
from smallscale.training.evaluation import correct

RIGHT_WEIGHTS = (
    "Right: the group with the largest loss gains, the weights sum to 1, and a large "
    "loss does no harm."
)
OLD_FORGOTTEN = (
    "The old weights were forgotten: a group that was hard for many steps must stay "
    "heavy. Multiply by q."
)
NOT_EXPONENTIAL = (
    "The weights grow with the losses, but in proportion. The equation takes exp of "
    "eta times the loss, so that a weight grows by a factor at every step."
)
ALL_ON_WORST = (
    "All weight went to the group with the largest loss. That is the aim of many "
    "steps; one step with eta only leans that way."
)
UNCHANGED = "The weights did not move: the losses must play a part."
WRONG_SIGN = "The sign is wrong: the group with the largest loss became the lightest."
ONE_CASE_ONLY = (
    "Right for three groups and eta 2, wrong for four groups and eta 0.5: use q, "
    "losses and eta as they are given."
)
OVERFLOWS = (
    "Almost: a loss of 1000 gives NaN. Before exp subtract the largest exponent from "
    "all; the rest stays."
)


STRIPE_KNOWN = (
    "It works with the stripe at the sides only. With the same images transposed, the "
    "stripe at top or bottom, it does not: it knows the shortcut from you, not from "
    "the data. There: "
)


def check_group_weights(weights: Callable[[Tensor, Tensor, float], Any]) -> str:
    """Check a function (q, losses, eta) -> new weights (groups,).

    They must follow algorithm 1 of Sagawa et al. 2020.
    """
    q = torch.tensor([0.5, 0.25, 0.25])
    losses = torch.tensor([0.0, 0.0, 1.0])
    eta = 2.0
    raised = q * (eta * losses).exp()
    lowered = q * (-eta * losses).exp()
    in_proportion = q * (1 + eta * losses)
    not_divided = (
        f"The factors are right, but the weights sum to {raised.sum():.2f}, not 1: "
        "divide by their sum."
    )
    message = matching_message(
        weights(q.clone(), losses.clone(), eta),
        {
            RIGHT_WEIGHTS: raised / raised.sum(),
            not_divided: raised,
            OLD_FORGOTTEN: (eta * losses).softmax(0),
            WRONG_SIGN: lowered / lowered.sum(),
            UNCHANGED: q,
            NOT_EXPONENTIAL: in_proportion / in_proportion.sum(),
            ALL_ON_WORST: torch.tensor([0.0, 0.0, 1.0]),
        },
        shape=f"The answer must have the shape of q, {tuple(q.shape)}.",
        otherwise=(
            f"For q {q.tolist()}, losses {losses.tolist()}, eta {eta:g} the weights "
            "differ; compare with the equation."
        ),
    )
    if message == RIGHT_WEIGHTS:
        # Another case, so that the numbers of the first cannot be written down.
        large = torch.as_tensor(weights(q.clone(), 1000 * losses, eta))
        if not large.isfinite().all():
            return OVERFLOWS
        other = torch.tensor([0.2, 0.3, 0.1, 0.4])
        their_losses = torch.tensor([0.3, 2.0, 0.7, 0.1])
        expected = (other.log() + 0.5 * their_losses).softmax(0)
        try:
            again = torch.as_tensor(weights(other.clone(), their_losses, 0.5))
        except (RuntimeError, IndexError, ValueError):
            return ONE_CASE_ONLY
        same = again.shape == expected.shape and torch.allclose(
            again.float(), expected, atol=1e-4
        )
        return RIGHT_WEIGHTS if same else ONE_CASE_ONLY
    return message


def check_worst_group(
    train: Callable[[Tensor, Tensor], Any],
    seen: Striped,
    test: Striped,
    *,
    beat: float,
    average: float,
) -> str:
    """Check train(images, labels) -> model, which is told no groups.

    On `test` the worst group's accuracy must be above `beat`, and the mean over all
    images at least `average`: with the stripe at the sides, and again with all images
    transposed, so that the stripe lies at the top or the bottom. Training images and
    test images come in another order than in `seen` and `test`: an answer that knows
    groups or labels by position fails. seen: what is trained on, of square images.
    """
    for turned in (False, True):
        before = _in_another_order(seen, turned)
        after = _in_another_order(test, turned)
        model = train(before.images.clone(), before.labels.clone())
        if model is None:
            return NOT_YET
        right = correct(model, after.images, after.labels)
        worst = worst_group_accuracy(right, after.groups)
        mean = float(right.double().mean())
        message = _what_is_missing(worst, mean, beat=beat, average=average)
        if message:
            return STRIPE_KNOWN + message if turned else message
        if not turned:
            first_worst, first_mean = worst, mean
    return (
        f"Right: the worst group is at {first_worst:.2f} and the mean at "
        f"{first_mean:.2f}, with no group labels in training; with the stripe at top "
        f"or bottom at {worst:.2f} and {mean:.2f}."
    )


def _what_is_missing(worst: float, mean: float, *, beat: float, average: float) -> str:
    """Return why these accuracies do not pass, or nothing."""
    if worst <= beat:
        reason = ""
        if mean >= average:
            reason = (
                " The mean is high: the stripe still decides. Find the images where "
                "it lies, and let them count for more."
            )
        return (
            f"The worst group is at {worst:.2f}, and the goal is above {beat:.2f}."
            + reason
        )
    if mean < average:
        return (
            f"The worst group is at {worst:.2f}, but the mean over all fell to "
            f"{mean:.2f}, below {average:.2f}."
        )
    return ""


def _in_another_order(data: Striped, turned: bool) -> Striped:
    """Return the same rows shuffled, and with turned the images transposed."""
    order = torch.randperm(len(data.labels), generator=Generator().manual_seed(1))
    images = data.images[order]
    if turned:
        images = images.transpose(2, 3).contiguous()
    return Striped(images, data.labels[order], data.sides[order])
