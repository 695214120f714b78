"""What do people do to each other's days? A town on a clock.

After Park et al. 2023, with rows of numbers for memories and one short list of rules.
All that happens in an hour happens at once: people act on what they knew when it
struck. So nothing depends on the order of people, and the same lines move 25 of them or
a million. `benchmarks/plain_town.py` says the same rules one person at a time.
"""

import json
import warnings
from collections import Counter
from pathlib import Path
from typing import Any, Self

import numpy as np

from smallscale.core.validation import require, whole_number
from smallscale.simulation import checkpoint
from smallscale.simulation.brains import (
    Brain,
    check_same,
    checked_brain,
    identity_of,
    origin_of,
)
from smallscale.simulation.conversations import stand_in_circles, talk
from smallscale.simulation.perception import notice
from smallscale.simulation.plans import go_somewhere
from smallscale.simulation.reflection import reflect
from smallscale.simulation.state import TownState
from smallscale.simulation.world import World


class Town(TownState):
    """A town of 25 people, or a country of towns, from midnight before Monday.

    `run(steps)` moves it hour by hour. Its arrays are described in `TownState`.

    people: how many, the 25 people of `world.PEOPLE` again and again; or a list of
        `Person`; or a `World`. seed: of all luck.
    brain: "scripted", or an object that answers questions (`brains.Brain`).
    memory: how many memories each person has room for; None, as in the paper, for no
        limit. A country of a million people may need one: see `benchmarks/README.md`.
    reflection, planning: switch them off to see what they are for.
    rule: of retrieval, "paper" or "code".
    words: a speaker, "scripted" or an object with write(prompts); then this is the same
        town in words, a `WordTown` (`words.town`), for 25 people or fewer.
    Raises ValueError for a value that is not allowed.

    >>> Town(25, seed=0).run(12).step
    12
    """

    def __new__(cls, *args: Any, words: Any = None, **settings: Any) -> Any:
        """Make a town in numbers, or with words=speaker one in words."""
        if words is None:
            return super().__new__(cls)
        from smallscale.simulation.words.town import WordTown

        return WordTown(*args, speaker=words, **settings)

    def run(self, steps: int) -> Self:
        """Let `steps` hours pass, one after the other. Returns the town.

        An hour that is interrupted has not begun: the town and its log are as they were
        after the last whole hour, and running on gives what an uninterrupted run gives.
        Warns once, at the end, where answers of the brain could not be used.
        """
        earlier = Counter(self.faults)
        try:
            for _ in range(whole_number("steps", steps, least=0)):
                self.pass_hour()
        finally:
            warn_of_faults(self.brain, Counter(self.faults) - earlier)
        return self

    def pass_hour(self) -> None:
        """Let an hour pass. In it, everybody acts on what they knew before it.

        People go somewhere, talk to a neighbour, notice who is there, and think it over
        when enough has happened. It happens in a copy, which then becomes the town.
        """
        town = self.copied()  # so that an hour passes whole or not at all
        go_somewhere(town)  # planning and reacting, section 4.3
        circles = stand_in_circles(town)
        talks = talk(town, circles)  # dialogue, section 4.3.2
        town.log = np.concatenate([town.log, talks])
        notice(town, circles)  # perception fills the memory stream, section 4.1
        if town.reflection:
            reflect(town)  # section 4.2
        town.step += 1
        self.become(town)

    @property
    def faults(self) -> dict[str, int]:
        """How often the brain's answer could not be used, by reason."""
        return self.answers.faults

    def arrays(self) -> dict[str, np.ndarray]:
        """Return all arrays of the state by name, as a checkpoint keeps them."""
        own = {name: getattr(self, name) for name in self.ARRAYS}
        memory = {f"memory.{name}": each for name, each in self.memory.arrays().items()}
        return {**own, **memory, **self.answers.arrays()}

    def digest(self) -> str:
        """Return a hash of the whole state, in 64 hexadecimal digits.

        It is equal for two towns that will go on alike, and another after any change.
        At which address a server has the model makes no difference.
        """
        return checkpoint.digest(self._record(), self.arrays())

    def save(self, path: str | Path) -> None:
        """Write a checkpoint, whole or not at all.

        If the program stops on the way, an older file at `path` stays as it was.
        """
        record = self._record(origin=origin_of(self.brain))
        checkpoint.write(path, record, self.arrays())

    @classmethod
    def load(cls, path: str | Path, *, brain: str | Brain = "scripted") -> "Town":
        """Read a checkpoint; running on from it equals never having stopped.

        The state is the same bit for bit. brain: the one that ran the town, with the
        same name, weights and server. Nothing in the file is executed. Raises
        FileNotFoundError, and ValueError for a file that is cut off, damaged, or of
        another version or brain.
        """
        given = checked_brain(brain)
        record, arrays = checkpoint.read(path)
        require(
            "words" not in record,
            f"{path} is a checkpoint of a town in words: WordTown.load reads it",
        )
        was = (record["brain"], record.get("origin", ""))
        now = (identity_of(given), origin_of(given))
        check_same(path, "brain", was, now, "Town.load")
        town: Town = cls(
            World.from_json(record["world"]),
            seed=record["seed"],
            brain=given,
            **record["settings"],
        )
        town.step = record["step"]
        for name in cls.ARRAYS:
            setattr(town, name, arrays[name])
        town.assign_ids(town.ids)
        for name in town.memory.arrays():
            setattr(town.memory, name, arrays[f"memory.{name}"])
        town.answers.restore(arrays, record["counts"])
        return town

    def _record(self, **more: str) -> str:
        """Return all that is not an array, as JSON."""
        settings = {
            "reflection": self.reflection,
            "planning": self.planning,
            "rule": self.rule,
            "memory": self.memory.room,
        }
        record = {
            "brain": identity_of(self.brain),
            "seed": self.seed,
            "step": self.step,
            "counts": self.answers.counts,
            "settings": settings,
            "world": self.world.to_json(),
            **more,
        }
        return json.dumps(record, sort_keys=True)


def warn_of_faults(brain: Brain, faults: Counter[str]) -> None:
    """Say in one line how many answers of the brain could not be used, if any."""
    if not faults:
        return
    reasons = ", ".join(f"{reason}: {count}" for reason, count in faults.items())
    warnings.warn(
        f"{faults.total()} answers of the brain {brain.name!r} could not be used "
        f"({reasons}); people kept to their plans or stayed silent, see town.faults",
        stacklevel=3,
    )
