"""Do real people's votes show what the town shows? Feeds of statements, chosen for
voters by the same model of taste, and judged by votes that it never saw.
"""

from typing import NamedTuple

import numpy as np
import pandas as pd

from smallscale.core.validation import require
from smallscale.simulation.assistants.news import GROUPS
from smallscale.simulation.assistants.taste import Tastes, fit_tastes, word_directions
from smallscale.votes import bridging_scores

RANK = 2  # numbers that describe a statement
PENALTY = 10.0  # on a voter's own weights; both were chosen on made-up votes
PLACES = 3  # statements in a voter's feed
HELD_OUT = 0.5  # share of a voter's votes that are kept from the model
SURE = 4.0  # million: who is nearer to a statement's number than this passes
COMMON = (
    "The council should publish what the tram will cost.",
    "Builders should answer for what they promise.",
    "There should be a vote before anything is built.",
    "Old trees should be kept where the rails will lie.",
    "Children should ride for less.",
    "The tram should run at night as well.",
)


class Halves(NamedTuple):
    """Votes parted at random: those that a model is fitted to, and those that judge it.
    Both are (participants, statements) of 1, 0, -1 and NaN."""

    fitted: pd.DataFrame
    held_out: pd.DataFrame


def town_votes(belief: np.ndarray, likes: np.ndarray, *, seed: int = 0) -> pd.DataFrame:
    """Return how the people of a town would vote on statements, (people, statements),
    with half of the votes missing.

    belief: (people,) in million. likes: (people, groups). Twelve statements say that
    the tram will cost more, or less, than so many million; one for each group asks for
    more news about it; six are such that five in six people agree, whatever they
    believe. One vote in twenty is turned round.
    """
    rng = np.random.default_rng([seed, 3])
    people = len(belief)
    columns = {}
    for i, number in enumerate(np.linspace(34, 67, 12)):
        sign, word = (1, "more") if i % 2 else (-1, "less")
        away = sign * (belief - number)
        statement = f"The tram will cost {word} than {number:.0f} million."
        columns[statement] = np.where(np.abs(away) < SURE, 0.0, np.sign(away))
    for i, group in enumerate(GROUPS):
        columns[f"There should be more news about {group}."] = np.sign(likes[:, i])
    for statement in COMMON:
        columns[statement] = np.where(rng.random(people) < 5 / 6, 1.0, -1.0)
    votes = pd.DataFrame(columns)
    votes = votes.where(rng.random(votes.shape) > 0.05, -votes)
    votes = votes.where(rng.random(votes.shape) < 0.5)
    return votes.rename_axis(index="participant", columns="statement")


def split_votes(matrix: pd.DataFrame, *, seed: int = 0) -> Halves:
    """Return the votes in two halves, drawn for each vote."""
    rng = np.random.default_rng([seed, 4])
    held = rng.random(matrix.shape) < HELD_OUT
    return Halves(matrix.where(~held), matrix.where(held))


def fit_voters(fitted: pd.DataFrame) -> tuple[np.ndarray, Tastes]:
    """Return what statements look like, (statements, features), and voters' tastes.

    Statements are described by the directions in which their voters differ most, where
    a missing vote counts as the statement's mean; then tastes are fitted to the votes.
    """
    mean = fitted.mean().fillna(0.0)
    seen = fitted.notna().to_numpy().astype(float)
    centred = (fitted - mean).fillna(0.0).to_numpy()
    people = word_directions(centred.T, min(RANK, len(fitted)))  # (people, rank)
    described = np.column_stack([centred.T @ people, mean])
    described /= np.maximum(described.std(0), 1e-12)
    features = np.column_stack([described, np.ones(len(described))])
    votes = fitted.fillna(0.0).to_numpy()
    squares = np.einsum("ps,sf,sg->pfg", seen, features, features, optimize=True)
    return features, fit_tastes(squares, votes @ features, PENALTY)


def voters_feeds(
    halves: Halves, groups: pd.Series, *, alphas: list[float], seed: int = 0
) -> pd.DataFrame:
    """Return what feeds of statements are worth, a row for each way to choose them: by
    chance, by taste at each alpha, and by bridging scores.

    Each voter's feed is taken from the statements whose vote was held out. Columns:
    liked, the mean vote (1, 0, -1) that the voter in fact cast on what is shown; and
    divisive, the mean over what is shown of |share of agreement in the largest group -
    in the second largest|, by held-out votes. groups: by participant, from
    `opinion_groups`.
    Raises ValueError where fewer than two voters have enough held-out votes.
    """
    rng = np.random.default_rng([seed, 5])
    held = halves.held_out
    enough = held.notna().sum(axis=1).to_numpy() > PLACES
    require(
        enough.sum() > 1,
        f"votes are too few: two people at least must have more than {PLACES} held-out "
        f"votes; got {enough.sum()}",
    )
    features, tastes = fit_voters(halves.fitted)
    bridging = bridging_scores(halves.fitted, seed=seed)["intercept"]
    bridging = bridging.reindex(held.columns).fillna(bridging.min()).to_numpy()
    ways = {"chance": rng.random(held.shape)}
    for alpha in alphas:
        ways[f"taste, alpha {alpha:g}"] = tastes.weights(alpha) @ features.T
    ways["bridging"] = np.tile(bridging, (len(held), 1))
    apart = _divisiveness(held, groups)
    rows = {}
    for name, scores in ways.items():
        scores = np.where(held.notna(), scores, -np.inf)[enough]
        shown = np.argsort(-scores, axis=1, kind="stable")[:, :PLACES]
        votes = np.take_along_axis(held.to_numpy()[enough], shown, 1)
        rows[name] = {"liked": votes.mean(), "divisive": apart[shown].mean()}
    return pd.DataFrame(rows).T.rename_axis("feed")


def _divisiveness(held: pd.DataFrame, groups: pd.Series) -> np.ndarray:
    """Return how far apart the two largest groups are on each statement, (statements,).

    A group without votes on it counts as one half.
    """
    first, second = groups.value_counts().index[:2]
    shares = [
        ((held[groups == g] == 1).sum() + 1) / (held[groups == g].notna().sum() + 2)
        for g in (first, second)
    ]
    apart: np.ndarray = (shares[0] - shares[1]).abs().to_numpy()
    return apart
