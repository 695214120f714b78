"""Does the score of scores measure ranks, and refuse what cannot be ranked?"""

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import spearmanr

from smallscale.attribution import (
    lds,
    lds_ceiling,
    lds_interval,
    margins,
    random_subsets,
)
from smallscale.attribution.scores.lds import as_masks, column_slopes, correlations

RANDOM = np.random.default_rng(0)


def drawn(
    n: int = 12, subsets: int = 30, points: int = 5, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    return random.normal(size=(n, points)), random.integers(0, 2, size=(subsets, n))


def test_lds_by_hand() -> None:
    # Three subsets of three points; the predictions are the sums of what was kept.
    masks = [[1, 1, 0], [1, 0, 1], [0, 1, 1]]
    scores = [[1.0, 1], [2, 2], [4, 4]]  # predictions 3, 5, 6 for both test points
    outputs = [
        [10.0, 1],
        [20, 3],
        [30, 2],
    ]  # in order: 1; ranks 1, 3, 2: 1 - 6 * 2 / (3 * 8) = .5
    assert correlations(scores, masks, outputs).tolist() == pytest.approx([1, 0.5])
    assert lds(scores, masks, outputs) == pytest.approx(0.75)
    assert lds(
        torch.tensor(scores), torch.tensor(masks) == 1, np.array(outputs)
    ) == pytest.approx(0.75)
    assert lds(np.negative(scores), masks, outputs) == pytest.approx(-0.75)


def test_equal_values_share_their_mean_rank() -> None:
    masks = [[1, 0], [0, 1], [1, 1], [0, 0]]
    # Predictions 1, 1, 2, 0: ranks 2.5, 2.5, 4, 1; outputs: ranks 2, 3, 4, 1; sums of
    # products 4.5, 4.5, 5
    assert lds([[1.0], [1.0]], masks, [[1.0], [2], [3], [0]]) == pytest.approx(
        4.5 / math.sqrt(4.5 * 5)
    )


@given(st.integers(0, 1000))
def test_lds_is_one_for_what_the_scores_predict_and_blind_to_rising_curves(
    seed: int,
) -> None:
    scores, masks = drawn(seed=seed)
    outputs = masks @ scores
    assert lds(scores, masks, outputs) == pytest.approx(1)
    assert lds(7 * scores, masks, np.exp(outputs) + 3) == pytest.approx(1)
    assert lds(scores, masks, -outputs) == pytest.approx(-1)


@given(st.integers(0, 1000))
def test_lds_is_scipys_spearman_point_by_point(seed: int) -> None:
    scores, masks = drawn(seed=seed)
    outputs = np.random.default_rng(seed + 1).normal(size=(30, 5))
    expected = [
        spearmanr((masks @ scores)[:, j], outputs[:, j]).statistic for j in range(5)
    ]
    assert lds(scores, masks, outputs) == pytest.approx(np.mean(expected))


def test_scores_that_say_nothing_count_zero_also_where_rounding_says_something() -> (
    None
):
    masks = as_masks(random_subsets(50, 40, 0.5), 50)
    outputs = np.random.default_rng(0).normal(size=(40, 3))
    assert lds(np.zeros((50, 3)), masks, outputs) == 0
    assert (
        lds(np.full((50, 3), 0.1), masks, outputs) == 0
    )  # 25 tenths, summed in different orders


@pytest.mark.parametrize(
    ("scores", "masks", "outputs", "message"),
    [
        (
            np.ones((3, 2)),
            np.ones((4, 5)),
            np.ones((4, 2)),
            "masks must be \\(n_subsets, n_train\\), with one column for each row",
        ),
        (
            np.ones((3, 2)),
            np.ones((4, 3)),
            np.ones((4, 1)),
            "outputs must be \\(n_subsets, n_test\\)",
        ),
        (np.ones((3, 2)), np.ones((4, 3)), np.ones((5, 2)), "outputs must be"),
        (np.ones((3, 2)), np.ones((1, 3)), np.ones((1, 2)), "at least 2 subsets"),
        (
            np.ones(3),
            np.ones((4, 3)),
            np.ones((4, 1)),
            "scores must have 2 dimensions, none empty; got \\(3,\\)",
        ),
        (
            np.ones((3, 0)),
            np.ones((4, 3)),
            np.ones((4, 0)),
            "scores must have 2 dimensions, none empty",
        ),
        (
            np.ones((3, 1)) * np.nan,
            np.ones((4, 3)),
            np.ones((4, 1)),
            "scores must be finite",
        ),
        (
            np.ones((3, 1)),
            np.ones((4, 3)) / 2,
            np.ones((4, 1)),
            "masks must hold only True and False",
        ),
        (
            np.ones((3, 2)),
            np.eye(3),
            [[1, 5], [2, 5], [3, 5]],
            "outputs must differ .* test point 1 all are 5",
        ),
    ],
)
def test_what_cannot_be_scored_says_why(
    scores: Any, masks: Any, outputs: Any, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        lds(scores, masks, outputs)


def test_the_interval_holds_the_score_narrows_with_data_and_is_seeded() -> None:
    widths = []
    for subsets in (20, 200):
        scores, masks = drawn(subsets=subsets, points=30)
        outputs = masks @ scores + np.random.default_rng(1).normal(size=(subsets, 30))
        low, high = lds_interval(scores, masks, outputs)
        assert low < lds(scores, masks, outputs) < high
        assert (low, high) == lds_interval(scores, masks, outputs)
        assert (low, high) != lds_interval(scores, masks, outputs, seed=1)
        widths.append(high - low)
    assert widths[1] < widths[0] / 2


def test_the_interval_lies_about_the_score_though_drawn_subsets_tie() -> None:
    scores, masks = drawn(n=12, subsets=12, points=40)
    outputs = masks @ scores + 1.5 * np.random.default_rng(1).normal(size=(12, 40))
    middle = np.mean(lds_interval(scores, masks, outputs, draws=1000))
    assert middle == pytest.approx(
        lds(scores, masks, outputs), abs=0.025
    )  # ties alone would move it by .03 to .04


def test_the_ceiling_is_the_score_of_a_method_that_knows_the_expectation() -> None:
    scores, masks = drawn(n=40, subsets=400, points=30)
    truth = masks @ scores
    noise = np.random.default_rng(1).normal(size=(4, *truth.shape))
    seeds = truth + 2 * truth.std(0) * noise
    assert lds_ceiling(seeds) == pytest.approx(
        lds(scores, masks, seeds.mean(0)), abs=0.02
    )
    assert lds_ceiling(np.stack([truth, truth])) == pytest.approx(1)
    assert lds_ceiling(np.stack([truth, -truth])) == 0
    with pytest.raises(ValueError, match="at least 2 seeds"):
        lds_ceiling(seeds[:1])


def test_margins_by_hand_and_of_certain_answers() -> None:
    # Probabilities 1/2, 1/4, 1/4: odds 1 and 1/3
    logits = torch.tensor([[2.0, 1.0, 1.0], [2.0, 1.0, 1.0]]).log()
    assert margins(logits, torch.tensor([0, 1])).tolist() == pytest.approx(
        [0, math.log(1 / 3)], abs=1e-6
    )
    stacked = margins(logits.expand(4, 2, 3), torch.tensor([0, 1]))
    assert stacked.shape == (4, 2)
    assert margins(torch.tensor([[1000.0, 0.0]]), torch.tensor([0])).item() == 1000


def test_subsets_have_one_size_no_repeats_and_their_seed() -> None:
    rows = random_subsets(10, 50, 0.3, seed=1)
    assert rows.shape == (50, 3)
    assert all(len(set(row)) == 3 for row in rows.tolist())
    assert len(set(rows.flatten().tolist())) == 10
    assert torch.equal(rows, random_subsets(10, 50, 0.3, seed=1))
    assert not torch.equal(rows, random_subsets(10, 50, 0.3, seed=2))
    assert as_masks(rows, 10).sum(1).tolist() == [3] * 50
    assert as_masks(torch.tensor([[0, 2]]), 3).tolist() == [[True, False, True]]
    for keep in (0, 1, 0.01, 0.99, math.nan):
        with pytest.raises(ValueError, match="keep must lie strictly between 0 and 1"):
            random_subsets(10, 5, keep)


def test_slopes_are_those_of_a_fitted_line():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 30, 4))
    lines = [np.polyfit(a, b, 1)[0] for a, b in zip(x.T, y.T, strict=True)]
    np.testing.assert_allclose(column_slopes(x, y), lines)
