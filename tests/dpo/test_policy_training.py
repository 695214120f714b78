"""Is the reference left alone, does the loop do what it says, and is the optimum
reached?

The method was broken on purpose, one way at a time. This is what caught it, among
others:

    prompt unmasked in the labels
        test_answers.test_the_logps_are_those_of_the_answer_token_by_token
    padding unmasked in the labels
        the same
    shift left out, or the wrong way
        test_losses.test_it_is_the_masked_shifted_sum
    end of text cut off
        test_answers.test_the_end_of_text_counts
    end of text cut off, from a file
        test_preference_files.test_encoding_keeps_the_boundary_ends_each_text_…
    a mean for the sum
        test_losses.test_every_answer_of_a_length_together_has_probability_one
    attention mask all ones
        test_answers.test_padding_on_either_side_changes_nothing[left]
    attention mask left out
        test_answers.test_a_model_is_told_what_is_padding
    position ids left out, or counting columns
        test_answers.test_padding_on_either_side_changes_nothing[left]
    reference in training mode
        test_answers.test_the_reference_has_no_dropout
    reference that moves along
        test_it_starts_at_ln_2_and_the_reference_stays_what_it_was
"""

import copy
import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from smallscale.core.devices import few_threads
from smallscale.dpo import (
    Answers,
    Tabular,
    all_logps,
    kl_divergence,
    optimal_policy,
    padded_answers,
    train_preferences,
)
from smallscale.dpo.reviews import (
    Reviews,
    measure,
    preference_pairs,
    review_distribution,
)
from tests.dpo.models import COMPLETIONS, PROMPTS, tiny_gpt2


def test_it_starts_at_ln_2_and_the_reference_stays_what_it_was() -> None:
    model = tiny_gpt2()
    texts = padded_answers(PROMPTS, COMPLETIONS)
    reference = copy.deepcopy(model)
    before = all_logps(reference, texts)
    table = train_preferences(
        model, texts, [[0, 3], [1, 2]], beta=0.1, steps=20, batch_size=2
    )
    assert table.loss[0] == pytest.approx(math.log(2), abs=1e-6)
    assert table.accuracy[0] == 0  # equal rewards are no win
    assert table.loss.iloc[-1] < 0.5
    assert table.accuracy.iloc[-1] == 1
    assert torch.equal(all_logps(reference, texts), before)
    assert not model.training
    assert not torch.allclose(all_logps(model, texts), before, atol=0.1)
    assert list(table.columns) == [
        "step",
        "loss",
        "accuracy",
        "margin",
        "chosen",
        "rejected",
    ]


def test_the_policy_has_no_dropout_while_it_trains() -> None:
    """Whatever mode and dropout it comes with, the run is that of a policy without."""
    texts = padded_answers(PROMPTS, COMPLETIONS)
    settings: dict[str, Any] = {"beta": 1.0, "steps": 3, "batch_size": 1}
    plain = train_preferences(tiny_gpt2(), texts, [[0, 3]], **settings)
    assert plain.loss[0] == pytest.approx(math.log(2), abs=1e-6)
    policy = tiny_gpt2(dropout=0.5).train()
    assert train_preferences(policy, texts, [[0, 3]], **settings).equals(plain)


def test_dropout_is_there_for_who_asks_for_it() -> None:
    """Then the first loss is not the ln 2 of a policy that is the reference."""
    texts = padded_answers(PROMPTS, COMPLETIONS)
    settings: dict[str, Any] = {"beta": 1.0, "steps": 1, "batch_size": 1}
    policy = tiny_gpt2(dropout=0.5)
    table = train_preferences(policy, texts, [[0, 3]], dropout=True, **settings)
    assert abs(table.loss[0] - math.log(2)) > 0.01
    assert not policy.training


@pytest.mark.parametrize("stored", [torch.bfloat16, torch.float16])
def test_a_policy_in_half_precision_trains_in_single(stored: torch.dtype) -> None:
    """A step of 1e-6 moves no bfloat16 weight. Here every step counts."""
    texts = padded_answers(PROMPTS, COMPLETIONS)
    settings: dict[str, Any] = {"beta": 0.1, "steps": 20, "batch_size": 2, "lr": 1e-6}
    pairs = [[0, 3], [1, 2]]
    policy = tiny_gpt2().to(stored)
    rounded = copy.deepcopy(policy).float()
    table = train_preferences(policy, texts, pairs, **settings)
    assert table.equals(train_preferences(rounded, texts, pairs, **settings))
    assert table.margin.iloc[-1] > 1e-4
    assert {p.dtype for p in policy.parameters()} == {torch.float32}


