"""Whose die is it? Random numbers that belong to a person, an hour and a use.

A counter-based generator keeps no state: a number is a hash of what it is for (Salmon
et al. 2011, who name the idea; the mixing is that of splitmix64, Steele, Lea and Flood
2014). So nobody's number depends on who is asked first, and there is no random state to
save.
"""

from hashlib import blake2b

import numpy as np

GOLDEN = 0x9E3779B97F4A7C15  # 2^64 divided by the golden ratio, made odd
FIRST_FACTOR = 0xBF58476D1CE4E5B9
SECOND_FACTOR = 0x94D049BB133111EB
ALL_BITS = 2**64 - 1


def random_bits(ids: np.ndarray, *purpose: object) -> np.ndarray:
    """Return 64 random bits for each id (n,), uint64: splitmix64 of id and purpose.

    purpose: what else the numbers depend on: the seed, the step, the use.
    `random_bits_of_one` says the same for one id in Python's whole numbers.
    """
    # uint64 arrays keep the last 64 bits of a sum or a product, as the method wants it.
    z = ids.astype(np.uint64) * np.uint64(GOLDEN) + np.uint64(purpose_key(purpose))
    z = (z ^ (z >> np.uint64(30))) * np.uint64(FIRST_FACTOR)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(SECOND_FACTOR)
    return z ^ (z >> np.uint64(31))


def random_bits_of_one(person_id: int, *purpose: object) -> int:
    """Return the 64 random bits of one id: the plain definition of `random_bits`."""
    return splitmix64(person_id * GOLDEN + purpose_key(purpose))


def splitmix64(number: int) -> int:
    """Return the bits of a whole number, mixed so that each depends on all others."""
    z = number & ALL_BITS
    z = ((z ^ (z >> 30)) * FIRST_FACTOR) & ALL_BITS
    z = ((z ^ (z >> 27)) * SECOND_FACTOR) & ALL_BITS
    return z ^ (z >> 31)


def uniform(ids: np.ndarray, *purpose: object) -> np.ndarray:
    """Return a number in [0, 1) for each id (n,), float64: 53 random bits over 2^53."""
    fraction: np.ndarray = (random_bits(ids, *purpose) >> np.uint64(11)) * 2.0**-53
    return fraction


def pick(weights: np.ndarray, draws: np.ndarray, row: np.ndarray) -> np.ndarray:
    """Return the option that each draw in [0, 1) falls on, (n,).

    weights (rows, options): none negative, in any scale. row (n,): whose weights each
    draw is for. What weighs nothing is never picked.

    The option is the number of cumulative sums that a draw has passed, counted one
    option at a time for all people. `pick_one` says the same for one draw.
    """
    sums = np.ascontiguousarray(weights.cumsum(1).T)  # (options, rows)
    reached = draws * sums[-1].take(
        row
    )  # a row's sum may be rounded: 0.999… counts as 1
    passed = np.zeros(len(draws), np.int8)
    for bound in sums[:-1]:
        passed += reached >= bound.take(row)
    return passed


def pick_one(weights: np.ndarray, draw: float) -> int:
    """Return the option that one draw falls on: the plain definition of `pick`."""
    sums = weights.cumsum()
    return int(np.searchsorted(sums[:-1], draw * sums[-1], side="right"))


def purpose_key(purpose: tuple[object, ...]) -> int:
    """Return 64 bits that stand for a purpose: a hash of how Python writes it."""
    digest = blake2b(repr(purpose).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little")
