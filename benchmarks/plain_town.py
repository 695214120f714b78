"""The town's rules once more, one person at a time, in plain Python.

Written from the rules, not from the arrays' code: lists of memories, loops over people.
The arrays must agree with it, and be faster. Only the world, the scripted brain's rules
and the definition of luck are shared. `tests/simulation` compares the two; `town.py`
here runs these residents as mesa's agents.
"""

import math
from collections import defaultdict, deque
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Self

from smallscale.simulation.brains import Scripted
from smallscale.simulation.counter_rng import GOLDEN, purpose_key, splitmix64
from smallscale.simulation.questions import Question
from smallscale.simulation.world import (
    DESTINATIONS,
    PUBLIC_PLACES,
    ROUTINE_LETTERS,
    Person,
    World,
)

SEEN = 1
HEARD = 2
THOUGHT = 3
NO_EVIDENCE = (-1, -1, -1)
Detail = tuple[int, ...]


@cache
def key(purpose: tuple[object, ...]) -> int:
    return purpose_key(purpose)


def bits(number: int, *purpose: object) -> int:
    """64 random bits of a person."""
    return splitmix64(number * GOLDEN + key(purpose))


def luck(number: int, *purpose: object) -> float:
    """A random number in [0, 1) of a person."""
    return (bits(number, *purpose) >> 11) / 2**53


@dataclass(slots=True)
class Memory:
    serial: int
    kind: int
    topic: int
    subject: int
    importance: int
    accessed: int
    evidence: tuple[int, ...] = NO_EVIDENCE


def scaled(values: Sequence[float]) -> list[float]:
    low = min(values)
    high = max(values)
    if high == low:
        return [0.5] * len(values)
    return [(value - low) / (high - low) for value in values]


