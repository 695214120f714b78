"""Which camps are there? Opinion groups by Polis's rules: a map of the people, then
clusters on the map.

The rules are those of Polis (its files pca.clj, clusters.clj and conversation.clj),
with its two accidents taken out: its clusters start from whoever voted first, and
remember the groups of yesterday. Both keep it from groups of a single person, since
whoever voted first is seldom extreme, and yesterday's groups were larger. Here groups
depend on the votes alone, so two rules stand in for them: a group has a fewest number
of people, and one more group must win clearly.
"""

import math
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from sklearn.cluster import KMeans
from sklearn.metrics import silhouette_samples

from smallscale.core.validation import require, shown, whole_number
from smallscale.votes.polis import sorted_by_id, vote_matrix

ENOUGH_VOTES = 7  # to be in the conversation
ENOUGH_PEOPLE = 15  # below, people with fewer votes join them
MOST_BASE_CLUSTERS = 1000  # Polis gathers in 100; with more, places are kept
MOST_GROUPS = 5
BASE_CLUSTERS_PER_GROUP = 12  # for each group beyond two
FEWEST_PEOPLE = 4  # two groups of two
SMALLEST_SHARE = 1 / 20  # of all people; a group has at least one person more
CLEAR_LEAD = 0.05  # in mean silhouette, by which more groups must win
RESTARTS = 200  # of k-means: enough to meet the best ending, whatever the seed
MOST_ROUNDS = 300  # of k-means
DECIMALS = 9  # of a position on the map; what is beyond is rounding


def in_conversation(matrix: Any) -> pd.Series:
    """Return who has voted enough to be placed, True or False by participant: who cast
    at least min(7, number of statements) votes.

    Where fewer than 15 people have, those with the most votes join them, up to 15; of
    people with equal votes, by id.

    >>> in_conversation([[1, 1], [1, None], [None, None]]).tolist()
    [True, True, False]
    """
    frame = vote_matrix(matrix)
    counts = sorted_by_id(frame).notna().sum(axis=1)
    inside = counts >= min(ENOUGH_VOTES, frame.shape[1])
    if inside.sum() < ENOUGH_PEOPLE:
        voters = counts[counts > 0]
        ranked = voters.sort_values(ascending=False, kind="stable")
        inside |= inside.index.isin(ranked.index[:ENOUGH_PEOPLE])
    return inside.reindex(frame.index)


def opinion_map(matrix: Any, *, moderated_out: Iterable[Any] = ()) -> pd.DataFrame:
    """Return where each participant stands on the two leading principal components of
    the votes, moved outward for votes that are missing: position = sqrt(statements /
    votes cast) * sum over votes cast of (vote - mean) * component.

    The components are those of centred votes, with the column's mean where a vote is
    missing. The factor moves somebody who voted little out of the middle. The column of
    a statement in `moderated_out` is 0 for everybody. The sign of a component is a
    convention: the longer tail points to the right, and up.
    Returns columns x and y by participant, NaN for people outside the conversation.
    Raises ValueError as `vote_matrix` does, and for a statement in `moderated_out` that
    the matrix does not have: the text "0" is not the number 0.

    >>> places = opinion_map([[1, 1], [1, 1], [-1, -1], [-1, -1]])
    >>> places["x"].abs().round(3).tolist()  # (1, 1) on the component (1, 1) / sqrt 2
    [1.414, 1.414, 1.414, 1.414]
    """
    frame = vote_matrix(matrix)
    votes = sorted_by_id(frame)
    votes.loc[:, votes.columns.isin(_withdrawn(votes, moderated_out))] = 0.0
    votes = votes.dropna(how="all")
    # Once centred, a missing vote at the column's mean is 0.
    centred = (votes - votes.mean()).fillna(0.0).to_numpy()
    _, components = np.linalg.eigh(centred.T @ centred)  # in increasing order
    leading = components[:, ::-1][:, :2]  # one column where there is one statement
    stretch = np.sqrt(votes.shape[1] / votes.count(axis=1).to_numpy())
    places = pd.DataFrame(stretch[:, None] * (centred @ leading), index=votes.index)
    # With a single statement there is no second component, and y is 0.
    places = places.reindex(columns=[0, 1], fill_value=0.0)
    places = places.set_axis(["x", "y"], axis=1)
    places = places[in_conversation(frame).reindex(places.index)]
    tails = (places**3).sum()
    return (places * np.where(tails < 0, -1, 1)).reindex(frame.index)


