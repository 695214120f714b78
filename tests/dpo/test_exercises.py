"""Do the checks accept what is right, and tell a wrong answer why?"""

from typing import Any

import torch
from torch import nn

from smallscale.dpo.exercises import check_loss, check_training
from smallscale.dpo.frontier import (
    collect_preferences,
)
from smallscale.dpo.reviews import (
    Reviews,
    measure,
    review_model,
)
from smallscale.notebook.exercises import NOT_YET


def test_the_loss_exercise_knows_the_usual_mistakes() -> None:
    def dpo(pc: Any, pr: Any, rc: Any, rr: Any, beta: float) -> Any:
        return -nn.functional.logsigmoid(beta * ((pc - rc) - (pr - rr)))

    answers = {
        NOT_YET: lambda *_: None,
        "Right": dpo,
        "a value for each pair": lambda *a: dpo(*a).mean(),
        "wrong way round": lambda pc, pr, rc, rr, beta: dpo(pr, pc, rr, rc, beta),
        "reference is missing": lambda pc, pr, rc, rr, beta: dpo(
            pc, pr, 0 * rc, 0 * rr, beta
        ),
        "beta is missing": lambda pc, pr, rc, rr, beta: dpo(pc, pr, rc, rr, 1.0),
        "minus the loss": lambda *a: -dpo(*a),
        "not finite": lambda pc, pr, rc, rr, beta: (
            -torch.sigmoid(beta * ((pc - rc) - (pr - rr))).log()
        ),
        "should be": lambda *a: dpo(*a) + 1,
    }
    for words, answer in answers.items():
        assert words in check_loss(answer)


def test_the_training_exercise(world: Reviews, reference: nn.Module) -> None:
    data = collect_preferences(reference, world, 10)
    rest: tuple[Any, ...] = (reference, data, world)
    assert check_training(lambda *_: None, *rest, beat=0.0, most_kl=1.0) == NOT_YET
    same = measure(data.reference, data.reference, world)["reward"]
    assert "Not yet" in check_training(
        lambda policy, *_: policy, *rest, beat=same + 0.1, most_kl=1.0
    )
    assert "Right" in check_training(
        lambda policy, *_: policy, *rest, beat=same - 0.1, most_kl=1.0
    )
    assert "Too far" in check_training(
        lambda *_: review_model(seed=5), *rest, beat=0.0, most_kl=0.5
    )
