"""Do the checks accept what is right, and say of each mistake what it is?"""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from smallscale.attribution import lds
from smallscale.attribution.scores.exercises import check_influence, check_scores
from smallscale.notebook.exercises import NOT_YET


def right(train: Tensor, test: Tensor, matrix: Tensor, weight_decay: float) -> Tensor:
    return (
        train
        @ torch.linalg.inv(matrix + weight_decay * torch.eye(len(matrix)))
        @ test.T
        / len(train)
    )


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (lambda *a: None, NOT_YET),
        (right, "Right"),
        (lambda *a: -right(*a), "The sign is wrong"),
        (lambda *a: 7 * right(*a), "Too large by n"),
        (lambda *a: right(*a).T, "lie on their side"),
        (lambda a, b, h, w: right(a, b, h, 0), "The penalty has a Hessian too"),
        (lambda a, b, h, w: a @ b.T / 7, "the inverse of H between them is missing"),
        (lambda a, b, h, w: a @ torch.linalg.inv(h + w) @ b.T / 7, "on the diagonal"),
        (lambda a, b, h, w: a @ (h + w * torch.eye(3)) @ b.T / 7, "multiplies by H"),
        (lambda a, b, h, w: torch.zeros(7, 2), "differ from the equation's"),
        (lambda a, b, h, w: torch.ones(7, 2), "differ from the equation's"),
        (lambda *a: 2 * right(*a), "differ from the equation's"),
        (lambda *a: 1.0, "must be (n, m)"),
    ],
)
def test_an_influence_is_told_what_is_wrong(answer: Any, said: str) -> None:
    assert said in check_influence(answer)


def test_scores_are_told_what_is_wrong() -> None:
    random = np.random.default_rng(0)
    scores, masks = random.normal(size=(8, 3)), random.integers(0, 2, size=(20, 8))
    outputs = masks @ scores
    assert check_scores(None, masks, outputs, beat=0.5) == NOT_YET
    assert check_scores(scores, masks, outputs, beat=0.5).startswith("Right")
    assert "right but for the sign" in check_scores(-scores, masks, outputs, beat=0.5)
    assert "the goal is above 0.50" in check_scores(
        0 * scores, masks, outputs, beat=0.5
    )
    assert "the goal is above 1.00" in check_scores(
        scores, masks, outputs, beat=lds(scores, masks, outputs)
    )
    assert (
        -0.7 < lds(-scores[:, ::-1], masks, outputs) < 0
    )  # wrong, and not by the sign alone
    assert "the goal is above 0.70" in check_scores(
        -scores[:, ::-1], masks, outputs, beat=0.7
    )
    assert "cannot be scored: scores must be finite" in check_scores(
        scores * np.nan, masks, outputs, beat=0.5
    )
