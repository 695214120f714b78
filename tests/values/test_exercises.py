"""Do the checks accept what is right, and tell a wrong answer why?"""

import numpy as np
import pytest

from smallscale.values import group_aware_consensus, pooled_agreement
from smallscale.values.exercises import (
    NOT_YET,
    check_consensus,
    check_constitution,
    check_share,
)


@pytest.mark.parametrize(
    ("share", "said"),
    [
        (None, NOT_YET),
        (0.8033, "Right"),
        (0.8, "Right"),
        (np.float32(0.81), "Right"),
        (0.684, "in the figure above"),
        (0.5, "always chose its side"),
        (0.622, "one half of all choices"),
        (0.2, "the minority's share"),
        (1.0, "nobody is left to object"),
        (0.75, "solve for the share"),
        (0.9, "solve for the share"),
    ],
)
def test_the_share(share, said: str) -> None:
    assert said in check_share(share)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (lambda a, s: None, NOT_YET),
        (lambda a, s: ((a + 1) / (s + 2)).prod(0), "Right"),
        (lambda a, s: (a / np.maximum(s, 1)).prod(0), "Add 1 to the agreements"),
        (lambda a, s: (a.sum(0) + 1) / (s.sum(0) + 2), "one group"),
        (lambda a, s: ((a + 1) / (s + 2)).mean(0), "Multiply instead"),
        (lambda a, s: np.sqrt(((a + 1) / (s + 2)).prod(0)), "geometric mean"),
        (lambda a, s: (a + 1) / (s + 2), "shape is (2, 4)"),
        (lambda a, s: np.zeros(4), "compare with the equation"),
        (lambda a, s: ((a + 1) / (s + 2)).min(0), "the others count too"),
        (lambda a, s: ((a + 1) / (s + 1)).prod(0), "Add 2 to the votes"),
        # Lazy: the numbers of the first case, and only two groups.
        (lambda a, s: [5 / 18, 1 / 8, 2 / 3, 1 / 4], "and then not for three"),
        (
            lambda a, s: (a[0] + 1) / (s[0] + 2) * (a[1] + 1) / (s[1] + 2),
            "and then not for three",
        ),
    ],
)
def test_the_consensus(answer, said: str) -> None:
    assert said in check_consensus(answer)


def test_the_constitution() -> None:
    settings = {"beat": 0.55, "majority": 0.7, "beta": 0.5}

    def five_principles_and_one_more(matrix, groups, statements):
        order = group_aware_consensus(matrix, groups).sort_values(ascending=False).index
        first = order[~statements.loc[order, "principle"].duplicated()][:5].tolist()
        return [*first, next(s for s in order if s not in first)]

    assert check_constitution(five_principles_and_one_more, **settings).startswith(
        "Right"
    )
    by_count = check_constitution(
        lambda m, g, s: pooled_agreement(m).nlargest(6).index, **settings
    )
    assert by_count.startswith("Inside the rules, but the worse-off camp gains 0.2")
    by_consensus = check_constitution(
        lambda m, g, s: group_aware_consensus(m, g).nlargest(6).index, **settings
    )
    assert by_consensus.startswith("Inside the rules, but the worse-off camp gains 0.")
    # Lazy: ids that would have been right, had they not been dealt anew.
    by_heart = check_constitution(lambda m, g, s: [4, 8, 14, 16, 0, 20], **settings)
    assert "the list is always the same" in by_heart
    assert check_constitution(lambda m, g, s: None, **settings) == NOT_YET
    for wrong in ([], [1, 1], list(range(7)), ["x"]):
        assert (
            "a list of one to 6 different ids"
            in check_constitution(lambda m, g, s, w=wrong: w, **settings).lower()
        )
