"""Who says what to whom? Talk turn by turn, after Park et al. 2023, section 4.3.2.

Who stands beside whom, and who begins to talk, is as in the town in numbers. Each turn
is conditioned on what comes to the speaker's mind about the listener, and on what was
said in this talk so far.
"""

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from smallscale.simulation.brains import Fault, Scripted
from smallscale.simulation.conversations import Circles
from smallscale.simulation.counter_rng import pick_one, uniform
from smallscale.simulation.questions import TOPICS_IN_MIND
from smallscale.simulation.state import NEVER, NOBODY
from smallscale.simulation.words import prompts
from smallscale.simulation.words.facts import still_says
from smallscale.simulation.words.speakers import checked_words
from smallscale.simulation.words.stream import Memory

if TYPE_CHECKING:
    from smallscale.simulation.words.town import Utterance, WordTown

SMALL_TALK_IMPORTANCE = 2
NOTHING = -1


class Talk(NamedTuple):
    """Two who talk, as rows. replies: whether the second has something to say too."""

    opener: int
    other: int
    replies: bool


class Turn(NamedTuple):
    """What a turn starts from: who speaks to whom, and what comes to mind.

    minds: positions in the speaker's stream. about: the one that they speak of.
    """

    speaker: int
    listener: int
    minds: tuple[int, ...]
    about: int


class Last(NamedTuple):
    """What was said last in a talk: its position among the town's utterances, and it.

    At the beginning nothing was.
    """

    number: int = -1
    utterance: "Utterance | None" = None

    @property
    def text(self) -> str:
        """The words, "" for none."""
        return self.utterance.text if self.utterance else ""


def talk(town: "WordTown", circles: Circles) -> "list[Utterance]":
    """Let neighbours talk, turn by turn; return what was said, in order.

    All first turns of the hour are asked in one batch, then all second ones. A talk
    ends where the speaker finds no usable words.
    """
    going = [(pair, Last()) for pair in talks_of(town, circles)]
    said: list[Utterance] = []
    for turn in range(town.turns):
        going = [(pair, last) for pair, last in going if turn == 0 or pair.replies]
        turns = [_prepared(town, pair, turn, last.text) for pair, last in going]
        texts = _worded(town, turns, [last.text for _, last in going])
        spoken = []
        for (pair, last), prepared, text in zip(going, turns, texts, strict=True):
            if not isinstance(text, Fault):
                number = len(town.utterances) + len(said)
                said.append(_utterance(town, turn, prepared, text, last))
                spoken.append((pair, Last(number, said[-1])))
        going = spoken
    return said


def talks_of(town: "WordTown", circles: Circles) -> list[Talk]:
    """Return who talks: neighbours of whom at least one begins, by the brain."""
    partner = np.full(len(town.ids), NOBODY)
    partner[circles.first] = circles.second
    partner[circles.second] = circles.first
    rows = np.flatnonzero(partner >= 0)
    relation = town.relation(rows, town.ids[partner[rows]])
    begins = np.zeros(len(town.ids), bool)
    begins[rows] = town.choose("talk", rows, relation) == 1
    found = []
    for first in np.sort(circles.first).tolist():
        second = int(partner[first])
        if begins[first] or begins[second]:
            opener, other = (first, second) if begins[first] else (second, first)
            found.append(Talk(opener, other, bool(begins[first] and begins[second])))
    return found


def _prepared(town: "WordTown", pair: Talk, turn: int, last: str) -> Turn:
    """Let come to mind what concerns the listener, the place, and what was just said.

    Of up to three memories one is spoken of; news weighs more, as in numbers. Nobody is
    told their own news.
    """
    speaks, hears = pair.opener, pair.other
    if turn % 2:
        speaks, hears = hears, speaks
    stream = town.streams[speaks]
    own = {f for f, s in enumerate(town.world.sources) if s == town.ids[hears]}
    among = [i for i, m in enumerate(stream.memories) if m.fact not in own]
    query = f"{town.name(hears)} {town.where(speaks)} {last}"
    minds = stream.retrieve(
        query, town.step, TOPICS_IN_MIND, rule=town.rule, among=among
    )
    if not minds:
        return Turn(speaks, hears, (), NOTHING)
    weights = [_weight(stream.memories[i]) for i in minds]
    (luck,) = uniform(town.ids[[speaks]], town.seed, town.step, "say in words", turn)
    about = minds[pick_one(np.array(weights), float(luck))]
    return Turn(speaks, hears, tuple(minds), about)


