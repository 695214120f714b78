"""What do all groups agree on, and what is each group's own?

Polis's two readings of a vote. Group-aware consensus and representativeness follow
Small et al. 2021 and Polis's source (repness.clj, stats.clj).
"""

from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from smallscale.votes.polis import group_labels, sorted_by_id, vote_matrix

SIGNIFICANT = 1.2816  # one-sided, at 90 %
MOST_STATEMENTS = 5  # that represent a group
FEWEST_VOTES = 1 / 10  # of the most that a statement has; with fewer it counts 0
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


def least_agreement(matrix: Any, groups: Any) -> pd.Series:
    """Return how likely a member agrees in the group that agrees least, by statement:
    the smallest factor of `group_aware_consensus`.

    Above 1/2, most of every group agree: common ground. matrix, groups: as there.

    >>> votes = [[1, 1], [1, 1], [1, 0], [1, -1]]
    >>> least_agreement(votes, ["a", "a", "b", "b"]).tolist()
    [0.75, 0.25]
    """
    votes, groups = _checked_votes(matrix, groups)
    agreements = (votes == 1).groupby(groups).sum()
    cast = votes.notna().groupby(groups).sum()
    least = ((agreements + 1) / (cast + 2)).min().rename("least agreement")
    return least.reindex(vote_matrix(matrix).columns)


def representative_statements(matrix: Any, groups: Any) -> pd.DataFrame:
    """Return what sets each group apart, one to five statements a group: those that its
    members agree with, or disagree with, more often than not and more often than
    others, and the one that speaks best for what they agree with.

    Columns: group, statement, stance (agree or disagree), p, p_test, r, r_test.
    With n of S votes in the group for the stance, and N of T in all other groups:
        p       (n + 1) / (S + 2), how likely a member takes it
        p_test  2 sqrt(S + 1) ((n + 1) / (S + 1) - 1/2), a z-score: more than half?
        r       p / ((N + 1) / (T + 2)), how many times as likely as elsewhere
        r_test  the z-score of two proportions, (n + 1) / (S + 1) against
                (N + 1) / (T + 1), pooled; 0 where both are 1
    A statement qualifies if p_test and r_test both exceed 1.2816, for agree or for
    disagree. Its stance is the one with the larger r_test; of equal ones, disagree.
    As in Polis, a group's best agree statement always has a place, whether it qualifies
    or not; see `_best_agree` for what is best. The others that qualify follow by
    r * r_test * p * p_test, and agree statements are listed before the others. Where
    none qualifies, the best agree statement stands alone; where there is none of these
    either, the one with the largest r_test. So every group has a row. A row that fails
    the tests says little of its stance: the best agree statement of a group may stand
    there as disagree, with a small p, where others agree with it more. Rows that pass
    have p_test and r_test above 1.2816. Statements are gone through in the order of
    their ids, which matters only for the best agree one and between equals.
    matrix, groups: as for `group_aware_consensus`, with the same errors. Drop withdrawn
    statements' columns first.

    >>> votes = [[1, -1]] * 4 + [[-1, 1]] * 4
    >>> table = representative_statements(votes, ["a"] * 4 + ["b"] * 4)
    >>> table[["statement", "stance"]].to_numpy().tolist()  # two of a, two of b
    [[0, 'agree'], [1, 'disagree'], [1, 'agree'], [0, 'disagree']]
    """
    votes, labels = _checked_votes(matrix, groups)
    cast = votes.notna().groupby(labels).sum()
    agree = _stance_statistics((votes == 1).groupby(labels).sum(), cast)
    disagree = _stance_statistics((votes == -1).groupby(labels).sum(), cast)
    agrees = agree.r_test > disagree.r_test
    chosen = {
        name: np.where(agrees, getattr(agree, name), getattr(disagree, name))
        for name in STATISTICS
    }
    rows = []
    for g, group in enumerate(cast.index):
        top = _top_statements(agree.of_group(g), disagree.of_group(g))
        for j in sorted(top, key=lambda j: not agrees[g, j]):  # agree statements first
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
    agree: "_StanceStatistics", disagree: "_StanceStatistics"
) -> list[int]:
    """Return the positions of the statements that represent a group, the best agree
    statement first, then by merit.

    agree, disagree: (statements,) each, of this group.
    """
    stronger = np.maximum(agree.r_test, disagree.r_test)
    merit = np.where(agree.r_test > disagree.r_test, agree.merit, disagree.merit)
    best = _best_agree(agree, disagree)
    qualifying = np.flatnonzero(agree.qualifies | disagree.qualifies)
    if best is None and len(qualifying) == 0:
        return [int(stronger.argmax())]
    by_merit = qualifying[np.argsort(-merit[qualifying], kind="stable")].tolist()
    first = [] if best is None else [best]
    return (first + [j for j in by_merit if j != best])[:MOST_STATEMENTS]


