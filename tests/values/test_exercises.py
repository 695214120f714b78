"""Do the checks accept what is right, and tell a wrong answer why?"""

import numpy as np
import pytest

from smallscale.values import group_aware_consensus, pooled_agreement
from smallscale.values.exercises import NOT_YET, check_consensus, check_constitution


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
    assert check_constitution(lambda m, g, s: None, **settings) == NOT_YET
    for wrong in ([], [1, 1], list(range(7)), ["x"]):
        assert (
            "a list of one to 6 different ids"
            in check_constitution(lambda m, g, s, w=wrong: w, **settings).lower()
        )
