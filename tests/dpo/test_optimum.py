"""Is the optimum the maximiser, is best-of-n what sampling finds, and does nothing
overflow?"""

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from smallscale.dpo import best_of_n, kl_divergence, optimal_policy

WEIGHTS = st.lists(
    st.tuples(st.floats(0.01, 1), st.floats(-5, 5)), min_size=2, max_size=8
)


def test_two_answers_by_hand() -> None:
    """Reward ln 3 above the other at beta 1: even odds become 3 to 1; at beta 1/2 they
    become 9 to 1."""
    assert optimal_policy([0.5, 0.5], [math.log(3), 0.0], 1.0) == pytest.approx(
        [3 / 4, 1 / 4]
    )
    assert optimal_policy([0.5, 0.5], [math.log(3), 0.0], 0.5) == pytest.approx(
        [9 / 10, 1 / 10]
    )


@given(WEIGHTS, st.floats(0.05, 5), st.integers(0, 100))
def test_no_other_policy_has_more(
    rows: list[tuple[float, float]], beta: float, seed: int
) -> None:
    weights, reward = map(np.array, zip(*rows, strict=True))
    reference = weights / weights.sum()

    def objective(policy: Any) -> float:
        return policy @ reward - beta * float(kl_divergence(policy, reference))

    best = optimal_policy(reference, reward, beta)
    assert best.sum() == pytest.approx(1)
    # At the optimum the objective is beta log Z.
    assert objective(best) == pytest.approx(
        beta * math.log(reference @ np.exp(reward / beta)), abs=1e-9
    )
    other = np.random.default_rng(seed).dirichlet(np.ones(len(reward)))
    for step in (1e-3, 0.1, 1.0):
        assert objective((1 - step) * best + step * other) <= objective(best) + 1e-9


def test_a_shift_of_the_reward_changes_nothing() -> None:
    reference = [0.2, 0.3, 0.5]
    reward = np.array([1.0, 2.0, -1.0])
    assert optimal_policy(reference, reward + 100, 0.3) == pytest.approx(
        optimal_policy(reference, reward, 0.3)
    )


@pytest.mark.parametrize("beta", [1e-300, 1e-8, 1.0])
@pytest.mark.parametrize("scale", [1.0, 1e6, 1e308])
def test_large_rewards_and_tiny_betas(beta: float, scale: float) -> None:
    with np.errstate(all="raise", under="ignore"):
        policy = optimal_policy(
            [0.1, 0.3, 0.6, 0.0], np.array([1.0, 1.0, -1.0, 1.5]) * scale, beta
        )
    assert np.isfinite(policy).all()
    assert policy[3] == 0  # the best answer, but the reference never gives it
    assert policy[1] == pytest.approx(3 * policy[0])  # equals share as in the reference
    assert policy.sum() == pytest.approx(1)


def test_a_large_beta_is_the_reference() -> None:
    assert optimal_policy([0.2, 0.8], [5.0, -5.0], 1e9) == pytest.approx([0.2, 0.8])


def test_batches_and_kinds_of_input() -> None:
    reference = np.array([[0.5, 0.5], [0.1, 0.9]])
    reward = np.array([1.0, 0.0])
    together = optimal_policy(reference, reward, 0.7)
    for row, p in zip(together, reference, strict=True):
        assert row == pytest.approx(optimal_policy(p, reward, 0.7))
    assert optimal_policy(
        torch.tensor(reference), torch.tensor(reward), 0.7
    ) == pytest.approx(together)
    assert optimal_policy(
        reference.tolist(), [reward.tolist()] * 2, 0.7
    ) == pytest.approx(together)
    assert best_of_n(reference, reward, 3)[1] == pytest.approx(
        best_of_n(reference[1], reward, 3)
    )
    assert kl_divergence(together, reference).shape == (2,)