def test_a_run_that_diverges_says_so() -> None:
    texts = padded_answers(PROMPTS, COMPLETIONS)
    settings: dict[str, Any] = {"beta": 0.1, "steps": 9, "batch_size": 1, "lr": 1e30}
    with pytest.raises(ValueError, match=r"policy must give finite.*lower lr=1e\+30"):
        train_preferences(tiny_gpt2(), texts, [[0, 3]], **settings)


def test_the_rate_falls_along_a_line() -> None:
    """Under a gradient that never changes each step of Adam is as long as the rate: 0.1
    times 1, 3/4, 1/2, 1/4."""
    policy = Tabular([[0.5, 0.5]])
    texts = padded_answers([[0], [0]], [[0], [1]])
    train_preferences(
        policy, texts, [[0, 1]], beta=0.01, steps=4, batch_size=1, lr=0.1, loss="hinge"
    )
    assert (policy.logits[0] - math.log(0.5)).tolist() == pytest.approx(
        [0.25, -0.25], rel=1e-4
    )


def test_given_reference_logps_are_used() -> None:
    texts = padded_answers(PROMPTS, COMPLETIONS)
    reference = all_logps(tiny_gpt2(), texts)
    first = train_preferences(
        tiny_gpt2(),
        texts,
        [[0, 3]],
        beta=0.5,
        steps=3,
        batch_size=1,
        reference=reference,
    )
    same = train_preferences(
        tiny_gpt2(), texts, [[0, 3]], beta=0.5, steps=3, batch_size=1
    )
    shifted = train_preferences(
        tiny_gpt2(),
        texts,
        [[0, 3]],
        beta=0.5,
        steps=3,
        batch_size=1,
        reference=reference - torch.eye(4)[0] * 2,
    )
    assert first.equals(same)
    assert shifted.loss[0] == pytest.approx(math.log(1 + math.exp(-0.5 * 2)), abs=1e-6)


def test_the_same_seed_is_the_same_run_and_touches_no_global_state() -> None:
    texts = padded_answers(PROMPTS, COMPLETIONS)
    state = torch.get_rng_state()

    def run(seed: int) -> Any:
        pairs = [[0, 3], [1, 2], [3, 1], [2, 0]]
        return train_preferences(
            tiny_gpt2(0.1),
            texts,
            pairs,
            beta=0.1,
            steps=6,
            batch_size=2,
            seed=seed,
            dropout=True,
        )

    assert run(1).equals(run(1))
    assert not run(1).equals(run(2))
    assert torch.equal(torch.get_rng_state(), state)


def test_a_small_model_is_given_one_thread_and_others_get_theirs_back() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with few_threads(tiny_gpt2()):
            assert torch.get_num_threads() == 1
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_an_identical_pair_is_kept_and_moves_nothing() -> None:
    model = tiny_gpt2()
    texts = padded_answers(PROMPTS, COMPLETIONS)
    before = all_logps(model, texts)
    table = train_preferences(model, texts, [[1, 1]], beta=0.3, steps=3, batch_size=1)
    assert table.loss.tolist() == pytest.approx([math.log(2)] * 3)
    assert torch.allclose(all_logps(model, texts), before, atol=1e-6)


def test_every_pair_comes_once_before_any_comes_again() -> None:
    seen: list[Tensor] = []

    def note(losses: Tensor, picked: Tensor) -> Tensor:
        seen.append(picked)
        return losses.mean()

    texts = padded_answers([[0]] * 4, [[0], [1], [2], [3]])
    pairs = [[0, 1], [1, 2], [2, 3], [3, 0], [0, 2]]
    train_preferences(
        Tabular([[0.25] * 4]), texts, pairs, beta=1, steps=5, batch_size=2, combine=note
    )
    order = torch.cat(seen).tolist()
    assert sorted(order[:5]) == sorted(order[5:]) == [0, 1, 2, 3, 4]
    assert order[:5] != order[5:]  # shuffled again


