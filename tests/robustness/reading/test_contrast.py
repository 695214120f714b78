"""Is a changed question another one, whose answer does not answer the first?"""

import pytest

from smallscale.robustness import add_sentences
from smallscale.robustness.reading.contrast import asks_otherwise


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


def dataset(question: str, answer: str, context: str) -> dict[str, object]:
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


@pytest.mark.parametrize("seed", range(20))
def test_no_made_up_answer_denies(seed: int) -> None:
    context = "None of them came. No one was there. Nobody wrote to the Berg Society."
    question = "What helped the Lund Society?"
    attacked = add_sentences(
        dataset(question, "Berg Society", context), seed=seed, candidates=1
    )
    for paragraph in attacked["data"][0]["paragraphs"]:
        added = paragraph["context"].removeprefix(context)
        assert not {"none", "no", "nobody"} & set(added.lower().rstrip(".").split())
