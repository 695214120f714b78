"""Whose wishes are known exactly? A made-up population of two camps, what it votes on,
and the replies that it will get.

Somebody writes to an assistant: "I am worn out. What shall I do?" Six principles say
how it may reply. Each camp has a utility for each principle, known because it is made
up; votes show its sign, mostly, and hide its size.
"""

import json
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from smallscale.core.validation import require
from smallscale.dpo import Answers, padded_answers
from smallscale.votes.polis import Votes

POPULATION_FILE = Path(__file__).with_name("population.json")
CAMPS = ("majority", "minority")
PERSONAL_SPREAD = 0.5  # standard deviation of people's taste within a camp
MOOD_SPREAD = 0.4  # standard deviation of a person's mood between statements
INDIFFERENCE = 0.25  # who feels less than this either way passes
START, END = 0, 1  # token ids: the question, and the end of a reply


class Principle(NamedTuple):
    """majority, minority: the utility to each camp of a reply that follows it.
    followed, not_followed: how a reply sounds that does, or does not."""

    name: str
    majority: float
    minority: float
    followed: str
    not_followed: str


class Statement(NamedTuple):
    """principle: the name of the one that it is about. direction: 1 for the principle,
    -1 against it."""

    principle: str
    direction: int
    text: str


class Material(NamedTuple):
    """What the population is asked, and what it votes on."""

    question: str
    principles: tuple[Principle, ...]
    statements: tuple[Statement, ...]


def read_material(path: Path) -> Material:
    """Return the material in a JSON file, whose keys may stand in any order."""
    entries = json.loads(path.read_text("utf-8"))
    return Material(
        question=entries["question"],
        principles=tuple(Principle(**entry) for entry in entries["principles"]),
        statements=tuple(Statement(**entry) for entry in entries["statements"]),
    )


MATERIAL = read_material(POPULATION_FILE)
QUESTION = MATERIAL.question
PRINCIPLES = MATERIAL.principles
STATEMENTS = MATERIAL.statements
PRINCIPLE_NAMES = tuple(principle.name for principle in PRINCIPLES)
PHRASES = tuple(
    phrase
    for principle in PRINCIPLES
    for phrase in (principle.followed, principle.not_followed)
)
WORDS = ("<question>", "<end>", *PHRASES)  # a phrase's position is its token id


def population(
    people: int = 240, *, majority: float = 0.7, seen: float = 0.8, seed: int = 0
) -> Votes:
    """Return the votes of `people` in two camps on the 24 statements.

    majority: the larger camp's share, in [0.5, 1). seen: the chance that somebody is
    shown a statement.
    A person's wish for a principle is the camp's utility plus personal taste. Their
    vote on a statement for the principle is 1 where wish plus mood exceeds 1/4, -1
    where it is below -1/4, else 0; on a statement against it, the reverse. So a vote
    tells a strong wish from a mild one only by how rarely it fails.
    In the result, `groups` says who is in which camp, as words of CAMPS. `statements`
    has the columns comment-body, moderated, principle and direction (1 for it, -1
    against).
    Raises ValueError for numbers out of range.
    """
    require(
        people >= 4 and 0.5 <= majority < 1 and 0 < seen <= 1,
        "people must be at least 4, majority in [0.5, 1), seen in (0, 1]; got "
        f"{people}, {majority}, {seen}",
    )
    rng = np.random.default_rng(seed)
    camp = (np.arange(people) >= round(people * majority)).astype(int)
    taste = rng.normal(scale=PERSONAL_SPREAD, size=(people, len(PRINCIPLES)))
    wish = camp_utility()[camp] + taste  # (people, principles)
    statements = _statement_table()
    about = _principle_positions(statements)
    felt = statements["direction"].to_numpy() * wish[:, about]  # (people, statements)
    felt += rng.normal(scale=MOOD_SPREAD, size=felt.shape)
    votes = np.where(abs(felt) > INDIFFERENCE, np.sign(felt), 0.0)
    votes[rng.random(votes.shape) >= seen] = np.nan
    matrix = pd.DataFrame(votes).rename_axis(index="participant", columns="statement")
    groups = pd.Series(np.array(CAMPS)[camp], index=matrix.index, name="group")
    return Votes(matrix, groups, statements, moderated_out=[])


def _statement_table() -> pd.DataFrame:
    """Return the statements as `Votes` has them, by id."""
    table = pd.DataFrame(STATEMENTS).rename(columns={"text": "comment-body"})
    return table.assign(moderated=1).rename_axis("statement")


def _principle_positions(statements: pd.DataFrame) -> np.ndarray:
    """Return the position in PRINCIPLES of each statement's principle."""
    positions: np.ndarray = pd.Index(PRINCIPLE_NAMES).get_indexer(
        statements["principle"]
    )
    return positions


def camp_utility() -> np.ndarray:
    """Return the utility of each principle to each camp, (camps, principles)."""
    return np.array([[getattr(p, camp) for p in PRINCIPLES] for camp in CAMPS])


class Replies(NamedTuple):
    """All 64 replies: one for each choice of principles to follow.

    sentences: their words. texts: the same as tokens, after the question and with an
    end. follows: (64, principles) of 1 and 0. utility: (64, camps), the sum over the
    principles that a reply follows.
    """

    sentences: tuple[str, ...]
    texts: Answers
    follows: np.ndarray
    utility: np.ndarray


@cache
def replies() -> Replies:
    """Return every reply there is to the question, so that a policy's value to a camp
    is a sum, with nothing sampled."""
    follows = np.array(list(product((1, 0), repeat=len(PRINCIPLES))))
    # In the same order: how each principle sounds, followed first.
    phrases = list(product(*((p.followed, p.not_followed) for p in PRINCIPLES)))
    tokens = [[*map(WORDS.index, reply), END] for reply in phrases]
    return Replies(
        sentences=tuple(map(", ".join, phrases)),
        texts=padded_answers([[START]] * len(tokens), tokens, pad=END),
        follows=follows,
        utility=follows @ camp_utility().T,
    )


def constitution_points(statements: pd.DataFrame, chosen: Any) -> np.ndarray:
    """Return how many statements of a constitution each reply satisfies, (64,).

    statements: as `population` makes them. chosen: the ids of those in the
    constitution. A reply satisfies a statement for a principle if it follows the
    principle, and one against it if it does not.
    """
    articles = statements.loc[list(chosen)]
    followed = replies().follows[:, _principle_positions(articles)]
    wanted = articles["direction"].to_numpy() > 0
    points: np.ndarray = (followed == wanted).sum(1).astype(float)
    return points
