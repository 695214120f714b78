"""What do people do to each other's days? A town on a clock: they go somewhere, talk, notice, think it over.

After Park et al. 2023, with rows of numbers for memories and one short list of rules. All that happens in an hour
happens at once: people act on what they knew when it struck. So nothing depends on the order of people, and the
same lines move 25 of them or a million.
"""

import json
from collections import Counter
from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path
from typing import Any, Self

import numpy as np

from smallscale.simulation import checkpoint
from smallscale.simulation.brains import (
    ACQUAINTANCE,
    CLOSE,
    STRANGER,
    TOPICS,
    UNPLANNED,
    Answers,
    Brain,
    Scripted,
    place_topic,
)
from smallscale.simulation.chance import bits, pick, uniform
from smallscale.simulation.memory import EVIDENCE, HEARD, RULES, SEEN, THOUGHT, Memory
from smallscale.simulation.world import DAY, GO, PUBLIC, Person, World, town_of

OUTING = 0.1  # of the ways to a café, park, shop or library: the chance that it is in any of the country's towns
ATTENTION = 3  # people one notices in an hour (the paper's attention bandwidth)
RETENTION = 5  # what is among the latest few memories is not noticed anew (the paper's retention)
NOTICED = 1  # importance of having seen somebody
TRIGGER = 40  # importance that adds up before one reflects; the paper's 150 count events of 10 seconds, these hours
FOCI, RECENT = 3, 30  # what one reflects on: the most important topics of the latest memories
MOST = 10  # importance


