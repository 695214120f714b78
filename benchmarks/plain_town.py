"""The town's rules once more, one person at a time, in plain Python: the arrays must agree with it, and be faster.

Written from the rules, not from the arrays' code: lists of memories, loops over people. Only the world, the scripted
brain's rules and the definition of chance are shared. `tests/simulation` compares the two; `town.py` here runs these
residents as mesa's agents.
"""

import math
from collections import defaultdict, deque
from dataclasses import dataclass
from functools import cache
from hashlib import blake2b

from smallscale.simulation.brains import Question, Scripted
from smallscale.simulation.world import GO, PUBLIC, World

ALL = 2**64 - 1


@cache
def key(purpose: tuple) -> int:
    return int.from_bytes(
        blake2b(repr(purpose).encode(), digest_size=8).digest(), "little"
    )


def bits(who: int, *purpose: object) -> int:
    z = (who * 0x9E3779B97F4A7C15 + key(purpose)) & ALL
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & ALL
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & ALL
    return z ^ (z >> 31)


def draw(who: int, *purpose: object) -> float:
    return (bits(who, *purpose) >> 11) / 2**53


@dataclass(slots=True)
class Memory:
    serial: int
    kind: int
    topic: int
    subject: int
    importance: int
    accessed: int
    evidence: tuple = (-1, -1, -1)


def scaled(values: list[float]) -> list[float]:
    low, high = min(values), max(values)
    return (
        [(v - low) / (high - low) for v in values]
        if high > low
        else [0.5] * len(values)
    )


class Resident:
    """One person: what a step does is split in parts, so that all act on what they knew when the hour struck."""

    def live(self, country: "Country", number: int) -> "Resident":
        world = country.world
        self.country, self.number = country, number
        self.town, self.who = divmod(number, len(world.people))
        self.person = world.people[self.who]
        self.memories: deque[Memory] = deque(maxlen=country.memory)
        self.made, self.trigger = 0, 40
        self.heard: dict[int, tuple[int, int]] = {}  # fact: (hour, from whom)
        self.means: set[int] = set()
        self.attended: set[int] = set()
        for f, fact in enumerate(world.facts, 1):
            if number == world.names.index(fact.source):
                self.heard[f] = (0, number)
                self.remember(2, f, number, fact.importance, 0)
                if fact.place:
                    self.means.add(f)
        return self

    def remember(self, kind, topic, subject, importance, now, evidence=(-1, -1, -1)):
        self.memories.append(
            Memory(self.made, kind, topic, subject, importance, now, evidence)
        )
        self.made += 1

    def choose(self, kind, draw, *detail):
        sums, chosen = self.country.answer(kind, self.who, detail)
        draw *= sums[-1]
        return chosen[sum(draw >= bound for bound in sums[:-1])]

    def retrieve(self, topic, subject, few=3):
        now = self.country.step
        if not self.memories:
            return []
        slots = self.country.memory
        stream = sorted(self.memories, key=lambda m: m.serial % slots)
        recency = scaled([0.995 ** (now - m.accessed) for m in stream])
        weight = scaled([m.importance for m in stream])
        match = scaled([(m.topic == topic) + (m.subject == subject) for m in stream])
        scores = [r + w + m for r, w, m in zip(recency, weight, match, strict=True)]
        best = sorted(range(len(stream)), key=lambda i: -scores[i])[
            :few
        ]  # stable: equals in order of their slots
        for i in best:
            stream[i].accessed = now
        return [stream[i] for i in best]

    def minds(self, topic, subject):
        topics = sorted({m.topic for m in self.retrieve(topic, subject)})
        return (0,) * (3 - len(topics)) + tuple(topics)

    def relation(self, other: int) -> int:
        world = self.country.world
        town, who = divmod(other, len(world.people))
        a, b = self.person, world.people[who]
        tied = (
            a.home == b.home
            or a.work == b.work != "home"
            or b.name in a.friends
            or a.name in b.friends
        )
        if tied and town == self.town and who != self.who:
            return 2
        return int(any(m.subject == other for m in self.memories))

    def decide(self, f):
        host = self.country.world.names.index(self.country.world.facts[f - 1].source)
        goes = self.choose(
            "join",
            draw(self.number, self.country.seed, "join", f),
            self.relation(host),
            f,
        )
        (self.means.add if goes or self.number == host else self.means.discard)(f)

    def here(self):
        world = self.country.world
        return len(world.facts) + 1 + min(self.place % len(world.places), len(PUBLIC))

    def slot(self, name: str) -> int:
        home = len(PUBLIC) + self.country.world.homes.index(self.person.home)
        name = self.person.work if name == "work" else name
        return home if name == "home" else PUBLIC.index(name)

    def go(self):
        country, world = self.country, self.country.world
        hour, step, seed = country.step % 24, country.step, country.seed
        letter = self.person.routine[hour]
        self.awake = letter != "."
        before, self.place = self.place if step else self.home(), self.home()
        if not self.awake:
            return
        event = 0
        on = [
            f
            for f, fact in enumerate(world.facts, 1)
            if fact.place and fact.hours[0] <= step < fact.hours[1]
        ]
        if on and not country.planning:
            where, self.place = self.place, before
            minds = self.minds(self.here(), -1)
            self.place = where
        for f in on:
            if not country.planning:
                self.means.discard(f)
                if f in minds:
                    self.decide(f)
            event = f if f in self.means else event
        names = {
            ".": "home",
            "h": "home",
            "w": "work",
            "c": "café",
            "p": "park",
            "s": "shop",
            "l": "library",
        }
        plan = GO.index(names[letter]) if country.planning else len(GO)
        choice = self.choose(
            "go", draw(self.number, seed, step, "go"), hour, plan, event
        )
        if choice == len(GO):
            self.place = PUBLIC.index(world.facts[event - 1].place)
            self.attended.add(event)
            return
        town, travels = self.town, draw(self.number, seed, step, "outing") / 0.1
        if choice >= 2 and travels < 1:
            town = int(travels * country.towns)
        self.place = town * len(world.places) + self.slot(GO[choice])

    def home(self):
        return self.town * len(self.country.world.places) + self.slot("home")

    def think(self, partner: "Resident"):
        country, relation = self.country, self.relation(partner.number)
        self.said = 0
        if self.choose(
            "talk", draw(self.number, country.seed, country.step, "talk"), relation
        ):
            minds = self.minds(self.here(), partner.number)
            self.said = self.choose(
                "say",
                draw(self.number, country.seed, country.step, "say"),
                relation,
                *minds,
            )

    def hear(self, topic: int, teller: "Resident"):
        world, step = self.country.world, self.country.step
        importance = (
            world.facts[topic - 1].importance if topic <= len(world.facts) else 2
        )
        self.remember(2, topic, teller.number, importance, step)
        self.trigger -= importance
        if topic <= len(world.facts) and topic not in self.heard:
            self.heard[topic] = (step, teller.number)
            fact = world.facts[topic - 1]
            if fact.place and self.country.planning and step < fact.hours[1]:
                self.decide(topic)

    def notice(self, others: "list[Resident]"):
        topic = self.here()
        known = {m.subject for m in list(self.memories)[-5:] if m.topic == topic}
        for other in others:
            if other.number not in known:
                self.remember(1, topic, other.number, 1, self.country.step)
                self.trigger -= 1

    def reflect(self):
        if self.trigger > 0 or not self.country.reflection:
            return
        late = list(self.memories)[-30:][::-1]
        foci = []
        while late and len(foci) < 3:
            focus = max(
                late, key=lambda m: m.importance
            )  # of equals, the first: the latest
            foci.append((focus.topic, focus.subject, focus.importance))
            late = [m for m in late if m.topic != focus.topic]
        evidence = [
            tuple(m.serial for m in self.retrieve(topic, subject))
            for topic, subject, _ in foci
        ]
        for (topic, subject, importance), serials in zip(foci, evidence, strict=True):
            serials += (-1,) * (3 - len(serials))
            self.remember(
                3, topic, subject, min(10, importance + 1), self.country.step, serials
            )
        self.trigger = 40


