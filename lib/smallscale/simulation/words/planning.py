"""What will they do, and what changes their mind? Plans in words, hour by hour.

After Park et al. 2023, section 4.3: a day in broad strokes, broken into hours, and
revised when something happens. Here the strokes are the stretches of a day that a
person's routine has them in one place; the speaker says what for. When somebody hears
of an event in words that still tell its place and its time, they decide, and say why.
"""

from itertools import groupby
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from smallscale.simulation.brains import Fault
from smallscale.simulation.counter_rng import uniform
from smallscale.simulation.plans import ATTEND_EVENT
from smallscale.simulation.questions import UNPLANNED
from smallscale.simulation.words import prompts
from smallscale.simulation.words.stream import Memory
from smallscale.simulation.words.times import hour_told, place_told
from smallscale.simulation.world import (
    DESTINATIONS,
    HOURS_IN_DAY,
    PUBLIC_PLACES,
    clock,
)

if TYPE_CHECKING:
    from smallscale.simulation.words.town import Utterance, WordTown

IMPORTANCE_OF_PLANS = 1
IMPORTANCE_OF_DECISIONS = 4
MINDS = 1  # memories that a plan is made with
SHORT = 2  # hours: what is shorter is not worth words of its own


class Stretch(NamedTuple):
    """Hours of a day that somebody spends in one place. begin, end: of the run."""

    row: int
    begin: int
    end: int
    place: int


def plan_day(town: "WordTown") -> None:
    """Let everybody plan the day that begins now, all in one batch."""
    from smallscale.simulation.words.town import Entry

    stretches = [s for row in range(len(town.ids)) for s in stretches_of(town, row)]
    asked = [s for s in stretches if s.end - s.begin >= SHORT]
    replies = dict(
        zip(asked, town.ask([_plan_question(town, s) for s in asked]), strict=True)
    )
    memories = []
    for stretch in stretches:
        row = stretch.row
        where = place_in_words(town, row, stretch.place)
        reply = replies.get(stretch, Fault())
        if isinstance(reply, Fault):
            text = f"I will be {where}."  # by the routine; it is not remembered
        else:
            text = f"I will {reply.removeprefix('I will').strip()}"
            planned = f"{_span(stretch)}, {where}: {text}"
            memory = Memory(planned, "planned", town.step, IMPORTANCE_OF_PLANS)
            memories.append((row, memory))
        for hour in range(stretch.begin, stretch.end):  # decomposed into hours
            town.plans[row].setdefault(hour, Entry(text, stretch.place))
    town.remember(memories)
    if town.step == 0:
        _plan_own_events(town)


def _plan_own_events(town: "WordTown") -> None:
    """Let each host plan to be at their own event."""
    for f, fact in enumerate(town.world.facts, 1):
        for row in np.flatnonzero(town.ids == town.world.sources[f]):
            if fact.is_event:
                place = PUBLIC_PLACES.index(fact.place)
                _mean_to_go(town, int(row), f, place, town.news[f].own_sentence())


def _mean_to_go(town: "WordTown", row: int, f: int, place: int, text: str) -> None:
    """Put an event into somebody's plan, for the hours that it lasts."""
    from smallscale.simulation.words.town import Entry

    town.means[row, f] = True
    for hour in range(*town.world.facts[f - 1].hours):
        town.plans[row][hour] = Entry(text, place, f)


def stretches_of(town: "WordTown", row: int) -> list[Stretch]:
    """Return the stretches of somebody's waking day in one place, in order."""
    who = town.who[row]
    hours = range(HOURS_IN_DAY)
    where = [
        int(town.world.slot[who, town.world.plan[who, hour]])
        if town.world.awake[who, hour]
        else None
        for hour in hours
    ]
    found = []
    for place, group in groupby(hours, key=lambda hour: where[hour]):
        together = list(group)
        if place is not None:
            begin = town.step + together[0]
            found.append(Stretch(row, begin, begin + len(together), place))
    return found


def _plan_question(town: "WordTown", stretch: Stretch) -> str:
    person = town.person(stretch.row)
    where = place_in_words(town, stretch.row, stretch.place)
    stream = town.streams[stretch.row]
    thoughts = [i for i, m in enumerate(stream.memories) if m.kind == "thought"]
    found = stream.retrieve(
        f"{_span(stretch)} {where}", town.step, MINDS, rule=town.rule, among=thoughts
    )
    minds = [stream.memories[i].text for i in found]
    return prompts.plan_prompt(
        person.name, person.job, person.age, _span(stretch), where, minds
    )


def _span(stretch: Stretch) -> str:
    """Return a stretch in words: "Monday, 05:00 to 13:00"."""
    day, begins = clock(stretch.begin).split()
    _, ends = clock(stretch.end).split()
    return f"{day}, {begins} to {ends}"


def place_in_words(town: "WordTown", row: int, place: int) -> str:
    """Return where a place of the town is for somebody: "in the park", "at home"."""
    if place < len(PUBLIC_PLACES):
        return f"in the {PUBLIC_PLACES[place]}"
    home = town.world.slot[town.who[row], DESTINATIONS.index("home")]
    return "at home" if home == place else f"at {town.world.places[place]}"


