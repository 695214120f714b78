"""What do people do to each other's days? A town on a clock: they go somewhere, talk, notice, think it over.

After Park et al. 2023, with rows of numbers for memories and one short list of rules. All that happens in an hour
happens at once: people act on what they knew when it struck. So nothing depends on the order of people, and the
same lines move 25 of them or a million.
"""

import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Self

import numpy as np

from smallscale.simulation import checkpoint
from smallscale.simulation.brains import TOPICS, UNPLANNED, Answers, Brain, Scripted
from smallscale.simulation.checks import one_of, whole
from smallscale.simulation.counter_rng import bits, uniform
from smallscale.simulation.memory import (
    EVIDENCE,
    HEARD,
    SEEN,
    SHARES,
    THOUGHT,
    Memory,
    in_blocks,
)
from smallscale.simulation.world import DAY, GO, PUBLIC, Person, World

OUTING = 0.1  # of the ways to a café, park, shop or library: the chance that it is in any of the country's towns
ATTENTION = 3  # people one notices in an hour (the paper's attention bandwidth)
RETENTION = 5  # what is among the latest few memories is not noticed anew (the paper's retention)
NOTICED = 1  # importance of having seen somebody
TRIGGER = 40  # importance that adds up before one reflects; the paper's 150 count events of 10 seconds, these hours
FOCI, RECENT = (
    3,
    30,
)  # what one reflects on: the most important topics of the latest memories
MOST = 10  # importance


