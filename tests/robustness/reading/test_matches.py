"""Are shared words counted as a person would count them?"""

import numpy as np
import pandas as pd
import pytest

from smallscale.robustness.reading.matches import (
    longest_match,
    match_shares,
    survivals,
    word_matcher,
    word_overlap,
)
from smallscale.robustness.reading.readings import Reading


def dataset(context: str, question: str, answer: str, id_: str = "q") -> dict:
    place = {"text": answer, "answer_start": context.index(answer)}
    qa = {"id": id_, "question": question, "answers": [place]}
    return {"data": [{"paragraphs": [{"context": context, "qas": [qa]}]}]}


@pytest.mark.parametrize(
    ("question", "text", "longest"),
    [
        ("Where was Ada Berg born?", "Ada Berg was born in Rome.", 2),
        ("Who was the teacher of Ada?", "The teacher of Ada was Bo.", 3),
        ("Who founded Rome?", "Nothing of it.", 0),
        ("Who founded Rome?", "Who founded Rome?", 3),
        ("Is an art?", "Partial", 0),  # whole words alone
        ("", "Rome", 0),
    ],
)
def test_the_longest_match_is_of_whole_normalised_words(
    question: str, text: str, longest: int
) -> None:
    assert longest_match(question, text) == longest


def test_word_overlap_is_a_share_of_different_words() -> None:
    assert word_overlap("Rome, rome and Ada", "rome") == pytest.approx(1 / 3)
    assert word_overlap("the", "the") == 0  # an article is no word


def test_the_word_matcher_takes_the_sentence_with_most_words_names_or_not() -> None:
    context = "Bo died in Rome. Ada was born in Tarby."
    made = dataset(context, "Where was Ada born?", "Tarby")
    assert word_matcher(made) == [1.0]
    misled = context + " Otto was born in Fosby."
    assert word_matcher(dataset(misled, "Where was Ada born?", "Tarby")) == [1.0]
    no_names = word_matcher(
        dataset(misled, "Where was Ada born?", "Tarby"), names=False
    )
    assert no_names == [0.5]  # two sentences have as many
    assert word_matcher(dataset(misled, "Where was Otto born?", "Tarby")) == [0.0]


class Parrot:
    """A reader that always answers with the passage's last word."""

    def read(self, pairs):
        readings = []
        for passage, _ in pairs:
            start = passage.rindex(" ") + 1
            places = np.array([[start, len(passage) - 1]])
            readings.append(Reading(passage, places, np.zeros(1), np.zeros(1)))
        return readings


def test_survivals_are_of_what_was_exact_and_count_the_worst_sentence() -> None:
    clean = dataset("Ada Berg was born in Tarby.", "Where was Ada Berg born?", "Tarby")
    bad = "Ada Berg was born in Tarby. Otto was born in Fosby."
    good = "Otto was born in Fosby. Ada Berg was born in Tarby."
    for first, second, survives in ((bad, good, False), (good, good, True)):
        attacked = {
            "data": [
                *dataset(first, "Where was Ada Berg born?", "Tarby", "q-adv0")["data"],
                *dataset(second, "Where was Ada Berg born?", "Tarby", "q-adv1")["data"],
            ]
        }
        table = survivals(Parrot(), clean, attacked)
        assert table.to_dict("records") == [{"match": 2, "survives": survives}]
    wrong_before = dataset("Tarby bore Ada Berg.", "Where was Ada Berg born?", "Tarby")
    assert survivals(Parrot(), wrong_before, attacked).empty


def test_match_shares_are_the_shares_at_least_n() -> None:
    survived = pd.DataFrame(
        {"match": [1, 3, 5, 2], "survives": [True, True, True, False]}
    )
    shares = match_shares(survived).set_index("n")
    assert list(shares.survived) == pytest.approx([1, 2 / 3, 2 / 3, 1 / 3, 1 / 3])
    assert list(shares.fell) == [1, 1, 0, 0, 0]
    assert match_shares(survived[:3]).fell.isna().all()
