"""Is it seen what is asked for, and where an answer could stand?"""

import pytest

from smallscale.robustness.reading.english import Vocabulary
from smallscale.robustness.reading.phrases import (
    alike,
    kind_of,
    noun_phrase,
    shape_of,
    share_half,
)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("Who founded Tarby?", "who"),
        ("In what year was it built?", "what year"),
        ("How many people live there?", "how many"),
        ("What was the cargo of it?", "what cargo"),
        ("What did it carry?", "what carry"),
        ("Tell me.", ""),
    ],
)
def test_the_kind_of_a_question(text: str, kind: str) -> None:
    assert kind_of(text) == kind


def test_the_shape_of_an_answer() -> None:
    assert [
        shape_of(text) for text in ("12 May", "Ada Berg", "the Nile", "a bridge")
    ] == [
        "number",
        "name",
        "name",
        "words",
    ]


@pytest.mark.parametrize(
    ("fake", "gold", "shares"),
    [
        ("Otto Falk", "Ada Berg", False),
        ("Otto Berg", "Ada Berg", True),
        ("Otto", "King Otto of Tarby", True),
        ("May 1944", "May 1812", True),
        ("the town", "the sea", False),  # articles do not count
        ("one two three four five", "five six seven eight nine", False),
        ("", "salt", True),
        ("the", "a", True),
    ],
)
def test_half_of_the_words(fake: str, gold: str, shares: bool) -> None:
    assert share_half(fake, [gold]) is shares
    assert share_half(gold, [fake]) is shares
    assert share_half(fake, ["something else entirely", gold]) is shares or not fake


def test_what_may_be_the_same_name() -> None:
    assert alike("Warszawa", ["Warsaw"])
    assert alike("European Union", ["Rome", "EU"])
    assert alike("EU", ["European Union"])
    assert not alike("Rome", ["Genoa", "Turin"])


@pytest.mark.parametrize(
    ("context", "gold", "phrase"),
    [
        ("It is an arbitrary graph in time.", "arbitrary graph", "an arbitrary graph"),
        ("It is a closed system.", "closed", ""),  # half a phrase
        ("They saw The Rhine, and left.", "The Rhine", "the Rhine"),
        ("They carried salt.", "salt", "salt"),
        ("It is made of salt.", "salt", "salt"),
        ("It was unequal.", "unequal", ""),  # an adjective
        ("He fell because he ignored the warning.", "ignored the warning", ""),
        ("It lies in Rome.", "Rome", "Rome"),
        ("It was taken by the army in May.", "the army in May", ""),
        ("It was the pseudo-science of old.", "pseudo", ""),
        ("They spoke French.", "French", ""),
        ("It took 12 men.", "12 men", ""),
    ],
)
def test_an_answer_that_can_stand_anywhere(
    context: str, gold: str, phrase: str
) -> None:
    words = Vocabulary(["the graph of it. the army."])
    answer = {"text": gold, "answer_start": context.index(gold)}
    assert noun_phrase(context, answer, words) == phrase
