"""Is a changed question another one, whose answer does not answer the first?"""

from typing import Any

import numpy as np
import pytest

from smallscale.robustness import add_sentences
from smallscale.robustness.reading.addsent import misleading_sentences
from smallscale.robustness.reading.contrast import asks_otherwise
from smallscale.robustness.reading.english import Vocabulary
from smallscale.robustness.reading.replacements import pools


@pytest.mark.parametrize(
    ("question", "changed"),
    [
        ("Who ruled before 1914?", "Who ruled before 1890?"),
        ("Who ruled until the year 1914?", "Who ruled until the year 1890?"),
        ("What city has more than 3 harbours?", "What city has more than 9 harbours?"),
        ("Who has at least five ships?", "Who has at least nine ships?"),
        (
            "Which rivers are longer than 300 km?",
            "Which rivers are longer than 200 km?",
        ),
        ("Who helped Ada besides Otto?", "Who helped Ada besides Frida?"),
        ("Besides Rome, who was tolerated?", "Besides Bonn, who was tolerated?"),
        ("What besides salt did Ada buy?", "What besides silver did Ada buy?"),
        ("What acts in addition to Otto?", "What acts in addition to Frida?"),
        ("Who left except for Otto?", "Who left except for Frida?"),
        ("What did Ada use rather than salt?", "What did Ada use rather than silver?"),
        ("Who left?", "Who left?"),
    ],
)
def test_a_bound_or_an_exception_does_not_decide_what_is_asked(
    question: str, changed: str
) -> None:
    assert not asks_otherwise(changed, question)


@pytest.mark.parametrize(
    ("question", "changed"),
    [
        ("Who ruled in 1914?", "Who ruled in 1890?"),
        ("Who ruled Rome before 1914?", "Who ruled Bonn before 1890?"),
        ("Who helped Ada besides Otto?", "Who helped Frida besides Otto?"),
        ("Besides Rome, who helped Ada?", "Besides Bonn, who helped Frida?"),
        ("What besides salt did Ada buy?", "What besides salt did Frida buy?"),
        ("Who built 5 ships?", "Who built 6 ships?"),
    ],
)
def test_any_other_change_does(question: str, changed: str) -> None:
    assert asks_otherwise(changed, question)


def dataset(question: str, answer: str, context: str) -> dict[str, Any]:
    gold = {"text": answer, "answer_start": context.index(answer)}
    qa = {"id": "q", "question": question, "answers": [gold]}
    paragraph = {"context": context, "qas": [qa]}
    return {"version": "1.1", "data": [{"title": "t", "paragraphs": [paragraph]}]}


@pytest.mark.parametrize(
    "question",
    ["When was the fort built before 1914?", "Who reigned before 1914?"],
)
@pytest.mark.parametrize("seed", range(5))
def test_such_a_question_is_skipped(question: str, seed: int) -> None:
    context = "Ada Berg reigned in 1912, and Otto Lund in 1890."
    attacked = add_sentences(
        dataset(question, "Ada Berg", context), seed=seed, candidates=1
    )
    assert attacked["skipped"] == ["q"]


@pytest.mark.parametrize(("fake", "made"), [("None", 0), ("Lund", 1)])
def test_no_made_up_answer_denies(fake: str, made: int) -> None:
    question = "Who founded the Berg Society in 1890?"
    data = dataset(question, "Ada", "Ada came.")
    found = misleading_sentences(
        data["data"][0]["paragraphs"][0]["qas"][0],
        pool=pools(data)[0],
        fake_answer=lambda qa, rng: fake,
        words=Vocabulary([]),
        candidates=1,
        wording="plain",
        rng=np.random.default_rng(0),
    )
    assert len(found) == made
