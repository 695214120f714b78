"""What is a player's share of what a team achieves? Shapley and Banzhaf values, exact and sampled."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

Value = Callable[[frozenset[int]], Any]  # of a coalition of players 0 to n-1: a number, or an array of always one shape

MOST = 20  # players: 2^20 coalitions, about a million


def shapley(value: Value, n: int) -> np.ndarray:
    """The Shapley value (Shapley 1953) of each of n players, (n, ...): their mean gain over all orders of joining.

        phi_i = sum over S without i of |S|! (n - |S| - 1)! / n! * (v(S + i) - v(S))

    They sum to v(all) - v(nobody). value(frozenset of players 0..n-1) -> a number or an array, asked once for each of
    the 2^n coalitions. Raises ValueError above 20 players, where `sampled_shapley` is the way, and for a value that is
    not finite.
    """
    table, sizes = _coalitions(value, n)
    weights = np.array([math.factorial(s) * math.factorial(n - s - 1) / math.factorial(n) for s in range(n)])
    return _weighted_gains(table, sizes, weights)


def banzhaf(value: Value, n: int) -> np.ndarray:
    """The Banzhaf value (Banzhaf 1965) of each of n players, (n, ...): their mean gain over all coalitions.

        beta_i = sum over S without i of (v(S + i) - v(S)) / 2^(n-1)

    It moves least when the values are noisy (Wang and Jia 2023), but does not sum to v(all) - v(nobody).
    value, errors: as for `shapley`.
    """
    table, sizes = _coalitions(value, n)
    return _weighted_gains(table, sizes, np.full(n, 0.5 ** (n - 1)))


def sampled_shapley(value: Value, n: int, *, orders: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Shapley values estimated from random orders of joining, and their standard errors; each (n, ...).

    orders: how many, at least 2; each is also walked turned round, which takes out much of the noise (antithetic
    sampling), so it asks for 2 n + 2 coalitions. The estimates' sum is exact. seed: of the orders.
    Raises ValueError as `shapley`, but n has no limit.
    """
    if not (orders >= 2 and orders == int(orders)):
        raise ValueError(f"orders must be a whole number, at least 2; got {orders}")
    _check_players(n)
    random, gains = np.random.default_rng(seed), []
    for _ in range(int(orders)):
        order = random.permutation(n)
        both = []
        for walk in (order, order[::-1]):
            values = np.array([_asked(value, walk[:size]) for size in range(n + 1)], dtype=float)
            both.append(np.empty_like(values[1:]))
            both[-1][walk] = np.diff(values, axis=0)
        gains.append((both[0] + both[1]) / 2)
    return np.mean(gains, 0), np.std(gains, 0, ddof=1) / math.sqrt(len(gains))


def _coalitions(value: Value, n: int) -> tuple[np.ndarray, np.ndarray]:
    """The value (2^n, ...) and size (2^n,) of every coalition; player i is in coalition c where bit i of c is set."""
    _check_players(n)
    if n > MOST:
        raise ValueError(
            f"n must be at most {MOST} for the exact value, which asks 2^n coalitions; got {n}: use sampled_shapley"
        )
    members = [[i for i in range(n) if c >> i & 1] for c in range(2**n)]
    values = [_asked(value, coalition) for coalition in members]
    return np.array(values, dtype=float), np.array([len(coalition) for coalition in members])


def _weighted_gains(table: np.ndarray, sizes: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """For each player the sum over coalitions without it of weights[size] * its gain."""
    n, coalitions = len(weights), np.arange(len(table))
    values = np.empty((n, *table.shape[1:]))
    for i in range(n):
        without = coalitions[coalitions >> i & 1 == 0]
        gains = table[without | 1 << i] - table[without]
        values[i] = np.tensordot(weights[sizes[without]], gains, axes=1)
    return values


def _check_players(n: int) -> None:
    if not (n >= 1 and n == int(n)):
        raise ValueError(f"n must be a whole number of players, at least 1; got {n}")


def _asked(value: Value, players: Any) -> np.ndarray:
    coalition = frozenset(int(player) for player in players)
    answer = np.asarray(value(coalition), dtype=float)
    if not np.isfinite(answer).all():
        raise ValueError(f"value must be finite; for players {sorted(coalition)} it is {answer}")
    return answer