class Town:
    """A town of 25 people, or a country of towns, from midnight before Monday; `run(steps)` moves it hour by hour.

    people: how many, the written 25 of `world.PEOPLE` again and again; or a list of `Person`; or a `World`.
    brain: "scripted", or an object that answers questions (`brains.Brain`). memory: slots for each person.
    reflection, planning: switch them off to see what they are for. rule: of retrieval, "paper" or "code".
    Raises ValueError for anything that cannot be.

    State, n people by F + 1 facts (column 0 unused): ids (n,), place (n,) now; means (n, F + 1) to go to it;
    heard (n, F + 1) the hour they first heard it, -1 never, from whom in told_by; attended (n, F + 1);
    trigger (n,); memory; log of conversations (m, 5): hour, two ids, the topic each spoke of, 0 for none.
    """

    def __init__(
        self,
        people: int | Iterable[Person] | World = 25,
        *,
        seed: int = 0,
        brain: str | Brain = "scripted",
        memory: int = 24,
        reflection: bool = True,
        planning: bool = True,
        rule: str = "paper",
    ) -> None:
        if isinstance(people, int):
            _at_least("people", people, 1)
            world, n = World(), people
        else:
            world = people if isinstance(people, World) else town_of(people)
            n = len(world.people)
        _at_least("memory", memory, 1)
        _at_least("seed", seed, 0)
        if rule not in RULES:
            raise ValueError(f"rule must be one of {', '.join(RULES)}; got {rule!r}")
        self.world, self.seed, self.step = world, int(seed), 0
        self.reflection, self.planning, self.rule = bool(reflection), bool(planning), rule
        self.brain = _brain(brain)
        self.answers = Answers(world, self.brain)
        facts = len(world.facts) + 1
        self.ids = np.arange(n)
        self.place = self._home()
        self.means, self.attended = np.zeros((n, facts), bool), np.zeros((n, facts), bool)
        self.heard, self.told_by = np.full((n, facts), -1, np.int32), np.full((n, facts), -1, np.int32)
        self.trigger = np.full(n, TRIGGER, np.int32)
        self.memory = Memory(n, int(memory))
        self.log = np.zeros((0, 5), np.int32)
        for f, fact in enumerate(world.facts, 1):
            row = np.flatnonzero(self.ids == world.names.index(fact.source))  # of the first town; none if left out
            self.heard[row, f], self.told_by[row, f] = 0, self.ids[row]
            self.means[row, f] = bool(fact.place)
            self.memory.write(row, HEARD, f, self.ids[row], fact.importance, 0)

    # An hour

    def run(self, steps: int) -> Self:
        """Let so many hours pass."""
        _at_least("steps", steps, 0)
        spoken = [self.log]
        for _ in range(steps):
            self._go()
            circle = self._meet()
            spoken.append(self._talk(*circle))
            self._notice(*circle)
            if self.reflection:
                self._reflect()
            self.step += 1
        self.log = np.concatenate(spoken)
        return self

    def _go(self) -> None:
        """Everybody awake decides where to spend the hour."""
        hour, events = self.step % DAY, self._events()
        self.place = self._home()
        rows = np.flatnonzero(self.world.awake[self.who, hour])
        plan = self.world.plan[self.who[rows], hour] if self.planning else UNPLANNED
        weights = self.answers.ask("go", self.who[rows], hour, plan, events[rows])
        choice = pick(weights, self._chance(rows, "go"))
        town, travels = self.ids[rows] // len(self.world.people), self._chance(rows, "outing") / OUTING
        abroad = (choice >= 2) & (travels < 1)
        town = np.where(abroad, (travels * self.towns).astype(int), town)
        slot = self.world.slot[self.who[rows], np.minimum(choice, len(GO) - 1)]
        for f, fact in enumerate(self.world.facts, 1):
            goes = (choice == len(GO)) & (events[rows] == f)
            if goes.any():
                town, slot = np.where(goes, 0, town), np.where(goes, PUBLIC.index(fact.place), slot)
                self.attended[rows[goes], f] = True
        self.place[rows] = town * self.world.slots + slot

    def _events(self) -> np.ndarray:
        """The fact that is on now and that each person means to attend, (n,), 0 for none.

        Those who plan decided when they heard of it. Without plans it must come to mind in that very hour.
        """
        events = np.zeros(len(self.ids), int)
        on = [f for f, fact in enumerate(self.world.facts, 1) if fact.place and self.step in range(*fact.hours)]
        if on and not self.planning:
            rows = np.flatnonzero(self.world.awake[self.who, self.step % DAY])
            minds = self._minds(rows, place_topic(self.world, self.place[rows] % self.world.slots), -1)
        for f in on:
            if not self.planning:
                self.means[:, f] = False
                self._decide(rows[(minds == f).any(1)], f)
            events[self.means[:, f]] = f
        return events

    def _decide(self, rows: np.ndarray, f: int) -> None:
        """Whether these people mean to go to a fact that is an event: the same die whenever they are asked."""
        host = self.world.names.index(self.world.facts[f - 1].source)
        others = np.full(len(rows), host)
        weights = self.answers.ask("join", self.who[rows], self._relation(rows, others), f)
        goes = pick(weights, uniform(self.ids[rows], self.seed, "join", f)) == 1
        self.means[rows, f] = goes | (self.ids[rows] == host)

    def _meet(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Those awake, in circles by place, each in an order that chance decides: rows, place in the circle, its start,
        its size, (awake,) each."""
        rows = np.flatnonzero(self.world.awake[self.who, self.step % DAY])
        rows = rows[np.lexsort((bits(self.ids[rows], self.seed, self.step, "meet"), self.place[rows]))]
        new = np.diff(self.place[rows], prepend=-1) != 0
        starts = np.flatnonzero(new)
        sizes = np.diff(starts, append=len(rows))
        start, size = np.repeat(starts, sizes), np.repeat(sizes, sizes)
        return rows, np.arange(len(rows)) - start, start, size

    def _talk(self, circle: np.ndarray, position: np.ndarray, start: np.ndarray, size: np.ndarray) -> np.ndarray:
        """Neighbours two by two: each says what comes to mind, or nothing; then each hears. The log of it, (m, 5)."""
        paired = (position ^ 1) < size
        rows, other = circle[paired], circle[(start + (position ^ 1))[paired]]
        here = place_topic(self.world, self.place[rows] % self.world.slots)
        minds = self._minds(rows, here, self.ids[other])
        relation = self._relation(rows, self.ids[other])
        weights = self.answers.ask("say", self.who[rows], relation, *minds.T)
        said = np.zeros(len(self.ids), int)
        said[rows] = pick(weights, self._chance(rows, "say"))
        hears = said[other] > 0
        self._hear(rows[hears], other[hears], said[other[hears]])
        spoke = (position[paired] % 2 == 0) & ((said[rows] > 0) | hears)
        a, b = rows[spoke], other[spoke]
        hours = np.full(len(a), self.step)
        return np.stack([hours, self.ids[a], self.ids[b], said[a], said[b]], 1).astype(np.int32)

    def _minds(self, rows: np.ndarray, topic: Any, subject: Any) -> np.ndarray:
        """The topics of the memories that come to mind, ascending and each once, (rows, 3), 0 for none."""
        slots = self.memory.retrieve(rows, topic, subject, self.step, TOPICS, self.rule)
        topics = np.sort(np.where(slots >= 0, self.memory.topic[rows[:, None], slots], 0), axis=1)
        topics[:, 1:][topics[:, 1:] == topics[:, :-1]] = 0
        return np.sort(topics, axis=1)

    def _relation(self, rows: np.ndarray, others: np.ndarray) -> np.ndarray:
        """Of these people to those ids: close by the world's ties, acquainted if any memory concerns them."""
        many = len(self.world.people)
        close = self.world.close[self.who[rows], others % many] & (self.ids[rows] // many == others // many)
        known = self.memory.knows(rows, others)
        return np.where(close, CLOSE, np.where(known, ACQUAINTANCE, STRANGER))

    def _hear(self, rows: np.ndarray, tellers: np.ndarray, topic: np.ndarray) -> None:
        importance = self.world.importance[topic]
        self.memory.write(rows, HEARD, topic, self.ids[tellers], importance, self.step)
        self.trigger[rows] -= importance
        for f, fact in enumerate(self.world.facts, 1):
            first = (topic == f) & (self.heard[rows, f] < 0)
            new = rows[first]
            self.heard[new, f], self.told_by[new, f] = self.step, self.ids[tellers[first]]
            if fact.place and self.planning and self.step < fact.hours[1]:
                self._decide(new, f)

    def _notice(self, circle: np.ndarray, position: np.ndarray, start: np.ndarray, size: np.ndarray) -> None:
        """Everybody notices the next few in the circle, unless they just did."""
        for step in range(1, ATTENTION + 1):
            sees = size > step
            rows, other = circle[sees], circle[(start + (position + step) % size)[sees]]
            topic = place_topic(self.world, self.place[rows] % self.world.slots)
            new = ~self.memory.has(rows, topic, self.ids[other], RETENTION)
            self.memory.write(rows[new], SEEN, topic[new], self.ids[other[new]], NOTICED, self.step)
            self.trigger[rows[new]] -= NOTICED

    def _reflect(self) -> None:
        """Whoever has gathered enough thinks over the most important of late: three thoughts, with their evidence."""
        rows = np.flatnonzero(self.trigger <= 0)
        if len(rows) == 0:
            return
        memory, line = self.memory, rows[:, None]
        late = memory.latest(rows, min(RECENT, memory.slots))
        weight = np.where(memory.topic[line, late] > 0, memory.importance[line, late], -1)
        thoughts = []
        for _ in range(FOCI):
            best = late[np.arange(len(rows)), weight.argmax(1)]  # of equals, the latest
            there = weight.max(1) > 0
            topic, subject, heavy = (a[rows, best] for a in (memory.topic, memory.subject, memory.importance))
            weight[memory.topic[line, late] == topic[:, None]] = -1
            thoughts.append((there, topic, subject, np.minimum(MOST, heavy + 1)))
        found = [
            memory.retrieve(rows, topic, subject, self.step, EVIDENCE, self.rule) for _, topic, subject, _ in thoughts
        ]
        serials = [
            np.where(slots >= 0, (last := memory.count[line] - 1) - (last - slots) % memory.slots, -1)
            for slots in found
        ]
        for (there, topic, subject, heavy), evidence in zip(thoughts, serials, strict=True):
            new = rows[there], THOUGHT, topic[there], subject[there], heavy[there], self.step, evidence[there]
            memory.write(*new)
        self.trigger[rows] = TRIGGER

    # Who, where, by what chance

    @property
    def who(self) -> np.ndarray:
        """Which person of the world each is, (n,)."""
        return self.ids % len(self.world.people)

    @property
    def towns(self) -> int:
        return -(-len(self.ids) // len(self.world.people))

    def _home(self) -> np.ndarray:
        return (self.ids // len(self.world.people) * self.world.slots + self.world.slot[self.who, 0]).astype(np.int32)

    def _chance(self, rows: np.ndarray, *use: object) -> np.ndarray:
        """In [0, 1), by seed, hour, use and person: no two uses share a number, no person's hangs on another's."""
        return uniform(self.ids[rows], self.seed, self.step, *use)

    # State, whole

    @property
    def faults(self) -> dict[str, int]:
        """How often the brain's answer could not be used, by reason."""
        return self.answers.faults

    def digest(self) -> str:
        """A hash of the whole state: equal for two towns that will go on alike, another after any change."""
        total = sha256(json.dumps(self._record(), sort_keys=True).encode())
        for name, array in sorted(self._arrays().items()):
            total.update(f"\0{name}\0{array.dtype}\0{array.shape}\0".encode())
            total.update(np.ascontiguousarray(array).data)
        return total.hexdigest()

    def save(self, path: str | Path) -> None:
        """Write a checkpoint, whole or not at all: a crash on the way leaves an older file at `path` as it was."""
        checkpoint.write(path, self._arrays(), {**self._record(), "digest": self.digest()})

    @classmethod
    def load(cls, path: str | Path, *, brain: Brain | None = None) -> "Town":
        """Read a checkpoint; running on equals never having stopped, bit for bit. Nothing in the file is executed.

        brain: needed, of the same name, where the town was not run by "scripted".
        Raises ValueError, one line, for a file that is cut off, damaged, or of another version or brain.
        """
        arrays, record = checkpoint.read(path)
        with checkpoint.explained(path):
            given = brain or Scripted()
            if record["brain"] != given.name:
                raise ValueError(
                    f"{path} was run by the brain {record['brain']!r}, not {given.name!r}; "
                    "give a brain of that name: Town.load(path, brain=…)"
                )
            town = cls(World.from_json(record["world"]), seed=record["seed"], brain=given, **record["settings"])
            town._restore(arrays, record)
            if town.digest() != record["digest"]:
                raise checkpoint.Damaged("its contents do not match their digest")
        return town

    def _record(self) -> dict[str, Any]:
        settings = {"memory": self.memory.slots, "reflection": self.reflection, "planning": self.planning}
        return {
            "brain": self.brain.name,
            "counts": dict(sorted(self.answers.counts.items())),
            "seed": self.seed,
            "settings": {**settings, "rule": self.rule},
            "step": self.step,
            "world": self.world.to_json(),
        }

    def _arrays(self) -> dict[str, np.ndarray]:
        own = ("ids", "place", "means", "attended", "heard", "told_by", "trigger", "log")
        keys = np.array([(list(self.answers.sizes).index(kind), code) for kind, code in self.answers.known]).reshape(
            -1, 2
        )
        return {
            **{name: getattr(self, name) for name in own},
            **{f"memory.{name}": getattr(self.memory, name) for name in Memory.FIELDS},
            "answers.keys": keys.astype(np.int64),
            "answers.weights": np.array(list(self.answers.known.values())).reshape(len(keys), self.answers.width),
        }

    def _restore(self, arrays: dict[str, np.ndarray], record: dict[str, Any]) -> None:
        n = len(arrays["ids"])
        for name, like in self._arrays().items():
            array = arrays[name]
            owner, _, field = name.rpartition(".")
            rows = len(array) if field in ("log", "keys", "weights") else n
            if array.dtype != like.dtype or array.shape != (rows, *like.shape[1:]):
                raise checkpoint.Damaged(f"{name} has the wrong type or shape")
            if owner != "answers":
                setattr(self.memory if owner else self, field, array)
        kinds = list(self.answers.sizes)
        pairs = zip(arrays["answers.keys"].tolist(), arrays["answers.weights"], strict=True)
        self.answers.known = {(kinds[kind], code): row for (kind, code), row in pairs}
        self.answers.counts = Counter(record["counts"])
        self.step = int(record["step"])


def _brain(brain: str | Brain) -> Brain:
    if brain == "scripted":
        return Scripted()
    if isinstance(brain, str) or not (isinstance(getattr(brain, "name", None), str) and hasattr(brain, "answer")):
        raise ValueError(f'brain must be "scripted" or an object with a name and answer(questions); got {brain!r}')
    return brain


def _at_least(name: str, value: int, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
        raise ValueError(f"{name} must be a whole number of at least {least}; got {value!r}")
