"""Does a policy that is told true rewards near the optimum?"""

import copy
from typing import Any

import numpy as np
import torch
from torch import nn

from smallscale.dpo import (
    all_logps,
    optimal_policy,
)
from smallscale.dpo.reinforce import train_on_policy
from smallscale.dpo.reviews import (
    END,
    START,
    Reviews,
    measure,
    review_distribution,
)
from tests.dpo.models import tiny_gpt2


def test_on_policy_training_nears_the_optimum(
    world: Reviews, reference: nn.Module
) -> None:
    """It asks for true rewards of what it writes, so it is told about every mistake."""
    q = review_distribution(reference, world)
    policy = copy.deepcopy(reference)
    train_on_policy(
        policy,
        [START],
        world.reward_of,
        beta=3.0,
        steps=60,
        max_new_tokens=13,
        end_token=END,
    )
    found = measure(review_distribution(policy, world), q, world)
    best = measure(
        optimal_policy(q, np.append(world.reward, world.failure), 3.0), q, world
    )
    before = measure(q, q, world)
    goal, reached = (m["reward"] - 3 * m["kl"] for m in (best, found))
    assert (
        before["reward"] + (goal - before["reward"]) / 2 < reached <= goal
    )  # KL has its price
    assert found["reward"] > before["reward"] + 0.7 * (
        best["reward"] - before["reward"]
    )
    assert found["off"] < before["off"]


def test_what_every_answer_earns_teaches_nothing(
    world: Reviews, reference: nn.Module
) -> None:
    """Each draw is measured against the mean of the others: a reward that all share
    moves nothing."""
    plain = copy.deepcopy(reference)
    richer = copy.deepcopy(reference)
    rest: dict[str, Any] = {
        "beta": 1.0,
        "steps": 2,
        "max_new_tokens": 13,
        "end_token": END,
    }
    train_on_policy(plain, [START], world.reward_of, **rest)
    train_on_policy(richer, [START], lambda row: world.reward_of(row) + 64, **rest)
    logps = [
        all_logps(policy, world.texts[:50]) for policy in (reference, plain, richer)
    ]
    assert torch.allclose(logps[1], logps[2], atol=1e-3)
    assert not torch.allclose(logps[0], logps[1], atol=1e-2)


def test_a_policy_has_no_dropout_and_single_precision_while_it_learns() -> None:
    """Dropout would judge draws by log-probabilities that they were not drawn by, and
    bfloat16 would round each step away."""
    options: dict[str, Any] = {"beta": 0.5, "steps": 2, "max_new_tokens": 5}
    rest = {"end_token": 9, **options}
    learnt = []
    for policy in (tiny_gpt2(), tiny_gpt2(dropout=0.5).train()):
        train_on_policy(policy, [1], len, **rest)
        learnt.append(policy.lm_head.weight)
    assert torch.equal(*learnt)
    half = tiny_gpt2().to(torch.bfloat16)
    train_on_policy(half, [1], len, **rest)
    assert {p.dtype for p in half.parameters()} == {torch.float32}
