"""What do all groups agree on, and what is each group's own?

Polis's two readings of a vote. Group-aware consensus and representativeness follow
Small et al. 2021 and Polis's source (repness.clj, stats.clj).
"""

from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from smallscale.values.votes import group_labels, sorted_by_id, vote_matrix

SIGNIFICANT = 1.2816  # one-sided, at 90 %
MOST_STATEMENTS = 5  # that represent a group
STATISTICS = ("p", "p_test", "r", "r_test")


def group_aware_consensus(matrix: Any, groups: Any) -> pd.Series:
    """Return how much every group agrees, by statement, in (0, 1): the product over
    groups g of (A_g + 1) / (S_g + 2), for A_g agreements among S_g votes, passes
    included.

    matrix: (participants, statements) of 1, -1, 0 and NaN. groups: a label of any kind
    for each participant, missing for people in no group, who do not count. A Series is
    matched by participant, anything else by position.
    A group without a vote on a statement counts 1/2. One group that disagrees cannot be
    outvoted, since the product is at most its factor.
    Raises ValueError as `vote_matrix` and `group_labels` do.

    >>> votes = [[1, 1], [1, 1], [1, 0], [1, -1]]
    >>> group_aware_consensus(votes, ["a", "a", "b", "b"]).round(4).tolist()
    [0.5625, 0.1875]
    """
    votes, groups = _checked_votes(matrix, groups)
    agreements = (votes == 1).groupby(groups).sum()  # A, (groups, statements)
    cast = votes.notna().groupby(groups).sum()  # S, the same shape
    chance = (agreements + 1) / (cast + 2)  # that a member of the group agrees
    # The factors are sorted, so that renaming groups does not change the last bit.
    factors = np.sort(chance.to_numpy(), axis=0)
    consensus = pd.Series(factors.prod(0), index=votes.columns, name="consensus")
    return consensus.reindex(vote_matrix(matrix).columns)


def representative_statements(matrix: Any, groups: Any) -> pd.DataFrame:
    """Return what sets each group apart, up to five statements a group: those that its
    members agree with, or disagree with, more often than not and more often than
    others.

    Columns: group, statement, stance (agree or disagree), p, p_test, r, r_test.
    With n of S votes in the group for the stance, and N of T in all other groups:
        p       (n + 1) / (S + 2), how likely a member takes it
        p_test  2 sqrt(S + 1) ((n + 1) / (S + 1) - 1/2), a z-score: more than half?
        r       p / ((N + 1) / (T + 2)), how many times as likely as elsewhere
        r_test  the z-score of two proportions, (n + 1) / (S + 1) against
                (N + 1) / (T + 1), pooled; 0 where both are 1
    A statement qualifies if p_test and r_test both exceed 1.2816, for agree or for
    disagree. Its stance is the one with the larger r_test; of equal ones, disagree.
    A group's best agree statement by r * r_test * p * p_test always has a place, the
    others follow by the same product, and agree statements are listed before the
    others. A group for which none qualifies has no row, where Polis would show its best
    statement all the same.
    matrix, groups: as for `group_aware_consensus`, with the same errors. Drop withdrawn
    statements' columns first.

    >>> votes = [[1, 1]] * 4 + [[1, -1]] * 4
    >>> table = representative_statements(votes, ["a"] * 4 + ["b"] * 4)
    >>> table[["group", "statement", "stance"]].to_numpy().tolist()
    [['a', 1, 'agree'], ['b', 1, 'disagree']]
    """
    votes, labels = _checked_votes(matrix, groups)
    cast = votes.notna().groupby(labels).sum()
    agree = _stance_statistics((votes == 1).groupby(labels).sum(), cast)
    disagree = _stance_statistics((votes == -1).groupby(labels).sum(), cast)
    qualifies = agree.qualifies | disagree.qualifies
    agrees = agree.r_test > disagree.r_test
    chosen = {
        name: np.where(agrees, getattr(agree, name), getattr(disagree, name))
        for name in STATISTICS
    }
    merit = np.stack(list(chosen.values()), -1).prod(-1)
    rows = []
    for g, group in enumerate(cast.index):
        for j in _top_statements(merit[g], qualifies[g], agrees[g]):
            rows.append(
                {
                    "group": group,
                    "statement": cast.columns[j],
                    "stance": "agree" if agrees[g, j] else "disagree",
                    **{name: float(values[g, j]) for name, values in chosen.items()},
                }
            )
    return pd.DataFrame(rows, columns=["group", "statement", "stance", *STATISTICS])


def _top_statements(
    merit: np.ndarray, qualifies: np.ndarray, agrees: np.ndarray
) -> list[int]:
    """Return the positions of the statements that represent a group, in their order.

    merit, qualifies, agrees: (statements,), of this group.
    """
    by_merit = np.argsort(-merit, kind="stable").tolist()
    order = [j for j in by_merit if qualifies[j]]
    best_agree = [j for j in order if agrees[j]][:1]
    others = [j for j in order if j not in best_agree]
    top = (best_agree + others)[:MOST_STATEMENTS]
    return sorted(top, key=lambda j: not agrees[j])  # stable: agree statements first


class _StanceStatistics(NamedTuple):
    """p, p_test, r and r_test of one stance, (groups, statements) each."""

    p: np.ndarray
    p_test: np.ndarray
    r: np.ndarray
    r_test: np.ndarray

    @property
    def qualifies(self) -> np.ndarray:
        """Whether the stance is taken more often than not, and than elsewhere."""
        both: np.ndarray = (self.p_test > SIGNIFICANT) & (self.r_test > SIGNIFICANT)
        return both


def _stance_statistics(taken: pd.DataFrame, cast: pd.DataFrame) -> _StanceStatistics:
    """Return the statistics of one stance, given how many votes take it and how many
    were cast, (groups, statements) each."""
    n = taken.to_numpy()
    s = cast.to_numpy()
    rest_n = n.sum(0) - n  # in all other groups
    rest_s = s.sum(0) - s
    p = (n + 1) / (s + 2)
    p_test = 2 * np.sqrt(s + 1) * ((n + 1) / (s + 1) - 0.5)
    pooled = (n + rest_n + 2) / (s + rest_s + 2)
    spread = np.sqrt(pooled * (1 - pooled) * (1 / (s + 1) + 1 / (rest_s + 1)))
    apart = (n + 1) / (s + 1) - (rest_n + 1) / (rest_s + 1)
    # Where everybody takes the stance there is no spread to go by: 0.
    r_test = np.divide(apart, spread, out=np.zeros_like(apart), where=pooled < 1)
    return _StanceStatistics(p, p_test, p / ((rest_n + 1) / (rest_s + 2)), r_test)


def _checked_votes(matrix: Any, groups: Any) -> tuple[pd.DataFrame, pd.Series]:
    """Return votes with rows and columns in the order of their ids, which breaks ties,
    and the group of each participant. groupby matches the two by participant."""
    frame = vote_matrix(matrix)
    return sorted_by_id(frame), group_labels(frame, groups)


def pooled_agreement(matrix: Any) -> pd.Series:
    """Return the agreements among all votes cast, passes included, by statement: what a
    plain count ranks by. NaN where nobody voted.

    >>> pooled_agreement([[1, 1], [0, 1], [-1, None], [1, None]]).tolist()
    [0.5, 1.0]
    """
    votes = vote_matrix(matrix)
    cast = votes.notna().sum()
    return ((votes == 1).sum() / cast.where(cast > 0)).rename("agreement")