def test_combine_says_whose_preferences_count() -> None:
    """Two people who disagree: the one with all the weight is followed."""
    texts = padded_answers([[0]] * 2, [[0], [1]])
    weights = torch.tensor([0.0, 2.0])
    policy = Tabular([[0.5, 0.5]])
    train_preferences(
        policy,
        texts,
        [[0, 1], [1, 0]],
        beta=1.0,
        steps=50,
        batch_size=2,
        lr=0.1,
        combine=lambda losses, picked: (weights[picked] * losses).mean(),
    )
    assert policy.probabilities()[0, 1] > 0.9


def test_watch_sees_every_step_in_eval_mode() -> None:
    seen: list[tuple[int, bool]] = []
    texts = padded_answers(PROMPTS, COMPLETIONS)
    train_preferences(
        tiny_gpt2(),
        texts,
        [[0, 1]],
        beta=0.1,
        steps=2,
        watch=lambda step, model: seen.append((step, model.training)),
    )
    assert seen == [(0, False), (1, False), (2, False)]


def test_the_tabular_optimum_is_reached() -> None:
    """Preferences of Bradley and Terry in their exact shares: the policy that DPO ends
    at is the analytic optimum.

    Each pair stands in both orders, weighted with its probability, so no sampling is
    left and the distance to reference * exp(reward / beta) / Z is the method's alone.
    Two prompts with rewards of their own.
    """
    random = np.random.default_rng(0)
    prompts = 2
    answers = 5
    beta = 0.7
    reference = random.dirichlet(np.ones(answers), prompts)
    reward = random.normal(size=(prompts, answers))
    texts = padded_answers(
        [[p] for p in range(prompts) for _ in range(answers)],
        [[a] for _ in range(prompts) for a in range(answers)],
    )
    pairs = [
        [p * answers + a, p * answers + b]
        for p in range(prompts)
        for a in range(answers)
        for b in range(answers)
        if a != b
    ]
    rewards = torch.tensor(reward.ravel())
    share = torch.sigmoid(
        rewards[[a for a, _ in pairs]] - rewards[[b for _, b in pairs]]
    )
    policy = Tabular(reference)
    train_preferences(
        policy,
        texts,
        pairs,
        beta=beta,
        steps=800,
        batch_size=len(pairs),
        lr=0.03,
        combine=lambda losses, picked: (share[picked] * losses).mean(),
    )
    optimum = optimal_policy(reference, reward, beta)
    assert abs(policy.probabilities() - optimum).max() < 1e-3
    assert (kl_divergence(policy.probabilities(), optimum) < 1e-5).all()
    assert abs(reference - optimum).max() > 0.1  # and it had a way to go


@pytest.mark.parametrize(
    ("pairs", "options", "message"),
    [
        ([[0, 4]], {}, "positions in the 4 texts"),
        ([[0, -1]], {}, "positions in the 4 texts"),
        ([], {}, "pairs must be"),
        ([[0, 1, 2]], {}, "pairs must be"),
        ([[0.0, 1.0]], {}, "pairs must be"),
        ([[0, 1]], {"steps": 0}, "steps"),
        ([[0, 1]], {"batch_size": 0}, "batch_size"),
        ([[0, 1]], {"beta": 0.0}, "beta"),
        ([[0, 1]], {"loss": "sigmoid"}, "loss"),
        ([[0, 1]], {"reference": [0.0]}, "reference"),
        ([[0, 1]], {"lr": -1.0}, "lr"),
        ([[0, 1]], {"lr": math.nan}, "lr"),
        ([[0, 1]], {"dropout": 0.1}, "dropout must be True or False"),
    ],
)
def test_training_refuses_what_cannot_be_right(
    pairs: Any, options: dict[str, Any], message: str
) -> None:
    texts: Answers = padded_answers(PROMPTS, COMPLETIONS)
    with pytest.raises(ValueError, match=message):
        train_preferences(
            tiny_gpt2(), texts, pairs, **{"beta": 0.1, "steps": 1, **options}
        )


def test_preferences_raise_the_true_reward(
    world: Reviews, reference: nn.Module
) -> None:
    texts, pairs = preference_pairs(reference, world, 1200)
    policy = copy.deepcopy(reference)
    train_preferences(policy, texts, pairs, beta=3.0, steps=40, batch_size=32, lr=5e-4)
    q = review_distribution(reference, world)
    gain = (
        measure(review_distribution(policy, world), q, world)["reward"]
        - measure(q, q, world)["reward"]
    )
    assert gain > 0.3
