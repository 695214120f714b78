"""Is the answer right, and if not, why? Checks for the exercises of the town."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from smallscale.notebook.exercises import NOT_YET, matching_message
from smallscale.simulation import measures
from smallscale.simulation.retrieval import DECAY, retrieval_scores
from smallscale.simulation.town import Town
from smallscale.simulation.world import PEOPLE, Person

HOURS = 48  # the party is in the afternoon of the second day
NOW = 100.0  # the hour at which the exercise's memories are scored


def towns_with_a_party(
    people: Sequence[Person] | int, seeds: Sequence[int], brain: Any = "scripted"
) -> list[Town]:
    """Return a town for each seed, after the hour of the party."""
    return [Town(people, seed=seed, brain=brain).run(HOURS) for seed in seeds]


def mean_guests(towns: Sequence[Town]) -> float:
    """Return how many people were at the party, on average over towns."""
    return float(np.mean([measures.guests(town, "party") for town in towns]))


def check_person(changed: Person | None, *, more: float, seeds: Sequence[int]) -> str:
    """Check one changed person: does the party have `more` guests than before?"""
    if changed is None:
        return NOT_YET
    if not isinstance(changed, Person):
        return "Give a Person: replace(old, what=new) makes a changed copy of one."
    by_name = {person.name: person for person in PEOPLE}
    if changed.name not in by_name:
        return (
            f"Nobody here is called {changed.name}. Change somebody who lives here, "
            "and keep the name."
        )
    if changed == by_name[changed.name]:
        return f"{changed.name} is as before."
    by_name[changed.name] = changed
    try:
        after = mean_guests(towns_with_a_party(list(by_name.values()), seeds))
    except ValueError as error:
        return f"That person cannot live here: {error}."
    before = mean_guests(towns_with_a_party(PEOPLE, seeds))
    counted = f"{after:.1f} guests on average, {before:.1f} before"
    if after < before + more:
        return f"{counted}; {more:g} more is the goal. Who hears the host speak?"
    return f"Right: {counted}."


def check_scores(scores: Callable[..., Any]) -> str:
    """Check a function (last_access, importance, relevance, now) -> scores (m,)."""
    last = np.array([90.0, 40.0, 99.0, 0.0])
    importance = np.array([2.0, 9.0, 1.0, 4.0])
    relevance = np.array([0.5, 0.0, 1.0, 0.5])
    right = retrieval_scores(last, importance, relevance, NOW)
    correct = "Right, also where all memories are equally important."
    answer = scores(last.copy(), importance.copy(), relevance.copy(), NOW)
    message = matching_message(
        answer,
        {correct: right, **_likely_mistakes(last, importance, relevance)},
        shape=f"One score for each memory: the shape must be {last.shape}.",
        otherwise=(
            f"For four memories it gives {_rounded(answer)}, where {_rounded(right)} "
            "is right."
        ),
    )
    if message != correct:
        return message
    equal = np.full(4, 3.0)
    with np.errstate(all="ignore"):
        flat = np.asarray(scores(last, equal, relevance, NOW), dtype=float)
    if not np.isfinite(flat).all():
        return (
            "Almost: four memories of equal importance give NaN. A constant column "
            "cannot be divided by its spread."
        )
    return _fit_for_other_memories(scores) or correct


def _fit_for_other_memories(scores: Callable[..., Any]) -> str:
    """Return what is wrong where other memories than the first four are scored.

    Empty where nothing is.
    """
    random = np.random.default_rng(0)
    for count in (1, 2, 30):
        last = random.integers(0, int(NOW), count).astype(float)
        importance = random.integers(1, 10, count).astype(float)
        relevance = random.integers(0, 3, count) / 2
        right = retrieval_scores(last, importance, relevance, NOW)
        with np.errstate(all="ignore"):
            answer = np.asarray(scores(last, importance, relevance, NOW), dtype=float)
        if answer.shape != right.shape:
            return (
                f"Four memories are scored rightly, {count} are not: {right.shape} "
                f"scores were expected and {answer.shape} came. Compute from what is "
                "given, for any number of memories."
            )
        if not np.allclose(answer, right, atol=1e-5):
            return (
                f"Four memories are scored rightly, {count} others are not. Scale by "
                "the least and the most of what is given; a constant column is 1/2."
            )
    return ""


def _likely_mistakes(
    last: np.ndarray, importance: np.ndarray, relevance: np.ndarray
) -> dict[str, np.ndarray]:
    """Return message -> the scores that it belongs to."""
    recency = DECAY ** (NOW - last)
    others = _scaled(importance) + _scaled(relevance)
    return {
        "The three are added as they are, so importance drowns the others. Scale each "
        "first.": recency + importance + relevance,
        "Recency is the wrong way round: what was just thought of must score "
        "highest.": _scaled(-recency) + others,
        "The authors' program does that. The paper's recency falls with hours, and its "
        "weights are equal.": retrieval_scores(
            last, importance, relevance, NOW, rule="code"
        ),
        "Recency falls by the same amount each hour, the paper's by the same "
        "factor.": _scaled(last) + others,
    }


def _scaled(column: np.ndarray) -> np.ndarray:
    low = column.min()
    scaled: np.ndarray = (column - low) / (column.max() - low)
    return scaled


def _rounded(values: Any) -> Any:
    return np.round(np.asarray(values, dtype=float), 3).tolist()


def check_brain(brain: Any, *, beat: float, seeds: Sequence[int]) -> str:
    """Check a brain: no faults, and on average more than `beat` guests at the party."""
    if brain is None:
        return NOT_YET
    try:
        towns = towns_with_a_party(25, seeds, brain)
    except ValueError as error:
        return f"That is no brain: {error}."
    faults = next((town.faults for town in towns if town.faults), None)
    if faults:
        return f"Some answers could not be used, and the fallback was taken: {faults}."
    reached = mean_guests(towns)
    if reached <= beat:
        return (
            f"{reached:.1f} people came on average; the goal is more than {beat:.1f}. "
            "Whoever is merely in the café is no guest: a guest was told, meant to go, "
            "and went. Which of the three is rare?"
        )
    return (
        f"Right: {reached:.1f} people came on average, more than {beat:.1f}, and each "
        "of them was told."
    )
