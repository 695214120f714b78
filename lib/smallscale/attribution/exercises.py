"""Is the answer right, and if not, why? Checks for the exercises of the theme's notebooks; each returns a sentence."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from smallscale.attribution.scoring import lds

NOT_YET = "Not answered yet."


def check_influence(answer: Callable[[Tensor, Tensor, Tensor, float], Any]) -> str:
    """Check influence(train_gradients (n, p), test_gradients (m, p), H (p, p), weight_decay) -> scores (n, m)."""
    generator = torch.Generator().manual_seed(0)
    train, test, root = (torch.randn(*shape, generator=generator) for shape in ((7, 3), (2, 3), (3, 3)))
    matrix = root @ root.T + torch.eye(3)
    scores = answer(train.clone(), test.clone(), matrix.clone(), 0.5)
    if scores is None:
        return NOT_YET
    expected = train @ torch.linalg.inv(matrix + 0.5 * torch.eye(3)) @ test.T / 7
    if not isinstance(scores, Tensor) or tuple(scores.shape) not in ((7, 2), (2, 7)):
        return "The scores must be a tensor (n, m): a row for each training point, a column for each test point."
    if scores.shape == (2, 7):
        return "The scores lie on their side: a row for each training point, a column for each test point."
    for wrong, why in (
        (-expected, "The sign is wrong: positive means that the point helps, so that the loss is higher without it."),
        (
            7 * expected,
            "Too large by n: in a mean over n, a point has weight 1/n, and that is what removing takes away.",
        ),
        (train @ torch.linalg.inv(matrix) @ test.T / 7, "The penalty has a Hessian too: weight_decay times I."),
        (train @ test.T / 7, "That is the dot product of the gradients: the inverse of H between them is missing."),
    ):
        if torch.allclose(scores, wrong, atol=1e-5):
            return why
    if not torch.allclose(scores, expected, atol=1e-5):
        return "The scores differ from the equation's; write it out for one training and one test point."
    return "Right: gradient, inverse, gradient, and the weight that removing takes away."


def check_scores(scores: Any, masks: Any, outputs: Any, *, beat: float) -> str:
    """Check scores (n_train, n_test) of the reader's own method: an LDS above `beat`."""
    if scores is None:
        return NOT_YET
    try:
        reached = lds(scores, masks, outputs)
    except ValueError as error:
        return f"These cannot be scored: {error}."
    if reached < -beat:
        return f"The LDS is {reached:.2f}: right but for the sign. Positive means that the training point helps."
    if reached <= beat:
        return f"The LDS is {reached:.2f}, and the goal is above {beat:.2f}."
    return f"Right: the LDS is {reached:.2f}, above {beat:.2f}."
