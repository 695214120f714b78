"""What stands around, and in which state? Objects whose state people see.

Section 5 of Park et al. 2023 has a language model decide the state of each object that
is used. Here the states of a few objects follow the clock, and one of them catches
fire.
"""

from typing import NamedTuple

from smallscale.simulation.world import HOURS_IN_DAY


class Thing(NamedTuple):
    """An object in a public place. states: the hour of the day from which each holds.

    importance: of seeing it, in its usual states.
    """

    name: str
    place: str
    states: tuple[tuple[int, str], ...]
    importance: int = 1


class Incident(NamedTuple):
    """An hour in which an object is in a state that nobody expects."""

    thing: str
    hour: int
    state: str
    importance: int


THINGS = (
    Thing("oven", "café", ((0, "cold"), (5, "hot"), (20, "cold"))),
    Thing("fountain", "park", ((0, "still"), (8, "running"), (20, "still"))),
    Thing("till", "shop", ((0, "locked"), (7, "open"), (18, "locked"))),
    Thing("reading lamp", "library", ((0, "dark"), (16, "lit"), (21, "dark"))),
    Thing("blackboard", "school", ((0, "clean"), (9, "full of sums"), (15, "clean"))),
    Thing("saw", "workshop", ((0, "idle"), (8, "running"), (17, "idle"))),
)
INCIDENTS = (Incident("oven", 13, "burning", 8),)  # Monday, one in the afternoon


def seen_in(place: str, hour: int) -> list[tuple[str, int]]:
    """Return what people in a place see of its objects: a sentence and its importance.

    >>> seen_in("café", 13)
    [('The oven in the café is burning.', 8)]
    """
    found = []
    for thing in THINGS:
        if thing.place == place:
            state, importance = state_of(thing, hour)
            found.append((f"The {thing.name} in the {place} is {state}.", importance))
    return found


def state_of(thing: Thing, hour: int) -> tuple[str, int]:
    """Return an object's state in an hour, and how important it is to see it."""
    for incident in INCIDENTS:
        if (incident.thing, incident.hour) == (thing.name, hour):
            return incident.state, incident.importance
    begun = [state for begin, state in thing.states if begin <= hour % HOURS_IN_DAY]
    return begun[-1], thing.importance
