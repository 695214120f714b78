"""What do all groups agree on, and what is each group's own? Polis's two readings of a vote, by its formulas.

Group-aware consensus and representativeness follow Small et al. 2021 and Polis's source (repness.clj, stats.clj).
"""

from typing import Any

import numpy as np
import pandas as pd

from smallscale.values.votes import canonical, group_labels, vote_matrix

SIGNIFICANT = 1.2816  # one-sided, at 90 %
TOP = 5
NUMBERS = ("p", "p_test", "r", "r_test")


def group_aware_consensus(matrix: Any, groups: Any) -> pd.Series:
    """How much every group agrees, by statement, in (0, 1):

        product over groups g of (A_g + 1) / (S_g + 2)

    of A_g agreements among S_g votes, passes included. A group without a vote on it counts 1/2. One group that
    disagrees cannot be outvoted: the product is at most what it leaves.
    matrix: (participants, statements) of 1, -1, 0 and NaN; groups: a label of any kind for each participant, missing
    for people in no group, who do not count. A Series is matched by participant, anything else by position.
    Raises ValueError as `vote_matrix` and `group_labels` do.
    """
    agree, _, seen = _counts(matrix, groups)
    # Sorted before multiplying: renamed groups come in another order, and the last bit must not follow.
    factors = np.sort(((agree + 1) / (seen + 2)).to_numpy(), axis=0)
    return pd.Series(factors.prod(0), index=agree.columns, name="consensus").reindex(
        vote_matrix(matrix).columns
    )


def representative_statements(matrix: Any, groups: Any) -> pd.DataFrame:
    """What sets each group apart: up to five statements a group.

    Columns: group, statement, stance (agree or disagree), p, p_test, r, r_test.

    With n of S votes in the group for the stance (agree or disagree), N of T in all other groups together:
        p       (n + 1) / (S + 2)                                    how likely a member takes it
        p_test  2 sqrt(S + 1) ((n + 1) / (S + 1) - 1/2)              is that more than half? a z-score
        r       p / ((N + 1) / (T + 2))                              how many times as likely as elsewhere
        r_test  the z-score of two proportions, (n + 1) / (S + 1) against (N + 1) / (T + 1), pooled; 0 where both are 1
    A statement qualifies if p_test and r_test both exceed 1.2816, for agree or for disagree. Its stance is the one
    with the larger r_test; of equal ones, disagree. A group's best agree statement by r * r_test * p * p_test always
    has a place, the others follow by the same product, and agree statements are listed before the others.
    A group for which none qualifies has no row, where Polis would show its best statement all the same.
    matrix, groups: as for `group_aware_consensus`, with the same errors. Drop withdrawn statements' columns first.
    """
    agree, disagree, seen = _counts(matrix, groups)
    yes, no = _statistics(agree, seen), _statistics(disagree, seen)
    qualifies = np.any(
        [(t["p_test"] > SIGNIFICANT) & (t["r_test"] > SIGNIFICANT) for t in (yes, no)],
        axis=0,
    )
    agrees = yes["r_test"] > no["r_test"]
    chosen = np.stack(
        [np.where(agrees, yes[name], no[name]) for name in NUMBERS], -1
    )  # (groups, statements, 4)
    merit = chosen.prod(-1)
    rows = []
    for g, group in enumerate(agree.index):
        order = [j for j in np.argsort(-merit[g], kind="stable") if qualifies[g, j]]
        best = [j for j in order if agrees[g, j]][:1]
        top = (best + [j for j in order if j not in best])[:TOP]
        for j in sorted(top, key=lambda j: not agrees[g, j]):
            rows.append(
                (
                    group,
                    agree.columns[j],
                    "agree" if agrees[g, j] else "disagree",
                    *chosen[g, j].tolist(),
                )
            )
    return pd.DataFrame(rows, columns=["group", "statement", "stance", *NUMBERS])


def _counts(matrix: Any, groups: Any) -> tuple[pd.DataFrame, ...]:
    """Agreements, disagreements and votes, (groups, statements) each, in the order of names, which breaks ties."""
    frame = vote_matrix(matrix)
    labels, votes = (
        group_labels(frame, groups),
        canonical(frame),
    )  # groupby matches the two by participant
    return tuple(
        table.groupby(labels).sum()
        for table in (votes == 1, votes == -1, votes.notna())
    )


def _statistics(takes: pd.DataFrame, seen: pd.DataFrame) -> dict[str, np.ndarray]:
    """NUMBERS of one stance, (groups, statements) each; `takes` counts its votes."""
    n, s = takes.to_numpy(), seen.to_numpy()
    rest_n, rest_s = n.sum(0) - n, s.sum(0) - s
    p, p_test = (n + 1) / (s + 2), 2 * np.sqrt(s + 1) * ((n + 1) / (s + 1) - 0.5)
    pooled = (n + rest_n + 2) / (s + rest_s + 2)
    spread = np.sqrt(pooled * (1 - pooled) * (1 / (s + 1) + 1 / (rest_s + 1)))
    apart = (n + 1) / (s + 1) - (rest_n + 1) / (rest_s + 1)
    r_test = np.divide(
        apart, spread, out=np.zeros_like(apart), where=pooled < 1
    )  # all agree: no spread to go by
    return {
        "p": p,
        "p_test": p_test,
        "r": p / ((rest_n + 1) / (rest_s + 2)),
        "r_test": r_test,
    }


def pooled_agreement(matrix: Any) -> pd.Series:
    """Agreements among all votes cast, passes included, by statement: what a plain count ranks by. NaN: no votes."""
    votes = vote_matrix(matrix)
    return (
        (votes == 1).sum() / votes.notna().sum().where(lambda seen: seen > 0)
    ).rename("agreement")
