"""Is what is put in a place of the same kind as what stood there?"""

import re

import numpy as np
import pytest

from smallscale.robustness.reading.dataset import questions
from smallscale.robustness.reading.english import Vocabulary
from smallscale.robustness.reading.phrases import kind_of, shape_of
from smallscale.robustness.reading.replacements import (
    ENOUGH,
    PERSON_KINDS,
    PLACE_KINDS,
    Pool,
    fixed_answer,
    pools,
)
from smallscale.robustness.reading.synthetic_squad import WORDS as WORDS_OF_WORLD
from smallscale.robustness.reading.synthetic_squad import passages

WORDS = Vocabulary([])


@pytest.mark.parametrize(
    ("question", "changed"),
    [
        ("Was the first ship lost?", "Was the last ship lost?"),
        ("How old was the king?", "How old was the queen"),  # nobody asks "how young"
        ("What served the public?", ""),  # an adjective stands before its noun
        ("What was complex?", ""),
        ("Who saw an old ship?", ""),  # not "an new ship"
        ("first what?", ""),  # the first word stays, whatever it is
    ],
)
def test_without_names_and_numbers_a_word_gives_way_to_its_opposite(
    question: str, changed: str
) -> None:
    other = Pool([], WORDS).changed_question(question, np.random.default_rng(0))
    assert other.rstrip("?") == changed.rstrip("?")


def test_without_opposites_a_noun_gives_way_to_one_from_the_same_place() -> None:
    nouns = ["cargo", "harbour", "captain", "lantern", "anchor"]
    pairs = [
        ("", {"question": f"Who saw the {noun}?", "answers": []}) for noun in nouns
    ]
    words = Vocabulary([f"the {noun}." for noun in [*nouns, "ship"]])
    pool = Pool(pairs, words)
    rng = np.random.default_rng(0)
    drawn = {pool.changed_question("Who saw the ship?", rng) for _ in range(100)}
    assert drawn == {f"Who saw the {noun}" for noun in nouns}
    # Nouns of the same number only, and none in a compound, an idiom or for a verb.
    for other in ("the ships", "a ship", "the ship lantern", "in ship", "the shipped"):
        assert pool.changed_question(f"Who saw {other}?", rng) == "", other
    fewer = Pool(pairs[1:], words)
    assert len(pairs[1:]) < ENOUGH
    assert fewer.changed_question("Who saw the ship?", rng) == ""


def test_a_name_gives_way_to_one_that_can_stand_there() -> None:
    places = ["Verona", "Genoa", "Turin", "Milan", "Padua", "Siena"]
    dynasties = ["Yuan", "Ming", "Song"]
    text = " ".join(
        [f"He lived in {place}. She died in {place}." for place in places]
        + ["He lived in Veronetta. She died in Veronetta."]
        + [f"So fell the {name} dynasty." for name in dynasties]
    )
    pairs = [(text, {"question": "Who?", "answers": []})]
    pool = Pool(pairs, Vocabulary([text]))
    rng = np.random.default_rng(0)

    def changed(question: str) -> set[str]:
        return {pool.changed_question(question, rng) for _ in range(60)}

    # Towns replace a town, but not Veronetta, which may be another form of its name.
    assert changed("Who lived in Verona?") == {
        f"Who lived in {place}?" for place in places if place != "Verona"
    }
    assert changed("Who led the Yuan dynasty?") == {
        "Who led the Ming dynasty?",
        "Who led the Song dynasty?",
    }
    # Nothing is known to fit, so nothing is put there.
    for question in ("Who led the Tang fleet?", "What was World War 2?"):
        assert changed(question) <= {"", question.replace("2", "3")} | {
            question.replace("2", str(n)) for n in range(10)
        }
    assert changed("Who fought the Dutch?") == {""}
    for other in changed("Who fought the Dutch fleet?"):
        assert other == "" or re.fullmatch(r"Who fought the [A-Z]\w+ fleet\?", other)


def sort_of(answer: str) -> str:
    """Return which of the made-up world's things an answer is."""
    bare = answer.removeprefix("a ")
    if shape_of(answer) == "number":
        return "number"
    for listed in ("job", "goods"):
        if bare in WORDS_OF_WORLD[listed]:
            return listed
    first_names = WORDS_OF_WORLD["women"] + WORDS_OF_WORLD["men"]
    return "person" if answer.split()[0] in first_names else "town"


@pytest.mark.parametrize("n", [6, 30, 90])  # a small file offers little to draw from
def test_a_fake_answer_is_of_the_right_answer_s_kind(n: int) -> None:
    rng = np.random.default_rng(0)
    for seed in range(4):
        data = passages(n, seed=seed, held_out=True)
        for article, pool in zip(data["data"], pools(data), strict=True):
            for qa in questions({"data": [article]}):
                gold = qa["answers"][0]["text"]
                for fake in (pool.fake_answer(qa, rng), fixed_answer(qa, rng)):
                    assert fake != gold
                    if fake:
                        told = f"{qa['question']} {gold}: {fake}"
                        assert sort_of(fake) == sort_of(gold), told


@pytest.mark.parametrize(
    ("question", "pattern"),
    [
        ("Where was Ada born?", PLACE_KINDS),
        ("What is the birthplace of Ada?", PLACE_KINDS),
        ("What is the neighbour of Tarby?", PLACE_KINDS),
        ("What was the home port of the Tarby Pearl?", PLACE_KINDS),
        ("Which country's fleet was lost?", PLACE_KINDS),
        ("Which countries lie on the sea?", PLACE_KINDS),
        ("What is the capital of Rome?", PLACE_KINDS),
        ("By whom was Ada taught?", PERSON_KINDS),
        ("What king founded Tarby?", PERSON_KINDS),
        ("Which president left?", PERSON_KINDS),
    ],
)
def test_nouns_tell_that_a_place_or_a_person_is_asked_for(
    question: str, pattern: re.Pattern[str]
) -> None:
    kind = kind_of(question)
    matching = [p for p in (PLACE_KINDS, PERSON_KINDS) if p.match(kind)]
    assert matching == [pattern]


@pytest.mark.parametrize(
    "question", ["What statement was made?", "What portion was lost?", "What is salt?"]
)
def test_words_that_only_open_like_such_nouns_tell_nothing(question: str) -> None:
    kind = kind_of(question)
    assert not PLACE_KINDS.match(kind)
    assert not PERSON_KINDS.match(kind)


def test_a_fixed_answer_is_one_of_two() -> None:
    qa = {"question": "Where was Ada born?", "answers": [{"text": "Tarby"}]}
    drawn = {fixed_answer(qa, np.random.default_rng(seed)) for seed in range(40)}
    assert len(drawn) == 2
    assert "Tarby" not in drawn