def go_somewhere(town: "WordTown") -> None:
    """Let everybody who is awake spend the hour where they plan to; the others sleep.

    How faithfully people keep to a plan is the brain's, and their luck is that of the
    town in numbers.
    """
    rows = town.awake()
    who = town.who[rows]
    hour = town.step % HOURS_IN_DAY
    plan = town.world.plan[who, hour] if town.planning else UNPLANNED
    entries = [town.plans[row].get(town.step) for row in rows]
    events = np.array([entry.event if entry else 0 for entry in entries], int)
    choice = town.choose("go", rows, hour, plan, events)
    town.place = town.homes()
    town.place[rows] = town.world.slot[who, np.minimum(choice, len(DESTINATIONS) - 1)]
    for k in np.flatnonzero(choice == ATTEND_EVENT):
        row, f = int(rows[k]), int(events[k])
        entry = entries[k]
        assert entry is not None  # it is where the event came from
        town.place[row] = entry.place
        is_there = entry.place == town.world.venue[f]
        if is_there and town.world.facts[f - 1].is_on(town.step):
            town.attended[row, f] = True


def react(town: "WordTown", said: "list[Utterance]", heard_at: list[int]) -> None:
    """Let those decide who have just been told of an event, its place and its hour.

    Whether they accept is the brain's, by how close they are to the host, and their
    luck that of the town in numbers; the speaker finds the reason, all in one batch.
    heard_at: the position of the listener's memory of each utterance.
    """
    invited = _invited(town, said)
    memory_of = dict(zip(said, heard_at, strict=True))
    goes = [_accepts(town, row, f) for row, f in invited]
    questions = []
    asked = zip(invited.items(), goes, strict=True)
    for ((row, f), (utterance, place, hour)), accepts in asked:
        del f, place
        entry = town.plans[row].get(hour)
        plan = entry.text if entry else "I will rest."
        heard = f'{town.world.name_of(utterance.speaker)} said: "{utterance.text}"'
        questions.append(
            prompts.revision_prompt(town.name(row), clock(hour), plan, heard, accepts)
        )
    replies = town.ask(questions)
    memories = []
    decided = zip(invited.items(), goes, replies, strict=True)
    for ((row, f), (utterance, place, hour)), accepts, reply in decided:
        what = town.world.topics[f]
        will = "will" if accepts else "will not"
        reason = "" if isinstance(reply, Fault) else f", because {reply.rstrip('.')}"
        where = place_in_words(town, row, place)
        text = f"On {_day_and_hour(hour)} I {will} go to {what} {where}{reason}."
        decision = Memory(
            text,
            "planned",
            town.step,
            IMPORTANCE_OF_DECISIONS,
            evidence=(memory_of[utterance],),
            about=town.world.facts[f - 1].source,
            fact=f,
            retellings=utterance.retellings,
        )
        memories.append((row, decision))
        _plan_event(town, row, f, place, hour, text, accepts)
    town.remember(memories)


def _plan_event(
    town: "WordTown",
    row: int,
    f: int,
    place: int,
    hour: int,
    text: str,
    accepts: bool,
) -> None:
    """Revise somebody's plan from the hour that they were told, as long as it lasts."""
    from smallscale.simulation.words.town import Entry

    town.decided[row, f] = True
    if not accepts:
        return
    town.means[row, f] = True
    begin, end = town.world.facts[f - 1].hours
    for later in range(hour, hour + end - begin):
        town.plans[row][later] = Entry(text, place, f)


def _invited(
    town: "WordTown", said: "list[Utterance]"
) -> "dict[tuple[int, int], tuple[Utterance, int, int]]":
    """Return who was told what of which event: (row, fact) -> words, place, hour.

    Only words that tell of the event, a public place and a later hour are an
    invitation; the place and the hour may be wrong. Nobody decides twice.
    """
    found: dict[tuple[int, int], tuple[Utterance, int, int]] = {}
    for utterance in said:
        f = utterance.says
        row = int(np.flatnonzero(town.ids == utterance.listener)[0])
        is_event = f > 0 and town.world.facts[f - 1].is_event
        if not is_event or not town.planning or town.decided[row, f]:
            continue
        place = place_told(utterance.text)
        hour = hour_told(utterance.text, town.step)
        if place is not None and hour is not None and (row, f) not in found:
            found[row, f] = (utterance, PUBLIC_PLACES.index(place), hour)
    return found


def _accepts(town: "WordTown", row: int, f: int) -> bool:
    """Return whether somebody accepts; the host needs no invitation."""
    host = town.world.sources[f]
    rows = np.array([row])
    relation = town.relation(rows, np.array([host]))
    luck = uniform(town.ids[rows], town.seed, "join", f)
    goes = town.answers.choose("join", luck, town.who[rows], relation, f)
    return bool(goes[0] == 1)


def _day_and_hour(hour: int) -> str:
    day, time = clock(hour).split()
    return f"{day} at {time}"