def _withdrawn(votes: pd.DataFrame, moderated_out: Any) -> list[Any]:
    """Return the ids of withdrawn statements, or refuse what is no id of the matrix."""
    wanted = "moderated_out must be a list of statement ids, as matrix.columns has them"
    no_list = isinstance(moderated_out, (str, bytes, Mapping))
    require(
        isinstance(moderated_out, Iterable) and not no_list,
        f"{wanted}; got {shown(moderated_out)}",
    )
    ids = list(moderated_out)
    again = [each for k, each in enumerate(ids) if each in ids[:k]]
    require(not again, f"{wanted}, each once; got {shown(again[:1])} twice: no flags")
    unknown = [each for each in ids if each not in votes.columns]
    require(not unknown, f"{wanted}; got {shown(unknown[:1])}")
    return ids


def opinion_groups(
    matrix: Any, *, moderated_out: Iterable[Any] = (), seed: int = 0
) -> pd.Series:
    """Return the group of each participant, 0, 1, ... from the largest on, after
    Polis's rules: k-means on the `opinion_map`, with as many groups as the mean
    silhouette favours, none of them smaller than a twentieth of all and one person.

    matrix: (participants, statements) of 1, -1, 0 and NaN. Up to 1,000 places on the
    map are clustered as they are; of more, k-means makes base clusters first. On these,
    weighted by how many people are in them, k-means makes k groups, for k from 2 to
    min(5, 2 + base clusters / 12). Of its endings from 200 random starts the best one
    counts whose groups all have enough people. The fewest groups are taken whose mean
    silhouette is within .05 of the best. People outside the conversation have NaN.
    Where every ending leaves too small a group, its people are set aside, the others
    are clustered, and who was set aside joins the nearest group. This way nobody is a
    group alone, with a veto in `group_aware_consensus`.
    seed: of the starts of k-means; with 200 starts for each k it hardly ever matters.
    The order of rows and of columns changes nothing. Names matter only where fewer than
    15 people voted enough, and people with equal votes compete for the last place.
    Raises ValueError as `opinion_map` does, for a seed that is no whole number of at
    least 0, and for a conversation too small to cluster: fewer than 4 people in it, all
    of them in one place, or no second group of enough people.

    >>> opinion_groups([[1, 1, -1]] * 5 + [[-1, -1, 1]] * 3).tolist()
    [0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0]
    """
    seed = whole_number("seed", seed, least=0)
    places = opinion_map(matrix, moderated_out=moderated_out)
    placed = places.dropna().round(DECIMALS) + 0.0  # + 0.0: no minus zero
    spots, spot_of, people = np.unique(
        placed.to_numpy(), axis=0, return_inverse=True, return_counts=True
    )
    if len(placed) < FEWEST_PEOPLE or len(spots) < 2:
        raise ValueError(
            f"matrix is too small to cluster: it takes at least {FEWEST_PEOPLE} people "
            "with votes, in at least 2 places on the map; got "
            f"{len(placed)} people in {len(spots)}"
        )
    base = _base_clusters(spots, people)
    sizes = np.bincount(base, weights=people)
    sums = [np.bincount(base, weights=people * axis) for axis in spots.T]
    centres = np.stack([total / sizes for total in sums], 1)  # (base clusters, 2)
    group = _best_groups(centres, sizes, seed)[base][spot_of.ravel()]
    names = _names_by_size(placed, group)
    found = pd.Series(names[group], index=placed.index, dtype=float, name="group")
    return found.reindex(places.index)


def _names_by_size(placed: pd.DataFrame, group: np.ndarray) -> np.ndarray:
    """Return the name of each group, (groups,): 0 for the largest.

    Of groups of one size the one further left comes first, and of these the lower one,
    so that no shuffling changes a name.
    """
    members = [group == g for g in range(group.max() + 1)]
    order = sorted(
        range(len(members)),
        key=lambda g: (-members[g].sum(), *placed[members[g]].min()),
    )
    return np.argsort(order)


def _base_clusters(spots: np.ndarray, people: np.ndarray) -> np.ndarray:
    """Return the base cluster of each spot (spots, 2), weighted by its people.

    Up to 1,000 spots are a cluster each. Of more, k-means makes 1,000 from starts that
    are spread out: first the spot nearest the middle, then again and again the spot
    furthest from all starts so far.
    """
    if len(spots) <= MOST_BASE_CLUSTERS:
        return np.arange(len(spots))
    middle = np.average(spots, axis=0, weights=people)
    starts = [int(_squared_distances(spots, middle).argmin())]
    nearest = np.full(len(spots), np.inf)  # squared distance to the nearest start
    while len(starts) < MOST_BASE_CLUSTERS:
        newest = spots[starts[-1]]
        nearest = np.minimum(nearest, _squared_distances(spots, newest))
        starts.append(int(nearest.argmax()))
    k_means = KMeans(MOST_BASE_CLUSTERS, init=spots[starts], n_init=1, tol=0)
    labels: np.ndarray = k_means.fit(spots, sample_weight=people).labels_
    return labels


