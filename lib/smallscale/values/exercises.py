"""Is the answer right, and if not, why? The exercises on votes and values.

Each check takes an answer and returns a sentence.
"""

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import pandas as pd

from smallscale.dpo import optimal_policy
from smallscale.notebook.exercises import NOT_YET, matching_message
from smallscale.values.group_rules import gains
from smallscale.values.groups import opinion_groups
from smallscale.values.population import constitution_points, population, replies

MOST_ARTICLES = 6  # statements in a constitution
UNSEEN_SEEDS = range(100, 105)  # of populations that nobody has looked at


def check_consensus(consensus: Callable[[np.ndarray, np.ndarray], Any]) -> str:
    """Check a function of agreements and votes, (groups, statements) each, that returns
    the group-aware consensus (statements,)."""
    agree = np.array([[4, 0, 9, 0], [1, 2, 3, 0]])
    seen = np.array([[4, 4, 10, 0], [4, 2, 3, 0]])
    answer = consensus(agree.copy(), seen.copy())
    if answer is None:
        return NOT_YET
    answer = np.asarray(answer, dtype=float)
    shape = (
        "The consensus must have a number for each of 4 statements; its shape is "
        f"{answer.shape}."
    )
    if answer.shape == (4,) and _lacks_the_prior(answer, agree, seen):
        return (
            "Where nobody voted there is 0/0. Add 1 to the agreements and 2 to the "
            "votes, in each group."
        )
    shares = (agree + 1) / (seen + 2)
    right = shares.prod(0)
    messages = {
        "Right: a product over groups, and a group without votes counts one half.": (
            right
        ),
        "That is the mean over groups: one that loves it makes up for one that rejects "
        "it. Multiply instead.": shares.mean(0),
        "That is the geometric mean, which some libraries use. It orders alike; the "
        "product itself is asked.": np.sqrt(right),
        "That counts all voters as one group. Take each group's share first, then "
        "multiply over groups.": (agree.sum(0) + 1) / (seen.sum(0) + 2),
    }
    otherwise = (
        f"Expected {right.round(3).tolist()}, got {answer.round(3).tolist()}; compare "
        "with the equation."
    )
    return matching_message(answer, messages, shape=shape, otherwise=otherwise)


def _lacks_the_prior(answer: np.ndarray, agree: np.ndarray, seen: np.ndarray) -> bool:
    """Say whether the answer is a product of shares, 0/0 where nobody voted."""
    voted = seen.sum(0) > 0
    plain = (agree[:, voted] / seen[:, voted]).prod(0)
    return bool(np.isnan(answer[~voted]).any() or np.allclose(answer[voted], plain))


def check_constitution(
    write: Callable[..., Any], *, beat: float, majority: float, beta: float
) -> str:
    """Check write(matrix, groups, statements) -> at most six ids: the worse-off camp's
    mean gain must be above `beat`."""
    count = len(replies().sentences)
    reference = np.full(count, 1 / count)
    worst = []
    for seed in UNSEEN_SEEDS:
        votes = population(majority=majority, seed=seed)
        groups = opinion_groups(votes.matrix)
        chosen = write(votes.matrix.copy(), groups, votes.statements.copy())
        if chosen is None:
            return NOT_YET
        chosen = list(chosen)
        if not _is_constitution(chosen, votes.statements):
            return (
                f"A constitution is a list of one to {MOST_ARTICLES} different ids "
                f"from the index of statements; got {chosen}."
            )
        points = constitution_points(votes.statements, chosen)
        policy = optimal_policy(reference, points, beta)
        worst.append(gains(policy, replies().utility, reference, beta).min())
    reached = np.mean(worst)
    told = f"the worse-off camp gains {reached:.2f} on average over five populations"
    if reached <= beat:
        return f"Inside the rules, but {told}, and the goal is above {beat:.2f}."
    return f"Right: {told}, above {beat:.2f}."


def _is_constitution(chosen: Iterable[Any], statements: pd.DataFrame) -> bool:
    """Say whether these are one to six different ids of statements."""
    ids = list(chosen)
    different = len(set(ids)) == len(ids)
    known = set(ids) <= set(statements.index)
    return 1 <= len(ids) <= MOST_ARTICLES and different and known
