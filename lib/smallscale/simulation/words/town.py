"""The town of Park et al. 2023 in words: what people remember, say, plan is text.

Clock, map, and who meets whom are those of the town in numbers (`simulation.town`), by
the same rules and the same luck. What is said and what comes of it is in words: who
hears of a party in words that have lost the hour cannot come to it.
"""

import copy
import json
import warnings
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np

from smallscale.core.validation import one_of, require, whole_number
from smallscale.simulation import checkpoint
from smallscale.simulation.brains import (
    Brain,
    Fault,
    check_same,
    identity_of,
    origin_of,
)
from smallscale.simulation.conversations import stand_in_circles
from smallscale.simulation.questions import ACQUAINTED, CLOSE, STRANGER
from smallscale.simulation.state import TownState
from smallscale.simulation.words import (
    dialogue,
    perception,
    planning,
    prompts,
    reflection,
)
from smallscale.simulation.words.facts import TOWN_FACTS
from smallscale.simulation.words.facts import Fact as News
from smallscale.simulation.words.speakers import Speaker, checked_speaker, words_from
from smallscale.simulation.words.stream import Memory, MemoryStream
from smallscale.simulation.world import HOURS_IN_DAY, Person, World

RATED = ("rule", "speaker")  # who says how important a memory is


@dataclass(frozen=True)
class Utterance:
    """One turn of a talk.

    hour, turn: when it was said. speaker, listener: their ids. text: what was said.
    memory: position in the speaker's stream of the memory that the utterance is about;
        -1 for none. minds: positions of all memories that the speaker was given.
    says: the number of the fact whose what the words say; 0 for none. fact: the number
        of the fact that the memory goes back to, whatever the words still say.
    retellings: how often it has been told, with this time.
    answers: position in the town's utterances of the one just heard in this talk, whose
        news the words repeat; -1 where they do not.
    """

    hour: int
    turn: int
    speaker: int
    listener: int
    text: str
    memory: int
    minds: tuple[int, ...]
    says: int
    fact: int
    retellings: int
    answers: int = -1


class Entry(NamedTuple):
    """What somebody plans for an hour.

    text: in words. place: where, as a position in world.places. event: the number of
    the fact whose event it is for; 0 for the usual day.
    """

    text: str
    place: int
    event: int = 0


