"""Does a lesson say what its last memory holds, from the speaker's side?"""

import re

from smallscale.simulation.words.facts import CANDIDACY, NAMES, PARTY
from smallscale.simulation.words.lessons import talk_lessons
from smallscale.simulation.words.prompts import TALK, talk_lines, talk_prompt
from smallscale.simulation.world import PUBLIC_PLACES

LESSONS = talk_lessons(400, seed=3)
LINE = re.compile(r"From (.+?) to (.+?): (.+)")


def test_a_lesson_is_a_question_of_the_town_without_its_examples() -> None:
    asked = talk_prompt("Ada", "Bo", ["I saw Bo."], "Hello.")
    assert asked == TALK + talk_lines("Ada", "Bo", ["I saw Bo."], "Hello.")
    for prompt, answer in LESSONS:
        *lines, last = prompt.split("\n")
        assert 1 <= len(lines) <= 3
        assert all(LINE.fullmatch(line) for line in lines)
        assert re.fullmatch(r"From (.+) to (.+):", last)
        assert answer.startswith(" ")
        assert answer.endswith("\n")


def test_what_is_said_is_the_last_memory_and_whose_it_is_stays_clear() -> None:
    seen = set()
    for prompt, answer in LESSONS:
        *_, last, asked = prompt.split("\n")
        match = LINE.fullmatch(last)
        assert match
        teller, speaker, heard = match.groups()
        assert teller == speaker or teller not in heard  # of oneself one says I
        listener = asked.removeprefix(f"From {speaker} to ").removesuffix(":")
        heard = heard.removeprefix("Have you heard? ").removesuffix(" Will you come?")
        said = answer.strip().removeprefix("Have you heard? ")
        said = said.removesuffix(" Will you come?")
        if teller != speaker and heard.startswith("I "):  # another's I has a name
            assert said.startswith(f"{teller} ")
            kind = "another's I"
        elif heard.startswith(f"I saw {listener} "):
            assert said == heard.replace(listener, "you")
            kind = "you"
        elif ": I will " in heard:  # a plan, with its day, hours and place
            when, place, plan = re.split(r"(?<=:00), |: (?=I will)", heard)
            assert re.fullmatch(r"\w+day, \d\d:00 to \d\d:00", when)
            assert said == f"{plan.removesuffix('.')} {place}."
            kind = "plan"
        else:
            assert said == heard
            kind = "as it is"
        seen.add(kind)
    assert seen == {"another's I", "you", "plan", "as it is"}


def test_nothing_of_the_town_is_taught() -> None:
    texts = " ".join(prompt + answer for prompt, answer in LESSONS)
    places = [place for place in PUBLIC_PLACES if f"the {place}" in texts]
    assert [name for name in NAMES if name in texts] == []
    assert places == []
    for what in (PARTY.what, CANDIDACY.what):
        assert what not in texts


def test_lessons_are_the_same_for_one_seed_and_not_for_another() -> None:
    assert talk_lessons(20, seed=1) == talk_lessons(20, seed=1)
    assert talk_lessons(20, seed=1) != talk_lessons(20, seed=2)
