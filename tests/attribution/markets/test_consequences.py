"""Does removal remove as much, and do authors follow their income?"""

import itertools

import numpy as np
import pandas as pd
import pytest

from smallscale.attribution.markets.consequences import (
    BITS,
    EFFORTS,
    PAY_RULES,
    Effort,
    EffortOptions,
    best_joint_efforts,
    best_response_dynamics,
    deliver,
    dynamics_from_every_start,
    effort_options,
    removals,
)
from smallscale.attribution.markets.ngram_model import count_ngrams, log_likelihood

VOCABULARY = 6


def cycle(step: int, length: int) -> np.ndarray:
    return np.arange(length) * step % VOCABULARY


def test_removing_an_author_is_training_without_them() -> None:
    random = np.random.default_rng(0)
    documents = [random.integers(VOCABULARY, size=40 + 10 * k) for k in range(6)]
    author, sizes = [0, 0, 1, 1, 2, 2], [len(d) for d in documents]
    windows = random.integers(VOCABULARY, size=(5, 12))
    counts = count_ngrams([[d] for d in documents], windows, 4, VOCABULARY)
    table = removals(counts, author, sizes, draws=200)
    for i in range(3):
        rest = count_ngrams(
            [[d for d, a in zip(documents, author, strict=True) if a != i]],
            windows,
            4,
            VOCABULARY,
        )
        both = (
            log_likelihood(counts, np.ones((1, 6))).mean()
            - log_likelihood(rest, [[1]]).mean()
        )
        assert table.lost[i] == pytest.approx(both * BITS, abs=1e-12)
        assert table.tokens[i] == sum(
            s for s, a in zip(sizes, author, strict=True) if a == i
        )
    np.testing.assert_allclose(table.more, table.lost - table.random)
    assert table.error.isna().all()  # of one completion
    by_completion = removals(counts, author, sizes, draws=200, completions=5)
    np.testing.assert_allclose(by_completion.more, table.more)
    parts = [
        removals(
            counts.select(tokens=slice(8 * k, 8 * k + 8)), author, sizes, draws=200
        )
        for k in range(5)
    ]
    more = np.array([part.more for part in parts])  # (completions, authors)
    error = 1.96 * more.std(0, ddof=1) / 5**0.5
    np.testing.assert_allclose(by_completion.error, error)
    assert (table.low <= table.random).all()
    assert (table.random <= table.high).all()


def test_random_removal_takes_the_same_number_of_tokens_from_the_others() -> None:
    # The documents are alike: removing 30 tokens of the others' 60 halves their
    # counts, whichever are drawn.
    one = cycle(1, 31)
    counts = count_ngrams(
        [[one[:31]]] * 3, np.array([[0, 1, 2, 3, 4, 5, 0, 1]]), 4, VOCABULARY
    )
    table = removals(counts, [0, 1, 1], [30, 30, 30], draws=5)
    expected = log_likelihood(counts, [[1, 1, 1], [1, 0.5, 0.5]]).mean(1)
    assert table.random[0] == pytest.approx(
        (expected[0] - expected[1]) * BITS, abs=1e-12
    )
    assert np.isnan(table.random[1])  # the others have no more than 30 tokens
    fewer = removals(counts, [0, 1, 1], [15, 30, 30], draws=5)  # half of one document
    expected = log_likelihood(counts, [[1, 1, 1], [1, 0.75, 0.75]]).mean(1)
    assert fewer.random[0] == pytest.approx(
        (expected[0] - expected[1]) * BITS, abs=1e-12
    )


def test_deliveries_by_their_numbers() -> None:
    documents = [cycle(1, 1000), cycle(2, 400)]
    clean = deliver(documents, Effort(share=0.25, wrong=0.0), VOCABULARY)
    assert [d.tolist() for d in clean] == [
        documents[0][:250].tolist(),
        documents[1][:100].tolist(),
    ]
    all_of_it = Effort(share=1.0, wrong=0.6)
    spoilt = deliver(documents, all_of_it, 1000, seed=1)
    assert [len(d) for d in spoilt] == [1000, 400]
    assert (spoilt[0] != documents[0]).mean() == pytest.approx(0.6, abs=0.06)
    assert (documents[0] == cycle(1, 1000)).all()
    assert (spoilt[0] == deliver(documents, all_of_it, 1000, seed=1)[0]).all()


def some_choices() -> EffortOptions:
    libraries = [[cycle(1, 200)], [cycle(5, 200)]]
    windows = np.stack([cycle(1, 16), cycle(5, 16), cycle(1, 19)[3:], cycle(5, 21)[5:]])
    return effort_options(libraries, windows, 4, VOCABULARY, sold=2)


