"""Do the counts and their statistics agree with red-dwarf, where it keeps Polis's
formulas?"""

import numpy as np
import pytest

from smallscale.values import Votes, group_aware_consensus, representative_statements
from tests.values.conftest import real

stats = pytest.importorskip(
    "reddwarf.utils.stats",
    reason="red-dwarf is not installed: pip install 'smallscale[peers]'",
)

__all__ = ["real"]  # the fixture


def test_consensus_and_representativeness_are_the_same(real: Votes) -> None:
    inside = real.groups.notna()
    votes, groups = real.matrix[inside], real.groups[inside].astype(int)
    _, _, p, r, p_test, r_test, consensus = stats.calculate_comment_statistics(
        votes, groups.tolist()
    )
    np.testing.assert_allclose(
        group_aware_consensus(votes, groups), consensus[0], rtol=1e-12
    )
    rows = representative_statements(votes, groups)
    assert len(rows) == 10
    for row in rows.itertuples():
        place = (
            ["agree", "disagree"].index(row.stance),
            row.group,
            votes.columns.get_loc(row.statement),
        )
        for name, theirs in (
            ("p", p),
            ("p_test", p_test),
            ("r", r),
            ("r_test", r_test),
        ):
            assert getattr(row, name) == pytest.approx(theirs[place], rel=1e-9)
