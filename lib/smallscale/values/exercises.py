"""Is the answer right, and if not, why? The exercises on votes and values.

Each check takes an answer and returns a sentence.
"""

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import expit

from smallscale.dpo import optimal_policy
from smallscale.notebook.exercises import NOT_YET, matching_message
from smallscale.values.constitutions import MOST_ARTICLES
from smallscale.values.group_rules import gains
from smallscale.values.population import (
    PRINCIPLE_NAMES,
    constitution_points,
    population,
    replies,
)
from smallscale.votes.groups import opinion_groups
from smallscale.votes.polis import Votes

CLOSE_SHARE = 0.011  # an answer may be rounded to two digits
UNSEEN_SEEDS = range(100, 105)  # of populations that nobody has looked at


def check_share(share: float | None) -> str:
    """Check the share of the majority from which a wish of utility 1/2 wins, however
    strong the minority's feeling is: 0.5 / sigmoid(0.5)."""
    if share is None:
        return NOT_YET
    messages = {
        "Right: 0.5 / sigmoid(0.5). The milder the wish, the larger the majority that "
        "it takes; below, strength can still turn the vote.": 0.5 / expit(0.5),
        "That is the share for a wish of utility 1, in the figure above. Put 0.5 in "
        "its sigmoid.": 0.5 / expit(1),
        "One half would do if the majority always chose its side. Its wish is mild, so "
        "it often chooses the other.": 0.5,
        "That is how often the majority chooses its side. Ask which share of such "
        "people makes one half of all choices.": expit(0.5),
        "That is the minority's share. The majority's is asked.": (
            1 - 0.5 / expit(0.5)
        ),
        "At 1 nobody is left to object. Less is enough: a feeling without end takes "
        "the minority's sigmoid to 0, and no further.": 1.0,
    }
    answer = np.asarray(share, dtype=float)
    for message, value in messages.items():
        if answer.shape == () and abs(answer - value) < CLOSE_SHARE:
            return message
    return (
        "Set the minority's sigmoid to 0 in P, and P to one half; then solve for the "
        "share."
    )


def check_consensus(consensus: Callable[[np.ndarray, np.ndarray], Any]) -> str:
    """Check a function of agreements and votes, (groups, statements) each, that returns
    the group-aware consensus (statements,)."""
    agree = np.array([[4, 0, 9, 0], [1, 2, 3, 0]])
    seen = np.array([[4, 4, 10, 0], [4, 2, 3, 0]])
    said = _consensus_message(consensus, agree, seen)
    if said.startswith("Right"):
        rng = np.random.default_rng()  # groups and votes that nobody can foresee
        seen = rng.integers(1, 30, size=(3, 4))
        again = _consensus_message(consensus, rng.binomial(seen, 0.6), seen)
        if not again.startswith("Right"):
            return f"Right for two groups, and then not for three. {again}"
    return said


def _consensus_message(
    consensus: Callable[[np.ndarray, np.ndarray], Any],
    agree: np.ndarray,
    seen: np.ndarray,
) -> str:
    """Return what to say of the consensus of these agreements and votes."""
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
        "product itself is asked.": right ** (1 / len(agree)),
        "That is the least of the groups. Multiply them: the others count too.": (
            shares.min(0)
        ),
        "Add 2 to the votes, not 1: one agreement and one disagreement that nobody "
        "cast.": ((agree + 1) / (seen + 1)).prod(0),
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
    mean gain must be above `beat`.

    Each population is dealt new ids, and names A to F for its principles, so that only
    votes tell what a statement is worth. `statements` has the columns principle and
    direction.
    """
    count = len(replies().sentences)
    reference = np.full(count, 1 / count)
    worst = []
    written = []
    for seed in UNSEEN_SEEDS:
        votes = population(majority=majority, seed=seed)
        groups = opinion_groups(votes.matrix)
        matrix, statements, dealt = _disguised(votes, seed)
        chosen = write(matrix, groups, statements)
        if chosen is None:
            return NOT_YET
        chosen = list(chosen)
        if not _is_constitution(chosen, statements):
            return (
                f"A constitution is a list of one to {MOST_ARTICLES} different ids "
                f"from the index of statements; got {chosen}."
            )
        written.append(chosen)
        points = constitution_points(votes.statements, dealt[chosen])
        policy = optimal_policy(reference, points, beta)
        worst.append(gains(policy, replies().utility, reference, beta).min())
    reached = np.mean(worst)
    told = f"the worse-off camp gains {reached:.2f} on average over five populations"
    if reached > beat:
        return f"Right: {told}, above {beat:.2f}."
    if all(sorted(ids) == sorted(written[0]) for ids in written):
        told = f"the list is always the same, while ids are dealt anew: {told}"
    return f"Inside the rules, but {told}, and the goal is above {beat:.2f}."


def _disguised(votes: Votes, seed: int) -> tuple[pd.DataFrame, pd.DataFrame, pd.Series]:
    """Return votes and statements under other ids and with other names of principles,
    and the true id of each new one."""
    rng = np.random.default_rng(seed)
    ids = votes.statements.index
    dealt = pd.Series(rng.permutation(ids), index=ids)  # new id -> true id
    statements = votes.statements.loc[dealt.to_numpy(), ["principle", "direction"]]
    names = dict(zip(PRINCIPLE_NAMES, rng.permutation(list("ABCDEF")), strict=True))
    statements = statements.replace({"principle": names}).set_axis(ids, axis=0)
    matrix = votes.matrix[dealt.to_numpy()].set_axis(ids, axis=1)
    return matrix, statements.rename_axis("statement"), dealt


def _is_constitution(chosen: Iterable[Any], statements: pd.DataFrame) -> bool:
    """Say whether these are one to six different ids of statements."""
    ids = list(chosen)
    different = len(set(ids)) == len(ids)
    known = set(ids) <= set(statements.index)
    return 1 <= len(ids) <= MOST_ARTICLES and different and known