def test_what_is_paid_for_does_not_judge() -> None:
    windows = np.stack([cycle(1, 16), cycle(5, 16), cycle(2, 16), cycle(5, 16)])
    options = effort_options(
        [[cycle(1, 200)], [cycle(5, 200)]], windows, 4, VOCABULARY, sold=2
    )
    assert options.counts.hits.shape == (2 * len(EFFORTS), 5, 48)
    assert options.volume[0].tolist() == [40, 80, 120, 160, 200]
    efforts = np.array([1, 3])
    paid = options.paid_for(efforts)
    assert paid.hits.shape == (2, 5, 24)
    assert (paid.hits[1] == options.counts.hits[len(EFFORTS) + 3, :, :24]).all()
    judged = options.counts.select([1, len(EFFORTS) + 3], slice(24, None))
    assert options.quality(efforts) == pytest.approx(
        log_likelihood(judged, [[1, 1]]).mean() * BITS
    )


def test_who_is_paid_by_volume_writes_as_much_as_possible() -> None:
    table = best_response_dynamics(some_choices(), "volume", rounds=3)
    assert table[[0, 1]].to_numpy().tolist() == [[2, 2], [3, 3], [4, 4], [4, 4]]
    assert table.volume.tolist() == [240, 320, 400, 400]
    assert table.quality.iloc[-1] < table.quality.iloc[0]


@pytest.mark.parametrize("rule", ["Shapley", "diagonal"])
def test_who_is_paid_by_value_writes_what_is_right(rule: str) -> None:
    """In a world of cycles forty tokens say all; wrong ones only blur it."""
    table = best_response_dynamics(some_choices(), rule, rounds=3)
    assert table[[0, 1]].iloc[-1].max() <= 1
    assert table.quality.iloc[-1] > table.quality.iloc[0]


def test_play_stays_where_no_step_pays_and_refuses_an_unknown_rule() -> None:
    options = some_choices()
    PAY_RULES["equal"] = lambda counts, volume: np.ones(len(volume))
    PAY_RULES["little"] = lambda counts, volume: 1 / volume
    try:
        assert best_response_dynamics(options, "little", rounds=4)[[0, 1]].iloc[
            -1
        ].tolist() == [0, 0]
        assert (
            best_response_dynamics(options, "equal", rounds=2)[[0, 1]]
            .to_numpy()
            .tolist()
            == [[2, 2]] * 3
        )
    finally:
        del PAY_RULES["equal"], PAY_RULES["little"]
    with pytest.raises(ValueError, match="rule must be one of volume"):
        best_response_dynamics(options, "fame", rounds=1)


def test_every_start_is_played_as_it_would_be_alone() -> None:
    options = some_choices()
    table = dynamics_from_every_start(options, ["volume", "Shapley"], rounds=2)
    assert list(table.columns[:4]) == ["rule", "start", "round", "quality"]
    assert len(table) == 2 * len(EFFORTS) * 3
    for (rule, start), game in table.groupby(["rule", "start"]):
        alone = best_response_dynamics(options, rule, rounds=2, start=start)
        assert (game[alone.columns].to_numpy() == alone.to_numpy()).all()
        assert game[[0, 1]].iloc[0].tolist() == [start, start]


def test_the_best_joint_choice_is_that_of_trying_all() -> None:
    options = some_choices()
    every = [np.array(e) for e in itertools.product(range(len(EFFORTS)), repeat=2)]
    best = max(options.quality(efforts) for efforts in every)
    assert options.quality(best_joint_efforts(options)) == best
    assert best > options.quality(np.array([2, 2]))


@pytest.mark.parametrize("empty", [0, 1, 3])
def test_a_document_without_tokens_changes_nothing(empty: int) -> None:
    """All documents with tokens are alike, so it is no matter which are drawn."""
    alike = cycle(1, 31)
    windows = np.array([[0, 1, 2, 3, 4, 5, 0, 1]])
    full = [alike] * 3
    more = [*full[:empty], alike[:0], *full[empty:]]
    author = [0, 1, 2]
    authors = [*author[:empty], 1, *author[empty:]]  # it is author 1's
    found = [
        removals(
            count_ngrams([[d] for d in documents], windows, 4, VOCABULARY),
            whose,
            [len(d) for d in documents],
            completions=2,
        )
        for documents, whose in ((full, author), (more, authors))
    ]
    assert found[1].notna().all(axis=None)
    pd.testing.assert_frame_equal(found[1], found[0])