class Town:
    """A town of 25 people, or a country of towns, from midnight before Monday; `run(steps)` moves it hour by hour.

    people: how many, the written 25 of `world.PEOPLE` again and again; or a list of `Person`; or a `World`.
    brain: "scripted", or an object that answers questions (`brains.Brain`). memory: slots for each person.
    reflection, planning: switch them off to see what they are for. rule: of retrieval, "paper" or "code".
    Raises ValueError for anything that cannot be.

    State, n people by F + 1 facts (column 0 unused): ids (n,), from which follow town and who of the world's people
    each is; place (n,) now; means (n, F + 1) to go to it; heard (n, F + 1) the hour they first heard it, -1 never, from
    whom in told_by; attended (n, F + 1); trigger (n,); memory; log of conversations (m, 5): hour, two ids, the topic
    each spoke of, 0 for none.
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
        if isinstance(people, Iterable):
            people = World(people)
        self.world = people if isinstance(people, World) else World()
        n = (
            len(self.world.people)
            if isinstance(people, World)
            else whole("people", people, 1)
        )
        one_of("rule", rule, SHARES)
        self.seed, self.step = whole("seed", seed, 0), 0
        self.reflection, self.planning, self.rule = (
            bool(reflection),
            bool(planning),
            rule,
        )
        self.brain = _brain(brain)
        self.answers = Answers(self.world, self.brain)
        facts = len(self.world.facts) + 1
        self._number(np.arange(n, dtype=np.int32))
        self.place = self._home()
        self.means, self.attended = (
            np.zeros((n, facts), bool),
            np.zeros((n, facts), bool),
        )
        self.heard, self.told_by = (
            np.full((n, facts), -1, np.int32),
            np.full((n, facts), -1, np.int32),
        )
        self.trigger = np.full(n, TRIGGER, np.int32)
        self.memory, self.log = (
            Memory(n, whole("memory", memory, 1)),
            np.zeros((0, 5), np.int32),
        )
        for f, fact in enumerate(self.world.facts, 1):
            row = np.flatnonzero(
                self.ids == self.world.sources[f]
            )  # of the first town; none if left out
            self.heard[row, f], self.told_by[row, f] = 0, self.ids[row]
            self.means[row, f] = bool(fact.place)
            self.memory.write(
                row,
                0,
                kind=HEARD,
                topic=f,
                subject=self.ids[row],
                importance=fact.importance,
            )

    def _number(self, ids: np.ndarray) -> None:
        """Give people their ids: which town each is of, and who of the world's people, follow from these."""
        self.ids, self.towns = ids, -(-len(ids) // len(self.world.people))
        self.town, self.who = np.divmod(ids, len(self.world.people))

    # An hour

    def run(self, steps: int) -> Self:
        """Let so many hours pass."""
        spoken = [self.log]
        for _ in range(whole("steps", steps, 0)):
            self._go()
            pairs, following = self._meet()
            spoken.append(self._talk(*pairs))
            self._notice(following)
            if self.reflection:
                self._reflect()
            self.step += 1
        self.log = np.concatenate(spoken)
        return self

    def _go(self) -> None:
        """Everybody awake decides where to spend the hour."""
        hour, rows, events = self.step % DAY, self._awake(), self._events()
        self.place = self._home()
        who, event = self.who[rows], events[rows]
        plan = self.world.plan[who, hour] if self.planning else UNPLANNED
        choice = self._choose("go", rows, hour, plan, event)
        travels = self._chance(rows, "outing") / OUTING
        town = np.where(
            (choice >= 2) & (travels < 1),
            (travels * self.towns).astype(int),
            self.town[rows],
        )
        slot = self.world.slot[who, np.minimum(choice, len(GO) - 1)]
        goes = choice == len(GO)
        town[goes], slot[goes] = 0, self.world.venue[event[goes]]
        self.attended[rows[goes], event[goes]] = True
        self.place[rows] = town * len(self.world.places) + slot

    def _events(self) -> np.ndarray:
        """The fact that is on now and that each person means to attend, (n,), 0 for none.

        Those who plan decided when they heard of it. Without plans it must come to mind in that very hour.
        """
        on = [
            f
            for f, fact in enumerate(self.world.facts, 1)
            if fact.place and self.step in range(*fact.hours)
        ]
        if on and not self.planning:
            rows = self._awake()
            minds = self._minds(rows, self._here(rows), -1)
            for f in on:
                self.means[:, f] = False
                self._decide(rows[(minds == f).any(0)], f)
        return (self.means[:, on] * np.array(on, int)).max(1, initial=0)

    def _decide(self, rows: np.ndarray, f: int) -> None:
        """Whether these people mean to go to a fact that is an event: the same die whenever they are asked."""
        host = self.world.sources[f]
        relation, draws = (
            self._relation(rows, np.full(len(rows), host)),
            uniform(self.ids[rows], self.seed, "join", f),
        )
        goes = self.answers.choose("join", draws, self.who[rows], relation, f) == 1
        self.means[rows, f] = goes | (self.ids[rows] == host)

    def _meet(self) -> tuple[tuple[np.ndarray, np.ndarray], np.ndarray]:
        """Those awake stand in circles, one for each place, in an order that chance decides.

        The rows of neighbours two by two, (pairs,) and (pairs,); and of who stands one, two and three further on from
        each person, (3, n), -1 where the circle is not that large.
        """
        rows = self._awake()
        # One number to sort by: the place, then 40 random bits.
        luck = bits(self.ids[rows], self.seed, self.step, "meet") >> np.uint64(24)
        circle = rows[
            np.argsort(
                (self.place[rows].astype(np.uint64) << np.uint64(40)) | luck,
                kind="stable",
            )
        ]
        starts = np.flatnonzero(np.diff(self.place[circle], prepend=-1))
        sizes = np.diff(starts, append=len(circle))
        start, many = np.repeat(starts, sizes), np.repeat(sizes, sizes)
        at = np.arange(len(circle)) - start
        following = np.full((ATTENTION, len(self.ids)), -1)
        for step in range(1, ATTENTION + 1):
            further = start + at + step - many * (at + step >= many)  # round the circle
            following[step - 1, circle] = np.where(
                many > step, circle.take(further, mode="clip"), -1
            )
        first = np.flatnonzero((at % 2 == 0) & (at + 1 < many))
        return (circle[first], circle[first + 1]), following

    def _talk(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """Of each pair, who begins to talk says what comes to mind; then each hears. The log of it, (m, 5)."""
        partner = np.full(len(self.ids), -1)
        partner[a], partner[b] = b, a
        rows = np.flatnonzero(
            partner >= 0
        )  # in the order of memory, which is faster to walk than that of circles
        other = partner[rows]
        relation = self._relation(rows, self.ids[other])
        talks = self._choose("talk", rows, relation) == 1
        speakers = rows[talks]
        minds = self._minds(speakers, self._here(speakers), self.ids[other[talks]])
        said = np.zeros(len(self.ids), int)
        said[speakers] = self._choose("say", speakers, relation[talks], *minds)
        hears = said[other] > 0
        self._hear(rows[hears], other[hears], said[other[hears]])
        a = np.sort(a)
        a = a[(said[a] > 0) | (said[partner[a]] > 0)]
        b = partner[a]
        return np.stack(
            [np.full(len(a), self.step), self.ids[a], self.ids[b], said[a], said[b]], 1
        ).astype(np.int32)

    def _minds(self, rows: np.ndarray, topic: Any, subject: Any) -> np.ndarray:
        """The topics of the memories that come to mind, ascending and each once, (3, rows), 0 for none."""
        slots = self.memory.retrieve(rows, topic, subject, self.step, TOPICS, self.rule)
        topics = np.where(slots >= 0, self.memory.at("topic", slots, rows), 0)
        for _ in range(2):  # sorted, those that repeat set to 0, sorted again
            for i, j in ((0, 1), (1, 2), (0, 1)):
                topics[i], topics[j] = (
                    np.minimum(topics[i], topics[j]),
                    np.maximum(topics[i], topics[j]),
                )
            topics[1:][topics[1:] == topics[:-1]] = 0
        return topics

    def _relation(self, rows: np.ndarray, others: np.ndarray) -> np.ndarray:
        """Of these people to those ids: 2, close by the world's ties; 1, acquainted, a memory concerns them; else 0."""
        many = len(self.world.people)
        close = self.world.close[self.who[rows], others % many] & (
            self.town[rows] == others // many
        )
        relation = np.where(close, 2, 0)
        open_ = np.flatnonzero(~close)
        relation[open_[self.memory.knows(rows[open_], others[open_])]] = 1
        return relation

    def _hear(self, rows: np.ndarray, tellers: np.ndarray, topic: np.ndarray) -> None:
        importance = self.world.importance[topic]
        self.memory.write(
            rows,
            self.step,
            kind=HEARD,
            topic=topic,
            subject=self.ids[tellers],
            importance=importance,
        )
        self.trigger[rows] -= importance
        for f, fact in enumerate(self.world.facts, 1):
            first = (topic == f) & (self.heard[rows, f] < 0)
            new = rows[first]
            self.heard[new, f], self.told_by[new, f] = (
                self.step,
                self.ids[tellers[first]],
            )
            if fact.place and self.planning and self.step < fact.hours[1]:
                self._decide(new, f)

    def _notice(self, following: np.ndarray) -> None:
        """Everybody notices the next few in the circle, but for those who are in the latest of their memories."""
        everybody, memory = np.flatnonzero(following[0] >= 0), self.memory

        def notice(part: slice) -> None:
            rows = everybody[part]
            here, late = (
                self._here(rows),
                memory.latest(rows, min(RETENTION, memory.slots)),
            )
            seen = np.where(
                memory.at("topic", late, rows) == here,
                memory.at("subject", late, rows),
                -1,
            )  # and here
            others = following.take(rows, 1)
            subjects = self.ids[others]
            new = (others >= 0) & ~np.array(
                [(seen == subject).any(0) for subject in subjects]
            )
            earlier = new.cumsum(0) - new
            which, column = np.nonzero(new)
            about = {"topic": here[column], "subject": subjects[which, column]}
            memory.write(
                rows[column],
                self.step,
                nth=earlier[which, column],
                kind=SEEN,
                importance=NOTICED,
                **about,
            )
            self.trigger[rows] -= NOTICED * new.sum(0, dtype=np.int32)

        in_blocks(notice, len(everybody))

    def _reflect(self) -> None:
        """Whoever has gathered enough thinks over the most important of late: three thoughts, with their evidence."""
        rows, memory = np.flatnonzero(self.trigger <= 0), self.memory
        if len(rows) == 0:
            return
        late = memory.latest(rows, min(RECENT, memory.slots))
        topics = memory.at("topic", late, rows)
        weight = np.where(topics > 0, memory.at("importance", late, rows), -1)
        thoughts = []
        for _ in range(FOCI):
            best = late[weight.argmax(0), np.arange(len(rows))]  # of equals, the latest
            there, focus = weight.max(0) > 0, memory.at("topic", best, rows)
            weight[topics == focus] = -1
            who, topic, subject = (
                rows[there],
                focus[there],
                memory.at("subject", best, rows)[there],
            )
            slots = memory.retrieve(
                who, topic, subject, self.step, EVIDENCE, self.rule
            )  # (3, people), -1 for none
            last = memory.count[who] - 1
            serials = np.where(slots >= 0, last - (last - slots) % memory.slots, -1).T
            importance = np.minimum(
                MOST, memory.at("importance", best, rows)[there] + 1
            )
            about = {
                "topic": topic,
                "subject": subject,
                "importance": importance,
                "evidence": serials,
            }
            thoughts.append((who, about))
        for who, about in thoughts:  # written when all are drawn
            memory.write(who, self.step, kind=THOUGHT, **about)
        self.trigger[rows] = TRIGGER

    # Who, where, by what chance

    def _awake(self) -> np.ndarray:
        return np.flatnonzero(self.world.awake[:, self.step % DAY][self.who])

    def _here(self, rows: np.ndarray) -> np.ndarray:
        """The topic of being where these people are: each public place has its own, homes share one."""
        return (
            len(self.world.facts)
            + 1
            + np.minimum(self.place[rows] % len(self.world.places), len(PUBLIC))
        )

    def _home(self) -> np.ndarray:
        return (
            self.town * len(self.world.places) + self.world.slot[:, 0][self.who]
        ).astype(np.int32)

    def _choose(self, kind: str, rows: np.ndarray, *detail: Any) -> np.ndarray:
        """Each by a die of its own: no two uses share a number, no person's hangs on another's."""
        return self.answers.choose(
            kind, self._chance(rows, kind), self.who[rows], *detail
        )

    def _chance(self, rows: np.ndarray, use: str) -> np.ndarray:
        return uniform(self.ids[rows], self.seed, self.step, use)

    # State, whole

    @property
    def faults(self) -> dict[str, int]:
        """How often the brain's answer could not be used, by reason."""
        counts = sorted(self.answers.counts.items())
        return {
            what.removeprefix("fault: "): n
            for what, n in counts
            if what.startswith("fault: ")
        }

    def digest(self) -> str:
        """A hash of the whole state: equal for two towns that will go on alike, another after any change."""
        return checkpoint.digest(self._record(), self._arrays())

    def save(self, path: str | Path) -> None:
        """Write a checkpoint, whole or not at all: a crash on the way leaves an older file at `path` as it was."""
        checkpoint.write(path, self._record(), self._arrays())

    @classmethod
    def load(cls, path: str | Path, *, brain: str | Brain = "scripted") -> "Town":
        """Read a checkpoint; running on equals never having stopped, bit for bit. Nothing in the file is executed.

        brain: of the same name as the one that ran the town.
        Raises ValueError, one line, for a file that is cut off, damaged, or of another version or brain.
        """
        given = _brain(brain)
        record, arrays = checkpoint.read(path)
        if (ran := record["brain"]) != given.name:
            how = "give a brain of that name: Town.load(path, brain=…)"
            raise ValueError(
                f"{path} was run by the brain {ran!r}, not {given.name!r}; {how}"
            )
        town = cls(
            World.from_json(record["world"]),
            seed=record["seed"],
            brain=given,
            **record["settings"],
        )
        for part, live in town._parts().items():
            live.update(
                {
                    name: arrays[part + name]
                    for name in list(live)
                    if part + name in arrays
                }
            )
        town._number(town.ids)
        for kind, codes in town.answers.codes.items():
            town.answers.row[kind][codes] = np.arange(len(codes))
        town.answers.counts, town.step = Counter(record["counts"]), record["step"]
        return town

    def _record(self) -> str:
        """All that is no array, as JSON."""
        settings = {
            name: getattr(self, name) for name in ("reflection", "planning", "rule")
        }
        own = {
            "brain": self.brain.name,
            "seed": self.seed,
            "step": self.step,
            "counts": self.answers.counts,
        }
        own |= {
            "settings": {**settings, "memory": self.memory.slots},
            "world": self.world.to_json(),
        }
        return json.dumps(own, sort_keys=True)

    def _parts(self) -> dict[str, dict[str, Any]]:
        """What has state, live, by the first part of its arrays' names."""
        answers = self.answers
        return {
            "": vars(self),
            "memory.": vars(self.memory),
            "codes.": answers.codes,
            "weights.": answers.weights,
        }

    def _arrays(self) -> dict[str, np.ndarray]:
        follow = ("town", "who")  # from the ids
        named = (
            (part + name, value)
            for part, live in self._parts().items()
            for name, value in live.items()
        )
        return {
            name: value
            for name, value in named
            if isinstance(value, np.ndarray) and name not in follow
        }


def _brain(brain: Any) -> Brain:
    given = Scripted() if brain == "scripted" else brain
    if not isinstance(getattr(given, "name", None), str) or not hasattr(
        given, "answer"
    ):
        raise ValueError(
            f'brain must be "scripted" or an object with a name and answer(questions); got {brain!r}'
        )
    return given
