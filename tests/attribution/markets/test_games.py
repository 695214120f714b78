"""Do the values obey their axioms, and do samples err as much as they say?"""

import math
from collections.abc import Callable
from fractions import Fraction
from functools import partial
from itertools import permutations
from typing import Any

import numpy as np
import pytest
import torch
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
    """One left glove (player 0) and two right ones; a pair is worth 1. Known: 2/3, 1/6,
    1/6.

    Player 0 adds 1 to {1}, {2} and {1, 2}, nothing to nobody: Banzhaf 3/4. Player 1
    adds 1 to {0} only: 1/4. In the order of the table: nobody, 0, 1, 01, 2, 02, 12,
    012.
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


def game(n: int, seed: int) -> Any:
    """A value for every coalition, drawn at random, that of nobody too."""
    table = np.random.default_rng(seed).normal(size=2**n)
    return lambda players: float(table[sum(1 << i for i in players)])


GAMES = (st.integers(1, 6), st.integers(0, 1000))


def test_shares_of_gloves_by_hand() -> None:
    # Player 0 has a left glove, 1 and 2 right ones; a pair is worth 1. Of 6 orders, 0
    # completes the pair in 4.
    def pair(players: frozenset[int]) -> float:
        return float(0 in players and len(players) > 1)

    assert shapley(pair, 3).tolist() == pytest.approx([4 / 6, 1 / 6, 1 / 6])
    # Of the 4 coalitions without it: 0 completes a pair in 3, each other in 1.
    assert banzhaf(pair, 3).tolist() == pytest.approx([3 / 4, 1 / 4, 1 / 4])


@given(*GAMES)
def test_shapley_is_the_mean_gain_over_all_orders(n: int, seed: int) -> None:
    value, total = game(n, seed), np.zeros(n)
    for order in permutations(range(n)):
        for place, player in enumerate(order):
            total[player] += value(frozenset(order[: place + 1])) - value(
                frozenset(order[:place])
            )
    np.testing.assert_allclose(shapley(value, n), total / math.factorial(n), atol=1e-12)


@given(*GAMES)
def test_banzhaf_is_the_mean_gain_over_all_coalitions(n: int, seed: int) -> None:
    value, total = game(n, seed), np.zeros(n)
    for c in range(2**n):
        coalition = frozenset(i for i in range(n) if c >> i & 1)
        for i in range(n):
            total[i] += value(coalition | {i}) - value(coalition - {i})
    np.testing.assert_allclose(banzhaf(value, n), total / 2**n, atol=1e-12)


@given(*GAMES)
def test_shapley_gives_away_what_all_achieve(n: int, seed: int) -> None:
    value = game(n, seed)
    assert shapley(value, n).sum() == pytest.approx(
        value(frozenset(range(n))) - value(frozenset()), abs=1e-12
    )


@given(*GAMES)
def test_equal_players_get_the_same_and_one_who_adds_nothing_gets_nothing(
    n: int, seed: int
) -> None:
    inner = game(n, seed)

    def with_twin_and_idler(players: frozenset[int]) -> float:
        core = {i for i in players if i < n - 1}
        if players & {n - 1, n}:  # twins: either will do
            core.add(n - 1)
        return inner(frozenset(core))  # player n + 1 is never looked at

    for values in (
        shapley(with_twin_and_idler, n + 2),
        banzhaf(with_twin_and_idler, n + 2),
    ):
        assert values[n - 1] == pytest.approx(values[n], abs=1e-12)
        assert values[n + 1] == pytest.approx(0, abs=1e-12)


@given(*GAMES)
def test_values_add_up_over_games_and_arrays_are_many_games_at_once(
    n: int, seed: int
) -> None:
    one, two = game(n, seed), game(n, seed + 1)
    for method in (shapley, banzhaf):
        both = method(lambda players: np.array([one(players), two(players)]), n)
        assert both.shape == (n, 2)
        np.testing.assert_allclose(both[:, 0], method(one, n), atol=1e-12)
        np.testing.assert_allclose(
            both.sum(1), method(lambda p: one(p) + two(p), n), atol=1e-12
        )


def test_every_coalition_is_asked_once() -> None:
    asked: list[frozenset[int]] = []
    shapley(lambda players: asked.append(players) or len(players), 4)
    assert len(asked) == len(set(asked)) == 16
    assert all(isinstance(player, int) for coalition in asked for player in coalition)


def test_sampled_shapley_comes_near_says_how_near_and_adds_up() -> None:
    value = game(6, 3)
    estimate, error = sampled_shapley(value, 6, orders=400, seed=1)
    assert (np.abs(estimate - shapley(value, 6)) < 4 * error).all()
    assert (error < 0.15).all()
    assert estimate.sum() == pytest.approx(
        value(frozenset(range(6))) - value(frozenset())
    )
    np.testing.assert_array_equal(
        estimate, sampled_shapley(value, 6, orders=400, seed=1)[0]
    )
    assert (estimate != sampled_shapley(value, 6, orders=400, seed=2)[0]).any()
    many, _ = sampled_shapley(len, 40, orders=2)
    np.testing.assert_allclose(many, 1)


def test_an_order_turned_round_takes_out_the_noise_of_pairs() -> None:
    # In a game of pairs alone, an order and its reverse together are exact.
    strength = np.random.default_rng(0).normal(size=(5, 5))

    def pairs(players: frozenset[int]) -> float:
        return sum(strength[i, j] for i in players for j in players if i < j)

    estimate, error = sampled_shapley(pairs, 5, orders=3)
    np.testing.assert_allclose(estimate, shapley(pairs, 5))
    np.testing.assert_allclose(error, 0, atol=1e-12)


@pytest.mark.parametrize(
    "method", [shapley, banzhaf, lambda value, n: sampled_shapley(value, n, orders=2)]
)
def test_games_that_cannot_be_say_why(method: Any) -> None:
    for n in (0, -1, 2.5):
        with pytest.raises(ValueError, match="n must be a whole number, at least 1"):
            method(len, n)
    with pytest.raises(
        ValueError, match="value must be finite; for players \\[0, 1\\] it is nan"
    ):
        method(lambda players: math.nan if len(players) == 2 else 0.0, 2)


def test_too_many_players_are_sent_to_sampling() -> None:
    for method in (shapley, banzhaf):
        with pytest.raises(
            ValueError, match=r"n must be at most 20 .* got 21: use sampled_"
        ):
            method(len, 21)
    with pytest.raises(
        ValueError, match="orders must be a whole number, at least 2; got 1"
    ):
        sampled_shapley(len, 3, orders=1)


METHODS = [
    shapley,
    banzhaf,
    lambda value, n: sampled_shapley(value, n, orders=2),
    lambda value, n: sampled_banzhaf(value, n, samples=40),
]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (math.nan, "value must be finite; for players .* it is nan"),
        (math.inf, "value must be finite"),
        (np.float32("nan"), "value must be finite"),
        (torch.tensor(math.nan), "value must be finite"),
        (1 + 2j, "value must be a number, or an array of numbers; for players"),
        (np.array(1 + 0j), "value must be a number"),
        ("3", "value must be a number"),
        (None, "value must be a number"),
        (10**400, "value must be a number"),
        (np.zeros(2), "value must have one shape for all coalitions"),
        ([[1.0], [2.0, 3.0]], "value must be a number"),
        ({"a": 1}, "value must be a number"),
    ],
)
def test_a_value_that_is_no_finite_number_is_refused(
    method: Any, bad: Any, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        method(lambda players: bad if 1 in players else 0.0, 3)


@pytest.mark.parametrize("method", METHODS)
def test_values_of_any_library_are_numbers(method: Any) -> None:
    def first(answer: Any) -> Any:
        return answer[0] if isinstance(answer, tuple) else answer

    expected = first(method(len, 3))
    for kind in (
        float,
        np.int8,
        Fraction,
        lambda size: torch.tensor(float(size), requires_grad=True),
        lambda size: np.array(size),
    ):
        value = partial(lambda kind, players: kind(len(players)), kind)
        np.testing.assert_array_equal(first(method(value, 3)), expected)
    pairs = first(method(lambda players: len(players) > 1, 3))
    assert np.isfinite(pairs).all()


@pytest.mark.parametrize("method", METHODS[:3])
def test_gains_beyond_double_precision_are_refused(method: Any) -> None:
    with pytest.raises(ValueError, match="value must be smaller"):
        method(lambda players: 1.7e308 if len(players) % 2 else -1.7e308, 3)


def test_the_sampled_banzhaf_value_is_of_one_number() -> None:
    with pytest.raises(ValueError, match="value must be one number for each coalition"):
        sampled_banzhaf(lambda players: np.zeros(2), 3, samples=40)
    with pytest.raises(ValueError, match="samples must be a whole number"):
        sampled_banzhaf(len, 3, samples=40.5)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="value must be a function"):
        shapley(3, 3)  # type: ignore[arg-type]


@pytest.mark.parametrize("of", [shapley_of, banzhaf_of])
@pytest.mark.parametrize(
    ("table", "message"),
    [
        ([0, math.nan, 1, 2], r"table must be finite; for players \[0\]"),
        ([[0.0], [1.0], [2.0], [math.inf]], r"table must be finite; .* \[0, 1\]"),
        (np.array([0, 1j]), "table must hold real numbers"),
        (["0", "1"], "table must be numbers"),
        (5, r"table must hold 2\^n values"),
    ],
)
def test_a_table_of_what_are_no_finite_numbers_is_refused(
    of: Any, table: Any, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        of(table)


def test_whole_numbers_that_doubles_would_round_are_refused() -> None:
    """2^60 + 1 is 2^60 in double precision, and every gain would be 0."""
    with pytest.raises(ValueError, match=r"value must lie within 2\^53 .* nobody"):
        shapley(lambda players: 2**60 + len(players), 2)
    with pytest.raises(ValueError, match=r"table must lie within 2\^53"):
        banzhaf_of(np.array([2**60, 2**60 + 1]))
    exact = shapley(lambda players: 2**53 - 2 + len(players), 2)
    assert exact.tolist() == [1, 1]
