"""What comes to mind: both rules by hand, and the faster way for whole numbers."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from smallscale.simulation import retrieval_scores
from smallscale.simulation.retrieval import scores_of_whole_numbers


def test_the_papers_rule_by_hand() -> None:
    """Each column scaled by its least and most.

    Recency .995^0, .995^10, .995^20; importance 1, 4, 10: 0, 1/3, 1; relevance 3, 1, 2.
    """
    scores = retrieval_scores([100, 90, 80], [1, 4, 10], [3, 1, 2], 100)
    middle = (0.995**10 - 0.995**20) / (1 - 0.995**20)
    assert scores.tolist() == pytest.approx(
        [1 + 0 + 1, middle + 1 / 3 + 0, 0 + 1 + 0.5]
    )


def test_the_codes_rule_by_hand() -> None:
    """Ranks 3, 2, 1: the oldest counts as the most recent. Weights 1/2, 2 and 3."""
    scores = retrieval_scores([100, 90, 80], [1, 4, 10], [3, 1, 2], 100, rule="code")
    middle = (0.995**2 - 0.995**3) / (0.995 - 0.995**3)
    assert scores.tolist() == pytest.approx(
        [0 + 0 + 3, middle / 2 + 2 / 3 + 0, 0.5 + 2 + 1.5]
    )


@pytest.mark.parametrize(
    ("rule", "whole"), [("paper", 1.5), ("code", 0.5 / 2 + 2 / 2 + 3 / 2)]
)
def test_a_constant_column_scales_to_a_half(rule: str, whole: float) -> None:
    assert retrieval_scores([5], [3], [0.2], 7, rule=rule).tolist() == [whole]
    if rule == "paper":
        assert retrieval_scores([5, 5], [3, 3], [2, 1], 7).tolist() == [2, 1]
    assert retrieval_scores([], [], [], 7, rule=rule).shape == (0,)


def test_ties_of_the_code_rank_in_the_order_given() -> None:
    assert (
        retrieval_scores([5, 5, 5], [1, 1, 1], [1, 1, 1], 9, rule="code").argmax() == 0
    )


def test_rows_are_people_and_masks_leave_memories_out() -> None:
    random = np.random.default_rng(0)
    last, weight, match = random.random((3, 4, 6))
    counts = random.random((4, 6)) > 0.3
    for rule in ("paper", "code"):
        scores = retrieval_scores(
            torch.tensor(last), weight, match, 2.0, rule=rule, where=counts
        )
        for i in range(4):
            alone = retrieval_scores(
                last[i, counts[i]],
                weight[i, counts[i]],
                match[i, counts[i]],
                2.0,
                rule=rule,
            )
            assert scores[i, counts[i]] == pytest.approx(alone)
            assert (scores[i, ~counts[i]] == -math.inf).all()


MEMORIES = st.lists(
    st.tuples(st.integers(0, 50), st.integers(1, 10), st.floats(0, 1)),
    min_size=1,
    max_size=12,
)


@given(MEMORIES, st.randoms(use_true_random=False))
def test_scores_stay_in_range_and_follow_the_memory_not_its_place(
    memories: Any, random: Any
) -> None:
    last, weight, match = map(np.array, zip(*memories, strict=True))
    scores = retrieval_scores(last, weight, match, 50)
    assert ((scores >= 0) & (scores <= 3)).all()
    order = np.array(random.sample(range(len(last)), len(last)))
    assert np.array_equal(
        retrieval_scores(last[order], weight[order], match[order], 50), scores[order]
    )
    later = retrieval_scores(
        last, weight, match, 90
    )  # scaling takes a common factor out
    assert later == pytest.approx(scores)


@pytest.mark.parametrize(
    ("given_all", "message"),
    [
        (([1], [1], [1], 1, "papers"), "rule must be one of paper, code; got 'papers'"),
        (([1, 2], [1], [1, 1], 3, "paper"), "must have one shape"),
        ((1.0, 1.0, 1.0, 3, "paper"), "must have one shape"),
        (([1], [math.nan], [1], 1, "paper"), "importance must be finite"),
        (([math.inf], [1], [1], 1, "code"), "last_access must be finite"),
        (([2], [1], [1], 1, "paper"), "last_access must not be after now"),
        (([2], [1], [1], math.nan, "paper"), "now must be finite"),
    ],
)
def test_scores_that_cannot_be_say_why(
    given_all: tuple[Any, ...], message: str
) -> None:
    *values, rule = given_all
    with pytest.raises(ValueError, match=message):
        retrieval_scores(*values, rule=rule)


@given(st.integers(0, 2**32 - 1), st.integers(1, 9))
def test_whole_numbers_have_the_same_scores_faster(seed: int, slots: int) -> None:
    random = np.random.default_rng(seed)
    filled = np.arange(slots)[:, None] < random.integers(0, slots + 1, 40)
    last = filled * random.integers(0, 60, filled.shape)
    weight = (filled * random.integers(1, 11, filled.shape)).astype(np.int8)
    match = (filled * random.integers(0, 3, filled.shape)).astype(np.int8)
    found = scores_of_whole_numbers(70, last, weight, match, filled).T
    usual = retrieval_scores(last.T, weight.T, match.T, 70, where=filled.T)
    assert found == pytest.approx(usual, rel=1e-12)


def test_terms_are_scaled_whatever_their_size() -> None:
    """-1e308, 0 and 1e308 are 0, 1/2 and 1 of their span, 2e308, which no float is."""
    large = [-1e308, 0.0, 1e308]
    found = retrieval_scores([0, 0, 0], large, [0, 0, 0], 0)
    assert found.tolist() == [1.0, 1.5, 2.0]
    small = retrieval_scores([0, 0, 0], [-1, 0, 1], [0, 0, 0], 0)
    assert found.tolist() == small.tolist()


def test_times_are_given_in_hours() -> None:
    hours = np.array(["2023-02-13T08", "2023-02-13T09"], dtype="M8[h]")
    with pytest.raises(ValueError, match=r"last_access must be numbers.*hours"):
        retrieval_scores(hours, [1, 3], [0, 5], hours[1])
