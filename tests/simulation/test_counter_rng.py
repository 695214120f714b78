"""Random numbers that belong to a person, an hour and a use."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smallscale.simulation.counter_rng import (
    pick,
    pick_one,
    random_bits,
    random_bits_of_one,
    uniform,
)


def test_chance_is_uniform_and_each_use_has_its_own() -> None:
    ids = np.arange(20_000)
    u = uniform(ids, 0, 5, "go")
    assert 0 <= u.min() < u.max() < 1
    assert np.histogram(u, 20, (0, 1))[0] == pytest.approx(
        1000, abs=150
    )  # five standard deviations
    others = [
        uniform(ids, 0, 6, "go"),
        uniform(ids, 1, 5, "go"),
        uniform(ids, 0, 5, "say"),
        uniform(ids + 1, 0, 5, "go"),
    ]
    for v in others:
        assert abs(np.corrcoef(u, v)[0, 1]) < 0.04
    assert len(np.unique(random_bits(ids, 0))) == len(ids)
    assert np.array_equal(uniform(ids[::-1], 0, 5, "go"), u[::-1])


def test_pick_takes_the_option_that_the_draw_falls_on() -> None:
    weights = np.array([[0, 1, 0], [0.5, 0.25, 0.25]])
    assert pick(
        weights, np.array([0, 0.49, 0.5, 0.75, 0.999]), np.ones(5, int)
    ).tolist() == [0, 0, 1, 2, 2]
    assert pick(weights, np.array([0, 0.999]), np.zeros(2, int)).tolist() == [1, 1]
    # Ten times a tenth is a little less than 1: even the largest draw falls on an
    # option that weighs something.
    assert pick(
        np.array([[0.1] * 10 + [0]]), np.array([1 - 2.0**-53]), np.zeros(1, int)
    ).tolist() == [9]


@given(st.lists(st.integers(0, 2**31 - 1), min_size=1, max_size=20), st.text())
def test_bits_are_those_of_the_plain_definition(ids: list[int], use: str) -> None:
    found = random_bits(np.array(ids, np.int32), 7, use)
    assert found.dtype == np.uint64
    assert found.tolist() == [random_bits_of_one(each, 7, use) for each in ids]


@given(st.integers(0, 2**32 - 1), st.integers(1, 9), st.integers(1, 4))
def test_picks_are_those_of_the_plain_definition(
    seed: int, options: int, rows: int
) -> None:
    random = np.random.default_rng(seed)
    weights = random.random((rows, options)) * (random.random((rows, options)) > 0.3)
    weights[:, 0] += 0.01
    row = random.integers(0, rows, 50)
    draws = random.random(50)
    expected = [pick_one(weights[r], draw) for r, draw in zip(row, draws, strict=True)]
    assert pick(weights, draws, row).tolist() == expected