def _best_agree(
    agree: "_StanceStatistics", disagree: "_StanceStatistics"
) -> int | None:
    """Return the position of a group's best agree statement by Polis's rule, or None.

    The first is one that most agree with, by the test, or that they agree with more
    often than not and more often than others. From then on a statement takes its place
    that is better: by merit while the best one is taken more often than elsewhere, else
    by p * p_test alone. A statement on which the group only passed is never best.
    """
    best = None
    for j in range(len(agree.p)):
        if agree.taken[j] == 0 and disagree.taken[j] == 0:
            continue
        if best is None:
            likely = agree.r[j] > 1 and agree.p[j] > 0.5
            better = agree.p_test[j] > SIGNIFICANT or likely
        elif agree.r[best] > 1:
            better = agree.merit[j] > agree.merit[best]
        else:
            common = agree.p * agree.p_test
            better = common[j] > common[best]
        if better:
            best = j
    return best


class _StanceStatistics(NamedTuple):
    """How many votes take a stance, and its p, p_test, r and r_test: of shape (groups,
    statements), or (statements,) of one group."""

    taken: np.ndarray
    p: np.ndarray
    p_test: np.ndarray
    r: np.ndarray
    r_test: np.ndarray

    def of_group(self, g: int) -> "_StanceStatistics":
        """Return the statistics of the group at this position."""
        return _StanceStatistics(*(values[g] for values in self))

    @property
    def merit(self) -> np.ndarray:
        """By what statements are ranked."""
        product: np.ndarray = self.r * self.r_test * self.p * self.p_test
        return product

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
    r = p / ((rest_n + 1) / (rest_s + 2))
    return _StanceStatistics(n, p, p_test, r, r_test)


def _checked_votes(matrix: Any, groups: Any) -> tuple[pd.DataFrame, pd.Series]:
    """Return votes with rows and columns in the order of their ids, which breaks ties,
    and the group of each participant. groupby matches the two by participant."""
    frame = vote_matrix(matrix)
    return sorted_by_id(frame), group_labels(frame, groups)


def pooled_agreement(matrix: Any) -> pd.Series:
    """Return how likely a voter agrees, by statement, all voters taken together: (A +
    1) / (S + 2) for A agreements among S votes, passes included; 0 where there are too
    few votes to say.

    This is what a plain count ranks by, smoothed as in `group_aware_consensus`, whose
    value it is if everybody is in one group. Smoothing is not enough where statements
    differ much in how many people saw them: one vote that agrees makes 2/3, which is
    more than most statements get that a thousand people voted on. So a statement with
    fewer than a tenth of the votes of the one with the most has 0, below all others,
    and so has one that a single person saw, where others were seen by more.

    >>> pooled_agreement([[1, 1], [0, 1], [-1, None], [1, None]]).tolist()
    [0.5, 0.75]
    """
    votes = vote_matrix(matrix)
    agreements = (votes == 1).sum()
    cast = votes.notna().sum()
    chance = (agreements + 1) / (cast + 2)
    return chance.where(enough_votes(votes), 0.0).rename("agreement")


def enough_votes(votes: pd.DataFrame) -> pd.Series:
    """Return which statements have at least a tenth of the votes of the one with the
    most, and more than one unless none has, True or False by statement."""
    cast = votes.notna().sum()
    return cast >= max(FEWEST_VOTES * cast.max(), min(2, cast.max()))
