"""Is a wrong answer told why it is wrong?"""

from typing import Any

import pytest
import torch

from smallscale.foundations.races.exercises import (
    check_correction,
    check_maximum,
    check_orthogonal,
)
from smallscale.notebook.exercises import NOT_YET
from smallscale.training.update_rules import newton_schulz


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (lambda m, v, t, b1, b2: None, NOT_YET),
        (lambda m, v, t, b1, b2: m, "two things"),
        (lambda m, v, t, b1, b2: (m, v), "Nothing was corrected"),
        (lambda m, v, t, b1, b2: (m / (1 - b1**t), v), "Only m"),
        (lambda m, v, t, b1, b2: (m, v / (1 - b2**t)), "Only v"),
        (lambda m, v, t, b1, b2: (m / (1 - b1), v / (1 - b2)), "power is missing"),
        (
            lambda m, v, t, b1, b2: (m / (1 - b1 ** (t + 1)), v / (1 - b2 ** (t + 1))),
            "counts from 1",
        ),
        (
            lambda m, v, t, b1, b2: (m / (1 - b1 * t), v / (1 - b2 * t)),
            "multiplied by t",
        ),
        (
            lambda m, v, t, b1, b2: (m * (1 - b1**t), v * (1 - b2**t)),
            "must be divided",
        ),
        (lambda m, v, t, b1, b2: (m / (1 - b2**t), v / (1 - b1**t)), "swapped"),
        (
            lambda m, v, t, b1, b2: (m / (1 - b1**t), (v / (1 - b2**t)).sqrt()),
            "root belongs to the step",
        ),
        (lambda m, v, t, b1, b2: (m[:1], v[:1]), "shapes of m and v"),
        (lambda m, v, t, b1, b2: (m[:1], v), "shapes of m and v"),
        (lambda m, v, t, b1, b2: (m + 1, v), "answer differs"),
        (
            lambda m, v, t, b1, b2: (m / 0.19, v / 0.001999),
            "Right for the first numbers",
        ),
        (
            lambda m, v, t, b1, b2: (m / (1 - 0.9**t), v / (1 - 0.999**t)),
            "Right for the first numbers",
        ),
        (lambda m, v, t, b1, b2: (m / (1 - b1**t), v / (1 - b2**t)), "Right: both"),
    ],
)
def test_answers_on_the_correction(answer: Any, says: str) -> None:
    assert says in check_correction(answer)


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (lambda u, v: None, NOT_YET),
        (lambda u, v: v, "That is Adam"),
        (lambda u, v: u, "never moves"),
        (torch.minimum, "smaller of the two"),
        (lambda u, v: u + v, "Adagrad"),
        (lambda u, v: (u + v) / 2, "forgets"),
        (lambda u, v: torch.maximum(u, v).max().expand(len(u)), "of its own"),
        (lambda u, v: torch.maximum(u, v).sqrt(), "root is taken later"),
        (lambda u, v: max(u.max(), v.max()), "shape of u"),
        (lambda u, v: u * v, "answer differs"),
        (lambda u, v: torch.tensor([9.0, 2.0, 4.0]), "Right for the first numbers"),
        (
            lambda u, v: torch.maximum(u, v.new_tensor([1.0, 2.0, 4.0])),
            "Right for the first numbers",
        ),
        (lambda u, v: torch.where(u > v, u, v), "ends at -0.99"),
        (torch.maximum, "ends at -0.99"),
    ],
)
def test_answers_on_the_maximum(answer: Any, says: str) -> None:
    assert says in check_maximum(answer)


def exact(matrix: Any) -> Any:
    u, _, v = torch.linalg.svd(matrix, full_matrices=False)
    return u @ v


def rounds(matrix: Any, n: int = 5, norm: bool = True) -> Any:
    x = matrix / matrix.norm() if norm else matrix
    for _ in range(n):
        square = x @ x.T
        x = 3.4445 * x - 4.775 * square @ x + 2.0315 * square @ square @ x
    return x


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (lambda x: None, NOT_YET),
        (lambda x: x, "run from"),
        (lambda x: x / x.norm(), "makes the matrix short"),
        (lambda x: x / x.norm(dim=1, keepdim=True), "run from"),
        (lambda x: rounds(x, n=1), "five rounds"),
        (lambda x: rounds(x, norm=False), "divide by the norm first"),
        (lambda x: rounds(x).T, "turn it back"),
        (lambda x: -rounds(x), "sign is wrong"),
        (lambda x: 5 * rounds(x), "not near 1"),
        (lambda x: torch.eye(*x.shape), "directions are others"),
        (
            lambda x: exact(torch.randn(x.shape, generator=torch.Generator())),
            "directions are others",
        ),
        (lambda x: rounds(x) if x.norm() < 50 else x / 1000, "On a tall matrix"),
        (rounds, "Right"),
        (newton_schulz, "Right"),
        (exact, "Right"),
    ],
)
def test_answers_on_orthogonal_matrices(answer: Any, says: str) -> None:
    assert says in check_orthogonal(answer)
