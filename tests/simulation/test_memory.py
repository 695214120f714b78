"""What comes to mind: both rules by hand, and the arrays of memories."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from smallscale.simulation import retrieval_scores
from smallscale.simulation.memory import SEEN, THOUGHT, Memory, _of_whole_numbers


def test_the_papers_rule_by_hand() -> None:
    """Recency .995^0, .995^10, .995^20; scaled by least and most. Importance 1, 4, 10: 0, 1/3, 1. Relevance 3, 1, 2."""
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
    last, weight, match = (
        filled * random.integers(low, high, filled.shape)
        for low, high in ((0, 60), (1, 11), (0, 3))
    )
    found = _of_whole_numbers(
        70, last, weight.astype(np.int8), match.astype(np.int8), filled
    ).T
    usual = retrieval_scores(last.T, weight.T, match.T, 70, where=filled.T)
    assert found == pytest.approx(usual, rel=1e-12)


# the arrays

ROWS = np.array([0, 1])


def filled() -> Memory:
    memory = Memory(2, 4)
    for hour, (topic, subject, importance) in enumerate(
        [(3, 7, 1), (4, 8, 5), (3, 9, 9)]
    ):
        memory.write(
            ROWS, hour, kind=SEEN, topic=topic, subject=subject, importance=importance
        )
    return memory


def test_the_newest_takes_the_place_of_the_oldest() -> None:
    memory = filled()
    for hour in (3, 4):
        memory.write(
            ROWS[1:],
            hour,
            kind=THOUGHT,
            topic=5,
            subject=1,
            importance=2,
            evidence=[[0, 1, -1]],
        )
    assert memory.topic.T.tolist() == [[3, 4, 3, 0], [5, 4, 3, 5]]
    assert memory.created[:, 1].tolist() == [4, 1, 2, 3]
    assert memory.count.tolist() == [3, 5]
    assert memory.latest(ROWS, 2).T.tolist() == [[2, 1], [0, 3]]
    assert memory.evidence[3, 1].tolist() == [0, 1, -1]


def test_what_comes_to_mind_is_touched() -> None:
    memory = filled()
    found = memory.retrieve(ROWS[:1], topic=3, subject=9, now=10, few=2, rule="paper")
    assert found.T.tolist() == [
        [2, 1]
    ]  # the match on both; then importance 5 beats a match on one with importance 1
    assert memory.accessed.T.tolist() == [[0, 10, 10, 0], [0, 1, 2, 0]]
    assert (
        memory.retrieve(ROWS[1:], 3, 9, 10, 4, "paper")[3, 0] == -1
    )  # only three are there


def test_questions_about_memories() -> None:
    memory = filled()
    assert memory.knows(ROWS, np.array([7, 0])).tolist() == [
        True,
        False,
    ]  # a free slot's 0 is nobody


def test_chunks_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    def found() -> list[Any]:
        memory, random = Memory(50, 8), np.random.default_rng(0)
        for hour in range(12):
            rows = np.flatnonzero(random.random(50) < 0.7)
            topic, subject, importance = random.integers(1, 5, (3, len(rows)))
            memory.write(
                rows,
                hour,
                kind=SEEN,
                topic=topic,
                subject=subject,
                importance=importance,
            )
        rows = random.permutation(50)
        return memory.retrieve(rows, rows % 4, rows % 3, 20, 3, "paper").tolist()

    whole = found()
    monkeypatch.setattr("smallscale.simulation.memory.BLOCK", 3)
    assert found() == whole