class WordTown(TownState):
    """A town of people who remember, plan, talk and reflect in words.

    `Town(people, seed=…, words=speaker)` makes one, too. people, seed, brain, rule: as
    for `Town`; the brain decides where people go by default, whether they talk and
    whether they accept, and the speaker finds the words.

    speaker: "scripted", or an object with a name and write(prompts).
    news: the facts of the world in words, by name.
    reflection, planning: switch them off to see what they are for.
    importance: "rule", or "speaker" to have the speaker rate each memory.
    turns: utterances in a talk of two who both have something to say.
    say: what to put into somebody's mouth: {(hour, name): text}, in place of the
        speaker's words, to see what comes of it.

    The state, beside that of `TownState`, whose `heard`, `told_by`, `means` and
    `attended` follow here from what the words say: streams, a `MemoryStream` for each
    person; plans, for each person the `Entry` of each hour; utterances, all that was
    said; speech_faults, how often words could not be used, by reason.

    >>> WordTown(seed=2).run(12).step
    12
    """

    ARRAYS = (
        "ids",
        "place",
        "means",
        "attended",
        "heard",
        "told_by",
        "decided",
        "trigger",
    )

    def __init__(
        self,
        people: int | Iterable[Person] | World = 25,
        *,
        seed: int = 0,
        speaker: str | Speaker = "scripted",
        news: Mapping[str, News] | None = None,
        brain: str | Brain = "scripted",
        reflection: bool = True,
        planning: bool = True,
        importance: str = "rule",
        turns: int = 2,
        rule: str = "paper",
        say: Mapping[tuple[int, str], str] | None = None,
    ) -> None:
        super().__init__(
            people,
            seed=seed,
            brain=brain,
            memory=1,  # of the kind in numbers, which nothing here reads
            reflection=reflection,
            planning=planning,
            rule=rule,
        )
        require(
            self.towns == 1,
            "people must be those of one town, at most "
            f"{len(self.world.people)}, where they speak; got {len(self.ids)}",
        )
        self.speaker = checked_speaker(speaker)
        self.importance = one_of("importance", importance, RATED)
        self.turns = whole_number("turns", turns)
        self.news = self._checked_news(TOWN_FACTS if news is None else news)
        self.say = self._checked_say(say or {})
        self.streams = [MemoryStream() for _ in self.ids]
        self.plans: list[dict[int, Entry]] = [{} for _ in self.ids]
        self.utterances: list[Utterance] = []
        self.speech_faults = Counter[str]()
        self.decided = self.means.copy()  # whether they have answered an invitation
        self._remember_own_news()

    def _checked_news(self, news: Mapping[str, News]) -> list[News]:
        """Return the facts in words, in the order of the world's, from position 1."""
        found = [News("", "")]
        for fact in self.world.facts:
            require(
                fact.name in news,
                f"news must say each fact in words; {fact.name!r} is not among "
                f"{', '.join(news)}",
            )
            words = news[fact.name]
            require(
                words.who == fact.source,
                f"news of the {fact.name} must be of its source, {fact.source}; "
                f"got {words.who}",
            )
            found.append(words)
        return found

    def _checked_say(
        self, say: Mapping[tuple[int, str], str]
    ) -> dict[tuple[int, int], str]:
        return {
            (hour, self.world.person_number(name)): text
            for (hour, name), text in say.items()
        }

    def _remember_own_news(self) -> None:
        """Let each fact's source know it, and plan for it, from the start."""
        for f, fact in enumerate(self.world.facts, 1):
            for row in np.flatnonzero(self.ids == self.world.sources[f]):
                text = self.news[f].own_sentence()
                memory = Memory(
                    text, "thought", 0, fact.importance, about=fact.source, fact=f
                )
                self.streams[row].add(memory)

    # An hour

    def run(self, steps: int) -> Self:
        """Let `steps` hours pass, one after the other. Returns the town.

        An hour that is interrupted has not begun. Warns once, at the end, where words
        could not be used.
        """
        earlier = Counter(self.faults)
        try:
            for _ in range(whole_number("steps", steps, least=0)):
                self.pass_hour()
        finally:
            new = Counter(self.faults) - earlier
            if new:
                reasons = ", ".join(f"{why}: {count}" for why, count in new.items())
                warnings.warn(
                    f"{new.total()} answers of {self.speaker.name!r} could not be used "
                    f"({reasons}); nothing of them was kept, see town.faults",
                    stacklevel=2,
                )
        return self

    def pass_hour(self) -> None:
        """Let an hour pass. In it, everybody acts on what they knew before it.

        All questions of one kind are asked in one batch, and what is said is remembered
        when all have spoken. So nothing depends on the order of people.
        """
        town = self.copied()  # so that an hour passes whole or not at all
        if town.planning and town.step % HOURS_IN_DAY == 0:
            planning.plan_day(town)  # section 4.3
        planning.go_somewhere(town)
        circles = stand_in_circles(town)
        said = dialogue.talk(town, circles)  # section 4.3.2
        heard_at = dialogue.hear(town, said)
        planning.react(town, said, heard_at)  # section 4.3.1
        perception.notice(town, circles)  # section 4.1
        if town.reflection:
            reflection.reflect(town)  # section 4.2
        town.step += 1
        self.become(town)

    def copied(self) -> Self:
        """Return a town in the same state that can go on without changing this one."""
        other = super().copied()
        other.streams = [stream.copied() for stream in self.streams]
        other.plans = [dict(plan) for plan in self.plans]
        other.utterances = list(self.utterances)
        other.speech_faults = self.speech_faults.copy()
        return other

    # What the parts of an hour ask

    def ask(self, questions: list[str]) -> list[str | Fault]:
        """Ask the speaker all questions in one batch, and count the faults."""
        replies = words_from(self.speaker, questions)
        self.speech_faults.update(
            str(reply) for reply in replies if isinstance(reply, Fault)
        )
        return replies

    def remember(self, memories: list[tuple[int, Memory]]) -> list[int]:
        """Give people memories, (row, memory) each; return their positions.

        Where the speaker rates importance, all are rated in one batch; a rating that
        cannot be used is a fault, and the rule's stands.
        """
        if self.importance == "speaker":
            memories = self._rated(memories)
        positions = []
        for row, memory in memories:
            positions.append(self.streams[row].add(memory))
            if memory.kind in ("saw", "heard"):
                self.trigger[row] -= memory.importance
        return positions

    def _rated(self, memories: list[tuple[int, Memory]]) -> list[tuple[int, Memory]]:
        questions = [prompts.importance_prompt(memory.text) for _, memory in memories]
        rated = []
        asked = zip(memories, words_from(self.speaker, questions), strict=True)
        for (row, memory), reply in asked:
            fault = str(reply) if isinstance(reply, Fault) else "no rating"
            value = None if isinstance(reply, Fault) else prompts.rating_in(reply)
            if value is None:
                self.speech_faults[f"importance: {fault}"] += 1
                value = memory.importance
            record = {**vars(memory), "importance": value}
            rated.append((row, Memory(**record)))
        return rated

    def person(self, row: int) -> Person:
        """Return who stands in a row."""
        return self.world.people[int(self.who[row])]

    def name(self, row: int) -> str:
        """Return the name of who stands in a row."""
        return self.person(row).name

    def where(self, row: int) -> str:
        """Return in words where somebody is: "in the park", "at home"."""
        return planning.place_in_words(self, row, int(self.place[row]))

    def relation(self, rows: np.ndarray, others: np.ndarray) -> np.ndarray:
        """Relation of each person to each id: 2 close, 1 acquainted, 0 stranger.

        As in numbers, but acquainted are those of whom a memory in words is about.
        """
        relation = np.full(len(rows), STRANGER)
        for k, (row, other) in enumerate(zip(rows, others, strict=True)):
            name = self.world.name_of(other)
            if self.world.close[self.who[row], other]:
                relation[k] = CLOSE
            elif any(m.about == name for m in self.streams[row].memories):
                relation[k] = ACQUAINTED
        return relation

    # What stays

    @property
    def faults(self) -> dict[str, int]:
        """How often words, or the brain's answer, could not be used, by reason."""
        total = Counter(self.answers.faults) + self.speech_faults
        return dict(sorted(total.items()))

    def arrays(self) -> dict[str, np.ndarray]:
        """Return all arrays of the state by name, as a checkpoint keeps them."""
        own = {name: getattr(self, name) for name in self.ARRAYS}
        return {**own, **self.answers.arrays()}

    def digest(self) -> str:
        """Return a hash of the whole state, in 64 hexadecimal digits.

        It is equal for two towns that will go on alike, and another after any change.
        At which address a server has the model makes no difference.
        """
        return checkpoint.digest(self._record(), self.arrays())

    def save(self, path: str | Path) -> None:
        """Write a checkpoint, whole or not at all."""
        origins = {what: origin_of(mind) for what, mind in self._minds().items()}
        checkpoint.write(path, self._record(origins=origins), self.arrays())

    @classmethod
    def load(
        cls,
        path: str | Path,
        *,
        speaker: str | Speaker = "scripted",
        brain: str | Brain = "scripted",
    ) -> "WordTown":
        """Read a checkpoint; running on from it equals never having stopped.

        speaker, brain: those that ran the town, with their servers. Raises ValueError
        for others and for a file that is none, and FileNotFoundError.
        """
        record, arrays = checkpoint.read(path)
        words: Any = record.get("words")
        require(
            words is not None,
            f"{path} is a checkpoint of a town in numbers: Town.load reads it",
        )
        town = cls(
            World.from_json(record["world"]),
            seed=record["seed"],
            speaker=speaker,
            brain=brain,
            news={name: News(**fact) for name, fact in words["news"].items()},
            **record["settings"],
        )
        ran = {"speaker": words["speaker"], "brain": record["brain"]}
        for what, given in town._minds().items():
            was = (ran[what], record.get("origins", {}).get(what, ""))
            now = (identity_of(given), origin_of(given))
            check_same(path, what, was, now, "WordTown.load")
        town.step = record["step"]
        for name in cls.ARRAYS:
            setattr(town, name, arrays[name])
        town.assign_ids(town.ids)
        town.answers.restore(arrays, record["counts"])
        town.say = {(hour, who): text for hour, who, text in words["say"]}
        town.streams = [MemoryStream.from_json(each) for each in words["streams"]]
        town.plans = [
            {int(hour): Entry(*entry) for hour, entry in plan.items()}
            for plan in words["plans"]
        ]
        town.utterances = [_utterance(each) for each in words["utterances"]]
        town.speech_faults = Counter(words["faults"])
        return town

    def _minds(self) -> dict[str, Any]:
        """Return who finds the words and who decides: a speaker and a brain."""
        return {"speaker": self.speaker, "brain": self.brain}

    def _record(self, **more: Any) -> str:
        """Return all that is not an array, as JSON."""
        settings = {
            "reflection": self.reflection,
            "planning": self.planning,
            "importance": self.importance,
            "turns": self.turns,
            "rule": self.rule,
        }
        names = [fact.name for fact in self.world.facts]
        news = {n: asdict(f) for n, f in zip(names, self.news[1:], strict=True)}
        words = {
            "speaker": identity_of(self.speaker),
            "news": news,
            "say": [[*key, text] for key, text in sorted(self.say.items())],
            "streams": [stream.to_json() for stream in self.streams],
            "plans": [dict(sorted(plan.items())) for plan in self.plans],
            "utterances": [list(vars(each).values()) for each in self.utterances],
            "faults": dict(sorted(self.speech_faults.items())),
        }
        record = {
            "brain": identity_of(self.brain),
            "seed": self.seed,
            "step": self.step,
            "counts": self.answers.counts,
            "settings": settings,
            "world": self.world.to_json(),
            "words": words,
            **more,
        }
        return json.dumps(record, sort_keys=True)

    def edited(self, person: str, position: int, text: str) -> Self:
        """Return a copy of the town in which one memory has another text.

        What the copy does from here on shows what the memory was good for. Words that
        say a fact are as important as the fact is.
        """
        row = self.row_of(person)
        stream = self.streams[row]
        position = whole_number("position", position, least=0, most=len(stream) - 1)
        other = self.copied()
        old = stream.memories[position]
        fact = dialogue.fact_said(other, text, self.name(row))
        news = self.world.facts[fact - 1].importance if fact else old.importance
        change = {"text": text, "fact": fact, "importance": news}
        other.streams[row].memories[position] = Memory(**{**vars(old), **change})
        return other

    def row_of(self, person: str) -> int:
        """Return the row of a person; ValueError for one who is not in this run."""
        rows = np.flatnonzero(self.ids == self.world.person_number(person))
        require(
            len(rows),
            f"{person} is not among the {len(self.ids)} people of this run; "
            "run with more people",
        )
        return int(rows[0])


def _utterance(record: list[Any]) -> Utterance:
    values = copy.copy(record)
    values[6] = tuple(values[6])  # minds
    return Utterance(*values)
