"""Averaged opinions: against closed forms and plain iteration, and without a limit."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from smallscale.simulation import (
    bounded_confidence,
    deffuant,
    degroot,
    friedkin_johnsen,
)
from smallscale.simulation.opinions import cluster_sizes

UNIT = st.floats(0, 1, allow_subnormal=False)


def matrix(n: int, seed: int, zeros: float = 0.0) -> np.ndarray:
    random = np.random.default_rng(seed)
    W = random.random((n, n)) * (random.random((n, n)) >= zeros) + np.eye(n) * 0.1
    return W / W.sum(1, keepdims=True)


def iterate(
    W: np.ndarray, x: np.ndarray, lam: Any = 1.0, steps: int = 20_000
) -> np.ndarray:
    start = x
    for _ in range(steps):
        x = (np.asarray(lam) * (W @ x).T + (1 - np.asarray(lam)) * start.T).T
    return x


# DeGroot


def test_degroot_by_hand() -> None:
    """pi = (2/3, 1/3): what leaves 1 comes from 2, so pi1 / 4 = pi2 / 2."""
    W = [[0.75, 0.25], [0.5, 0.5]]
    assert degroot(W, [0, 3]).tolist() == pytest.approx([1, 1])
    assert degroot(
        torch.tensor(W), torch.tensor([[0.0, 6.0], [3.0, 0.0]])
    ) == pytest.approx(np.array([[1, 4]] * 2))


def test_two_groups_agree_each_for_itself_and_listeners_mix_them() -> None:
    W = np.zeros((5, 5))
    W[:2, :2] = 0.5
    W[2:4, 2:4] = 0.5
    W[4] = [0.25, 0, 0.25, 0, 0.5]  # half of each, once it stops listening to itself
    assert degroot(W, [0, 2, 5, 7, 100]).tolist() == pytest.approx([1, 1, 6, 6, 3.5])


@given(st.integers(1, 6), st.integers(0, 10_000), st.sampled_from([0.0, 0.5, 0.8]))
def test_degroot_is_where_iteration_ends(n: int, seed: int, zeros: float) -> None:
    W = matrix(n, seed, zeros)
    x = np.random.default_rng(seed + 1).random(n)
    assert degroot(W, x) == pytest.approx(
        np.linalg.matrix_power(W, 1 << 16) @ x, abs=1e-6
    )


@pytest.mark.parametrize(
    "W",
    [
        [[0, 1], [1, 0]],
        [[0, 1, 0], [0, 0, 1], [1, 0, 0]],
        [[0, 1, 0], [1, 0, 0], [0, 1, 0]],
    ],
)
def test_turn_takers_have_no_limit(W: list[list[float]]) -> None:
    with pytest.raises(ValueError, match="do not converge: a closed group takes turns"):
        degroot(W, [1, 0, 0][: len(W)])


# Friedkin and Johnsen


def test_friedkin_johnsen_by_hand() -> None:
    """x1 = x2 / 2 + 1 / 2 and x2 = x1 / 2: x1 = 2/3, x2 = 1/3."""
    assert friedkin_johnsen([[0, 1], [1, 0]], 0.5, [1, 0]).tolist() == pytest.approx(
        [2 / 3, 1 / 3]
    )
    assert friedkin_johnsen([[0, 1], [1, 0]], [0, 1], [1, 5]).tolist() == [1, 1]


@given(st.integers(1, 6), st.integers(0, 10_000))
def test_friedkin_johnsen_is_where_iteration_ends(n: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    W = matrix(n, seed, 0.3)
    x = random.random((n, 2))
    lam = random.uniform(0, 0.95, n)
    limit = friedkin_johnsen(W, lam, x)
    assert limit == pytest.approx(iterate(W, x, lam, 600), abs=1e-9)
    assert limit == pytest.approx((lam * (W @ limit).T + (1 - lam) * x.T).T)


def test_a_group_that_only_follows_itself_has_no_fixed_point_of_its_own() -> None:
    with pytest.raises(ValueError, match="susceptibility is 1 for 2 people"):
        friedkin_johnsen(
            [[1, 0, 0], [0, 0.5, 0.5], [0, 0.5, 0.5]], [0.5, 1, 1], [1, 2, 3]
        )


@pytest.mark.parametrize(
    ("W", "x", "message"),
    [
        ([[1, 0]], [1], "weights must be \\(n, n\\)"),
        ([], [], "weights must be"),
        ([[0.5, 0.4], [0, 1]], [1, 2], "each row must sum to 1"),
        ([[1.5, -0.5], [0, 1]], [1, 2], "must not be negative"),
        ([[1, 0], [0, 1]], [1], "opinions must be \\(2,\\)"),
        ([[1, 0], [0, 1]], [1, np.nan], "opinions must be finite"),
        ([[1, np.inf], [0, 1]], [1, 1], "weights must be finite"),
    ],
)
def test_weights_and_opinions_that_cannot_be_say_why(
    W: Any, x: Any, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        degroot(W, x)
    with pytest.raises(ValueError, match=message):
        friedkin_johnsen(W, 0.5, x)


@pytest.mark.parametrize(
    ("lam", "message"), [(1.1, "\\[0, 1\\]"), ([0.1], "\\(2,\\)"), (np.nan, "finite")]
)
def test_susceptibility_that_cannot_be_says_why(lam: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        friedkin_johnsen([[1, 0], [0, 1]], lam, [1, 2])


# Hegselmann and Krause


def plain(x: np.ndarray, eps: float, steps: int) -> np.ndarray:
    for _ in range(steps):
        near = np.abs(x[:, None] - x) <= eps
        x = near @ x / near.sum(1)
    return x


def test_bounded_confidence_by_hand() -> None:
    """0 sees 1, 1 sees 2: means of (0, 1), (0, 1, 2), (1, 2), and 9 alone."""
    assert bounded_confidence([9, 0, 2, 1], 1, 1).tolist() == [9, 0.5, 1.5, 1]
    assert bounded_confidence(torch.tensor([0.0, 1.0]), 0.5, 10).tolist() == [0, 1]
    assert bounded_confidence([3.5], 0, 3).tolist() == [3.5]


@given(
    st.lists(UNIT, min_size=1, max_size=30),
    st.sampled_from([0.0, 0.1, 0.2, 0.5, 2.0]),
    st.integers(0, 6),
)
def test_bounded_confidence_is_the_definition(
    x: list[float], eps: float, steps: int
) -> None:
    found = bounded_confidence(x, eps, steps)
    if steps <= 1:  # later, a last digit may decide who is just within eps
        assert found == pytest.approx(plain(np.array(x), eps, steps), abs=1e-12)
    assert np.array_equal(found, bounded_confidence(x[::-1], eps, steps)[::-1])
    assert min(x) <= found.min() <= found.max() <= max(x)
    order = np.argsort(x, kind="stable")
    assert (np.diff(found[order]) >= 0).all()


@pytest.mark.parametrize("eps", [0.1, 0.2, 0.3, 0.7])
def test_the_edge_counts_as_the_definition_has_it(eps: float) -> None:
    x = np.tile(
        np.arange(11) / 10, 3
    )  # differences of tenths, some rounded up, some down, each thrice
    assert bounded_confidence(x, eps, 1) == pytest.approx(plain(x, eps, 1), abs=1e-12)


def test_bounded_confidence_forms_the_known_clusters() -> None:
    x = np.random.default_rng(0).random(500)
    assert len(np.unique(bounded_confidence(x, 0.35, 100).round(6))) == 1
    assert len(np.unique(bounded_confidence(x, 0.05, 100).round(6))) > 5
    assert bounded_confidence(x, 0.15, 12) == pytest.approx(
        plain(x, 0.15, 12), abs=1e-9
    )


@pytest.mark.parametrize(
    ("x", "eps", "steps", "message"),
    [
        ([], 0.1, 1, "opinions must be \\(n,\\)"),
        ([[1.0]], 0.1, 1, "opinions must be"),
        ([np.nan], 0.1, 1, "opinions must be finite"),
        ([1], -0.1, 1, "eps must be a finite number, at least 0"),
        ([1], np.nan, 1, "eps must be"),
        ([1], np.inf, 1, "eps must be"),
        ([1], 0.1, -1, "steps must be a whole number"),
        ([1], 0.1, 1.5, "steps must be a whole number"),
    ],
)
def test_confidence_that_cannot_be_says_why(
    x: Any, eps: float, steps: Any, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        bounded_confidence(x, eps, steps)


# DeGroot's limit is the left Perron vector's average


@pytest.mark.parametrize("seed", range(5))
def test_degroot_ends_at_the_left_perron_vectors_average(seed: int) -> None:
    W = matrix(7, seed)
    values, vectors = np.linalg.eig(W.T)
    perron = np.real(vectors[:, np.argmax(np.real(values))])
    perron /= perron.sum()
    x = np.random.default_rng(seed).random(7)
    assert degroot(W, x) == pytest.approx(np.full(7, perron @ x), abs=1e-9)


@pytest.mark.parametrize("seed", range(3))
def test_the_order_of_people_changes_nothing(seed: int) -> None:
    random = np.random.default_rng(seed)
    W = matrix(9, seed)
    x = random.random(9)
    lam = random.random(9)
    p = random.permutation(9)
    turned = W[np.ix_(p, p)]
    assert degroot(turned, x[p]) == pytest.approx(degroot(W, x)[p], abs=1e-12)
    fixed = friedkin_johnsen(W, lam, x)
    assert friedkin_johnsen(turned, lam[p], x[p]) == pytest.approx(fixed[p], abs=1e-12)
    assert np.array_equal(deffuant(x[p], 0.3), deffuant(x, 0.3)[p])
    assert np.array_equal(
        bounded_confidence(x[p], 0.3, 9), bounded_confidence(x, 0.3, 9)[p]
    )


# Deffuant


@given(st.lists(UNIT, min_size=1, max_size=40), st.sampled_from([0.0, 0.1, 0.3, 2.0]))
def test_deffuant_keeps_the_mean_and_ends_in_camps_that_do_not_meet(
    x: list[float], eps: float
) -> None:
    found = deffuant(x, eps, seed=len(x))
    assert found.mean() == pytest.approx(np.mean(x), abs=1e-12)
    assert found.min() >= min(x) - 1e-12
    assert found.max() <= max(x) + 1e-12
    apart = np.abs(found[:, None] - found)
    assert ((apart <= 1e-6) | (apart >= eps)).all()


def test_deffuant_by_hand() -> None:
    """Two people of three meet in a round. 9 is too far from either to move."""
    assert deffuant([0, 9, 1], 2, seed=3).tolist() == [0.5, 9, 0.5]
    quarter = deffuant([0, 1], 2, rate=0.25)  # 1, then 1/2, then 1/4 apart…
    assert quarter == pytest.approx([0.5, 0.5], abs=1e-6)
    assert 0 < quarter[1] - quarter[0] <= 1e-6


def test_a_few_who_seldom_meet_settle_too() -> None:
    """Three on a wing agree after some twenty meetings, each of one round in 500."""
    start = np.random.default_rng([1, 5]).random(1000)
    end = deffuant(start, 0.05, seed=5)
    gaps = np.diff(np.sort(end))
    assert ((gaps <= 1e-6) | (gaps >= 0.05)).all()
    assert end.mean() == pytest.approx(start.mean(), abs=1e-12)


def test_two_at_a_distance_of_eps_do_not_meet() -> None:
    assert deffuant([0, 1], 1).tolist() == [0, 1]
    assert deffuant([0, 1], 1.001).tolist() == [0.5, 0.5]


@pytest.mark.parametrize("seed", range(3))
def test_deffuant_forms_the_papers_camps(seed: int) -> None:
    """One camp at 0.5 and two at 0.2, apart from stragglers (its figures 1 and 2)."""
    x = np.random.default_rng(seed).random(1000)
    one, two = deffuant(x, 0.5, seed=seed), deffuant(x, 0.2, seed=seed)
    assert [n for n in cluster_sizes(one, 0.1) if n > 50] == [1000]
    assert len([n for n in cluster_sizes(two, 0.1) if n > 50]) == 2
    assert not np.array_equal(two, deffuant(x, 0.2, seed=seed + 1))


def test_clusters_are_parted_where_the_gap_is_wide() -> None:
    assert cluster_sizes([3, 0, 1, 5], 1) == [2, 1, 1]
    assert cluster_sizes([3, 0, 1, 5], 2) == [4]
    assert cluster_sizes([7], 0) == [1]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"opinions": []}, "opinions must be \\(n,\\)"),
        ({"opinions": [1, np.nan]}, "opinions must be finite"),
        ({"eps": -0.1}, "eps must be a finite number, at least 0"),
        ({"rate": 0}, "rate must be a finite number, above 0 and at most 0.5"),
        ({"rate": 0.6}, "rate must be"),
        ({"most_rounds": -1}, "most_rounds must be a whole number"),
        ({"most_rounds": 1}, "have not settled after 1 rounds; raise most_rounds"),
    ],
)
def test_meetings_that_cannot_be_say_why(change: dict[str, Any], message: str) -> None:
    given = {"opinions": [0.0, 0.3, 0.6, 0.8], "eps": 0.5, "rate": 0.1} | change
    with pytest.raises(ValueError, match=message):
        deffuant(**given)
