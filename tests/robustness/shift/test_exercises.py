"""Is a wrong answer told why it is wrong?"""

from typing import Any

import pytest
import torch
from torch import Tensor

from smallscale.notebook.exercises import NOT_YET
from smallscale.robustness.shift.exercises import check_group_weights, check_worst_group
from smallscale.robustness.shift.groups import (
    Striped,
    both_ways,
    group_dro_weights,
    striped,
)
from tests.robustness.shift.helpers import PLACES, Brightest


def _raised(q: Tensor, losses: Tensor, eta: float) -> Tensor:
    return q * (eta * losses).exp()


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (lambda q, losses, eta: None, NOT_YET),
        (lambda q, losses, eta: q[:2], "shape of q"),
        (_raised, "divide by their sum"),
        (
            lambda q, losses, eta: (eta * losses).softmax(0),
            "old weights were forgotten",
        ),
        (lambda q, losses, eta: (q.log() - eta * losses).softmax(0), "sign is wrong"),
        (lambda q, losses, eta: q, "compare with the equation"),
        (
            lambda q, losses, eta: (
                _raised(q, losses, eta) / _raised(q, losses, eta).sum()
            ),
            "a loss of 1000 gives NaN",
        ),
        (group_dro_weights, "Right"),
    ],
)
def test_answers_on_the_weights_are_told_what_is_wrong(answer: Any, says: str) -> None:
    assert says in check_group_weights(answer)


def test_answers_on_the_worst_group_are_told_what_is_wrong() -> None:
    x = torch.zeros(20, 1, 8, 8)
    test = Striped(x, (PLACES >= 5).long(), torch.zeros(20).long())
    seen = striped(x, PLACES, agree=1)
    told = {"beat": 0.3, "average": 0.75}
    assert check_worst_group(lambda x, y: None, seen, test, **told) == NOT_YET
    stripe = check_worst_group(
        lambda x, y: Brightest(), seen, both_ways(x, PLACES), **told
    )
    assert stripe == "The worst group is at 0.00, and the goal is above 0.30."

    def truth(images: Tensor) -> Tensor:
        return torch.eye(2)[test.labels]

    def half(images: Tensor) -> Tensor:
        return torch.eye(2)[
            torch.where(torch.arange(20) % 2 == 0, test.labels, 1 - test.labels)
        ]

    assert "below 0.75" in check_worst_group(lambda x, y: half, seen, test, **told)
    assert check_worst_group(lambda x, y: truth, seen, test, **told).startswith("Right")
