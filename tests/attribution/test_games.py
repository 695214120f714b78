"""Are the values of a whole table of games those of its games, and do samples err as much as they say?"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smallscale.attribution.markets.games import (
    Value,
    banzhaf,
    banzhaf_of,
    membership,
    sampled_banzhaf,
    sampled_shapley,
    shapley,
    shapley_of,
)


def random_game(n: int, seed: int) -> Value:
    table = np.random.default_rng(seed).normal(size=2**n)
    return lambda players: float(table[sum(1 << i for i in players)])


def test_gloves_by_hand() -> None:
    """One left glove (player 0) and two right ones; a pair is worth 1. Known: 2/3, 1/6, 1/6.

    Player 0 adds 1 to {1}, {2} and {1, 2}, nothing to nobody: Banzhaf 3/4. Player 1 adds 1 to {0} only: 1/4.
    In the order of the table: nobody, 0, 1, 01, 2, 02, 12, 012.
    """
    table = [0, 0, 0, 1, 0, 1, 0, 1]
    assert shapley_of(table) == pytest.approx([2 / 3, 1 / 6, 1 / 6], abs=1e-15)
    assert banzhaf_of(table) == pytest.approx([3 / 4, 1 / 4, 1 / 4], abs=1e-15)
    assert membership(2).tolist() == [
        [False, False],
        [True, False],
        [False, True],
        [True, True],
    ]


@given(st.integers(1, 6), st.integers(0, 10**6))
def test_many_games_at_once_are_the_games_one_by_one(n: int, seed: int) -> None:
    games = [random_game(n, seed + k) for k in range(3)]
    coalitions = [frozenset(np.flatnonzero(row).tolist()) for row in membership(n)]
    table = np.array([[game(coalition) for game in games] for coalition in coalitions])
    for rule, of in ((shapley, shapley_of), (banzhaf, banzhaf_of)):
        assert of(table) == pytest.approx(
            np.stack([rule(game, n) for game in games], axis=1), abs=1e-12
        )


@pytest.mark.parametrize("rule", [shapley, banzhaf])
@given(st.integers(2, 6), st.integers(0, 10**6))
def test_additivity_null_player_and_renaming(
    rule: Callable[..., np.ndarray], n: int, seed: int
) -> None:
    one, two = random_game(n, seed), random_game(n, seed + 1)
    assert rule(lambda s: one(s) + 3 * two(s), n) == pytest.approx(
        rule(one, n) + 3 * rule(two, n), abs=1e-12
    )
    assert rule(lambda s: one(s - {n - 1}), n)[n - 1] == 0
    order = np.random.default_rng(seed).permutation(n)
    renamed = rule(lambda s: one(frozenset(int(order[i]) for i in s)), n)
    assert renamed == pytest.approx(rule(one, n)[order], abs=1e-12)


@pytest.mark.parametrize("length", [0, 1, 6])
def test_a_table_of_another_length_is_refused(length: int) -> None:
    for of in (shapley_of, banzhaf_of):
        with pytest.raises(ValueError, match="2\\^n"):
            of(np.zeros(length))


def test_too_many_players_name_the_way_of_sampling_that_value() -> None:
    for rule, instead in ((shapley, "sampled_shapley"), (banzhaf, "sampled_banzhaf")):
        with pytest.raises(ValueError, match=f"use {instead}"):
            rule(len, 21)


@pytest.mark.parametrize(
    ("sampled", "exact", "work"),
    [
        (sampled_shapley, shapley, {"orders": 100}),
        (sampled_banzhaf, banzhaf, {"samples": 500}),
    ],
)
def test_samples_miss_by_as_much_as_they_say(
    sampled: Any, exact: Any, work: dict[str, int]
) -> None:
    game = random_game(6, 0)
    truth, far = exact(game, 6), []
    for seed in range(30):
        estimate, error = sampled(game, 6, seed=seed, **work)
        far.append((estimate - truth) / error)
    assert (
        0.8 < float(np.sqrt(np.mean(np.square(far)))) < 1.2
    )  # 180 distances, in standard errors
    assert abs(np.mean(far)) < 0.4


def test_sampled_banzhaf_refuses_too_few_samples_and_values_that_are_not_finite() -> (
    None
):
    with pytest.raises(ValueError, match="samples must be more"):
        sampled_banzhaf(len, 5, samples=3)
    with pytest.raises(ValueError, match="value must be finite"):
        sampled_banzhaf(lambda players: math.nan, 2, samples=20)
    many, _ = sampled_banzhaf(len, 40, samples=200)
    assert many.shape == (40,)
