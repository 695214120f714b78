"""Whose die is it? Random numbers that belong to a person and an hour, so that nobody's depend on who is asked first.

A counter-based generator keeps no state: a number is a hash of what it is for (Salmon et al. 2011, who name the idea;
the mixing is that of splitmix64, Steele, Lea and Flood 2014). There is no random state to save or to lose.
"""

from hashlib import blake2b

import numpy as np

GOLDEN = np.uint64(0x9E3779B97F4A7C15)
STIRS = ((30, np.uint64(0xBF58476D1CE4E5B9)), (27, np.uint64(0x94D049BB133111EB)))


def bits(ids: np.ndarray, *purpose: object) -> np.ndarray:
    """64 random bits for each id (n,), uint64. purpose: what else they hang on: the seed, the step, the use."""
    key = int.from_bytes(
        blake2b(repr(purpose).encode(), digest_size=8).digest(), "little"
    )
    mixed = ids.astype(np.uint64) * GOLDEN + np.uint64(
        key
    )  # uint64 arrays wrap around, as they should here
    for shift, factor in STIRS:
        mixed = (mixed ^ (mixed >> np.uint64(shift))) * factor
    return mixed ^ (mixed >> np.uint64(31))


def uniform(ids: np.ndarray, *purpose: object) -> np.ndarray:
    """A number in [0, 1) for each id (n,), float64."""
    return (bits(ids, *purpose) >> np.uint64(11)) * 2.0**-53


def pick(weights: np.ndarray, draws: np.ndarray, row: np.ndarray) -> np.ndarray:
    """The option that each draw in [0, 1) falls on, (n,): weights (rows, options), none negative; row (n,) of them."""
    sums = np.ascontiguousarray(weights.cumsum(1).T)
    draws = draws * sums[-1].take(
        row
    )  # a row's own sum may be rounded below 1; what weighs nothing is never picked
    return sum(
        (draws >= bound.take(row) for bound in sums[:-1]), np.zeros(len(draws), np.int8)
    )
