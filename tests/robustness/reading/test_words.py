"""Are a word's features those that one would write down by hand?"""

import zlib

import numpy as np
import pytest

from smallscale.robustness.reading.words import (
    TRIGRAM_HASHES,
    form_features,
    trigram_ids,
    word_features,
    word_places,
    words_of,
)


def test_words_and_punctuation_marks_are_words_with_places() -> None:
    text = "Ada's ship, 1799."
    assert words_of(text) == ["Ada", "'", "s", "ship", ",", "1799", "."]
    found = [text[start:end] for start, end in word_places(text)]
    assert found == words_of(text)
    assert word_places(" ").shape == (0, 2)


@pytest.mark.parametrize(
    ("word", "capital", "letters", "digits", "year", "mark", "long"),
    [
        ("Ada", 1, 1, 0, 0, 0, 0),
        ("1799", 0, 0, 1, 1, 0, 0),
        ("178", 0, 0, 1, 0, 0, 0),
        (",", 0, 0, 0, 0, 1, 0),
        ("commander", 0, 1, 0, 0, 0, 1),
    ],
)
def test_the_form_of_a_word(word, capital, letters, digits, year, mark, long) -> None:
    expected = (capital, letters, digits, year, mark, long)
    assert form_features(word) == expected


def test_what_two_texts_share_and_how_rare_it_is() -> None:
    """Rarity 1 of at most 4. Shared: word, other case, first letters."""
    rarity = {"founder": 1.0, "of": 0.0}
    rows = word_features(["founder", "Of", "Rome"], ["Founded", "of"], rarity, 4.0)
    assert rows[0, 6:].tolist() == [0, 0, 1, 0, 0, 0.25, 0.25]
    assert rows[1, 6:].tolist() == [0, 1, 1, 0, 0, 0, 0]
    assert rows[2, 6:].tolist() == [0, 0, 0, 0, 0, 0, 1]  # unknown: the rarest
    same = word_features(["Rome"], ["Rome"], rarity, 4.0)
    assert same[0, 6:].tolist() == [1, 1, 1, 1, 1, 1, 1]
    assert rows.dtype == np.float32


def test_the_letters_of_a_word_with_its_edges() -> None:
    runs = ["<ro", "rom", "ome", "me>"]
    expected = tuple(zlib.crc32(run.encode()) % TRIGRAM_HASHES for run in runs)
    assert trigram_ids("Rome") == expected
    assert trigram_ids("a") == (zlib.crc32(b"<a>") % TRIGRAM_HASHES,)
