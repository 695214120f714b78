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
)
from smallscale.simulation.chance import bits, uniform
from smallscale.simulation.memory import EVIDENCE, HEARD, SEEN, SHARES, THOUGHT, Memory, in_blocks
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
        if isinstance(people, (World, Iterable)):
            world = people if isinstance(people, World) else town_of(people)
            n = len(world.people)
        else:
            _at_least("people", people, 1)
            world, n = World(), int(people)
        _at_least("memory", memory, 1)
        _at_least("seed", seed, 0)
        if rule not in SHARES:
            raise ValueError(f"rule must be one of {', '.join(SHARES)}; got {rule!r}")
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
            position, size, following = self._meet()
            spoken.append(self._talk(position, size, following))
            self._notice(following)
            if self.reflection:
                self._reflect()
            self.step += 1
        self.log = np.concatenate(spoken)
        return self

    def _go(self) -> None:
        """Everybody awake decides where to spend the hour."""
        hour, events = self.step % DAY, self._events()
        self.place = self._home()
        rows = self._awake()
        who, event = self.who[rows], events[rows]
        plan = self.world.plan[who, hour] if self.planning else UNPLANNED
        choice = self.answers.choose("go", self._chance(rows, "go"), who, hour, plan, event)
        town, travels = self.ids[rows] // len(self.world.people), self._chance(rows, "outing") / OUTING
        abroad = (choice >= 2) & (travels < 1)
        town = np.where(abroad, (travels * self.towns).astype(int), town)
        slot = self.world.slot[who, np.minimum(choice, len(GO) - 1)]
        for f, fact in enumerate(self.world.facts, 1):
            goes = (choice == len(GO)) & (event == f)
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
            rows = self._awake()
            minds = self._minds(rows, self._here(rows), -1)
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
        draws = uniform(self.ids[rows], self.seed, "join", f)
        goes = self.answers.choose("join", draws, self.who[rows], self._relation(rows, others), f) == 1
        self.means[rows, f] = goes | (self.ids[rows] == host)

    def _meet(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Those awake stand in circles, one for each place, in an order that chance decides.

        position (n,) in the circle, -1 asleep; size (n,) of the circle; next (n, 3): the rows of who stands one, two
        and three further on, -1 where the circle is not that large.
        """
        rows = self._awake()
        # One number to sort by: the place, then 40 random bits.
        luck = bits(self.ids[rows], self.seed, self.step, "meet") >> np.uint64(24)
        circle = rows[np.argsort((self.place[rows].astype(np.uint64) << np.uint64(40)) | luck)]
        starts = np.flatnonzero(np.diff(self.place[circle], prepend=-1))
        sizes = np.diff(starts, append=len(circle))
        start, many = np.repeat(starts, sizes), np.repeat(sizes, sizes)
        at = np.arange(len(circle)) - start
        position, size = np.full(len(self.ids), -1), np.zeros(len(self.ids), int)
        position[circle], size[circle] = at, many
        following = np.full((len(self.ids), ATTENTION), -1)
        for step in range(1, ATTENTION + 1):
            following[circle, step - 1] = np.where(many > step, circle[start + (at + step) % many], -1)
        return position, size, following

    def _talk(self, position: np.ndarray, size: np.ndarray, following: np.ndarray) -> np.ndarray:
        """Neighbours two by two: who begins to talk says what comes to mind; then each hears. The log of it, (m, 5)."""
        first = (position >= 0) & (position % 2 == 0) & (position + 1 < size)
        a, b = np.flatnonzero(first), following[first, 0]
        partner = np.full(len(self.ids), -1)
        partner[a], partner[b] = b, a
        rows = np.flatnonzero(partner >= 0)  # in the order of memory, which is faster to walk than that of circles
        other = partner[rows]
        relation = self._relation(rows, self.ids[other])
        talks = self.answers.choose("talk", self._chance(rows, "talk"), self.who[rows], relation) == 1
        minds = self._minds(rows[talks], self._here(rows[talks]), self.ids[other[talks]])
        luck = self._chance(rows[talks], "say")
        said = np.zeros(len(self.ids), int)
        said[rows[talks]] = self.answers.choose("say", luck, self.who[rows[talks]], relation[talks], *minds.T)
        hears = said[other] > 0
        self._hear(rows[hears], other[hears], said[other[hears]])
        spoke = (said[a] > 0) | (said[b] > 0)
        a, b = a[spoke], b[spoke]
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

    def _notice(self, following: np.ndarray) -> None:
        """Everybody notices the next few in the circle, but for those who are in the latest of their memories."""
        everybody = np.flatnonzero(following[:, 0] >= 0)

        def notice(part: slice) -> None:
            rows = everybody[part]
            topic = self._here(rows)
            late = rows[:, None], self.memory.latest(rows, min(RETENTION, self.memory.slots))
            subjects = np.where(self.memory.topic[late] == topic[:, None], self.memory.subject[late], -1)  # seen here
            for others in following[rows].T:
                subject = self.ids[others]
                new = (others >= 0) & ~(subjects == subject[:, None]).any(1)
                self.memory.write(rows[new], SEEN, topic[new], subject[new], NOTICED, self.step)
                self.trigger[rows[new]] -= NOTICED

        in_blocks(notice, len(everybody))

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
            there = weight.max(1) > 0
            best = rows, late[np.arange(len(rows)), weight.argmax(1)]  # of equals, the latest
            topic, subject, heavy = memory.topic[best], memory.subject[best], memory.importance[best]
            weight[memory.topic[line, late] == topic[:, None]] = -1
            thoughts.append((rows[there], topic[there], subject[there], np.minimum(MOST, heavy[there] + 1)))
        drawn = [self._evidence(who, topic, subject) for who, topic, subject, _ in thoughts]  # before any is written
        for (who, topic, subject, heavy), evidence in zip(thoughts, drawn, strict=True):
            memory.write(who, THOUGHT, topic, subject, heavy, self.step, evidence)
        self.trigger[rows] = TRIGGER

    def _evidence(self, rows: np.ndarray, topic: np.ndarray, subject: np.ndarray) -> np.ndarray:
        """The serial numbers of the memories that come to mind, (rows, 3), -1 for none."""
        memory, last = self.memory, self.memory.count[rows, None] - 1
        slots = memory.retrieve(rows, topic, subject, self.step, EVIDENCE, self.rule)
        return np.where(slots >= 0, last - (last - slots) % memory.slots, -1)

    # Who, where, by what chance

    @property
    def who(self) -> np.ndarray:
        """Which person of the world each is, (n,)."""
        return self.ids % len(self.world.people)

    @property
    def towns(self) -> int:
        return -(-len(self.ids) // len(self.world.people))

    def _awake(self) -> np.ndarray:
        return np.flatnonzero(self.world.awake[self.who, self.step % DAY])

    def _here(self, rows: np.ndarray) -> np.ndarray:
        """The topic of being where these people are: each public place has its own, homes share one."""
        return len(self.world.facts) + 1 + np.minimum(self.place[rows] % self.world.slots, len(PUBLIC))

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
    def load(cls, path: str | Path, *, brain: str | Brain = "scripted") -> "Town":
        """Read a checkpoint; running on equals never having stopped, bit for bit. Nothing in the file is executed.

        brain: of the same name as the one that ran the town.
        Raises ValueError, one line, for a file that is cut off, damaged, or of another version or brain.
        """
        given = _brain(brain)
        arrays, record = checkpoint.read(path)
        with checkpoint.explained(path):
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
