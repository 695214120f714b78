"""What is a player's share of what a team achieves? Shapley and Banzhaf values.

`shapley` and `banzhaf` are exact and ask for the value of every coalition; `shapley_of`
and `banzhaf_of` are the same from a table of these values; `sampled_shapley` and
`sampled_banzhaf` estimate them where the coalitions are too many.
"""

import math
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from smallscale.core.validation import as_array, require, shown, whole_number

# The value of a coalition of players 0 to n-1: a number, or an array of one shape.
Value = Callable[[frozenset[int]], Any]

LARGEST_WHOLE = 2**53
NUMBERS = "biufO"  # numpy's kinds of real numbers, and objects such as fractions
MOST_PLAYERS = 20  # for exact values: 2^20 coalitions, about a million


def shapley(value: Value, n: int) -> np.ndarray:
    """Return the Shapley value of each of n players, (n, ...):
        phi_i = sum over S without i of |S|! (n - |S| - 1)! / n! * (v(S + i) - v(S))
    the mean gain over all orders in which the players could join.

    Shapley 1953. The values sum to v(all) - v(nobody).

    value(frozenset of players 0..n-1) -> a number or an array; it is asked once for
    each of the 2^n coalitions. Raises ValueError above 20 players, where
    `sampled_shapley` is the way, and for a value that is not finite.

    >>> shapley(lambda players: float(players >= {0, 1}), 2)  # a pair is worth 1
    array([0.5, 0.5])
    """
    return shapley_of(_value_table(value, n, instead="sampled_shapley"))


def banzhaf(value: Value, n: int) -> np.ndarray:
    """Return the Banzhaf value of each of n players, (n, ...):
        beta_i = sum over S without i of (v(S + i) - v(S)) / 2^(n-1)
    the mean gain over all coalitions without the player.

    Banzhaf 1965. It moves least when the values are noisy (Wang and Jia 2023), but does
    not sum to v(all) - v(nobody).

    value, errors: as for `shapley`; the sampled way is `sampled_banzhaf`.

    >>> banzhaf(lambda players: float(0 in players and len(players) > 1), 3)
    array([0.75, 0.25, 0.25])
    """
    return banzhaf_of(_value_table(value, n, instead="sampled_banzhaf"))


def shapley_of(table: Any) -> np.ndarray:
    """Return the Shapley values (n, ...) from the values (2^n, ...) of all coalitions:
        phi_i = sum over S without i of |S|! (n - |S| - 1)! / n! * (v(S + i) - v(S))

    Shapley 1953. The table is in the order of `membership`.
    Raises ValueError for a table of another length than 2^n.

    >>> shapley_of([0.0, 1.0, 0.0, 3.0])  # nobody, player 0, player 1, both
    array([2., 1.])
    """
    v, n = _checked_table(table)
    orders = [math.factorial(s) * math.factorial(n - s - 1) for s in range(n)]
    weights = np.array([order / math.factorial(n) for order in orders])
    phi = []
    for i in range(n):
        size, gains = _gains_of_joining(v, i)  # |S| and v(S + i) - v(S)
        phi.append(np.tensordot(weights[size], gains, axes=1))
    return _finite_result(phi)


def banzhaf_of(table: Any) -> np.ndarray:
    """Return the Banzhaf values (n, ...) from the values (2^n, ...) of all coalitions:
        beta_i = sum over S without i of (v(S + i) - v(S)) / 2^(n-1)

    Banzhaf 1965. Order of the table, errors: as for `shapley_of`.

    >>> banzhaf_of([0.0, 1.0, 0.0, 3.0])
    array([2., 1.])
    """
    v, n = _checked_table(table)
    beta = []
    for i in range(n):
        size, gains = _gains_of_joining(v, i)
        weights = np.full(len(size), 0.5 ** (n - 1))
        beta.append(np.tensordot(weights, gains, axes=1))
    return _finite_result(beta)


def membership(n: int) -> np.ndarray:
    """Return who is in which coalition, (2^n, n) of True and False.

    Player i is in coalition c where bit i of c is set.

    >>> membership(2).astype(int).tolist()
    [[0, 0], [1, 0], [0, 1], [1, 1]]
    """
    inside = np.zeros((2**n, n), dtype=bool)
    for i in range(n):
        inside[:, i] = np.arange(2**n) & 2**i
    return inside


