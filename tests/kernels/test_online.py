"""Is the softmax in passing the softmax, however the keys are cut?"""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smallscale.kernels.online import online_row


@given(st.integers(1, 20), st.integers(1, 25), st.integers(0, 99))
def test_a_row_is_the_formula_whatever_the_block(n: int, block: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    q, k, v = (
        random.normal(size=4),
        random.normal(size=(n, 4)),
        random.normal(size=(n, 3)),
    )
    v = np.pad(v, ((0, 0), (0, 1)))
    weights = np.exp(0.7 * k @ q)
    out, lse = online_row(q, k, v, 0.7, block)
    assert out == pytest.approx(weights @ v / weights.sum(), abs=1e-12)
    assert lse == pytest.approx(math.log(weights.sum()), abs=1e-12)


def test_a_row_without_keys_is_zero() -> None:
    out, lse = online_row(np.ones(2), np.zeros((0, 2)), np.zeros((0, 2)), 1.0)
    assert out.tolist() == [0, 0]
    assert lse == -math.inf


def test_keys_with_a_score_of_minus_infinity_count_for_nothing() -> None:
    q, v = np.ones(1), np.array([[5.0], [2.0], [4.0]])
    k = np.array([[-math.inf], [0.0], [0.0]])
    out, lse = online_row(q, k, v, 1.0)
    assert out.tolist() == [3.0]
    assert lse == pytest.approx(math.log(2))
    out, lse = online_row(q, k[:1], v[:1], 1.0)
    assert (out.tolist(), lse) == ([0.0], -math.inf)


def test_nan_comes_out() -> None:
    k = np.array([[1.0], [math.nan], [2.0]])
    out, lse = online_row(np.ones(1), k, np.ones((3, 1)), 1.0)
    assert np.isnan(out).all()
    assert math.isnan(lse)
