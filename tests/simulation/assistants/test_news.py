"""The news: what it claims, in which words, and how words are counted."""

import numpy as np
import pytest

from smallscale.simulation.assistants.news import (
    CHEAP,
    DEAR,
    TRUTH,
    make_news,
    news_text,
    number_in,
    vocabulary,
    word_counts,
    words_of,
)


def test_each_text_names_its_claim_and_its_group() -> None:
    news = make_news(3, 20, seed=1)
    assert news.claim.shape == news.heat.shape == news.group.shape == (3, 20)
    for day, of_day in enumerate(news.texts):
        for claim, text in zip(news.claim[day], of_day, strict=True):
            assert number_in(text) == claim


def test_the_more_heated_the_further_from_the_truth_on_either_side() -> None:
    news = make_news(50, 40, seed=0)
    away = news.claim - TRUTH
    plain = np.abs(away)[news.heat < 0.05]
    heated = np.abs(away)[news.heat > 0.8]
    assert plain.mean() < 4 < 30 < heated.mean()
    assert abs(away.mean()) < 2  # both sides are as frequent
    assert np.corrcoef(np.abs(away).ravel(), news.heat.ravel())[0, 1] > 0.95


def test_heated_words_are_of_the_side_that_the_claim_suits() -> None:
    rng = np.random.default_rng(0)
    dear = news_text(95, 1.0, "farmers", rng)
    cheap = news_text(25, 1.0, "farmers", rng)
    assert any(verb in dear for verb in DEAR["verb"])
    assert any(verb in cheap for verb in CHEAP["verb"])
    loaded = {word for side in (DEAR, CHEAP) for some in side.values() for word in some}
    plain = news_text(95, 0.0, "farmers", rng)
    assert not any(word in plain for word in loaded)


def test_the_same_seed_is_the_same_news_and_another_is_not() -> None:
    assert make_news(2, 5, seed=3).texts == make_news(2, 5, seed=3).texts
    assert make_news(2, 5, seed=3).texts != make_news(2, 5, seed=4).texts


def test_words_are_counted_by_hand() -> None:
    texts = ["A tram, a TRAM at 87 million.", "At 5 million"]
    assert words_of(texts[0]) == ["a", "tram", "a", "tram", "at", "80s", "million"]
    known = vocabulary(texts)
    assert known == ["00s", "80s", "a", "at", "million", "tram"]
    counts = word_counts([*texts, "unknown words"], known)
    assert counts.tolist() == [[0, 1, 2, 1, 1, 2], [1, 0, 0, 1, 1, 0], [0] * 6]


@pytest.mark.parametrize(
    ("text", "number"), [("no number", None), ("at 60.5 or 7", 60.5), ("", None)]
)
def test_the_first_number_is_found(text: str, number: float | None) -> None:
    assert number_in(text) == number
