"""Do the lists hold what their rule says, and does the threshold end one of them?"""

import numpy as np
import pytest

from smallscale.values import (
    bridging_scores,
    group_aware_consensus,
    opinion_groups,
    pooled_agreement,
)
from smallscale.values.consensus import least_agreement
from smallscale.values.constitutions import constitutions
from smallscale.values.population import population


@pytest.mark.parametrize("seed", range(3))
def test_each_list_is_the_head_of_its_ranking(seed: int) -> None:
    votes = population(seed=seed).matrix
    groups = opinion_groups(votes)
    lists = constitutions(votes, groups)
    assert lists["by count"] == pooled_agreement(votes).nlargest(6).index.tolist()
    consensus = group_aware_consensus(votes, groups)
    assert lists["by consensus"] == consensus.nlargest(6).index.tolist()
    bridging = bridging_scores(votes)
    assert set(lists["by bridging"]) == set(bridging.index[bridging.helpful])
    least = least_agreement(votes, groups)
    assert least[lists["by bridging"]].min() > 0.5
    assert least[lists["by count"]].min() < 0.5


def test_where_nothing_is_helpful_bridging_has_no_list() -> None:
    lists = constitutions([[1, -1]] * 5 + [[-1, 1]] * 5, [0] * 5 + [1] * 5, length=1)
    assert lists["by bridging"] == []
    assert len(lists["by count"]) == len(lists["by consensus"]) == 1


def test_what_too_few_people_saw_is_no_article_by_count() -> None:
    """A list may be shorter: what nobody can rank does not fill it up."""
    votes = np.full((40, 5), np.nan)
    votes[:, :2] = [1, -1]
    votes[0, 2:] = 1
    lists = constitutions(votes, [0] * 20 + [1] * 20)
    assert lists["by count"] == [0, 1]
