"""Where do people spend the hour? At home asleep, by their plan, or at an event.

After Park et al. 2023, section 4.3, with a day's routine in place of a written plan.
"""

import numpy as np

from smallscale.simulation.counter_rng import uniform
from smallscale.simulation.questions import UNPLANNED
from smallscale.simulation.state import NOBODY, TownState
from smallscale.simulation.world import DESTINATIONS, HOURS_IN_DAY, OUTINGS

FIRST_OUTING = len(DESTINATIONS) - len(OUTINGS)  # before it stand home and work
ATTEND_EVENT = len(DESTINATIONS)  # the choice of the event that is on
TRAVELS = 0.1  # the chance that an outing leads to any of the country's towns


def go_somewhere(town: TownState) -> None:
    """Let everybody who is awake decide where to spend the hour; the others sleep."""
    rows = town.awake()
    who = town.who[rows]
    event = _event_to_attend(town)[rows]
    hour = town.step % HOURS_IN_DAY
    plan = town.world.plan[who, hour] if town.planning else UNPLANNED
    choice = town.choose("go", rows, hour, plan, event)
    where = _destination_town(town, rows, choice)
    slot = town.world.slot[who, np.minimum(choice, len(DESTINATIONS) - 1)]
    attends = choice == ATTEND_EVENT
    where[attends] = 0  # events are in the first town
    slot[attends] = town.world.venue[event[attends]]
    town.attended[rows[attends], event[attends]] = True
    town.place = town.homes()
    town.place[rows] = where * len(town.world.places) + slot


def _destination_town(
    town: TownState, rows: np.ndarray, choice: np.ndarray
) -> np.ndarray:
    """Return the town in which each of these people spends the hour, (rows,)."""
    luck = town.luck(rows, "outing") / TRAVELS  # in [0, 1) for those who travel
    travels = (choice >= FIRST_OUTING) & (luck < 1)
    any_town = (luck * town.towns).astype(int)
    return np.where(travels, any_town, town.town[rows])


def _event_to_attend(town: TownState) -> np.ndarray:
    """Return the event that is on now and that each person means to attend, (n,).

    0 stands for none. People who plan decided when they heard of it. Without plans an
    event must come to mind in the very hour in which it is on.
    """
    facts = enumerate(town.world.facts, 1)
    on = [f for f, fact in facts if fact.is_on(town.step)]
    if on and not town.planning:
        rows = town.awake()
        minds = town.topics_in_mind(rows, town.topic_of_place(rows), NOBODY)
        for f in on:
            town.means[:, f] = False
            comes_to_mind = (minds == f).any(0)
            decide_to_attend(town, rows[comes_to_mind], f)
    events = town.means[:, on] * np.array(on, int)
    latest: np.ndarray = events.max(1, initial=0)
    return latest


def decide_to_attend(town: TownState, rows: np.ndarray, f: int) -> None:
    """Let these people decide whether to go to event f; its host always does.

    A person's luck is the same whenever they are asked.
    """
    host = town.world.sources[f]
    relation = town.relation(rows, np.full(len(rows), host))
    luck = uniform(town.ids[rows], town.seed, "join", f)
    goes = town.answers.choose("join", luck, town.who[rows], relation, f) == 1
    town.means[rows, f] = goes | (town.ids[rows] == host)
