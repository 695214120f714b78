"""What do people see? The next few in their circle, unless they have just seen them.

After the program of Park et al. 2023: how many people one sees in an hour is its
attention bandwidth, and what is not noticed anew its retention.
"""

import numpy as np

from smallscale.simulation.blocks import in_blocks
from smallscale.simulation.conversations import ATTENTION, Circles
from smallscale.simulation.memory import SEEN
from smallscale.simulation.state import TownState

RETENTION = 5  # what is among the latest few memories is not noticed anew
IMPORTANCE_OF_SEEING = 1


def notice(town: TownState, circles: Circles) -> None:
    """Let everybody remember whom they see, but for those whom they saw here lately."""
    everybody = np.flatnonzero(circles.following[0] >= 0)
    # Before the blocks, which are worked on at the same time and must not move arrays.
    town.memory.make_room(everybody, ATTENTION)

    def notice_block(part: slice) -> None:
        rows = everybody[part]
        others = circles.following.take(rows, 1)
        _remember_seeing(town, rows, others, _is_new(town, rows, others))

    in_blocks(notice_block, len(everybody))


def _is_new(town: TownState, rows: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return who is not in each person's latest memories of this place, (3, rows).

    rows: the people. others (3, rows): the rows of those they see, -1 for none.
    """
    memory = town.memory
    latest = memory.latest(rows, min(RETENTION, memory.slots))
    is_here = memory.at("topic", latest, rows) == town.topic_of_place(rows)
    seen_here = np.where(is_here, memory.at("subject", latest, rows), -1)
    new = others >= 0
    for k, subject in enumerate(town.ids[others]):
        new[k] &= ~(seen_here == subject).any(0)
    return new


def _remember_seeing(
    town: TownState, rows: np.ndarray, others: np.ndarray, new: np.ndarray
) -> None:
    """Give each person one memory for everybody in others (3, rows) who is new."""
    which, column = np.nonzero(new)
    already_written = new.cumsum(0) - new  # for the same person
    observers = rows[column]
    town.memory.write(
        observers,
        town.step,
        nth=already_written[which, column],
        kind=SEEN,
        topic=town.topic_of_place(observers),
        subject=town.ids[others[which, column]],
        importance=IMPORTANCE_OF_SEEING,
    )
    town.trigger[rows] -= IMPORTANCE_OF_SEEING * new.sum(0, dtype=np.int32)
