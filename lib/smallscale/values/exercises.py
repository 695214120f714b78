"""Is the answer right, and if not, why? Checks for the exercises on votes and values; each returns a sentence."""

from collections.abc import Callable
from typing import Any

import numpy as np

from smallscale.dpo import optimal_policy
from smallscale.dpo.exercises import NOT_YET
from smallscale.values.group_rules import gains
from smallscale.values.groups import opinion_groups
from smallscale.values.population import judge, population, replies

MOST = 6  # statements in a constitution


def check_consensus(consensus: Callable[[np.ndarray, np.ndarray], Any]) -> str:
    """Check a function of agreements and votes, (groups, statements) each, to consensus (statements,)."""
    agree, seen = (
        np.array([[4, 0, 9, 0], [1, 2, 3, 0]]),
        np.array([[4, 4, 10, 0], [4, 2, 3, 0]]),
    )
    answer = consensus(agree.copy(), seen.copy())
    if answer is None:
        return NOT_YET
    answer, shares = np.asarray(answer, dtype=float), (agree + 1) / (seen + 2)
    if answer.shape != (4,):
        return f"The consensus must have a number for each of 4 statements; its shape is {answer.shape}."
    if np.isnan(answer[3]) or np.allclose(
        answer[:3], (agree[:, :3] / seen[:, :3]).prod(0)
    ):
        return "Where nobody voted there is 0/0. Add 1 to the agreements and 2 to the votes, in each group."
    right = shares.prod(0)
    mean = "That is the mean over groups: one that loves it makes up for one that rejects it. Multiply instead."
    root = "That is the geometric mean, which some libraries use. It orders alike; the product itself is asked."
    pool = "That counts all voters as one group. Take each group's share first, then multiply over groups."
    known = {
        mean: shares.mean(0),
        root: np.sqrt(right),
        pool: (agree.sum(0) + 1) / (seen.sum(0) + 2),
    }
    known[
        "Right: a product over groups, and a group without votes counts one half."
    ] = right
    other = f"Expected {right.round(3).tolist()}, got {answer.round(3).tolist()}; compare with the equation."
    return next(
        (words for words, numbers in known.items() if np.allclose(answer, numbers)),
        other,
    )


def check_constitution(
    write: Callable[..., Any], *, beat: float, majority: float, beta: float
) -> str:
    """Check write(matrix, groups, statements) -> at most six ids: the worse-off camp's mean gain."""
    worst, reference = (
        [],
        np.full(len(replies().sentences), 1 / len(replies().sentences)),
    )
    for seed in range(100, 105):  # populations that nobody has looked at
        votes = population(majority=majority, seed=seed)
        chosen = write(
            votes.matrix.copy(), opinion_groups(votes.matrix), votes.statements.copy()
        )
        if chosen is None:
            return NOT_YET
        chosen = list(chosen)
        if not 1 <= len(set(chosen)) == len(chosen) <= MOST or not set(chosen) <= set(
            votes.statements.index
        ):
            allowed = f"one to {MOST} different ids from the index of statements"
            return f"A constitution is a list of {allowed}; got {chosen}."
        policy = optimal_policy(reference, judge(votes.statements, chosen), beta)
        worst.append(gains(policy, replies().utility, reference, beta).min())
    reached = np.mean(worst)
    told = f"the worse-off camp gains {reached:.2f} on average over five populations"
    if reached <= beat:
        return f"Inside the rules, but {told}, and the goal is above {beat:.2f}."
    return f"Right: {told}, above {beat:.2f}."