class Resident:
    """One person. An hour has parts: all act on what they knew when it struck."""

    def live(self, country: "Country", number: int) -> Self:
        """Move in: the state of a person before the first hour."""
        world = country.world
        self.country = country
        self.number = number
        self.town, self.who = divmod(number, len(world.people))
        self.person: Person = world.people[self.who]
        self.memories: deque[Memory] = deque(maxlen=country.memory)
        self.made = 0  # memories so far
        self.trigger = 40
        self.said = 0
        self.awake = False
        self.place = self.home()
        self.heard: dict[int, tuple[int, int]] = {}  # fact: (hour, from whom)
        self.means: set[int] = set()
        self.attended: set[int] = set()
        for f, fact in enumerate(world.facts, 1):
            if number == world.names.index(fact.source):
                self.heard[f] = (0, number)
                self.remember(HEARD, f, number, fact.importance, 0)
                if fact.place:
                    self.means.add(f)
        return self

    def remember(
        self,
        kind: int,
        topic: int,
        subject: int,
        importance: int,
        now: int,
        evidence: tuple[int, ...] = NO_EVIDENCE,
    ) -> None:
        self.memories.append(
            Memory(self.made, kind, topic, subject, importance, now, evidence)
        )
        self.made += 1

    def choose(self, kind: str, draw: float, *detail: int) -> int:
        """The option that a draw falls on."""
        sums, values = self.country.answer(kind, self.who, detail)
        reached = draw * sums[-1]
        return values[sum(reached >= bound for bound in sums[:-1])]

    def luck_now(self, use: str) -> float:
        return luck(self.number, self.country.seed, self.country.step, use)

    def retrieve(self, topic: int, subject: int, few: int = 3) -> list[Memory]:
        """The memories that come to mind, best first; they are touched by it."""
        now = self.country.step
        if not self.memories:
            return []
        slots = self.country.memory or self.made
        stream = sorted(self.memories, key=lambda memory: memory.serial % slots)
        recency = scaled([0.995 ** (now - m.accessed) for m in stream])
        importance = scaled([m.importance for m in stream])
        relevance = scaled(
            [(m.topic == topic) + (m.subject == subject) for m in stream]
        )
        scores = [
            sum(terms) for terms in zip(recency, importance, relevance, strict=True)
        ]
        # Sorting is stable: of equal scores the lower slot comes first.
        best = sorted(range(len(stream)), key=lambda i: -scores[i])[:few]
        for i in best:
            stream[i].accessed = now
        return [stream[i] for i in best]

    def topics_in_mind(self, topic: int, subject: int) -> tuple[int, ...]:
        topics = sorted({memory.topic for memory in self.retrieve(topic, subject)})
        return (0,) * (3 - len(topics)) + tuple(topics)

    def relation(self, other: int) -> int:
        """2 close, 1 acquainted, 0 stranger."""
        world = self.country.world
        town, who = divmod(other, len(world.people))
        if town == self.town and who != self.who and self.is_tied_to(world.people[who]):
            return 2
        return int(any(memory.subject == other for memory in self.memories))

    def is_tied_to(self, other: Person) -> bool:
        me = self.person
        colleagues = me.work == other.work != "home"
        friends = other.name in me.friends or me.name in other.friends
        return me.home == other.home or colleagues or friends

    def decide_to_attend(self, f: int) -> None:
        world = self.country.world
        host = world.names.index(world.facts[f - 1].source)
        draw = luck(self.number, self.country.seed, "join", f)
        goes = self.choose("join", draw, self.relation(host), f)
        if goes or self.number == host:
            self.means.add(f)
        else:
            self.means.discard(f)

    def topic_of_place(self) -> int:
        world = self.country.world
        slot = self.place % len(world.places)
        return len(world.facts) + 1 + min(slot, len(PUBLIC_PLACES))

    def slot(self, destination: str) -> int:
        name = self.person.work if destination == "work" else destination
        if name == "home":
            return len(PUBLIC_PLACES) + self.country.world.homes.index(self.person.home)
        return PUBLIC_PLACES.index(name)

    def home(self) -> int:
        return self.town * len(self.country.world.places) + self.slot("home")

    def go(self) -> None:
        """Spend the hour somewhere."""
        country = self.country
        world = country.world
        hour = country.step % 24
        letter = self.person.routine[hour]
        self.awake = letter != "."
        if not self.awake:
            self.place = self.home()
            return
        event = self.event_to_attend()
        self.place = self.home()
        plan = DESTINATIONS.index(ROUTINE_LETTERS[letter])
        if not country.planning:
            plan = len(DESTINATIONS)
        choice = self.choose("go", self.luck_now("go"), hour, plan, event)
        if choice == len(DESTINATIONS):
            self.place = PUBLIC_PLACES.index(world.facts[event - 1].place)
            self.attended.add(event)
            return
        town = self.town
        travels = self.luck_now("outing") / 0.1
        if choice >= 2 and travels < 1:
            town = int(travels * country.towns)
        self.place = town * len(world.places) + self.slot(DESTINATIONS[choice])

    def event_to_attend(self) -> int:
        """The event that is on and that they mean to attend, 0 for none."""
        country = self.country
        on = []
        for f, fact in enumerate(country.world.facts, 1):
            begin, end = fact.hours
            if fact.place and begin <= country.step < end:
                on.append(f)
        if on and not country.planning:
            minds = self.topics_in_mind(self.topic_of_place(), -1)
            for f in on:
                self.means.discard(f)
                if f in minds:
                    self.decide_to_attend(f)
        return max((f for f in on if f in self.means), default=0)

    def think(self, partner: "Resident") -> None:
        """Decide whether to talk to a neighbour, and of what."""
        relation = self.relation(partner.number)
        self.said = 0
        if self.choose("talk", self.luck_now("talk"), relation):
            minds = self.topics_in_mind(self.topic_of_place(), partner.number)
            minds = self.without_news_of(partner, minds)
            self.said = self.choose("say", self.luck_now("say"), relation, *minds)

    def without_news_of(
        self, partner: "Resident", minds: tuple[int, ...]
    ) -> tuple[int, ...]:
        """The topics, ascending, with 0 in place of the partner's own news."""
        facts = self.country.world.facts
        own = [
            f
            for f, fact in enumerate(facts, 1)
            if fact.source == partner.person.name and partner.town == 0
        ]
        return tuple(sorted(0 if topic in own else topic for topic in minds))

    def hear(self, topic: int, teller: "Resident") -> None:
        world = self.country.world
        step = self.country.step
        is_news = topic <= len(world.facts)
        importance = world.facts[topic - 1].importance if is_news else 2
        self.remember(HEARD, topic, teller.number, importance, step)
        self.trigger -= importance
        if is_news and topic not in self.heard:
            self.heard[topic] = (step, teller.number)
            fact = world.facts[topic - 1]
            if fact.place and self.country.planning and step < fact.hours[1]:
                self.decide_to_attend(topic)

    def notice(self, others: "list[Resident]") -> None:
        topic = self.topic_of_place()
        latest = list(self.memories)[-5:]
        known = {memory.subject for memory in latest if memory.topic == topic}
        for other in others:
            if other.number not in known:
                self.remember(SEEN, topic, other.number, 1, self.country.step)
                self.trigger -= 1

    def reflect(self) -> None:
        if self.trigger > 0 or not self.country.reflection:
            return
        recent = list(self.memories)[-30:][::-1]
        companion = self.met_most(recent)
        foci = []
        while recent and len(foci) < 3:
            # Of equals, max returns the first: the latest.
            focus = max(recent, key=lambda memory: memory.importance)
            foci.append((focus.topic, focus.importance))
            recent = [memory for memory in recent if memory.topic != focus.topic]
        thoughts = []
        for topic, importance in foci:
            evidence = self.retrieve(topic, companion)
            serials = tuple(memory.serial for memory in evidence)
            serials += (-1,) * (3 - len(serials))
            thoughts.append((topic, importance, serials))
        for topic, importance, serials in thoughts:
            step = self.country.step
            self.remember(THOUGHT, topic, companion, importance, step, serials)
        self.trigger = 40

    def met_most(self, recent: list[Memory]) -> int:
        """Who stands in most of these memories; of equals the one who stands first."""
        others = [each.subject for each in recent if each.subject != self.number]
        return max(others, key=others.count, default=self.number)


