"""Which camps are there? Opinion groups by Polis's rules: a map of the people, then clusters on the map.

The rules are those of Polis (its files pca.clj, clusters.clj and conversation.clj), with its two accidents taken out:
its clusters start from whoever voted first, and remember the groups of yesterday. Here they depend on the votes alone.
"""

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd
from sklearn.cluster import KMeans
from sklearn.metrics import silhouette_score

from smallscale.values.votes import canonical, vote_matrix

ENOUGH_VOTES, ENOUGH_PEOPLE = 7, 15  # who is in the conversation
BASE, MOST, PEOPLE_PER_GROUP = 100, 5, 12  # base clusters, and groups at most
FEWEST = 4  # people, for two groups of two
RESTARTS = 100  # of k-means on at most 100 points: enough to meet the best of its endings, whatever the seed
DIGITS = 9  # decimals of a position on the map that are more than rounding


def in_conversation(matrix: Any) -> pd.Series:
    """Who has voted enough to be placed, True or False by participant: min(7, number of statements) votes.

    Where fewer than 15 people have, those with the most votes join them, up to 15; of equal ones, by id.
    """
    frame = vote_matrix(matrix)
    counts = canonical(frame).notna().sum(axis=1)
    inside = counts >= min(ENOUGH_VOTES, frame.shape[1])
    if inside.sum() < ENOUGH_PEOPLE:
        ranked = counts[counts > 0].sort_values(ascending=False, kind="stable")
        inside |= inside.index.isin(ranked.index[:ENOUGH_PEOPLE])
    return inside.reindex(frame.index)


def opinion_map(matrix: Any, *, moderated_out: Iterable[Any] = ()) -> pd.DataFrame:
    """Where each participant stands: columns x and y, NaN for people outside the conversation.

    The two leading principal components of the votes, centred, with the column's mean where a vote is missing.
    A participant is then projected by the votes cast alone, and moved outward for those that are missing:

        position = sqrt(statements / votes cast) * sum over votes cast of (vote - mean) * component

    so that somebody who voted little does not sit in the middle for that reason. The column of a statement in
    `moderated_out` is 0 for everybody. The sign of a component is a convention: the longer tail points to the right,
    and up.
    """
    frame = vote_matrix(matrix)
    votes = canonical(frame)
    votes.loc[:, votes.columns.isin(list(moderated_out))] = 0.0
    votes = votes.dropna(how="all")
    centred = (
        (votes - votes.mean()).fillna(0.0).to_numpy()
    )  # a missing vote at the mean is 0 here
    _, axes = np.linalg.eigh(centred.T @ centred)  # in increasing order of variance
    stretch = np.sqrt(votes.shape[1] / votes.count(axis=1).to_numpy())
    places = pd.DataFrame(
        stretch[:, None] * (centred @ axes[:, ::-1][:, :2]), index=votes.index
    )
    places = places.reindex(columns=[0, 1], fill_value=0.0).set_axis(
        ["x", "y"], axis=1
    )  # of a single statement: y = 0
    places = places[in_conversation(frame).reindex(places.index)]
    tails = (places**3).sum()
    return (places * np.where(tails < 0, -1, 1)).reindex(frame.index)


def opinion_groups(
    matrix: Any, *, moderated_out: Iterable[Any] = (), seed: int = 0
) -> pd.Series:
    """The group of each participant, 0, 1, ... from the largest on; NaN for people outside the conversation.

    matrix: (participants, statements) of 1, -1, 0 and NaN. On the `opinion_map`, k-means makes at most 100 base
    clusters; on these, weighted by how many people are in them, k-means makes k groups, for k from 2 to
    min(5, 2 + base clusters / 12), and the k with the largest mean silhouette of the base clusters is taken.
    seed: of the starts of k-means on the groups; with 100 starts for each k it hardly ever matters.
    The order of rows and of columns changes nothing; names only where fewer than 15 people voted enough, and people
    with as many votes as one another compete for the last place.
    Raises ValueError as `vote_matrix` does, and for a conversation too small to cluster: fewer than 4 people in it,
    or all of them in one place.
    """
    places = opinion_map(matrix, moderated_out=moderated_out)
    placed = places.dropna().round(DIGITS) + 0.0  # + 0.0: no minus zero
    spots, spot_of, people = np.unique(
        placed.to_numpy(), axis=0, return_inverse=True, return_counts=True
    )
    if len(placed) < FEWEST or len(spots) < 2:
        least = f"at least {FEWEST} people with votes, in at least 2 places on the map"
        raise ValueError(
            f"matrix is too small to cluster: it takes {least}; got {len(placed)} people in {len(spots)}"
        )
    base = _base_clusters(spots, people)
    sizes = np.bincount(base, weights=people)
    centres = np.stack(
        [np.bincount(base, weights=people * axis) / sizes for axis in spots.T], 1
    )
    group = _best_groups(centres, sizes, seed)[base][spot_of.ravel()]
    # Largest first; of equal size the one further left: a name that no shuffling changes.
    left = [tuple(placed[group == g].min()) for g in range(group.max() + 1)]
    order = sorted(range(len(left)), key=lambda g: (-(group == g).sum(), left[g]))
    names = pd.Series(
        np.argsort(order)[group], index=placed.index, dtype=float, name="group"
    )
    return names.reindex(places.index)


def _base_clusters(spots: np.ndarray, people: np.ndarray) -> np.ndarray:
    """The base cluster of each spot (spots, 2). Up to 100 spots are their own; else k-means from spread-out starts.

    The first start is the spot nearest the middle, each next one the spot furthest from all so far.
    """
    if len(spots) <= BASE:
        return np.arange(len(spots))
    chosen = [
        int(((spots - np.average(spots, axis=0, weights=people)) ** 2).sum(1).argmin())
    ]
    nearest = np.full(len(spots), np.inf)
    while len(chosen) < BASE:
        nearest = np.minimum(nearest, ((spots - spots[chosen[-1]]) ** 2).sum(1))
        chosen.append(int(nearest.argmax()))
    return (
        KMeans(BASE, init=spots[chosen], n_init=1, tol=0)
        .fit(spots, sample_weight=people)
        .labels_
    )


def _best_groups(centres: np.ndarray, sizes: np.ndarray, seed: int) -> np.ndarray:
    """The group of each base cluster (n, 2), by the largest mean silhouette; of equal ones the fewest groups."""
    if len(centres) == 2:
        return np.array([0, 1])
    ks = range(2, min(MOST, 2 + len(centres) // PEOPLE_PER_GROUP) + 1)
    found = [
        KMeans(k, n_init=RESTARTS, random_state=seed, tol=0)
        .fit(centres, sample_weight=sizes)
        .labels_
        for k in ks
    ]
    return max(found, key=lambda labels: silhouette_score(centres, labels))
