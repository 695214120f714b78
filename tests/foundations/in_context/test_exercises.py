"""Does each check tell right from wrong, and say why?"""

from typing import Any

import pytest
import torch
from torch import Tensor

from smallscale.foundations.in_context.baselines import least_squares
from smallscale.foundations.in_context.exercises import (
    check_expected_error,
    check_learner,
    check_ridge,
)
from smallscale.foundations.in_context.explorer import line_explorer, line_scene
from smallscale.foundations.in_context.regressor import InContextRegressor
from smallscale.notebook.exercises import NOT_YET


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        (lambda k, d: max(0, 1 - k / d), "Right"),
        (lambda k, d: 1 - k / d, "falls below 0"),
        (lambda k, d: min(1, k / d), "the share that is known"),
        (lambda k, d: max(0, 1 - k / d) ** 0.5, "No root"),
        (lambda k, d: max(0, 1 - k / d) ** 2, "Squared once too often"),
        (lambda k, d: max(0, 1 - k / 5), "five dimensions only"),
        (lambda k, d: 1 / (1 + k), "no noise"),
        (lambda k, d: 0.8, "Compare with the dotted line"),
        (lambda k, d: None, NOT_YET),
    ],
)
def test_the_expected_error(rule: Any, words: str) -> None:
    assert words in check_expected_error(rule)


def solve(X: Tensor, y: Tensor, x: Tensor, penalty: float) -> Tensor:
    return x @ torch.linalg.solve(X.T @ X + penalty * torch.eye(len(x)), X.T @ y)


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        (solve, "Right"),
        (lambda X, y, x, r: x @ torch.linalg.pinv(X) @ y, "least squares"),
        (lambda X, y, x, r: solve(X, y, x, r * len(X)), "number of examples"),
        (lambda X, y, x, r: solve(X, y, x, r * r), "squared"),
        (lambda X, y, x, r: solve(X, y, x, -r), "wrong sign"),
        (lambda X, y, x, r: x @ X.T @ y, "averaging"),
        (lambda X, y, x, r: 0.0, "Always 0"),
        (lambda X, y, x, r: 1.0, "The numbers differ"),
        (lambda X, y, x, r: None, NOT_YET),
    ],
)
def test_ridge(rule: Any, words: str) -> None:
    assert words in check_ridge(rule)


def ridge_learner(x: Tensor, y: Tensor, penalty: float = 1.0) -> Tensor:
    said = torch.zeros_like(y)
    eye = penalty * torch.eye(x.shape[2])
    for i in range(1, y.shape[1]):
        X = x[:, :i]
        w = torch.linalg.solve(X.mT @ X + eye, X.mT @ y[:, :i, None])
        said[:, i] = (x[:, i, None] @ w)[:, 0, 0]
    return said


def test_a_learner() -> None:
    assert check_learner(None, 0.1) == NOT_YET
    assert "Right" in check_learner(ridge_learner, 1.0)
    assert "penalty" in check_learner(least_squares, 1.0)
    assert "was to beat" in check_learner(lambda x, y: torch.zeros_like(y), 1.0)
    assert "looks at the answer" in check_learner(lambda x, y: y, 1.0)
    assert "must return predictions" in check_learner(lambda x, y: y[0], 1.0)
    assert check_learner(lambda x, y: None, 1.0) == NOT_YET


def test_the_line_is_drawn_at_once_and_at_the_extremes() -> None:
    model = InContextRegressor(3, 8, width=16, layers=1, heads=2).eval()
    scene, sliders = line_explorer(model)
    values = [slider.value for slider in sliders.values()]
    assert "2 examples of a line with slope 1.5" in scene(*values)
    assert "0 examples" in scene(0, -3.0, 4.0)
    assert scene(5, 3.0, -4.0).count("<circle") == 5
    assert 'aria-label="2 examples' in line_scene(model, 2, 1.0, 0.0)
