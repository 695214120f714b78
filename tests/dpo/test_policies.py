"""Are the smallest policies what they are said to be?"""

import numpy as np
import pytest

from smallscale.dpo import (
    Tabular,
    answer_logps,
    padded_answers,
)


def test_a_tabular_policy_is_its_table() -> None:
    table = np.array([[0.2, 0.3, 0.5], [0.6, 0.3, 0.1]])
    texts = padded_answers([[0], [1]], [[2], [0]])
    assert answer_logps(Tabular(table), texts).exp().tolist() == pytest.approx(
        [0.5, 0.6]
    )
    assert Tabular(table).probabilities() == pytest.approx(table)
    for wrong in ([0.5, 0.5], [[0.5, 0.6]], [[1.0, 0.0]]):
        with pytest.raises(ValueError, match="probabilities above 0"):
            Tabular(wrong)
