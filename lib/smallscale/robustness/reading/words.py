"""What does a reader see of a word? Its letters, its form, and whether it is shared."""

import re
import zlib
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

WORD = re.compile(r"\w+|[^\w\s]")  # each punctuation mark is a word of its own
TRIGRAM_HASHES = 4096
FORM_FEATURES = 6
SHARING_FEATURES = 6
WORD_FEATURES = FORM_FEATURES + SHARING_FEATURES + 1  # and one of its rarity
STEM_LETTERS = 5
REMEMBERED = 100_000  # words


def words_of(text: str) -> list[str]:
    """Return the words and punctuation marks of a text."""
    return WORD.findall(text)


def word_places(text: str) -> Array:
    """Return (words, 2): the characters where each word of a text starts and ends."""
    places = [match.span() for match in WORD.finditer(text)]
    return np.array(places, dtype=int).reshape(-1, 2)


def word_features(
    words: list[str], others: list[str], rarity: Mapping[str, float], rarest: float
) -> Array:
    """Return (words, WORD_FEATURES) for the words of one text of two.

    They are the word's form; whether the other text has the same word, the same in
    another case, and one with the same first letters; the same three times the word's
    rarity; and its rarity, between 0 and 1 (after Chen et al. 2017, section 3.2).

    others: the words of the other text. rarity: of the words that are known, in lower
    case. rarest: the rarity of every other word, which divides them all.
    """
    exact = set(others)
    lowered = {word.lower() for word in others}
    stems = {word[:STEM_LETTERS] for word in lowered}
    rows = []
    for word in words:
        low = word.lower()
        shared = [word in exact, low in lowered, low[:STEM_LETTERS] in stems]
        rare = rarity.get(low, rarest) / rarest
        shared_and_rare = [rare * hit for hit in shared]
        rows.append([*form_features(word), *shared, *shared_and_rare, rare])
    return np.array(rows, dtype=np.float32).reshape(-1, WORD_FEATURES)


@lru_cache(maxsize=REMEMBERED)
def form_features(word: str) -> tuple[bool, ...]:
    """Return what a word looks like, in FORM_FEATURES answers of yes or no."""
    digits = sum(letter.isdigit() for letter in word)
    return (
        word[0].isupper(),
        word.isalpha(),
        digits > 0,
        digits == 4,  # as a year has
        not word[0].isalnum(),  # punctuation
        len(word) > 6,
    )


@lru_cache(maxsize=REMEMBERED)
def trigram_ids(word: str) -> tuple[int, ...]:
    """Return the hashes of the word's runs of three letters, its edges marked.

    "Rome" has <ro, rom, ome and me>. Each hash is below TRIGRAM_HASHES.
    """
    marked = f"<{word.lower()}>"
    runs = [marked[i : i + 3] for i in range(len(marked) - 2)]
    return tuple(
        zlib.crc32(run.encode(errors="surrogatepass")) % TRIGRAM_HASHES for run in runs
    )
