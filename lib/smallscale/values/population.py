"""Whose wishes are known exactly? A made-up population of two camps, what it votes on, and the replies it will get.

Somebody writes to an assistant: "I am worn out. What shall I do?" Six principles say how it may reply. Each camp has a
utility for each principle, known because it is made up; votes show its sign, mostly, and hide its size.
"""

import json
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from smallscale.dpo import Answers, padded_answers
from smallscale.values.votes import Votes

CAMPS = ("majority", "minority")
# principles: the utility of following each to the majority and to the minority, and how a reply sounds that does, or
# does not. statements: the principle each is about, 1 for it or -1 against it, and its words.
QUESTION, PRINCIPLES, STATEMENTS = json.loads(
    Path(__file__).with_name("population.json").read_text("utf-8")
).values()
PERSONAL, WORDING = (
    0.5,
    0.4,
)  # standard deviations: of people within a camp, and of moods between statements
MIND = 0.25  # who feels less than this either way passes
START, END = 0, 1  # token ids: the question, and the end of a reply
WORDS = (
    "<question>",
    "<end>",
    *(phrase for entry in PRINCIPLES.values() for phrase in entry[2:]),
)


def population(
    people: int = 240, *, majority: float = 0.7, seen: float = 0.8, seed: int = 0
) -> Votes:
    """Votes of `people` in two camps on the 24 statements; `groups` says who is in which, as words of CAMPS.

    majority: the larger camp's share, in [0.5, 1). seen: the chance that somebody is shown a statement.
    Person i's wish for a principle is the camp's utility plus personal taste, and a vote on a statement for it is 1
    where wish plus mood exceeds 1/4, -1 where it is below -1/4, else 0; on a statement against it the reverse. So a
    vote tells a strong wish from a mild one only by how rarely it fails. statements: comment-body, moderated, principle
    and direction (1 for it, -1 against). Raises ValueError for numbers out of range.
    """
    if people < 4 or not 0.5 <= majority < 1 or not 0 < seen <= 1:
        got = f"got {people}, {majority}, {seen}"
        raise ValueError(
            f"people must be at least 4, majority in [0.5, 1), seen in (0, 1]; {got}"
        )
    rng = np.random.default_rng(seed)
    camp = (np.arange(people) >= round(people * majority)).astype(int)
    statements = pd.DataFrame(
        STATEMENTS, columns=["principle", "direction", "comment-body"]
    ).assign(moderated=1)
    wish = camp_utility()[camp] + rng.normal(
        scale=PERSONAL, size=(people, len(PRINCIPLES))
    )
    about = pd.Index(PRINCIPLES).get_indexer(statements["principle"])
    felt = statements["direction"].to_numpy() * wish[:, about]
    felt += rng.normal(scale=WORDING, size=felt.shape)
    votes = np.where(abs(felt) > MIND, np.sign(felt), 0.0)
    votes[rng.random(votes.shape) >= seen] = np.nan
    matrix = pd.DataFrame(votes).rename_axis(index="participant", columns="statement")
    groups = pd.Series(np.array(CAMPS)[camp], index=matrix.index, name="group")
    return Votes(matrix, groups, statements.rename_axis("statement"), [])


def camp_utility() -> np.ndarray:
    """(camps, principles) the utility of each principle to each camp."""
    return np.array([entry[:2] for entry in PRINCIPLES.values()]).T


class Replies(NamedTuple):
    """All 64 replies: one for each choice of principles to follow.

    sentences: their words; texts: as tokens, after the question and with an end; follows: (64, principles) of 1 and 0;
    utility: (64, camps), the sum over the principles that a reply follows.
    """

    sentences: tuple[str, ...]
    texts: Answers
    follows: np.ndarray
    utility: np.ndarray


@cache
def replies() -> Replies:
    """Every reply there is to the question, so that a policy's value to a camp is a sum, with nothing sampled."""
    follows = np.array(list(product((1, 0), repeat=len(PRINCIPLES))))
    sentences = list(
        product(*(entry[2:] for entry in PRINCIPLES.values()))
    )  # how it sounds, in the same order
    tokens = [[*map(WORDS.index, sentence), END] for sentence in sentences]
    texts = padded_answers([[START]] * len(tokens), tokens, pad=END)
    return Replies(
        tuple(map(", ".join, sentences)), texts, follows, follows @ camp_utility().T
    )


def judge(statements: pd.DataFrame, chosen: Any) -> np.ndarray:
    """(64,) what a judge who goes by these statements thinks of each reply: a point for each that it satisfies.

    statements: as `population` makes them; chosen: ids of those in the constitution. A statement for a principle is
    satisfied by a reply that follows it, one against it by a reply that does not.
    """
    rules = statements.loc[list(chosen)]
    followed = replies().follows[
        :, pd.Index(PRINCIPLES).get_indexer(rules["principle"])
    ]
    return (followed == (rules["direction"].to_numpy() > 0)).sum(1).astype(float)
