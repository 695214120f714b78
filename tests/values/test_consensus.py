"""Are consensus and representativeness the formulas, digit by digit, whatever the order
and the names?"""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smallscale.values import (
    Votes,
    group_aware_consensus,
    pooled_agreement,
    representative_statements,
)
from smallscale.values.consensus import least_agreement

A, D, P, N = 1.0, -1.0, 0.0, math.nan
BY_HAND = pd.DataFrame(
    {
        "both": [A, A, A, A, A, A, A, A],
        "ours": [A, A, A, A, D, D, D, D],
        "few": [A, P, N, N, D, N, N, N],
    },
    index=list("abcdefgh"),
)
GROUPS = pd.Series(list("xxxxyyyy"), index=BY_HAND.index)


def random_votes(
    seed: int, people: int = 40, statements: int = 12
) -> tuple[pd.DataFrame, pd.Series]:
    rng = np.random.default_rng(seed)
    groups = rng.integers(0, 3, people)
    lean = rng.choice([0.1, 0.5, 0.9], size=(statements, 3))[:, groups].T
    votes = np.where(rng.random(lean.shape) < lean, 1.0, -1.0)
    votes[rng.random(lean.shape) < 0.1] = 0
    votes[rng.random(lean.shape) < 0.2] = np.nan
    return pd.DataFrame(votes), pd.Series(groups)


def test_consensus_by_hand() -> None:
    """both: 5/6 * 5/6; ours: 5/6 * 1/6; few: of two votes one agrees, a pass counts as
    cast, 2/4, times 1/3."""
    found = group_aware_consensus(BY_HAND, GROUPS)
    assert found.to_dict() == pytest.approx(
        {"both": 25 / 36, "ours": 5 / 36, "few": 1 / 6}, abs=1e-15
    )


def test_a_group_without_a_vote_counts_one_half_and_strangers_nothing() -> None:
    votes = pd.DataFrame({"s": [A, A, N, D]})
    assert group_aware_consensus(votes, [0, 0, 1, math.nan])["s"] == pytest.approx(
        3 / 4 * 1 / 2
    )
    assert group_aware_consensus(votes, [0, 0, None, None])["s"] == pytest.approx(3 / 4)


def test_least_agreement_is_the_smallest_factor() -> None:
    found = least_agreement(BY_HAND, GROUPS)
    assert found.to_dict() == pytest.approx(
        {"both": 5 / 6, "ours": 1 / 6, "few": 1 / 3}
    )
    unvoted = pd.DataFrame({"s": [A, A, N, D]})
    assert least_agreement(unvoted, [0, 0, 1, math.nan])["s"] == pytest.approx(1 / 2)


def test_one_group_that_disagrees_is_not_outvoted() -> None:
    votes = pd.DataFrame(
        {
            "liked": [A] * 90 + [D] * 10,
            "shared": [A] * 63 + [D] * 27 + [A] * 7 + [D] * 3,
        }
    )
    groups = [0] * 90 + [1] * 10
    consensus = group_aware_consensus(votes, groups)
    pooled = pooled_agreement(votes)
    assert pooled["liked"] > pooled["shared"]
    assert consensus["liked"] < consensus["shared"]


def test_representativeness_by_hand() -> None:
    """ours, in group x: 4 of 4 agree, elsewhere 0 of 4. The best agree statement of
    either group is "both", on which no group differs: r = 1 and r_test = 0 for agree
    and disagree, and of equal tests the stance is disagree, as in Polis.

    p = 5/6; p_test = 2 sqrt 5 (5/5 - 1/2) = sqrt 5; r = (5/6) / (1/6) = 5; 5/5 against
    1/5, pooled 6/10: r_test = .8 / sqrt(.6 * .4 * (1/5 + 1/5)) = 2.582. In group y the
    same for disagree.
    """
    found = representative_statements(BY_HAND.drop(columns="few"), GROUPS)
    assert list(found.columns) == [
        "group",
        "statement",
        "stance",
        "p",
        "p_test",
        "r",
        "r_test",
    ]
    assert found[["group", "statement", "stance"]].to_numpy().tolist() == [
        ["x", "ours", "agree"],
        ["x", "both", "disagree"],
        ["y", "both", "disagree"],
        ["y", "ours", "disagree"],
    ]
    for _, row in found[found.statement == "ours"].iterrows():
        assert row[["p", "p_test", "r", "r_test"]].tolist() == pytest.approx(
            [5 / 6, math.sqrt(5), 5, 0.8 / math.sqrt(0.096)]
        )


