"""Is the answer right, and if not, why? Checks for the exercises on distribution shift.

Each check returns a sentence.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

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
WRONG_SIGN = "The sign is wrong: the group with the largest loss became the lightest."
OVERFLOWS = (
    "Almost: a loss of 1000 gives NaN. Before exp subtract the largest exponent from "
    "all; the rest stays."
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
        },
        shape=f"The answer must have the shape of q, {tuple(q.shape)}.",
        otherwise=(
            f"For q {q.tolist()}, losses {losses.tolist()}, eta {eta:g} the weights "
            "differ; compare with the equation."
        ),
    )
    if message == RIGHT_WEIGHTS:
        large = torch.as_tensor(weights(q, 1000 * losses, eta))
        return RIGHT_WEIGHTS if large.isfinite().all() else OVERFLOWS
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
    images at least `average`. seen: what is trained on.
    """
    model = train(seen.images.clone(), seen.labels.clone())
    if model is None:
        return NOT_YET
    right = correct(model, test.images, test.labels)
    worst = worst_group_accuracy(right, test.groups)
    mean = float(right.double().mean())
    if worst <= beat:
        return f"The worst group is at {worst:.2f}, and the goal is above {beat:.2f}."
    if mean < average:
        return (
            f"The worst group is at {worst:.2f}, but the mean over all fell to "
            f"{mean:.2f}, below {average:.2f}."
        )
    return (
        f"Right: the worst group is at {worst:.2f} and the mean at {mean:.2f}, with no "
        "group labels in training."
    )