class Country:
    """All of them; `residents` may be any objects that have a Resident's methods, such as mesa's agents."""

    def __init__(
        self,
        people=25,
        *,
        seed=0,
        memory=24,
        reflection=True,
        planning=True,
        residents=None,
    ):
        self.world, self.brain = World(), Scripted()
        self.seed, self.memory, self.reflection, self.planning, self.step = (
            seed,
            memory,
            reflection,
            planning,
            0,
        )
        self.towns = math.ceil(people / len(self.world.people))
        self.answers: dict[tuple, tuple[list[float], tuple[int, ...]]] = {}
        self.residents = [
            r.live(self, i)
            for i, r in enumerate(residents or [Resident() for _ in range(people)])
        ]
        self.log: list[tuple[int, ...]] = []

    def answer(self, kind, who, detail):
        known = self.answers.get((kind, who, detail))
        if known is None:
            question = Question(self.world, kind, who, detail)
            (weights,) = self.brain.answer([question])
            total, sums = sum(weights), []
            for weight in weights:
                sums.append((sums[-1] if sums else 0.0) + weight / total)
            known = self.answers[kind, who, detail] = sums, question.chosen
        return known

    def hour(self):
        self.all("go")
        circles = defaultdict(list)
        for resident in self.residents:
            if resident.awake:
                circles[resident.place].append(resident)
        for circle in circles.values():
            circle.sort(key=lambda r: bits(r.number, self.seed, self.step, "meet"))
        pairs = [
            circle[i : i + 2]
            for circle in circles.values()
            for i in range(0, len(circle) - 1, 2)
        ]
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
        for circle in circles.values():
            for i, resident in enumerate(circle):
                resident.notice(
                    [
                        circle[(i + k) % len(circle)]
                        for k in range(1, min(3, len(circle) - 1) + 1)
                    ]
                )
        self.all("reflect")
        self.step += 1

    def all(self, does):
        for resident in self.residents:
            getattr(resident, does)()