def test_a_single_vote_can_qualify_as_in_polis() -> None:
    """few, in group y: one vote, against. p = 2/3, p_test = 2 sqrt 2 (2/2 - 1/2) = sqrt
    2, and none of 2 elsewhere."""
    row = (
        representative_statements(BY_HAND, GROUPS)
        .set_index(["group", "statement"])
        .loc[("y", "few")]
    )
    z = (2 / 2 - 1 / 3) / math.sqrt(3 / 5 * 2 / 5 * (1 / 2 + 1 / 3))
    assert row[["p", "p_test", "r", "r_test"]].tolist() == pytest.approx(
        [2 / 3, math.sqrt(2), (2 / 3) / (1 / 4), z]
    )


def by_the_rules(
    votes: pd.DataFrame, groups: pd.Series, group: object, statement: object
) -> dict:
    """One statement in one group, counted with plain loops: stance, numbers, whether it
    qualifies, and its merit."""
    inside = [
        v
        for v, g in zip(votes[statement], groups, strict=True)
        if g == group and not math.isnan(v)
    ]
    rest = [
        v
        for v, g in zip(votes[statement], groups, strict=True)
        if g != group and not math.isnan(v)
    ]
    s = len(inside)
    t = len(rest)
    found = {}
    for stance, sign in (("agree", 1), ("disagree", -1)):
        n = inside.count(sign)
        m = rest.count(sign)
        p = (n + 1) / (s + 2)
        elsewhere = (m + 1) / (t + 2)
        q = (n + m + 2) / (s + t + 2)
        z = (
            0
            if q == 1
            else ((n + 1) / (s + 1) - (m + 1) / (t + 1))
            / math.sqrt(q * (1 - q) * (1 / (s + 1) + 1 / (t + 1)))
        )
        found[stance] = {
            "p": p,
            "p_test": 2 * math.sqrt(s + 1) * ((n + 1) / (s + 1) - 0.5),
            "r": p / elsewhere,
            "r_test": z,
        }
    stance = (
        "agree"
        if found["agree"]["r_test"] > found["disagree"]["r_test"]
        else "disagree"
    )
    qualifies = any(
        min(numbers["p_test"], numbers["r_test"]) > 1.2816 for numbers in found.values()
    )
    return {
        "stance": stance,
        **found[stance],
        "agree": found["agree"],
        "passed only": not any(inside),
        "stronger": max(numbers["r_test"] for numbers in found.values()),
        "qualifies": qualifies,
        "merit": math.prod(found[stance].values()),
    }


def selected_by_the_rules(rules: dict) -> list:
    """Polis's selection for one group, as its source goes through it: the best agree
    statement, then those that pass both tests, by merit, and agree before disagree."""
    best = None
    for statement, numbers in rules.items():
        agree = numbers["agree"]
        if numbers["passed only"]:
            continue
        if best is None:
            better = agree["p_test"] > 1.2816 or (agree["r"] > 1 and agree["p"] > 0.5)
        elif rules[best]["agree"]["r"] > 1:
            better = math.prod(agree.values()) > math.prod(
                rules[best]["agree"].values()
            )
        else:
            held = rules[best]["agree"]
            better = agree["p"] * agree["p_test"] > held["p"] * held["p_test"]
        if better:
            best = statement
    ranked = sorted(
        (s for s in rules if rules[s]["qualifies"]), key=lambda s: -rules[s]["merit"]
    )
    if not ranked and best is None:
        return [max(rules, key=lambda s: rules[s]["stronger"])]
    first = [] if best is None else [best]
    top = (first + [s for s in ranked if s != best])[:5]
    return sorted(top, key=lambda s: rules[s]["stance"])


