"""Which statements would make a constitution? Three lists from the same votes.

A list of a fixed length goes on where common ground ends. A list with a threshold
stops there.
"""

from typing import Any

from smallscale.values.consensus import group_aware_consensus, pooled_agreement
from smallscale.votes.bridging import bridging_scores

MOST_ARTICLES = 6  # statements in a constitution


def constitutions(
    matrix: Any, groups: Any, *, length: int = MOST_ARTICLES, seed: int = 0
) -> dict[str, list[Any]]:
    """Return three constitutions, lists of statements' ids, the best first.

        by count      the `length` statements that `pooled_agreement` puts first, at
                      most: none that too few people saw
        by consensus  the `length` statements of the largest group-aware consensus
        by bridging   the helpful statements, the `length` of the largest intercept at
                      most: as many as pass the threshold, and none if none does

    matrix, groups: as for `group_aware_consensus`. seed: of `bridging_scores`.

    >>> votes = [[1, 1, 1, -1, -1]] * 6 + [[1, -1, -1, 1, 1]] * 4
    >>> constitutions(votes, [0] * 6 + [1] * 4, length=2)
    {'by count': [0, 1], 'by consensus': [0, 1], 'by bridging': [0]}
    """
    bridging = bridging_scores(matrix, seed=seed)
    helpful = bridging["intercept"][bridging["helpful"]]
    by_count = pooled_agreement(matrix)
    scores = {
        "by count": by_count[by_count > 0],
        "by consensus": group_aware_consensus(matrix, groups),
        "by bridging": helpful,
    }
    return {
        name: score.nlargest(length).index.tolist() for name, score in scores.items()
    }
