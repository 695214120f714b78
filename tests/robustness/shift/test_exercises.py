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
        (lambda q, losses, eta: q, "did not move"),
        (lambda q, losses, eta: q + 1, "compare with the equation"),
        (
            lambda q, losses, eta: (
                q * (1 + eta * losses) / (q * (1 + eta * losses)).sum()
            ),
            "takes exp",
        ),
        (
            lambda q, losses, eta: torch.eye(len(q))[losses.argmax()],
            "one step with eta only leans",
        ),
        (
            lambda q, losses, eta: group_dro_weights(
                torch.tensor([0.5, 0.25, 0.25]), losses, 2.0
            ),
            "Right for three groups",
        ),
        (
            lambda q, losses, eta: group_dro_weights(q, losses, 2.0),
            "Right for three groups",
        ),
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


class Digit:
    """Reads a digit's own pixel at the centre, wherever the stripe lies."""

    def __init__(self, says: float = 0.0) -> None:
        self.says = says

    def __call__(self, images: Tensor) -> Tensor:
        centre = images[:, 0, 3, 3]
        return torch.stack([0.5 - centre, centre - 0.5 + self.says], 1)


def centred() -> tuple[Striped, Striped]:
    """Images whose centre is white for the labels 1, with a stripe that agrees."""
    x = torch.zeros(20, 1, 8, 8)
    x[PLACES >= 5, 0, 3, 3] = 1.0
    return striped(x, PLACES, agree=1), both_ways(x, PLACES)


TOLD = {"beat": 0.3, "average": 0.75}


def test_an_answer_that_needs_no_groups_passes() -> None:
    seen, test = centred()
    assert check_worst_group(lambda x, y: None, seen, test, **TOLD) == NOT_YET
    message = check_worst_group(lambda x, y: Digit(), seen, test, **TOLD)
    assert message.startswith("Right")


def test_answers_on_the_worst_group_are_told_what_is_wrong() -> None:
    seen, test = centred()

    def says(model: Any) -> str:
        return check_worst_group(lambda x, y: model, seen, test, **TOLD)

    assert "is at 0.00, and the goal is above 0.30" in says(Brightest())
    assert "is at 0.00" in says(Digit(says=5.0))  # every image is a 1
    all_but_some = {"beat": 0.3, "average": 1.1}
    low = check_worst_group(lambda x, y: Digit(), seen, test, **all_but_some)
    assert "below 1.10" in low


def test_lazy_answers_on_the_worst_group_are_found_out() -> None:
    seen, test = centred()

    def by_position(images: Tensor) -> Tensor:
        return torch.eye(2)[test.labels]

    strict = {"beat": 0.9, "average": 0.75}
    hard_coded = check_worst_group(lambda x, y: by_position, seen, test, **strict)
    assert "the goal is above 0.90" in hard_coded

    def without_the_sides(images: Tensor) -> Tensor:
        """Leave the columns out: what the author knows of the stripe."""
        kept = images[..., 1:-1]
        return torch.stack([kept[..., 0, :].sum((1, 2)), kept[..., 3, 2].sum(1)], 1)

    known = check_worst_group(lambda x, y: without_the_sides, seen, test, **strict)
    assert "knows the shortcut" in known

    given: list[Tensor] = []

    def remembers_groups(images: Tensor, labels: Tensor) -> Any:
        given.append(labels)
        return Digit()

    check_worst_group(remembers_groups, seen, test, **TOLD)
    assert not torch.equal(given[0], seen.labels)