@pytest.mark.parametrize("people", [12, 40])
@pytest.mark.parametrize("seed", range(6))
def test_every_group_has_the_statements_that_polis_would_choose(
    seed: int, people: int
) -> None:
    votes, groups = random_votes(seed, people=people)
    found = representative_statements(votes, groups)
    for group in range(3):
        rules = {s: by_the_rules(votes, groups, group, s) for s in votes}
        rows = found[found.group == group]
        assert rows.statement.tolist() == selected_by_the_rules(rules)
        for row in rows.to_dict("records"):
            assert row["stance"] == rules[row["statement"]]["stance"]
            for name in ("p", "p_test", "r", "r_test"):
                assert row[name] == pytest.approx(
                    rules[row["statement"]][name], rel=1e-12
                )


def test_the_best_agree_statement_has_a_place_though_it_fails_the_tests() -> None:
    """Group 0 agrees with "yes", as everybody does: nothing sets it apart there, r_test
    is 0. Polis lists it all the same, beside the statement that does."""
    votes = pd.DataFrame({"no": [D] * 9 + [A] * 9, "yes": [A] * 18})
    rows = representative_statements(votes, [0] * 9 + [1] * 9)
    assert rows[rows.group == 0].statement.tolist() == ["yes", "no"]
    assert rows[rows.group == 1].statement.tolist() == ["no"]


def test_where_nobody_agrees_the_strongest_difference_stands_alone() -> None:
    """No agree statement, and none that passes: group 0 refuses "b" a little more."""
    votes = pd.DataFrame({"a": [D, P, D, P], "b": [D, D, D, P]})
    rows = representative_statements(votes, [0, 0, 1, 1])
    assert rows.groupby("group").size().tolist() == [1, 1]
    assert rows[rows.group == 0].statement.tolist() == ["b"]


def test_a_statement_on_which_a_group_only_passed_is_not_its_best() -> None:
    """Two passes beat nobody's agreement by p: (0 + 1) / (2 + 2) is not above 1/2; one
    who agreed is."""
    votes = pd.DataFrame({"a": [P, P, P, D, D, D], "b": [N, A, N, D, N, N]})
    rows = representative_statements(votes, [0, 0, 0, 1, 1, 1])
    assert rows[rows.group == 0].statement.tolist()[0] == "b"


def test_the_best_agree_statement_has_a_place_among_five_stronger_refusals() -> None:
    """Six statements that only group 0 refuses, unanimously, and one that it likes more
    than the others do, mildly."""
    refused = {f"no{k}": [D] * 20 + [A] * 20 for k in range(6)}
    votes = pd.DataFrame({**refused, "yes": [A] * 14 + [D] * 6 + [A] * 7 + [D] * 13})
    rows = representative_statements(votes, [0] * 20 + [1] * 20)
    ours = rows[rows.group == 0]
    assert ours.statement.tolist() == ["yes", "no0", "no1", "no2", "no3"]
    assert ours.stance.tolist() == ["agree"] + ["disagree"] * 4


def test_where_everybody_agrees_no_number_is_nan() -> None:
    """Pooled, everybody takes the stance: r_test is 0 by definition, not 0/0."""
    votes = pd.DataFrame({"s": [A] * 12})
    for groups in ([0] * 6 + [1] * 6, [0] * 12):
        found = representative_statements(votes, groups)
        assert found.statement.tolist() == ["s"] * len(set(groups))
        assert np.isfinite(found[["p", "p_test", "r", "r_test"]]).all(axis=None)


def test_the_rest_is_other_groups_not_people_outside() -> None:
    extended = pd.concat(
        [BY_HAND, pd.DataFrame(A, index=list("uvw"), columns=BY_HAND.columns)]
    )
    pd.testing.assert_frame_equal(
        representative_statements(extended, GROUPS),
        representative_statements(BY_HAND, GROUPS),
    )
    pd.testing.assert_series_equal(
        group_aware_consensus(extended, GROUPS), group_aware_consensus(BY_HAND, GROUPS)
    )


