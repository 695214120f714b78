"""What is a player's share of what a team achieves? Shapley and Banzhaf values, exact and sampled."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

Value = Callable[
    [frozenset[int]], Any
]  # of a coalition of players 0 to n-1: a number, or an array of always one shape

MOST = 20  # players: 2^20 coalitions, about a million


def shapley(value: Value, n: int) -> np.ndarray:
    """The Shapley value (Shapley 1953) of each of n players, (n, ...): their mean gain over all orders of joining.

        phi_i = sum over S without i of |S|! (n - |S| - 1)! / n! * (v(S + i) - v(S))

    They sum to v(all) - v(nobody). value(frozenset of players 0..n-1) -> a number or an array, asked once for each of
    the 2^n coalitions. Raises ValueError above 20 players, where `sampled_shapley` is the way, and for a value that is
    not finite.
    """
    return shapley_of(_coalitions(value, n, "sampled_shapley"))


def banzhaf(value: Value, n: int) -> np.ndarray:
    """The Banzhaf value (Banzhaf 1965) of each of n players, (n, ...): their mean gain over all coalitions.

        beta_i = sum over S without i of (v(S + i) - v(S)) / 2^(n-1)

    It moves least when the values are noisy (Wang and Jia 2023), but does not sum to v(all) - v(nobody).
    value, errors: as for `shapley`; the sampled way is `sampled_banzhaf`.
    """
    return banzhaf_of(_coalitions(value, n, "sampled_banzhaf"))


def shapley_of(table: Any) -> np.ndarray:
    """Shapley values (n, ...) from the values (2^n, ...) of all coalitions, in the order of `membership`.

    Raises ValueError for a table of another length.
    """
    n = _players(table)
    weights = [
        math.factorial(s) * math.factorial(n - s - 1) / math.factorial(n)
        for s in range(n)
    ]
    return _weighted_gains(table, np.array(weights))


def banzhaf_of(table: Any) -> np.ndarray:
    """Banzhaf values (n, ...) from the values (2^n, ...) of all coalitions. Order, errors: as for `shapley_of`."""
    n = _players(table)
    return _weighted_gains(table, np.full(n, 0.5 ** (n - 1)))


def membership(n: int) -> np.ndarray:
    """Who is in which coalition, (2^n, n) of True and False: player i is in coalition c where bit i of c is set."""
    return (np.arange(2**n)[:, None] >> np.arange(n) & 1).astype(bool)


def sampled_shapley(
    value: Value, n: int, *, orders: int, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
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
        gains.append((_gains(value, order) + _gains(value, order[::-1])) / 2)
    return np.mean(gains, 0), np.std(gains, 0, ddof=1) / math.sqrt(len(gains))


def sampled_banzhaf(
    value: Value, n: int, *, samples: int, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Banzhaf values (n,) estimated from random coalitions, and their standard errors (n,).

    Every coalition serves all players (Wang and Jia 2023, maximum sample reuse): the mean of those with the player,
    less the mean of those without. samples: how many coalitions; of each player at least 2 with and 2 without.
    """
    _check_players(n)
    inside = np.random.default_rng(seed).random((samples, n)) < 0.5
    worth = np.array([_asked(value, np.flatnonzero(row)) for row in inside])
    counts = np.stack(
        [(~inside).sum(0), inside.sum(0)]
    )  # (2, n): coalitions without the player, and with
    if samples < 4 or counts.min() < 2:
        raise ValueError(
            f"samples must be more; with {samples}, a player is in or out of fewer than 2 coalitions"
        )
    means = np.stack([worth @ ~inside, worth @ inside]) / counts
    squares = np.stack(
        [((worth[:, None] - means[k]) ** 2 * (inside == k)).sum(0) for k in (0, 1)]
    )
    return means[1] - means[0], np.sqrt((squares / (counts - 1) / counts).sum(0))


def _coalitions(value: Value, n: int, instead: str) -> np.ndarray:
    """The value (2^n, ...) of every coalition, in the order of `membership`."""
    _check_players(n)
    if n > MOST:
        raise ValueError(
            f"n must be at most {MOST} for exact values, of 2^n coalitions; got {n}: use {instead}"
        )
    return np.array([_asked(value, np.flatnonzero(row)) for row in membership(n)])


def _players(table: Any) -> int:
    n = len(table).bit_length() - 1
    if n < 1 or len(table) != 2**n:
        raise ValueError(
            f"table must hold 2^n values, one for each coalition of at least one player; got {len(table)}"
        )
    return n


def _weighted_gains(table: Any, weights: np.ndarray) -> np.ndarray:
    """For each player the sum over coalitions without it of weights[size] * its gain."""
    table, inside = np.asarray(table, dtype=float), membership(len(weights))
    sizes, values = inside.sum(1), []
    for i in range(len(weights)):
        without = np.flatnonzero(~inside[:, i])
        gains = table[without | 1 << i] - table[without]
        values.append(np.tensordot(weights[sizes[without]], gains, axes=1))
    return np.array(values)


def _gains(value: Value, order: np.ndarray) -> np.ndarray:
    """What each player, (n, ...), adds to those who come before it."""
    values = np.array([_asked(value, order[:size]) for size in range(len(order) + 1)])
    return np.diff(values, axis=0)[order.argsort()]


def _check_players(n: int) -> None:
    if not (n >= 1 and n == int(n)):
        raise ValueError(f"n must be a whole number of players, at least 1; got {n}")


def _asked(value: Value, players: Any) -> np.ndarray:
    coalition = frozenset(int(player) for player in players)
    answer = np.asarray(value(coalition), dtype=float)
    if not np.isfinite(answer).all():
        raise ValueError(
            f"value must be finite; for players {sorted(coalition)} it is {answer}"
        )
    return answer
