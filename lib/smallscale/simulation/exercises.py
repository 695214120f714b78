"""Is the answer right, and if not, why? Checks for the exercises of the town; each returns a sentence."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from smallscale.simulation.memory import retrieval_scores
from smallscale.simulation.town import Town
from smallscale.simulation.world import PEOPLE, Person

NOT_YET = "Not answered yet."
HOURS = 48
PARTY = 2


def guests(
    people: Sequence[Person] | int, seeds: Sequence[int], brain: Any = "scripted"
) -> tuple[float, Town]:
    """The mean number of people at the party over seeds, and the last of these towns."""
    towns = [Town(people, seed=seed, brain=brain).run(HOURS) for seed in seeds]
    return float(np.mean([town.attended[:, PARTY].sum() for town in towns])), towns[-1]


def check_person(changed: Person | None, *, more: float, seeds: Sequence[int]) -> str:
    """Check one person of the town, changed: does the party have at least `more` guests than before, on average?"""
    if changed is None:
        return NOT_YET
    if not isinstance(changed, Person):
        return "Give a Person: replace(old, what=new) makes a changed copy of one."
    old = {person.name: person for person in PEOPLE}
    if changed.name not in old:
        return f"Nobody here is called {changed.name}. Change somebody who lives here, and keep the name."
    if changed == old[changed.name]:
        return f"{changed.name} is as before."
    try:
        after, _ = guests([*(old | {changed.name: changed}).values()], seeds)
    except ValueError as error:
        return f"That person cannot live here: {error}."
    before, _ = guests(PEOPLE, seeds)
    counted = f"{after:.1f} guests on average, {before:.1f} before"
    if after < before + more:
        return f"{counted}; {more:g} more is the goal. Who hears the host speak?"
    return f"Right: {counted}."


def check_scores(scores: Callable[..., Any]) -> str:
    """Check a function (last_access, importance, relevance, now) -> scores (m,), the paper's rule."""
    last, weight, match = (
        np.array([90.0, 40.0, 99.0, 0.0]),
        np.array([2.0, 9.0, 1.0, 4.0]),
        np.array([0.5, 0, 1, 0.5]),
    )
    answer = scores(last.copy(), weight.copy(), match.copy(), 100.0)
    if answer is None:
        return NOT_YET
    answer = np.asarray(answer, dtype=float)
    if answer.shape != last.shape:
        return f"One score for each memory: the shape must be {last.shape}, not {answer.shape}."
    right, kept = retrieval_scores(last, weight, match, 100.0), 0.995 ** (100 - last)
    program = retrieval_scores(last, weight, match, 100.0, rule="code")
    for wrong, says in (
        (
            kept + weight + match,
            "The three are added as they are, so importance drowns the others. Scale each first.",
        ),
        (
            _scaled(-kept, weight, match),
            "Recency is the wrong way round: what was just thought of must score highest.",
        ),
        (
            program,
            "The authors' program does that. The paper's recency falls with hours, and its weights are equal.",
        ),
        (
            _scaled(last, weight, match),
            "Recency falls by the same amount each hour, the paper's by the same factor.",
        ),
    ):
        if np.allclose(answer, wrong):
            return says
    if not np.allclose(answer, right, atol=1e-6):
        return f"For four memories it gives {answer.round(3).tolist()}, where {right.round(3).tolist()} is right."
    with np.errstate(all="ignore"):
        flat = np.asarray(scores(last, np.full(4, 3.0), match, 100.0), dtype=float)
    if not np.isfinite(flat).all():
        return "Almost: four memories of equal importance give NaN. A constant column cannot be divided by its spread."
    return "Right, also where all memories are equally important."


def _scaled(*columns: np.ndarray) -> np.ndarray:
    return sum(
        ((c - c.min()) / (c.max() - c.min()) for c in columns),
        np.zeros(len(columns[0])),
    )


def check_brain(brain: Any, *, beat: float, seeds: Sequence[int]) -> str:
    """Check a brain: no faults, and on average more than `beat` of the people at the party."""
    if brain is None:
        return NOT_YET
    try:
        reached, town = guests(25, seeds, brain)
    except ValueError as error:
        return f"That is no brain: {error}."
    if town.faults:
        return f"Some answers could not be used, and the fallback was taken: {town.faults}."
    if reached <= beat:
        return (
            f"{reached:.1f} people came on average; the goal is more than {beat:.1f}."
        )
    return f"Right: {reached:.1f} people came on average, more than {beat:.1f}, and each of them was told."