@settings(max_examples=30)
@given(st.integers(0, 2**32 - 1))
def test_shuffled_and_renamed_nothing_changes(seed: int) -> None:
    """Rows, columns, the groups' own order and names: to the last bit."""
    rng = np.random.default_rng(seed)
    votes, groups = random_votes(seed % 7)
    votes[12] = votes[3]  # a tie
    names = dict(zip(range(3), rng.permutation(["red", "blue", "green"]), strict=True))
    mixed = votes.iloc[rng.permutation(40), rng.permutation(13)]
    renamed = groups.map(names).sample(frac=1, random_state=seed % 1000)
    consensus = group_aware_consensus(votes, groups)
    again = group_aware_consensus(mixed, renamed)
    assert again.index.equals(mixed.columns)
    pd.testing.assert_series_equal(
        again.reindex(consensus.index), consensus, check_exact=True
    )
    table = representative_statements(votes, groups)
    found = representative_statements(mixed, renamed)
    for group, name in names.items():
        ours, theirs = (
            t[t.group == g].drop(columns="group")
            for t, g in ((table, group), (found, name))
        )
        pd.testing.assert_frame_equal(
            ours.reset_index(drop=True), theirs.reset_index(drop=True), check_exact=True
        )


def test_groups_in_another_order_than_the_rows_keep_their_people(real: Votes) -> None:
    """The published mistake: labels taken by position from rows sorted anew."""
    backwards = real.groups.iloc[::-1]
    pd.testing.assert_series_equal(
        group_aware_consensus(real.matrix, backwards),
        group_aware_consensus(real.matrix, real.groups),
    )
    by_position = group_aware_consensus(real.matrix, backwards.tolist())
    assert (
        by_position - group_aware_consensus(real.matrix, real.groups)
    ).abs().max() > 0.1


def test_pooled_agreement_counts_every_vote_and_no_more() -> None:
    """One of three agrees: (1 + 1) / (3 + 2)."""
    found = pooled_agreement(pd.DataFrame({"s": [A, P, N, D], "none": [N] * 4}))
    assert found.to_dict() == pytest.approx({"s": 2 / 5, "none": 0.0})


def test_a_single_vote_does_not_outrank_many() -> None:
    """Thirty of a hundred agree with the best; all ten and all nine who saw the others.
    A tenth of the most votes is enough, and what has fewer comes last, whatever
    smoothing makes of it."""
    few = {"by ten": [A] * 10 + [N] * 90, "by nine": [A] * 9 + [N] * 91}
    once = {"once": [A] + [N] * 99}
    votes = pd.DataFrame({**once, **few, "by all": [A] * 30 + [D] * 70})
    count = pooled_agreement(votes)
    assert count.to_dict() == pytest.approx(
        {"once": 0.0, "by ten": 11 / 12, "by nine": 0.0, "by all": 31 / 102}
    )
    kept = ["by ten", "by all"]
    alone = group_aware_consensus(votes[kept], [0] * 100)
    pd.testing.assert_series_equal(count[kept], alone, check_names=False)


@pytest.mark.parametrize("people", range(2, 12))
def test_what_one_person_saw_is_not_ranked_in_a_small_group(people: int) -> None:
    """A tenth of nine votes is less than one, and one of one is 2/3."""
    votes = np.full((people, 3), np.nan)
    votes[:, 0] = -1
    votes[0, 1] = 1
    votes[:2, 2] = 1
    assert pooled_agreement(votes).tolist() == pytest.approx(
        [1 / (people + 2), 0, 3 / 4]
    )


def test_a_sparse_conversation_is_counted_all_the_same() -> None:
    """Each person sees one statement of many; none is set aside for it."""
    votes = np.full((300, 100), np.nan)
    votes[np.arange(300), np.arange(300) % 100] = 1
    assert pooled_agreement(votes).tolist() == pytest.approx([4 / 5] * 100)
    assert pooled_agreement([[None, None]]).tolist() == [0.5, 0.5]


def test_the_first_by_count_were_seen_by_more_than_one(real: Votes) -> None:
    matrix = real.matrix.drop(columns=real.moderated_out)
    first = pooled_agreement(matrix).nlargest(6).index
    assert matrix[first].count().min() >= 10