def _weight(memory: Memory) -> float:
    return 1 + Scripted.NEWS * memory.importance if memory.fact else 1.0


def turn_prompt(town: "WordTown", turn: Turn, last: str) -> str:
    """Return what the speaker is asked: the memory to speak of stands last."""
    stream = town.streams[turn.speaker]
    others = [i for i in turn.minds if i != turn.about]
    chosen = [*others[:1], *([turn.about] if turn.minds else [])]
    return prompts.talk_prompt(
        town.name(turn.speaker),
        town.name(turn.listener),
        [stream.memories[i].text for i in chosen],
        last,
    )


def _worded(town: "WordTown", turns: list[Turn], lasts: list[str]) -> list[str | Fault]:
    """Return the words of each turn: what is put into a mouth, or the speaker's."""
    given = [town.say.get((town.step, int(town.ids[turn.speaker]))) for turn in turns]
    questions = [
        turn_prompt(town, turn, last)
        for turn, last, text in zip(turns, lasts, given, strict=True)
        if text is None
    ]
    replies = iter(town.ask(questions))
    return [next(replies) if text is None else checked_words(text) for text in given]


def _utterance(
    town: "WordTown", turn: int, prepared: Turn, text: str, last: Last
) -> "Utterance":
    """Return what was said, with where its news came from: the memory spoken of, else
    another of those in mind, else what was just heard."""
    from smallscale.simulation.words.town import Utterance

    stream = town.streams[prepared.speaker]
    memory = stream.memories[prepared.about] if prepared.minds else None
    says = fact_said(town, text, town.name(prepared.speaker))
    fact = memory.fact if memory else 0
    before = memory.retellings if memory else 0
    answers = NOTHING
    if says and says != fact:
        held = [i for i in prepared.minds if stream.memories[i].fact == says]
        heard = last.utterance
        if held:
            prepared = prepared._replace(about=held[0])
            fact, before = says, stream.memories[held[0]].retellings
        elif heard and says in (heard.says, heard.fact):
            answers = last.number
            fact, before = says, heard.retellings
    return Utterance(
        hour=town.step,
        turn=turn,
        speaker=int(town.ids[prepared.speaker]),
        listener=int(town.ids[prepared.listener]),
        text=text,
        memory=prepared.about,
        minds=prepared.minds,
        says=says,
        fact=fact,
        retellings=before + 1 if fact else 0,
        answers=answers,
    )


def fact_said(town: "WordTown", text: str, speaker: str) -> int:
    """Return the number of the fact whose what the words say; 0 for none."""
    for f, fact in enumerate(town.news):
        if f and still_says(fact, text, speaker=speaker)["what"]:
            return f
    return 0


def hear(town: "WordTown", said: "list[Utterance]") -> list[int]:
    """Let everybody remember what they were told; return the memories' positions.

    It happens when all have spoken, so nothing is passed on in the hour it is heard.
    """
    memories = []
    for utterance in said:
        number = len(town.utterances)
        town.utterances.append(utterance)
        row = row_of(town, utterance.listener)
        teller = town.world.name_of(utterance.speaker)
        fact = utterance.says or utterance.fact
        news = town.world.facts[fact - 1].importance if fact else 0
        memories.append(
            (
                row,
                Memory(
                    f'{teller} said: "{utterance.text}"',
                    "heard",
                    town.step,
                    news or SMALL_TALK_IMPORTANCE,
                    about=teller,
                    fact=fact,
                    retellings=utterance.retellings if fact else 0,
                    said=number,
                ),
            )
        )
        if utterance.says and town.heard[row, utterance.says] == NEVER:
            town.heard[row, utterance.says] = town.step
            town.told_by[row, utterance.says] = utterance.speaker
    return town.remember(memories)


def row_of(town: "WordTown", person_id: int) -> int:
    """Return the row of a person's id."""
    return int(np.flatnonzero(town.ids == person_id)[0])
