"""Do the groups follow Polis's rules, and nothing else: no order, no names, no luck of
a seed?"""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score

from smallscale.votes import Votes, in_conversation, opinion_groups, opinion_map
from smallscale.votes.groups import (
    _best_groups,
    _clear_winner,
    _Ending,
    _k_means,
)

Camps = tuple[pd.DataFrame, pd.Series]


def agreement(found: pd.Series, published: pd.Series) -> float:
    both = found.notna() & published.notna()
    return float(adjusted_rand_score(published[both], found[both]))


def test_the_published_groups_of_real_conversations_are_found(real: Votes) -> None:
    """Wanted: an adjusted Rand index of at least .80, from any seed. The conversations
    are those whose people all voted enough; benchmarks/README.md has the others."""
    for seed in range(5):
        found = opinion_groups(real.matrix, moderated_out=real.moderated_out, seed=seed)
        assert agreement(found, real.groups) > 0.85
    assert found.index.equals(real.matrix.index)


def test_camps_are_found_numbered_from_the_largest(camps: Camps) -> None:
    votes, camp = camps
    found = opinion_groups(votes)
    assert found.dtype == float
    assert (
        agreement(found, camp) > 0.9
    )  # one of forty, with unlikely votes, is placed elsewhere
    assert found.groupby(camp).agg(lambda group: group.mode()[0]).tolist() == [0, 1, 2]
    assert found.value_counts().sort_index().is_monotonic_decreasing


def test_a_shuffled_conversation_has_the_same_groups(real: Votes) -> None:
    expected = opinion_groups(real.matrix, moderated_out=real.moderated_out)
    rng = np.random.default_rng(1)
    for _ in range(3):
        mixed = real.matrix.iloc[
            rng.permutation(len(real.matrix)), rng.permutation(real.matrix.shape[1])
        ]
        found = opinion_groups(mixed, moderated_out=real.moderated_out)
        assert found.index.equals(mixed.index)
        pd.testing.assert_series_equal(found.reindex(expected.index), expected)
        # The ids renamed as well: now only the votes can say who is who.
        withdrawn = [mixed.columns.get_loc(s) for s in real.moderated_out]
        renamed = opinion_groups(mixed.to_numpy(), moderated_out=withdrawn).set_axis(
            mixed.index
        )
        pd.testing.assert_series_equal(renamed.reindex(expected.index), expected)


@settings(max_examples=25)
@given(st.randoms(use_true_random=False))
def test_a_shuffled_map_is_the_same_map(random: object) -> None:
    rng = np.random.default_rng(random.randrange(2**32))
    votes = pd.DataFrame(
        np.where(
            rng.random((30, 9)) < 0.1, np.nan, rng.choice([1, -1, 0], size=(30, 9))
        )
    )
    rows = rng.permutation(30)
    columns = rng.permutation(9)
    pd.testing.assert_frame_equal(
        opinion_map(votes.iloc[rows, columns]), opinion_map(votes).iloc[rows]
    )  # bit for bit
    renamed = opinion_map(votes.to_numpy()[rows][:, columns])
    np.testing.assert_allclose(renamed, opinion_map(votes).iloc[rows], atol=1e-9)


def test_the_seed_decides_alone(camps: Camps) -> None:
    votes, _ = camps
    before = np.random.get_state()[1].copy()  # noqa: NPY002, which must not change
    first = opinion_groups(votes, seed=3)
    assert (np.random.get_state()[1] == before).all()  # noqa: NPY002
    pd.testing.assert_series_equal(opinion_groups(votes, seed=3), first)


def test_a_map_by_hand() -> None:
    """One axis of opinion: four people for, four against, on two statements; one of
    each saw only the first.

    All columns have mean 0, the component is (1, 1)/sqrt 2, so who voted twice stands
    at 2/sqrt 2. Who voted once stands at 1/sqrt 2, stretched by sqrt(2/1): 1.
    """
    votes = np.array([[1, 1]] * 3 + [[1, np.nan]] + [[-1, -1]] * 3 + [[-1, np.nan]])
    x = opinion_map(votes)["x"].abs()
    inside = in_conversation(votes)
    assert inside.all()  # fewer than 15: topped up with all who voted
    np.testing.assert_allclose(
        x, [math.sqrt(2)] * 3 + [1] + [math.sqrt(2)] * 3 + [1], atol=0.2
    )