def _squared_distances(spots: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Return the squared distances between points of shape (..., 2) that broadcast."""
    distances: np.ndarray = ((spots - places) ** 2).sum(-1)
    return distances


def _best_groups(centres: np.ndarray, sizes: np.ndarray, seed: int) -> np.ndarray:
    """Return the group of each base cluster (n, 2): of the endings of k-means in which
    every group has enough people, the one that the mean silhouette favours.

    sizes: (n,), the people in each base cluster; the mean is over people.
    """
    least = 1 + math.ceil(SMALLEST_SHARE * sizes.sum())
    near = np.arange(len(centres))  # who is not set aside
    while len(near) > 1:
        most = min(MOST_GROUPS, 2 + len(near) // BASE_CLUSTERS_PER_GROUP, len(near))
        endings = [
            _k_means(centres[near], sizes[near], k, least=least, seed=seed)
            for k in range(2, most + 1)
        ]
        large = [ending for ending in endings if ending.smallest >= least]
        if large:
            best = _clear_winner(centres[near], sizes[near], large)
            distances = _squared_distances(centres[:, None], best.middles)
            joined: np.ndarray = distances.argmin(1)
            return joined
        of_two = endings[0].labels
        people = np.bincount(of_two, weights=sizes[near])
        near = near[people[of_two] >= least]
    raise ValueError(
        f"matrix is too small to cluster: a group has at least {least} of "
        f"{sizes.sum():.0f} people, and k-means finds no two that large; more people "
        "or more votes may show them"
    )


class _Ending(NamedTuple):
    """Where k-means ended: labels (n,), middles (k, 2), and how many people are in the
    smallest group."""

    labels: np.ndarray
    middles: np.ndarray
    smallest: float


def _k_means(
    points: np.ndarray, weights: np.ndarray, k: int, *, least: int, seed: int
) -> _Ending:
    """Return where k-means of points (n, 2) ends: of the endings from random starts
    whose groups all weigh at least `least`, or of all if there is none, the one with
    the least weighted squared distance to the middles.

    All starts take their rounds together. They are people: in every second start each
    as likely as the others, so that few of them are extreme; else as in k-means++, each
    as likely as its squared distance to the nearest one so far.
    """
    rng = np.random.default_rng([seed, k])
    plain = (np.arange(RESTARTS) % 2 == 0)[:, None]
    chance = np.tile(weights, (RESTARTS, 1))  # (starts, n), in proportion
    middles = np.empty((RESTARTS, 0, 2))
    for _ in range(k):
        upto = chance.cumsum(1)
        drawn = rng.random((RESTARTS, 1)) * upto[:, -1:]
        chosen = np.minimum((upto <= drawn).sum(1), len(points) - 1)
        middles = np.concatenate([middles, points[chosen][:, None]], 1)
        nearest = _squared_distances(points[:, None], middles[:, None]).min(2)
        chance = np.where(plain, nearest > 0, nearest) * weights
    for _ in range(MOST_ROUNDS):
        before = middles
        distances = _squared_distances(points[:, None], middles[:, None])
        labels = distances.argmin(2)  # (starts, n)
        member = (labels[:, None] == np.arange(k)[:, None]) * weights  # (starts, k, n)
        people = member.sum(2)
        # A group that lost everybody stays where it is.
        means = member @ points / np.maximum(people, 1e-9)[..., None]
        middles = np.where(people[..., None] > 0, means, before)
        if (middles == before).all():
            break
    spread = (distances.min(2) * weights).sum(1)
    too_small = people.min(1) < least
    best = np.lexsort((spread, too_small))[0]
    return _Ending(labels[best], middles[best], people[best].min())


def _clear_winner(
    points: np.ndarray, weights: np.ndarray, endings: list[_Ending]
) -> _Ending:
    """Return the first ending, from the fewest groups on, whose mean silhouette is
    within `CLEAR_LEAD` of the best."""
    silhouettes = np.array(
        [
            np.average(_silhouettes(points, ending.labels), weights=weights)
            for ending in endings
        ]
    )
    first = int((silhouettes >= silhouettes.max() - CLEAR_LEAD).argmax())
    return endings[first]


def _silhouettes(points: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return the silhouette of each point; 1 where each is a group, at no distance from
    it."""
    if len(points) == labels.max() + 1:
        return np.ones(len(points))
    silhouettes: np.ndarray = silhouette_samples(points, labels)
    return silhouettes