def sampled_shapley(
    value: Value, n: int, *, orders: int, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Return estimated Shapley values and their standard errors, each (n, ...).

    The gains are averaged over random orders of joining. Each order is also walked the
    other way round, which takes out much of the noise (antithetic sampling), so it asks
    for 2 n + 2 coalitions. The estimates' sum is exact.

    orders: how many, at least 2. seed: of the orders. Raises ValueError as `shapley`
    does, but n has no limit.

    >>> estimate, error = sampled_shapley(len, 3, orders=2)
    >>> estimate
    array([1., 1., 1.])
    """
    count = whole_number("orders", orders, least=2)
    players = whole_number("n", n)
    random = np.random.default_rng(seed)
    gains = []
    for _ in range(count):
        order = random.permutation(players)
        there = _gains_in_order(value, order)
        back = _gains_in_order(value, order[::-1])
        gains.append((there + back) / 2)
    estimate = _finite_result(list(np.mean(gains, 0)))
    return estimate, np.std(gains, 0, ddof=1) / math.sqrt(count)


def sampled_banzhaf(
    value: Value, n: int, *, samples: int, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Return estimated Banzhaf values and their standard errors, each (n,):
        beta_i = mean of v over coalitions with i - mean of v over coalitions without i

    Every random coalition serves all players (Wang and Jia 2023, maximum sample reuse).

    value: a number for each coalition. samples: how many coalitions, of which every
    player must be in at least 2 and out of at least 2. seed: of the coalitions. Raises
    ValueError otherwise, and for a value that is not finite.
    """
    players = whole_number("n", n)
    samples = whole_number("samples", samples)
    inside = np.random.default_rng(seed).random((samples, players)) < 0.5
    with_player, without = inside.sum(0), (~inside).sum(0)  # how many coalitions, (n,)
    require(
        samples >= 4 and min(with_player.min(), without.min()) >= 2,
        f"samples must be more; with {samples}, a player is in or out of fewer than 2 "
        "coalitions",
    )
    v = _ask_all(value, (np.flatnonzero(row) for row in inside))
    require(
        v.ndim == 1,
        f"value must be one number for each coalition; got an array {v.shape[1:]}",
    )
    mean_with, error_with = _mean_and_error(v, inside, with_player)
    mean_without, error_without = _mean_and_error(v, ~inside, without)
    return mean_with - mean_without, np.sqrt(error_without + error_with)


def _value_table(value: Value, n: int, *, instead: str) -> np.ndarray:
    """Return the value (2^n, ...) of every coalition, in the order of `membership`."""
    players = whole_number("n", n)
    require(
        players <= MOST_PLAYERS,
        f"n must be at most {MOST_PLAYERS} for exact values, of 2^n coalitions; "
        f"got {n}: use {instead}",
    )
    return _ask_all(value, (np.flatnonzero(row) for row in membership(players)))


def _checked_table(table: Any) -> tuple[np.ndarray, int]:
    """Return a table (2^n, ...) as an array of numbers, and n."""
    length = len(table) if hasattr(table, "__len__") else 1
    n = length.bit_length() - 1
    require(
        n >= 1 and length == 2**n,
        "table must hold 2^n values, one for each coalition of at least one player; "
        f"got {length}",
    )
    numbers = as_array("table", table)
    kinds = f"table must hold real numbers; got {numbers.dtype}"
    require(numbers.dtype.kind in NUMBERS, kinds)
    _check_exact("table", numbers)
    v = np.asarray(numbers, dtype=float)
    for c in np.flatnonzero(~np.isfinite(v.reshape(len(v), -1)).all(1)):
        players = [i for i in range(n) if c & 2**i]
        raise ValueError(f"table must be finite; for players {players} it is not")
    return v, n


def _gains_of_joining(v: np.ndarray, i: int) -> tuple[np.ndarray, np.ndarray]:
    """Return, for each coalition S without player i, |S| and v(S + i) - v(S)."""
    coalitions = np.arange(len(v))
    without = coalitions[coalitions & 2**i == 0]  # bit i is not set
    size = np.bitwise_count(without)  # |S|: one bit for each member
    return size, v[without + 2**i] - v[without]


def _gains_in_order(value: Value, order: np.ndarray) -> np.ndarray:
    """Return what each player adds to those before it in this order, (n, ...)."""
    values = _ask_all(value, (order[:size] for size in range(len(order) + 1)))
    gains = np.diff(values, axis=0)
    return gains[order.argsort()]


def _mean_and_error(
    v: np.ndarray, chosen: np.ndarray, counts: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return each player's mean of v over the coalitions chosen, and its variance.

    v: (samples,). chosen: (samples, n). counts: (n,), how many are chosen.
    """
    mean = v @ chosen / counts
    squares = ((v[:, None] - mean) ** 2 * chosen).sum(0)
    return mean, squares / (counts - 1) / counts


def _ask_all(value: Value, coalitions: Iterable[Any]) -> np.ndarray:
    """Return the values of coalitions, each given by its players, (coalitions, ...)."""
    require(callable(value), f"value must be a function; got {shown(value)}")
    answers: list[np.ndarray] = []
    for players in coalitions:
        coalition = frozenset(int(player) for player in players)
        answer = _as_value(value(coalition), coalition)
        first = answers[0].shape if answers else answer.shape
        require(
            answer.shape == first,
            "value must have one shape for all coalitions; for players "
            f"{sorted(coalition)} it is {answer.shape}, and before it was {first}",
        )
        answers.append(answer)
    return np.array(answers)


def _as_value(answer: Any, coalition: frozenset[int]) -> np.ndarray:
    """Return a coalition's value in double precision, once it is known to be finite."""
    words = f"for players {sorted(coalition)} it is {shown(answer)}"
    wanted = f"value must be a number, or an array of numbers; {words}"
    require(answer is not None, wanted)
    try:
        given = as_array("value", answer)
        require(given.dtype.kind in NUMBERS, wanted)
        number = given.astype(float)
    except (ValueError, TypeError, OverflowError) as error:
        raise ValueError(wanted) from error
    require(np.isfinite(number).all(), f"value must be finite; {words}")
    _check_exact("value", given)
    return number


def _check_exact(name: str, numbers: np.ndarray) -> None:
    """Refuse whole numbers that double precision would round: so would the gains."""
    if numbers.dtype.kind == "O":
        whole = [abs(x) for x in numbers.ravel() if isinstance(x, int)]
        largest = max(whole, default=0)
    else:
        is_whole = numbers.dtype.kind in "iu" and numbers.size > 0
        largest = max(int(numbers.max()), -int(numbers.min())) if is_whole else 0
    require(
        largest <= LARGEST_WHOLE,
        f"{name} must lie within 2^53 where it is a whole number, as double precision "
        f"holds no larger ones exactly; got {largest}: subtract what nobody is worth",
    )


def _finite_result(values: list[np.ndarray]) -> np.ndarray:
    """Return the players' values; ValueError where sums of them have overflowed."""
    found = np.array(values)
    require(
        np.isfinite(found).all(),
        "value must be smaller, as the gains are beyond the range of double precision",
    )
    return found