def test_the_components_are_principal_and_missing_votes_take_the_mean() -> None:
    rng = np.random.default_rng(2)
    votes = np.where(
        rng.random((60, 8)) < 0.25, np.nan, rng.choice([1, -1, 0], size=(60, 8))
    )
    filled = np.where(np.isnan(votes), np.nanmean(votes, 0), votes)
    centred = filled - filled.mean(0)
    components = np.linalg.svd(centred, full_matrices=False)[2][:2]
    expected = np.sqrt(8 / (~np.isnan(votes)).sum(1))[:, None] * (
        centred @ components.T
    )
    found = opinion_map(votes)
    inside = in_conversation(votes)
    np.testing.assert_allclose(found[inside].abs(), np.abs(expected[inside]), atol=1e-9)
    assert found[~inside].isna().all(axis=None)
    assert (found**3).sum().ge(0).all()  # the longer tail to the right, and up


def test_a_withdrawn_statement_counts_as_zero_for_everybody(camps: Camps) -> None:
    votes, _ = camps
    zeroed = votes.copy()
    zeroed["s03"] = 0.0
    pd.testing.assert_frame_equal(
        opinion_map(votes, moderated_out=["s03"]), opinion_map(zeroed)
    )
    # Who voted on little else is still in: votes on it count, as in Polis.
    assert in_conversation(votes).equals(
        opinion_map(votes, moderated_out=["s03"]).notna().all(axis=1)
    )


def test_who_is_in_the_conversation() -> None:
    votes = np.full((40, 30), np.nan)
    for i in range(40):
        votes[i, : i % 10] = 1
    inside = in_conversation(votes)
    # Twelve people have 7, 8 or 9 votes; three of those with 6 join them, by id.
    assert inside.sum() == 15
    assert inside[inside].index.tolist() == sorted(
        [7, 8, 9, 17, 18, 19, 27, 28, 29, 37, 38, 39, 6, 16, 26]
    )
    few = np.full((20, 3), 1.0)
    few[0, 0] = np.nan
    few[1] = np.nan
    assert (
        in_conversation(few).tolist() == [False, False] + [True] * 18
    )  # all three statements, where there are fewer than 7


def test_people_outside_have_no_group_and_do_not_count(camps: Camps) -> None:
    votes, _ = camps
    guest = pd.DataFrame(np.nan, index=["guest", "ghost"], columns=votes.columns)
    guest.loc["guest", "s00"] = 1
    found = opinion_groups(pd.concat([guest, votes]))
    assert found[["guest", "ghost"]].isna().all()
    assert found[votes.index].notna().sum() == in_conversation(votes).sum()


def test_two_kinds_of_people_are_two_groups() -> None:
    votes = np.array([[1, 1, -1]] * 5 + [[-1, -1, 1]] * 3)
    assert opinion_groups(votes).tolist() == [0] * 5 + [1] * 3


def test_more_than_a_hundred_places_are_gathered_first() -> None:
    rng = np.random.default_rng(4)
    camp = np.repeat([0, 1], (180, 120))
    chance = np.where(camp[:, None] == (np.arange(30) % 2), 0.85, 0.15)
    found = opinion_groups(np.where(rng.random((300, 30)) < chance, 1, -1))
    assert adjusted_rand_score(camp, found) > 0.95


@pytest.mark.parametrize(
    "votes",
    [
        [[1, -1], [-1, 1]],
        [[1, -1], [-1, 1], [1, 1]],
        [[1, -1]] * 50,
        [[np.nan, np.nan]] * 50,
        [[0, 0], [np.nan, 0], [0, np.nan], [0, 0], [0, 0]],
    ],
)
def test_a_conversation_too_small_to_cluster_is_refused(votes: list) -> None:
    with pytest.raises(
        ValueError, match="matrix is too small to cluster: it takes at least 4 people"
    ) as error:
        opinion_groups(votes)
    assert "\n" not in str(error.value)


def test_a_base_cluster_weighs_what_it_holds() -> None:
    """Three places in a row, the middle one a little nearer the first; unless a hundred
    people stand on the first."""
    row = np.array([[0.0, 0.0], [1.0, 0.0], [2.1, 0.0]])
    alike, crowded = (
        _best_groups(row, np.array([first, 10, 10]), seed=0) for first in (10, 100)
    )
    assert alike[0] == alike[1] != alike[2]
    assert crowded[0] != crowded[1] == crowded[2]


def lonely(people: int, seed: int) -> np.ndarray:
    """Votes of one mind with noise, and one person who voted on little, the other way:
    far out on the map."""
    rng = np.random.default_rng(seed)
    votes = np.where(rng.random((people, 20)) < 0.7, 1.0, -1.0)
    votes[0] = np.nan
    votes[0, :7] = -1
    return votes


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("people", [16, 24, 60, 107])
def test_nobody_is_a_group_alone(people: int, seed: int) -> None:
    """A group has at least one person more than a twentieth of all."""
    rng = np.random.default_rng(seed)
    noise = rng.choice([1.0, -1.0, 0.0, np.nan], size=(people, 12))
    noise[0] = -1  # against everything
    for votes in (lonely(people, seed), noise):
        sizes = opinion_groups(votes, seed=seed).value_counts()
        assert len(sizes) >= 2
        assert sizes.min() >= 1 + people / 20


