"""Does the town in words live by its rules, whatever its speaker says?"""

import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from smallscale.simulation import Town, World, measures
from smallscale.simulation.brains import Fault
from smallscale.simulation.state import NEVER
from smallscale.simulation.words import dialogue
from smallscale.simulation.words import measures as measures_of_words
from smallscale.simulation.words.dialogue import Last, Turn, _utterance
from smallscale.simulation.words.script import ScriptedSpeaker, continued
from smallscale.simulation.words.stream import Memory
from smallscale.simulation.words.town import WordTown
from smallscale.simulation.world import PEOPLE

DAYS = 48


@pytest.fixture(scope="module")
def lived() -> WordTown:
    return WordTown(seed=3).run(DAYS)


class Says:
    """A speaker that returns what a function makes of all prompts of a batch."""

    name = "test"

    def __init__(self, reply: Any) -> None:
        self.reply = reply
        self.batches: list[list[str]] = []

    def write(self, prompts: Sequence[str]) -> Any:
        self.batches.append(list(prompts))
        return self.reply(prompts)


def test_one_argument_chooses_and_the_clock_is_the_same() -> None:
    words = Town(25, seed=3, words="scripted")
    numbers = Town(25, seed=3)
    assert isinstance(words, WordTown)
    assert type(numbers) is Town
    for _ in range(20):  # until somebody's plan changes, people are in the same places
        words.run(1)
        numbers.run(1)
        assert (words.place == numbers.place).all()
    assert words.step == numbers.step


def test_a_country_does_not_speak() -> None:
    with pytest.raises(ValueError, match="people must be those of one town"):
        WordTown(26)


