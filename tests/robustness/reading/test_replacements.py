"""Is what is put in a place of the same kind as what stood there?"""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smallscale.robustness.reading.dataset import questions
from smallscale.robustness.reading.replacements import (
    ENOUGH,
    Pool,
    fixed_answer,
    kind_of,
    pools,
    renumbered,
    shape_of,
)
from smallscale.robustness.reading.synthetic_squad import passages


@given(st.text(alphabet="0123456789 ,.abc", max_size=12), st.integers(0, 99))
def test_another_number_of_the_same_form(text: str, seed: int) -> None:
    new = renumbered(text, np.random.default_rng(seed))
    assert re.sub(r"\d+", "#", new) == re.sub(r"\d+", "#", text)
    for old, other in zip(
        re.findall(r"\d+", text), re.findall(r"\d+", new), strict=True
    ):
        assert int(old) != int(other)


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


def test_names_leave_out_question_words_months_and_ordinary_openers() -> None:
    pool = Pool([], {"bacteria"})

    def names(text: str) -> list[str]:
        return [name for _, name, _ in pool.names(text)]

    assert names("Which Treaty did Ada Berg sign in May?") == ["Treaty", "Ada Berg"]
    assert names("Bacteria live where?") == []
    assert names("Who led the Bank of England?") == ["Bank of England"]
    assert names("What was Newton's law?") == ["Newton"]


@pytest.mark.parametrize(
    ("question", "changed"),
    [
        ("Was the first ship lost?", "Was the last ship lost?"),
        ("lost what?", ""),  # the first word stays, whatever it is
    ],
)
def test_without_names_and_numbers_a_word_gives_way_to_its_opposite(
    question: str, changed: str
) -> None:
    pool = Pool([], set())
    assert pool.changed_question(question, np.random.default_rng(0)) == changed


def test_without_opposites_a_noun_gives_way_to_one_from_the_same_place() -> None:
    nouns = ["cargo", "harbour", "captain", "lantern", "anchor"]
    qas = [{"question": f"What was the {noun}?", "answers": []} for noun in nouns]
    pool = Pool(qas, set())
    rng = np.random.default_rng(0)
    drawn = {pool.changed_question("What was the ship?", rng) for _ in range(100)}
    assert drawn == {f"What was the {noun}" for noun in nouns}
    fewer = Pool(qas[1:], set())
    assert len(qas[1:]) < ENOUGH
    assert fewer.changed_question("What was the ship?", rng) == ""


def test_a_fake_answer_is_one_to_a_question_of_the_same_kind() -> None:
    data = passages(60, seed=0)
    rng = np.random.default_rng(0)
    own = pools(data)
    answers_by_kind: dict[str, set[str]] = {}
    for qa in questions(data):
        kind = kind_of(qa["question"])
        answers_by_kind.setdefault(kind, set()).add(qa["answers"][0]["text"])
    for qa in questions({"data": data["data"][:1]}):
        gold = qa["answers"][0]["text"]
        fake = own[0].fake_answer(qa, rng)
        assert fake != gold
        assert shape_of(fake) == shape_of(gold)
        if shape_of(gold) != "number":
            assert fake in answers_by_kind[kind_of(qa["question"])]


def test_a_fixed_answer_is_one_of_two() -> None:
    qa = {"question": "Where was Ada born?", "answers": [{"text": "Tarby"}]}
    drawn = {fixed_answer(qa, np.random.default_rng(seed)) for seed in range(40)}
    assert len(drawn) == 2
    assert "Tarby" not in drawn
