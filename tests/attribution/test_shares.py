"""Do the values obey their axioms, and do the cents add up?"""

import math
from fractions import Fraction
from itertools import permutations
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from smallscale.attribution import banzhaf, payouts, sampled_shapley, shapley


def game(n: int, seed: int) -> Any:
    """A value for every coalition, drawn at random, that of nobody too."""
    table = np.random.default_rng(seed).normal(size=2**n)
    return lambda players: float(table[sum(1 << i for i in players)])


GAMES = (st.integers(1, 6), st.integers(0, 1000))


def test_shares_of_gloves_by_hand() -> None:
    # Player 0 has a left glove, 1 and 2 right ones; a pair is worth 1. Of 6 orders, 0 completes the pair in 4.
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
        with pytest.raises(
            ValueError, match="n must be a whole number of players, at least 1"
        ):
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


# cents


def test_payouts_by_hand() -> None:
    # 100 cents over 1 : 1 : 1 are 33 each and one over, for the first.
    assert payouts([1, 1, 1], 100) == [34, 33, 33]
    # 10 cents over 6 : 3 : 1 ... of 10 are exact; of 7: 4.2, 2.1, .7 -> 4, 2, 0 and one for the largest remainder.
    assert payouts([6, 3, 1], 10) == [6, 3, 1]
    assert payouts([6, 3, 1], 7) == [4, 2, 1]
    assert payouts([-5, 1, 3], 4) == [0, 1, 3]
    assert payouts([0, -1, 0], 5) == [2, 2, 1]
    # Remainders of 1/2 each: to the larger value, though it comes later.
    assert payouts([1, 3], 2) == [0, 2]
    assert (
        payouts(torch.tensor([1.0, 1.0]), 3) == payouts(np.array([1, 1]), 3.0) == [2, 1]
    )


VALUES = st.lists(st.floats(-1e6, 1e300, allow_nan=False), min_size=1, max_size=12)


@given(VALUES, st.integers(1, 10**15))
def test_payouts_are_whole_sum_to_the_pot_and_miss_the_exact_share_by_less_than_a_cent(
    values: Any, pot: int
) -> None:
    paid = payouts(values, pot)
    assert all(type(cents) is int and cents >= 0 for cents in paid)
    assert sum(paid) == pot
    claims = [max(Fraction(value), Fraction(0)) for value in values]
    if any(claims):
        for cents, claim in zip(paid, claims, strict=True):
            assert abs(cents - pot * claim / sum(claims)) < 1
    else:
        assert max(paid) - min(paid) <= 1


@given(
    st.lists(st.integers(-3, 50), min_size=2, max_size=8, unique=True),
    st.integers(1, 1000),
    st.randoms(),
)
def test_payouts_do_not_care_for_names(
    values: list[int], pot: int, random: Any
) -> None:
    order = list(range(len(values)))
    random.shuffle(order)
    if any(value > 0 for value in values):
        expected = payouts(values, pot)
        assert payouts([values[i] for i in order], pot) == [expected[i] for i in order]


@pytest.mark.parametrize(
    ("values", "pot", "message"),
    [
        ([1.0], 0, "pot must be a whole number of cents above 0; got 0"),
        ([1.0], -5, "pot must be"),
        ([1.0], 1.5, "pot must be"),
        ([1.0], math.nan, "pot must be"),
        ([1.0], math.inf, "pot must be"),
        ([1.0], True, "pot must be"),
        ([1.0, math.nan], 5, "values must be finite; number 1 is nan"),
        ([math.inf], 5, "values must be finite"),
        ([], 5, "values must be a list of at least one number"),
        ([[1.0]], 5, "values must be a list of at least one number"),
        (np.float64(3), 5, "values must be a list of at least one number"),
    ],
)
def test_pots_that_cannot_be_divided_say_why(
    values: Any, pot: Any, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        payouts(values, pot)
