"""Can the notebook cite the stored runs on real SQuAD?"""

import json

from smallscale.robustness.reading.measured import (
    MEASURED_ON_SQUAD,
    measured_on_squad,
)

TESTS = ["clean", "control", "AddOneSent", "AddSent"]


def test_every_stored_run_has_the_tests_that_the_notebook_speaks_of() -> None:
    table = measured_on_squad()
    runs = json.loads(MEASURED_ON_SQUAD.read_text("utf-8"))["runs"]
    assert len(table) == sum(len(run["f1"]) for run in runs) >= 1
    assert table[TESTS].notna().all(axis=None)
    assert table[TESTS].ge(0).all(axis=None)
    assert table[TESTS].le(100).all(axis=None)


def test_every_stored_run_bears_out_the_sentence_under_the_table() -> None:
    """Misleading sentences take a large part, an unrelated one takes little."""
    plain = measured_on_squad().query("reader == 'plain'")
    assert (plain.clean - plain.control < 2).all()
    assert (plain.AddOneSent < 0.75 * plain.clean).all()
    assert (plain.AddSent < plain.AddOneSent).all()
