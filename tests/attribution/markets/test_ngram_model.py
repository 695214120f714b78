"""Does counting count, and does the model follow its equation?"""

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smallscale.attribution.markets import ngram_model
from smallscale.attribution.markets.ngram_model import (
    CONCENTRATION,
    ORDER,
    Counts,
    count_between,
    count_ngrams,
    draw_windows,
    encode,
    generate,
    log_likelihood,
    ngram_keys,
    sorted_ngrams,
    train_tokenizer,
)

documents = st.lists(
    st.lists(st.integers(0, 3), max_size=12).map(lambda t: np.array(t, dtype=np.int64)),
    max_size=4,
)


@given(documents, st.integers(1, 3))
def test_grams_are_those_of_a_plain_counter(found: list[np.ndarray], k: int) -> None:
    runs = sorted_ngrams(found, 4, 3)[k - 1]
    plain = Counter(
        tuple(d[i : i + k].tolist()) for d in found for i in range(len(d) - k + 1)
    )
    for run, times in plain.items():
        key = ngram_keys(np.array(run), k, 4)
        assert count_between(runs, key, 1) == times
    assert count_between(runs, np.array([0]), 4**k) == len(runs) == sum(plain.values())


def test_runs_do_not_cross_the_border_of_documents() -> None:
    assert [
        runs.tolist() for runs in sorted_ngrams([np.array([0, 1]), np.array([2])], 3, 2)
    ] == [[0, 1, 2], [1]]


def test_counts_by_hand() -> None:
    # The author wrote 0 1 0 1 2. The last token of the window 3 3 3 3 0 1 is 1 after 0.
    counts = count_ngrams(
        [[np.array([0, 1, 0, 1, 2])], []], np.array([[3, 3, 3, 3, 0, 1]]), 4, 4
    )
    assert counts.hits.shape == counts.seen.shape == (2, ORDER, 2)
    assert counts.hits[0, :, 0].tolist() == [2, 0, 0, 0, 0]  # 0 twice, never after 3
    assert counts.hits[0, :, 1].tolist() == [2, 2, 0, 0, 0]  # 1 twice, both after 0
    assert counts.seen[0, :2, 1].tolist() == [5, 2]  # five tokens; 0 was followed twice
    assert not counts.hits[1].any()
    assert not counts.seen[1].any()


def test_a_coalition_is_the_sum_of_its_members() -> None:
    random = np.random.default_rng(0)
    parts = [[random.integers(5, size=80)] for _ in range(3)]
    windows = random.integers(5, size=(6, 10))
    apart, together = (
        count_ngrams(parts, windows, 4, 5),
        count_ngrams([[p[0] for p in parts[:2]]], windows, 4, 5),
    )
    one = log_likelihood(apart, [[1, 1, 0]])
    assert one == pytest.approx(log_likelihood(together, [[1]]), abs=1e-14)


@pytest.mark.parametrize(
    ("windows", "prompt"),
    [(np.zeros((2, 8), int), ORDER - 2), (np.zeros((2, 8), int), 8)],
)
def test_a_prompt_must_give_context_and_leave_something_to_predict(
    windows: np.ndarray, prompt: int
) -> None:
    with pytest.raises(ValueError, match="prompt must lie"):
        count_ngrams([], windows, prompt, 4)


def test_a_vocabulary_whose_runs_do_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="vocabulary must fit"):
        sorted_ngrams([], 10_000)


def test_the_equation_by_hand() -> None:
    # Two orders, a = (1, 2), vocabulary 4:
    # p_1 = (3 + 1 / 4) / (10 + 1), and p_2 = (2 + 2 p_1) / (5 + 2).
    counts = Counts(np.array([[[3.0], [2.0]]]), np.array([[[10.0], [5.0]]]), 4)
    first = 3.25 / 11
    expected = math.log((2 + 2 * first) / 7)
    assert log_likelihood(counts, [[1]], (1, 2))[0, 0] == pytest.approx(
        expected, abs=1e-15
    )
    assert log_likelihood(counts, [[0]], (1, 2))[0, 0] == pytest.approx(
        math.log(1 / 4), abs=1e-15
    )


def test_probabilities_sum_to_one_over_the_vocabulary() -> None:
    random = np.random.default_rng(1)
    author = [[random.integers(5, size=300)]]
    prompt = random.integers(5, size=4)
    windows = np.array([[*prompt, w] for w in range(5)])
    assert np.exp(
        log_likelihood(count_ngrams(author, windows, 4, 5), [[1]])
    ).sum() == pytest.approx(1, abs=1e-12)


def test_generated_text_follows_its_documents_and_the_seed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ngram_model, "CONCENTRATION", (1e-9,) * 4)
    cycle = [np.tile([0, 1, 2, 3], 500)]
    prompts = np.array([[0, 1, 2, 3], [2, 3, 0, 1]])
    once, again = (generate(cycle, prompts, 8, 5, seed=3) for _ in range(2))
    assert (once == again).all()
    assert (once[0] == np.tile([0, 1, 2, 3], 3)).all()
    assert (once[:, :4] == prompts).all()


def test_generated_tokens_come_as_often_as_the_model_says(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # After 0 the documents have 1 three times and 2 once; concentrations of nearly 0
    # leave 3/4 and 1/4.
    monkeypatch.setattr(ngram_model, "CONCENTRATION", (1e-9, 1e-9))
    drawn = generate([np.array([0, 1, 0, 1, 0, 1, 0, 2])], np.full((2000, 4), 0), 1, 3)
    assert (drawn[:, 4] == 1).mean() == pytest.approx(0.75, abs=0.03)
    assert (drawn[:, 4] == 0).sum() == 0


def test_every_text_can_be_encoded_and_read_back() -> None:
    tokenizer = train_tokenizer(["def f(x):\n    return x\n" * 20], 300)
    for text in ("def f(x):", "naïve – 犬\0<script>", "", "<|endoftext|>[UNK]"):
        (tokens,) = encode(tokenizer, [text])
        assert tokens.dtype == np.int64
        assert tokenizer.decode(tokens.tolist()) == text
    assert (
        tokenizer.to_str()
        == train_tokenizer(["def f(x):\n    return x\n" * 20], 300).to_str()
    )


def test_windows_are_pieces_of_each_long_enough_document_in_turn() -> None:
    documents = [np.arange(10), np.arange(100, 105), np.arange(3)]
    found = draw_windows(documents, 6, 5, seed=1)
    assert found.shape == (6, 5)
    assert (np.diff(found) == 1).all()
    assert sorted(found[:, 0] >= 100) == [False] * 3 + [True] * 3
    assert (found == draw_windows(documents, 6, 5, seed=1)).all()
    with pytest.raises(ValueError, match="at least 11 tokens"):
        draw_windows(documents, 1, 11)


def test_the_concentrations_have_one_for_each_order() -> None:
    assert len(CONCENTRATION) == ORDER == 5