def test_saving_and_resuming_in_a_new_process_is_running_on(tmp_path: Path) -> None:
    path = tmp_path / "town"
    whole = WordTown(seed=1).run(30)
    WordTown(seed=1).run(14).save(path)
    code = (
        "import sys\nfrom smallscale.simulation.words.town import WordTown\n"
        "print(WordTown.load(sys.argv[1]).run(16).digest())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == whole.digest()


def test_a_loaded_town_is_the_saved_one(lived: WordTown, tmp_path: Path) -> None:
    lived.save(tmp_path / "town")
    again = WordTown.load(tmp_path / "town")
    assert again.digest() == lived.digest()
    assert again.utterances == lived.utterances
    assert again.streams[3].memories == lived.streams[3].memories
    assert again.streams[3].accessed == lived.streams[3].accessed
    assert again.plans == lived.plans


def test_a_checkpoint_knows_its_speaker_and_its_kind(tmp_path: Path) -> None:
    WordTown().run(1).save(tmp_path / "words")
    Town().run(1).save(tmp_path / "numbers")
    with pytest.raises(ValueError, match="speaker"):
        WordTown.load(tmp_path / "words", speaker=Says(lambda p: ["Yes."] * len(p)))
    with pytest.raises(ValueError, match=r"Town\.load"):
        WordTown.load(tmp_path / "numbers")
    with pytest.raises(ValueError, match=r"WordTown\.load"):
        Town.load(tmp_path / "words")


def test_the_order_of_people_and_of_a_batch_makes_no_difference() -> None:
    def backwards(prompts: Sequence[str]) -> list[str]:
        return [continued(prompt) for prompt in reversed(prompts)][::-1]

    plain = WordTown(seed=4, speaker=Says(lambda p: [continued(q) for q in p])).run(20)
    other = WordTown(seed=4, speaker=Says(backwards))
    shuffled = list(PEOPLE)
    np.random.default_rng(0).shuffle(shuffled)  # type: ignore[arg-type]
    people = WordTown(shuffled, seed=4, speaker=Says(plain.speaker.reply)).run(20)
    assert plain.digest() == other.run(20).digest() == people.digest()


def test_each_kind_of_question_is_one_batch_an_hour() -> None:
    speaker = Says(lambda p: [continued(q) for q in p])
    town = WordTown(seed=3, speaker=speaker)
    for _ in range(DAYS):
        before = len(speaker.batches)
        town.run(1)
        # plans, two turns, reasons, questions, insights
        assert len(speaker.batches) - before <= 6


def test_nothing_is_passed_on_in_the_hour_it_is_heard(lived: WordTown) -> None:
    for utterance in lived.utterances:
        if utterance.memory >= 0:
            memory = lived.streams[utterance.speaker].memories[utterance.memory]
            came_before = memory.created < utterance.hour
            assert came_before or (memory.kind == "planned" and utterance.hour >= 0)


@pytest.mark.parametrize(
    ("reply", "why"),
    [
        (lambda p: [""] * len(p), "empty"),
        (lambda p: ["…"] * len(p), "empty"),
        (lambda p: [None] * len(p), "no words"),
        (lambda p: ["no end of a sentence"] * len(p), "cut off"),
        (lambda p: [Fault("status 500")] * len(p), "status 500"),
        (lambda p: ["One."] * (len(p) + 1), "wrong number of replies"),
        (lambda p: 1 / 0, "ZeroDivisionError raised"),
    ],
)
def test_a_fault_is_counted_and_nothing_is_stored(reply: Any, why: str) -> None:
    town = WordTown(seed=3, speaker=Says(reply))
    with pytest.warns(UserWarning, match="could not be used"):
        town.run(30)
    assert set(town.faults) == {why}
    assert town.utterances == []
    kinds = {memory.kind for stream in town.streams for memory in stream.memories}
    assert kinds == {"saw", "thought"}  # the thoughts: what the sources know
    assert (town.heard[:, 1:] != NEVER).sum() == 2
    texts = [m.text for stream in town.streams for m in stream.memories]
    assert not any(why in text or "Error" in text for text in texts)


def test_an_hour_that_fails_has_not_begun() -> None:
    def interrupted(prompts: Sequence[str]) -> list[str]:
        raise KeyboardInterrupt

    town = WordTown(seed=3).run(9)
    before = town.digest()
    town.speaker = Says(interrupted)
    town.speaker.name = ScriptedSpeaker.name
    with pytest.raises(KeyboardInterrupt):
        town.run(1)
    assert town.digest() == before


def test_who_knows_was_told_and_who_came_had_accepted(lived: WordTown) -> None:
    party = lived.world.fact_number("party")
    knows = lived.heard[:, party] != NEVER
    assert knows.sum() > 3
    assert (lived.attended[:, party] <= lived.means[:, party]).all()
    assert (lived.means[:, party] <= knows).all()
    assert measures.guests(lived, "party") >= 1
    assert measures.spread(lived)["party"].iloc[-1] == knows.sum()


def test_an_invitation_without_an_hour_brings_nobody() -> None:
    def vague(prompts: Sequence[str]) -> list[str]:
        replies = [continued(prompt) for prompt in prompts]
        return [reply.replace(" on Tuesday at five", "") for reply in replies]

    town = WordTown(seed=3, speaker=Says(vague)).run(DAYS)
    assert measures.hearers(town, "party") > 3
    assert measures.guests(town, "party") == 1  # the host


def test_a_wrong_place_is_where_they_go() -> None:
    def elsewhere(prompts: Sequence[str]) -> list[str]:
        replies = [continued(prompt) for prompt in prompts]
        return [
            reply.replace("in the café on Tue", "in the park on Tue")
            for reply in replies
        ]

    town = WordTown(seed=3, speaker=Says(elsewhere)).run(42)
    park = town.world.places.index("park")
    meant = town.means[:, town.world.fact_number("party")]
    assert (town.place[meant] == park).sum() > 2
    assert measures.guests(town, "party") <= 1  # the host


def test_without_plans_nobody_comes_and_without_reflection_nobody_concludes() -> None:
    unplanned = WordTown(seed=3, planning=False).run(DAYS)
    assert measures.guests(unplanned, "party") == 0
    kinds = {m.kind for stream in unplanned.streams for m in stream.memories}
    assert "planned" not in kinds
    thoughtless = WordTown(seed=3, reflection=False).run(DAYS)
    thoughts = [
        m for stream in thoughtless.streams for m in stream.memories if m.evidence
    ]
    assert all(memory.kind == "planned" for memory in thoughts)


def test_insights_point_to_earlier_memories(lived: WordTown) -> None:
    found = 0
    for stream in lived.streams:
        for position, memory in enumerate(stream.memories):
            assert all(0 <= each < position for each in memory.evidence)
            found += memory.kind == "thought" and bool(memory.evidence)
    assert found > 10


def test_people_see_the_burning_oven(lived: WordTown) -> None:
    saw = [
        memory
        for stream in lived.streams
        for memory in stream.memories
        if (memory.kind, memory.text) == ("saw", "The oven in the café is burning.")
    ]
    assert saw
    assert all((memory.created, memory.importance) == (13, 8) for memory in saw)


def test_importance_can_be_asked_for_and_a_bad_rating_is_a_fault() -> None:
    town = WordTown(seed=3, importance="speaker").run(9)
    by_text = {m.text: m.importance for s in town.streams for m in s.memories}
    assert by_text["The fountain in the park is running."] == 2  # the script's, not 1
    bad = WordTown(
        seed=2, importance="speaker", speaker=Says(lambda p: ["Hm."] * len(p))
    )
    with pytest.warns(UserWarning, match="importance: no rating"):
        bad.run(9)


def odd_words() -> list[str]:
    """What a model may say, with digits that are no numbers, and no letters at all."""
    return [
        "²",
        "⑦.",
        "A party in the park on Friday at ² o'clock, 17:² or ٥.",
        "The party is at 99999999999999999999:99 on Friday.",
        "17:00:30 on Friday in the park is the party.",
        "\ud800 Hello.",
        "\x00.",
    ]


@pytest.mark.parametrize("words", odd_words())
def test_whatever_is_said_the_town_goes_on(words: str, tmp_path: Path) -> None:
    town = WordTown(6, importance="speaker", speaker=Says(lambda p: [words] * len(p)))
    with pytest.warns(UserWarning, match="could not be used"):
        town.run(12)
    town.save(tmp_path / "town")
    again = WordTown.load(tmp_path / "town", speaker=town.speaker)
    assert again.digest() == town.digest()


def test_what_is_put_into_a_mouth_is_said() -> None:
    told = WordTown(seed=3).run(12).utterances[-1]
    name = World().name_of(told.speaker)
    town = WordTown(seed=3, say={(told.hour, name): 'Ignore "all"\nof it.'}).run(12)
    said = [u for u in town.utterances if u.hour == told.hour]
    assert "Ignore all of it." in [u.text for u in said if u.speaker == told.speaker]


def test_an_edited_memory_changes_the_copy_alone(lived: WordTown) -> None:
    town = WordTown(seed=3).run(8)
    before = town.digest()
    other = town.edited("Bo Lindqvist", 0, "I am tired.").run(DAYS - 8)
    assert town.digest() == before
    assert measures.hearers(other, "party") == 1
    assert measures.hearers(lived, "party") > 3


def test_words_come_from_the_memory_that_says_what_they_say() -> None:
    """Whoever speaks of one thing and says another has it from another memory."""
    town = WordTown(seed=3)
    candidacy, party = (town.world.fact_number(f) for f in ("candidacy", "party"))
    stream = town.streams[0]
    spoken_of = stream.add(Memory("…", "heard", 1, 8, fact=candidacy, retellings=1))
    said_of = stream.add(Memory("…", "heard", 2, 8, fact=party, retellings=2))
    words = "Bo Lindqvist gives a party in the café."
    turn = Turn(0, 1, (spoken_of, said_of), spoken_of)
    found = _utterance(town, 0, turn, words, Last())
    assert (found.says, found.fact, found.memory) == (party, party, said_of)
    assert found.retellings == 3
    alone = Turn(0, 1, (spoken_of,), spoken_of)
    invented = _utterance(town, 0, alone, words, Last())
    assert (invented.says, invented.fact, invented.answers) == (party, candidacy, -1)
    answer = _utterance(town, 1, alone, words, Last(7, found))
    assert (answer.says, answer.fact, answer.answers) == (party, party, 7)
    assert answer.retellings == 4


def test_a_chain_goes_through_an_answer_to_what_was_answered(lived: WordTown) -> None:
    """Who repeats in a talk what they have just been told has it from there."""
    party = lived.world.fact_number("party")
    number, told = next(
        (k, u) for k, u in enumerate(lived.utterances) if u.says == party
    )
    town = lived.copied()
    other = dialogue.row_of(town, told.speaker)
    answer = replace(
        told,
        speaker=told.listener,
        listener=told.speaker,
        memory=-1,
        answers=number,
        retellings=told.retellings + 1,
    )
    town.utterances.append(answer)
    said = len(town.utterances) - 1
    heard = Memory("…", "heard", told.hour, 8, fact=party, said=said)
    position = town.streams[other].add(heard)
    chain = measures_of_words.chain_of(town, other, position)
    assert chain.utterances[-2:] == (told, answer)
    assert chain.root == "Bo Lindqvist"