def test_who_stands_apart_joins_the_nearest_group() -> None:
    """Two camps, and one person ten times as far out on the side of the second. Every
    ending of k-means with two groups leaves that person alone."""
    camps = np.array([[0.0, 0], [0, 1], [1, 0], [4, 0], [4, 1], [5, 0], [60, 0]])
    sizes = np.array([10, 10, 10, 10, 10, 10, 1])
    alone = _k_means(camps, sizes, 2, least=1, seed=0)
    assert alone.smallest == 1
    groups = _best_groups(camps, sizes, seed=0)
    assert (groups[:3] == groups[0]).all()
    assert (groups[3:] == groups[3]).all()
    assert groups[0] != groups[3]


def test_one_crowd_and_a_person_are_not_two_groups() -> None:
    with pytest.raises(
        ValueError, match="a group has at least 4 of 50 people, and k-means finds no"
    ) as error:
        opinion_groups([[1, 1]] * 49 + [[-1, -1]])
    assert "\n" not in str(error.value)


def test_one_more_group_must_win_clearly() -> None:
    """Two endings whose silhouettes differ by less than .05: the fewer groups. By more:
    the better."""
    line = np.array([[0.0, 0], [1, 0], [10, 0], [11, 0], [20, 0], [21, 0]])
    people = np.ones(6)
    three = _Ending(np.array([0, 0, 1, 1, 2, 2]), np.zeros((3, 2)), 2)
    two = _Ending(np.array([0, 0, 1, 1, 1, 1]), np.zeros((2, 2)), 2)
    assert _clear_winner(line, people, [two, three]) is three
    assert _clear_winner(line, people, [two, two]) is two
    nearly = _Ending(three.labels, three.middles, 2)
    assert _clear_winner(line, people, [nearly, three]) is nearly


def test_k_means_ends_where_sklearn_ends() -> None:
    rng = np.random.default_rng(6)
    points = np.concatenate([rng.normal(c, 1, (30, 2)) for c in (0, 4, 9)])
    weights = rng.integers(1, 5, 90)
    for k in (2, 3, 4):
        expected = KMeans(k, n_init=100, random_state=0, tol=0).fit(
            points, sample_weight=weights
        )
        found = _k_means(points, weights, k, least=1, seed=0)
        assert adjusted_rand_score(expected.labels_, found.labels) == 1
        assert found.smallest == np.bincount(found.labels, weights=weights).min()


def test_four_people_are_enough() -> None:
    assert opinion_groups([[1, 1], [1, 1], [-1, -1], [-1, -1]]).nunique() == 2


def test_the_number_of_groups_is_bounded_by_the_places() -> None:
    """11 places allow two groups, whatever three camps would say; 12 allow three."""
    rng = np.random.default_rng(5)
    places = np.repeat(np.eye(3) * 2 - 1, 6, axis=0)
    for n, most in ((11, 2), (12, 3)):
        votes = np.concatenate(
            [places[rng.permutation(18)[:n]], np.sign(rng.normal(size=(n, 9)))], 1
        )
        assert opinion_groups(votes).nunique() <= most


@pytest.mark.parametrize("withdrawn", [["0", "1"], [7], ["nobody's"], "0", 3, None])
@pytest.mark.parametrize("function", [opinion_map, opinion_groups])
def test_what_is_no_statement_cannot_be_withdrawn(function, withdrawn) -> None:
    """The ids of a matrix without names are the numbers 0, 1 and 2."""
    votes = [[1, 1, -1]] * 5 + [[-1, -1, 1]] * 3
    with pytest.raises(ValueError, match="moderated_out must be a list of statement"):
        function(votes, moderated_out=withdrawn)
    assert len(function(votes, moderated_out=(0,))) == 8


@pytest.mark.parametrize("seed", [None, -1, 0.5])
def test_a_seed_is_a_whole_number(seed: object) -> None:
    votes = [[1, 1, -1]] * 5 + [[-1, -1, 1]] * 3
    with pytest.raises(ValueError, match="seed must be a whole number, at least 0"):
        opinion_groups(votes, seed=seed)


@pytest.mark.parametrize(
    "flags", [pd.Series([1, 0, 0, 1]), [True, False, False], {0: False}]
)
def test_flags_are_no_ids_of_statements(flags: object, camps: Camps) -> None:
    votes, _ = camps
    numbered = votes.set_axis(range(votes.shape[1]), axis=1)
    with pytest.raises(ValueError, match="moderated_out must be a list of statement"):
        opinion_groups(numbered, moderated_out=flags)  # type: ignore[arg-type]