class Country:
    """All of them. residents: objects with a Resident's methods, as mesa's agents."""

    def __init__(
        self,
        people: int = 25,
        *,
        seed: int = 0,
        memory: int | None = None,
        reflection: bool = True,
        planning: bool = True,
        residents: Sequence[Any] | None = None,
    ) -> None:
        self.world = World()
        self.brain = Scripted()
        self.seed = seed
        self.memory = memory
        self.reflection = reflection
        self.planning = planning
        self.step = 0
        self.towns = math.ceil(people / len(self.world.people))
        self.answers: dict[tuple[str, int, Detail], tuple[list[float], Detail]] = {}
        self.log: list[tuple[int, ...]] = []
        movers = residents or [Resident() for _ in range(people)]
        self.residents = [mover.live(self, i) for i, mover in enumerate(movers)]

    def answer(self, kind: str, who: int, detail: Detail) -> tuple[list[float], Detail]:
        """The cumulative weights of a question's options, and the options' values."""
        known = self.answers.get((kind, who, detail))
        if known is None:
            question = Question(self.world, kind, who, detail)
            (weights,) = self.brain.answer([question])
            known = cumulative(weights), question.option_values
            self.answers[kind, who, detail] = known
        return known

    def hour(self) -> None:
        """Let an hour pass."""
        self.all("go")
        circles = self.circles()
        pairs = []
        for circle in circles:
            for i in range(0, len(circle) - 1, 2):
                pairs.append((circle[i], circle[i + 1]))
        self.talk(pairs)
        for circle in circles:
            few = min(3, len(circle) - 1)
            for i, resident in enumerate(circle):
                steps = range(1, few + 1)
                resident.notice([circle[(i + k) % len(circle)] for k in steps])
        self.all("reflect")
        self.step += 1

    def circles(self) -> list[list[Any]]:
        """Those awake, by place, in an order that luck decides."""
        at = defaultdict(list)
        for resident in self.residents:
            if resident.awake:
                at[resident.place].append(resident)
        circles = list(at.values())
        for circle in circles:
            circle.sort(key=lambda r: bits(r.number, self.seed, self.step, "meet"))
        return circles

    def talk(self, pairs: list[tuple[Any, Any]]) -> None:
        for a, b in pairs:
            a.think(b)
            b.think(a)
        for a, b in pairs:
            if b.said:
                a.hear(b.said, b)
            if a.said:
                b.hear(a.said, a)
            if a.said or b.said:
                self.log.append((self.step, a.number, b.number, a.said, b.said))

    def all(self, does: str) -> None:
        """Let every resident do something."""
        for resident in self.residents:
            getattr(resident, does)()


def cumulative(weights: Sequence[float]) -> list[float]:
    """The running sums of weights, as shares of their total."""
    total = sum(weights)
    sums: list[float] = []
    reached = 0.0
    for weight in weights:
        reached += weight / total
        sums.append(reached)
    return sums
