"""Are losses, chains, reasons, pages and exercises what the log says?"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pandas as pd
import pytest

from smallscale.notebook.exercises import NOT_YET
from smallscale.simulation import measures as numbers
from smallscale.simulation.words import exercises, measures, pages
from smallscale.simulation.words.explorer import memory_scene, stream_explorer
from smallscale.simulation.words.interviews import interview, interviews
from smallscale.simulation.words.town import WordTown

PARTY = "Bo Lindqvist gives a party in the café on Tuesday at five."


@pytest.fixture(scope="module")
def lived() -> WordTown:
    return WordTown(seed=3).run(48)


def test_everybody_who_was_told_has_a_chain_through_words(lived: WordTown) -> None:
    for fact in ("party", "candidacy"):
        found = measures.audit(lived, fact)
        assert len(found) == numbers.hearers(lived, fact)
        assert found["proved"].all()
        root = lived.world.facts[lived.world.fact_number(fact) - 1].source
        assert found["chain"].str.startswith(root).all()
        assert (found["links"] == found["chain"].str.count(" > ")).all()


def test_a_claim_that_came_from_nowhere_is_not_proved() -> None:
    town = WordTown(seed=3).run(8)
    forged = town.edited("Wim Maes", 0, f'Ada Brandt said: "{PARTY}"').run(40)
    found = measures.audit(forged, "party")
    assert not found["proved"].all()
    liars = found[~found["proved"]]
    assert liars["chain"].str.startswith("Wim Maes").all()


def test_loss_is_counted_by_retelling_and_the_first_is_the_sources(
    lived: WordTown,
) -> None:
    told = measures.tellings(lived)
    shares = measures.loss_by_retelling(told)
    assert shares["n"].sum() == len(told)
    assert told[told["fact"] == "candidacy"]["when"].isna().all()
    first = told[(told["retelling"] == 1) & (told["fact"] == "party")]
    assert (first["teller"] == "Bo Lindqvist").all()
    assert shares["all"].iloc[0] > shares["all"].iloc[-1]
    assert (shares["all"] <= shares["who"]).all()
    assert (shares["all"] <= shares["what"]).all()


def test_reasons_add_up_to_everybody(lived: WordTown) -> None:
    reasons = measures.why_not(lived, "party")
    assert reasons.sum() == 25
    assert reasons["came"] == numbers.guests(lived, "party")
    assert reasons["never heard"] == 25 - numbers.hearers(lived, "party")


def test_who_goes_where_the_party_is_not_was_misled() -> None:
    class Park:
        name = "park"

        def write(self, prompts: Any) -> list[str]:
            from smallscale.simulation.words.script import continued

            said = [continued(prompt) for prompt in prompts]
            return [
                text.replace("in the café on Tue", "in the park on Tue")
                for text in said
            ]

    town = WordTown(seed=3, speaker=Park()).run(48)
    reasons = measures.why_not(town, "party")
    assert reasons["went to a wrong place or hour"] > 2
    assert reasons.sum() == 25


def test_an_answer_from_memory_is_no_hallucination(lived: WordTown) -> None:
    before = lived.digest()
    knower = measures.audit(lived, "party")["person"].iloc[3]
    answer = interview(lived, knower, "Have you heard of a party?")
    assert answer.claims == ("party",)
    assert answer.hallucinated == ()
    assert answer.minds
    assert lived.digest() == before


class Knows:
    """A speaker that claims to know of the party whatever it is asked."""

    name = "knows"

    def write(self, prompts: Any) -> list[str]:
        return [PARTY for _ in prompts]


def test_a_claim_without_having_heard_is_a_hallucination(lived: WordTown) -> None:
    people = [person.name for person in lived.world.people]
    answers = interviews(lived, people, "Have you heard?", speaker=Knows())
    claimed = [answer.person for answer in answers if answer.hallucinated]
    f = lived.world.fact_number("party")
    assert claimed == [lived.name(row) for row in range(25) if lived.heard[row, f] < 0]


def test_an_interview_that_fails_says_so(lived: WordTown) -> None:
    class Silent:
        name = "silent"

        def write(self, prompts: Any) -> list[str]:
            return ["" for _ in prompts]

    answer = interview(lived, "Bo Lindqvist", 'What "now"?', speaker=Silent())
    assert (answer.answer, answer.fault) == ("", "empty")
    assert '"' not in answer.question
    assert "no words: empty" in pages.asked(answer)


def test_taking_memory_away_changes_what_is_said(lived: WordTown) -> None:
    some = lived.utterances[50:70]
    whole = measures.reworded(lived, some)
    bare = measures.reworded(lived, some, without="memory")
    assert set(bare) == {"It is a fine day."}
    assert set(whole).isdisjoint(bare)
    unplanned = measures.reworded(lived, some, without="plans")
    assert unplanned != whole
    with pytest.raises(ValueError, match="without"):
        measures.reworded(lived, some, without="love")


def test_an_injection_stands_in_a_quote(lived: WordTown) -> None:
    said = measures.injected(lived, measures.INJECTION)
    assert len(said) == 25
    assert not any(measures.PAYLOAD in text.lower() for text in said)


def test_a_page_tells_plan_talk_and_evidence(lived: WordTown) -> None:
    f = lived.world.fact_number("party")
    guest = next(lived.name(r) for r in range(25) if lived.attended[r, f])
    page = pages.one_day(lived, guest, 1)
    assert "Tuesday: the plan" in page
    assert "because of:" in pages.one_day(lived, "Bo Lindqvist", 0)
    assert pages.plain("<b>*x*") == r"\<b\>\*x\*"


def test_the_explorer_shows_a_memory_and_escapes_what_was_said() -> None:
    town = WordTown(seed=3).run(10)
    other = town.edited("Ada Brandt", 1, "<script>x</script>")
    html = memory_scene(other, "Ada Brandt", 1)
    assert "&lt;script&gt;" in html
    assert "<script>" not in html
    scene, sliders = stream_explorer(town, ["Bo Lindqvist", "Ada Brandt"])
    last = len(town.streams[town.row_of("Ada Brandt")])
    assert f"Memory {last} of {last}" in scene("Ada Brandt", sliders["memory"].max + 9)


def test_a_chain_is_shown_in_the_explorer(lived: WordTown) -> None:
    person = measures.audit(lived, "party")["person"].iloc[-1]
    row = lived.row_of(person)
    position = measures.first_heard(lived, row, lived.world.fact_number("party"))
    html = memory_scene(lived, person, position)
    assert "How it came here" in html
    assert "Bo Lindqvist" in html


RIGHT = {"who": True, "what": True, "where": False, "when": True}


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (None, NOT_YET),
        (RIGHT, "Right"),
        (dict.fromkeys(RIGHT, True), "Look at where"),
        ({**RIGHT, "when": False}, "Look again at when"),
        (dict.fromkeys(RIGHT, False), "Look again at who"),
        ({"who": True}, "Give a dictionary"),
        ([True] * 4, "Give a dictionary"),
    ],
)
def test_exercise_1(answer: Any, said: str) -> None:
    assert said in exercises.check_slots(answer)


@pytest.mark.parametrize(
    ("retrieve", "said"),
    [
        (lambda s, q, n: s.retrieve(q, n, 2), "Right"),
        (lambda s, q, n: None, NOT_YET),
        (lambda s, q, n: s.latest(2), "You take the latest"),
        (lambda s, q, n: s.retrieve(q, n, 2)[::-1], "wrong order"),
        (lambda s, q, n: [0, 1], "not [0, 1]"),  # hard-coded
        (lambda s, q, n: s.retrieve(q, n, 2, rule="code"), "authors' program"),
        (lambda s, q, n: ["a"], "whole numbers"),
        (lambda s, q, n: 1 / 0, "ZeroDivisionError"),
    ],
)
def test_exercise_2(retrieve: Callable[..., Any], said: str) -> None:
    assert said in exercises.check_retrieve(retrieve)


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (None, NOT_YET),
        ("Bo", "Give (person"),
        (("Nobody", 0, "x"), "cannot be changed"),
        (("Bo Lindqvist", 999, "x"), "cannot be changed"),
        (("Wim Maes", 0, "There is a party."), "is the goal"),
        (
            ("Bo Lindqvist", 0, "I give a party in the café on Tuesday at five."),
            "before",
        ),
        (("Wim Maes", 0, f'Bo Lindqvist said: "{PARTY}"'), "Right: 8"),
    ],
)
def test_exercise_3(edit: Any, said: str) -> None:
    assert said in exercises.check_edit(edit, seed=1, guests=6)


def test_tellings_of_nothing_have_their_columns() -> None:
    told = measures.tellings(WordTown(seed=3))
    assert list(told.columns)[-5:] == ["who", "what", "where", "when", "all"]
    assert isinstance(told, pd.DataFrame)


def test_a_log_that_runs_backwards_proves_nothing(lived: WordTown) -> None:
    found = measures.audit(lived, "party")
    late = found[found["links"] > 1].iloc[-1]
    town = lived.copied()
    row = town.row_of(late["person"])
    memory = town.streams[row].memories[
        measures.first_heard(town, row, town.world.fact_number("party"))
    ]
    said = town.utterances[memory.said]
    town.utterances[memory.said] = replace(said, hour=0)
    again = measures.audit(town, "party").set_index("person")
    assert not again.loc[late["person"], "proved"]
