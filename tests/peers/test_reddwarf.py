"""Do the counts and their statistics agree with red-dwarf, where it keeps Polis's
formulas?"""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from smallscale.values import (
    Votes,
    group_aware_consensus,
    opinion_groups,
    read_polis,
    representative_statements,
)
from tests.conftest import DATA
from tests.values.conftest import real

stats = pytest.importorskip(
    "reddwarf.utils.stats",
    reason="red-dwarf is not installed: pip install 'smallscale[peers]'",
)

__all__ = ["real"]  # the fixture

REAL = [
    pytest.param(
        DATA / "polis" / name,
        marks=pytest.mark.skipif(
            not (DATA / "polis" / name).is_dir(),
            reason=f"{name} is not beside the project, in shared/data/polis",
        ),
    )
    for name in (
        "brexit-consensus",
        "canadian-electoral-reform",
        "london.youth.policing",
        "scoop-hivemind.freshwater",
        "scoop-hivemind.taxes",
    )
]


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


@pytest.mark.parametrize("folder", REAL, ids=lambda folder: folder.name)
def test_the_selection_of_statements_is_the_same(folder: Path) -> None:
    """Statements, stances and their order, in the published groups and in those found.
    red-dwarf sorts with an unstable sort, so equals may stand in another order."""
    votes = read_polis(folder)
    found = opinion_groups(votes.matrix, moderated_out=votes.moderated_out)
    for groups in (votes.groups, found):
        inside = groups.notna()
        matrix = votes.matrix[inside].drop(columns=votes.moderated_out)
        labels = groups[inside].astype(int)
        table, _ = stats.calculate_comment_statistics_dataframes(
            matrix, labels.tolist()
        )
        rows = representative_statements(matrix, labels)
        for group, theirs in stats.select_representative_statements(table).items():
            ours = rows[rows.group == group]
            merit = ours[["r", "r_test", "p", "p_test"]].prod(axis=1).round(9)
            key = ["stance", "merit", "statement"]
            expected = pd.DataFrame(
                {
                    "stance": row["repful-for"],
                    "merit": round(
                        row["repness"]
                        * row["repness-test"]
                        * row["p-success"]
                        * row["p-test"],
                        9,
                    ),
                    "statement": row["tid"],
                }
                for row in theirs
            )
            mine = ours.assign(merit=merit)[key].reset_index(drop=True)
            assert mine.stance.tolist() == expected.stance.tolist()
            assert mine.merit.tolist() == pytest.approx(expected.merit.tolist())
            pd.testing.assert_frame_equal(
                mine.sort_values(key, ignore_index=True),
                expected.sort_values(key, ignore_index=True),
            )
