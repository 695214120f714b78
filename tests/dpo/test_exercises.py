"""Do the checks accept what is right, and tell a wrong answer why?"""

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from smallscale.dpo.exercises import check_loss, check_training, check_weight
from smallscale.dpo.frontier import PreferenceData, collect_preferences
from smallscale.dpo.reviews import Reviews, measure, review_model
from smallscale.notebook.exercises import NOT_YET

logsigmoid = nn.functional.logsigmoid


def test_the_weight_exercise_knows_the_usual_mistakes() -> None:
    def by_autograd(margin: Tensor, beta: float) -> Tensor:
        h = margin.clone().requires_grad_()
        (gradient,) = torch.autograd.grad(-logsigmoid(beta * h).sum(), h)
        return -gradient / beta

    answers: dict[str, list[Callable[[Tensor, float], Any]]] = {
        NOT_YET: [lambda *_: None],
        "Right": [
            lambda h, beta: torch.sigmoid(-beta * h),
            lambda h, beta: 1 / (1 + np.exp(beta * h.numpy())),
            by_autograd,  # brute force, and right
        ],
        # the likeliest mistakes
        "wrong way round": [lambda h, beta: torch.sigmoid(beta * h)],
        "beta is missing": [lambda h, _: torch.sigmoid(-h)],
        "beta stands in front": [lambda h, beta: beta * torch.sigmoid(-beta * h)],
        "That is the loss": [lambda h, beta: -logsigmoid(beta * h)],
        "whole derivative": [lambda h, beta: -beta * torch.sigmoid(-beta * h)],
        "derivative of the sigmoid": [
            lambda h, beta: torch.sigmoid(beta * h) * torch.sigmoid(-beta * h)
        ],
        "a number for each margin": [lambda h, beta: torch.sigmoid(-beta * h).mean()],
        # lazy: one half for all, and the numbers of the first question written in
        "should be": [lambda h, _: torch.full_like(h, 0.5)],
        "compute it": [
            lambda h, _: (
                torch.sigmoid(torch.tensor([1.6, 0.0, -0.4, -2.0]))
                if len(h) == 4
                else torch.zeros_like(h)
            )
        ],
    }
    for words, given in answers.items():
        for answer in given:
            assert words in check_weight(answer)


def test_the_loss_exercise_knows_the_usual_mistakes() -> None:
    def dpo(pc: Any, pr: Any, rc: Any, rr: Any, beta: float) -> Any:
        return -logsigmoid(beta * ((pc - rc) - (pr - rr)))

    def written_in(pc: Tensor, *_: Any) -> Tensor:
        wanted = dpo(
            *torch.tensor([[-3.0, -9.0], [-5.0, -4.0], [-4.0, -8.5], [-4.5, -6.0]]), 0.3
        )
        return wanted if len(pc) == 2 else torch.zeros_like(pc)

    def in_a_loop(*logps: Any) -> Tensor:
        *columns, beta = logps
        return torch.stack([dpo(*row, beta) for row in zip(*columns, strict=True)])

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
        "logarithm is missing": lambda *a: torch.exp(-dpo(*a)),
        "not finite": lambda pc, pr, rc, rr, beta: (
            -torch.sigmoid(beta * ((pc - rc) - (pr - rr))).log()
        ),
        "should be": lambda *a: dpo(*a) + 1,
        "compute it": written_in,
        "losses should": lambda pc, *_: torch.full_like(pc, 0.6931),
        "must be a tensor": lambda *a: dpo(*a).tolist(),
    }
    for words, answer in answers.items():
        assert words in check_loss(answer), words
    assert "Right" in check_loss(in_a_loop)  # slow, and right


def small_data(world: Reviews, reference: nn.Module) -> PreferenceData:
    return collect_preferences(reference, world, 10)


def test_the_training_exercise(world: Reviews, reference: nn.Module) -> None:
    data = small_data(world, reference)
    rest: tuple[Any, ...] = (reference, data, world)
    same = measure(data.reference, data.reference, world)["reward"]
    assert check_training(lambda *_: None, *rest, beat=0.0, most_kl=1.0) == NOT_YET
    assert "Not yet" in check_training(
        lambda policy, *_: policy, *rest, beat=same + 0.1, most_kl=1.0
    )
    assert "Too far" in check_training(
        lambda *_: review_model(seed=5), *rest, beat=0.0, most_kl=0.5
    )


def shifted(policy: nn.Module, words: dict[int, float]) -> nn.Module:
    """A policy that writes these tokens more often, or less."""
    head = policy.get_output_embeddings()  # type: ignore[operator]
    bias = torch.zeros(head.out_features)
    for token, by in words.items():
        bias[token] = by
    moved = nn.Linear(head.in_features, head.out_features)
    moved.weight.data = head.weight.data.clone()
    moved.bias.data = bias
    policy.set_output_embeddings(moved)  # type: ignore[operator]
    return policy


def test_the_training_exercise_wants_the_pairs_to_be_what_teaches(
    world: Reviews, reference: nn.Module
) -> None:
    """Written-in words, and a policy that is kept from the first time, meet the goal
    and do not listen; who counts the winners' words does."""
    data = collect_preferences(reference, world, 300)
    same = measure(data.reference, data.reference, world)["reward"]
    goal: dict[str, Any] = {"beat": same + 0.3, "most_kl": 1.0}
    rest: tuple[Any, ...] = (reference, data, world)
    before = copy.deepcopy(reference.state_dict())
    superb, awful = len(world_words()) - 3, len(world_words()) - 8

    def written_in(policy: nn.Module, *_: Any) -> nn.Module:
        return shifted(policy, {superb: 0.7, awful: -0.7})

    def counted(policy: nn.Module, texts: Any, pairs: Any) -> nn.Module:
        said = {}
        for token in range(2, len(world_words())):
            holds = (texts.ids == token).sum(1).numpy()[pairs].sum(0)
            said[token] = float(np.log((holds[0] + 1) / (holds[1] + 1)))
        return shifted(policy, said)

    assert "not from the pairs" in check_training(written_in, *rest, **goal)
    assert "Right" in check_training(counted, *rest, **goal)
    assert all(torch.equal(before[k], v) for k, v in reference.state_dict().items())


def world_words() -> tuple[str, ...]:
    from smallscale.dpo.reviews import WORDS

    assert WORDS[-3:] == ("superb", "and", "but")
    assert WORDS[-8] == "awful"
    return WORDS