def test_best_of_two_by_hand() -> None:
    """Rewards 0, 1, 1: the worst is kept only if drawn twice; the two best share the
    rest as 1 to 3."""
    policy = best_of_n([0.2, 0.2, 0.6], [0.0, 1.0, 1.0], 2)
    assert policy == pytest.approx([0.04, 0.96 / 4, 0.96 * 3 / 4])


def test_best_of_n_is_what_sampling_finds() -> None:
    random = np.random.default_rng(0)
    reference = random.dirichlet(np.ones(6))
    reward = np.array([0.0, 2.0, 1.0, 2.0, -1.0, 0.5])
    draws = random.choice(6, size=(200_000, 4), p=reference)
    kept = draws[
        np.arange(len(draws)), reward[draws].argmax(1)
    ]  # argmax takes the first of equals, any is as likely
    found = np.bincount(kept, minlength=6) / len(draws)
    assert found == pytest.approx(
        best_of_n(reference, reward, 4), abs=0.005
    )  # four standard errors


@given(WEIGHTS, st.integers(1, 64))
def test_best_of_n_and_its_bound(rows: list[tuple[float, float]], n: int) -> None:
    weights, reward = map(np.array, zip(*rows, strict=True))
    reference = weights / weights.sum()
    policy = best_of_n(reference, reward, n)
    assert policy.sum() == pytest.approx(1)
    assert kl_divergence(policy, reference) <= math.log(n) - (n - 1) / n + 1e-9
    assert policy @ reward >= reference @ reward - 1e-9
    if n == 1:
        assert policy == pytest.approx(reference)


def test_kl_by_hand() -> None:
    assert kl_divergence([0.5, 0.5], [0.25, 0.75]) == pytest.approx(
        0.5 * math.log(2) + 0.5 * math.log(2 / 3)
    )
    assert kl_divergence([1.0, 0.0], [0.5, 0.5]) == pytest.approx(math.log(2))
    assert kl_divergence([0.5, 0.5], [1.0, 0.0]) == math.inf
    assert kl_divergence([0.3, 0.7], [0.3, 0.7]) == 0


@pytest.mark.parametrize(
    ("reference", "reward", "beta", "message"),
    [
        ([0.5, 0.5], [1.0, 0.0], 0.0, "beta"),
        ([0.5, 0.5], [1.0, 0.0], -1.0, "beta"),
        ([0.5, 0.5], [1.0, 0.0], math.nan, "beta"),
        ([0.5, 0.6], [1.0, 0.0], 1.0, "probabilities"),
        ([-0.5, 1.5], [1.0, 0.0], 1.0, "probabilities"),
        ([math.nan, 1.0], [1.0, 0.0], 1.0, "probabilities"),
        ([0.0, 0.0], [1.0, 0.0], 1.0, "probabilities"),
        ([0.5, 0.5], [1.0, math.inf], 1.0, "reward must be finite"),
        ([0.5, 0.5], [1.0, math.nan], 1.0, "reward must be finite"),
        ([0.5, 0.5], [1.0, 0.0, 0.0], 1.0, "got"),
        ([[0.5, 0.5]] * 2, [[1.0, 0.0]] * 3, 1.0, "one shape"),
        ([0.5, 0.5], 1.0, 1.0, "got"),
        ([], [], 1.0, "at least one"),
    ],
)
def test_what_cannot_be_right_is_refused(
    reference: Any, reward: Any, beta: float, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        optimal_policy(reference, reward, beta)


@pytest.mark.parametrize("n", [0, -1, 1.5])
def test_best_of_no_draws_is_refused(n: float) -> None:
    with pytest.raises(ValueError, match="n must be"):
        best_of_n([0.5, 0.5], [1.0, 0.0], n)  # type: ignore[arg-type]


def test_policies_of_other_numbers_of_answers_are_refused():
    """One answer, which is certain, would be broadcast to two certain ones."""
    with pytest.raises(ValueError, match="policy and reference must be"):
        kl_divergence([0.5, 0.5], [[1.0], [1.0]])
