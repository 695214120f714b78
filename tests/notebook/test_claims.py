"""Claims: what is stated, what was measured, what counts."""

import math
from types import SimpleNamespace
from typing import Any

import nbformat
import numpy as np
import pytest
import torch
from nbclient import NotebookClient

from smallscale.notebook import Claims
from smallscale.notebook.claims import CLAIMS
from tests.notebook.conftest import Output


def test_a_table_for_readers_and_a_record_for_the_bench(
    shown: list[Output],
) -> None:
    claims = Claims()
    claims.add(
        "PGD beats FGSM",
        measured="0.45 < 0.51",
        holds=True,
        tolerance="any",
        paper="yes",
        reproduced=True,
    )
    claims.add("a < b", measured=0.123456, holds=np.bool_(False))
    claims.metric("acc", torch.tensor(0.5)).metric("n", 3).metric("gap", float("nan"))
    claims.metric("all", 1.0)  # written as JupyterLab writes it
    claims.metric("vast", 10**400, low=0, high=10**400)  # larger than any float
    claims.show()
    bundle = shown[0].data
    record = bundle[CLAIMS]
    metrics = {"acc": 0.5, "n": 3, "gap": None, "all": 1, "vast": None}
    assert record["metrics"] == metrics
    assert isinstance(record["metrics"]["all"], int)
    assert [(c["holds"], c["judged"]) for c in record["claims"]] == [
        (True, True),
        (False, True),
    ]
    assert record["claims"][0]["reproduced"] is True
    assert record["claims"][1]["measured"] == "0.1235"
    assert "<td" in bundle["text/html"]
    assert "a &lt; b" in bundle["text/html"]
    assert "does not hold" in bundle["text/html"]
    assert "[holds] PGD beats FGSM (0.45 < 0.51)" in bundle["text/plain"]


def test_text_is_escaped(shown: list[Output]) -> None:
    Claims().add("<script>", measured="<img onerror=x>", holds=True, paper="<b>").show()
    html = shown[0].data["text/html"]
    assert "<script" not in html
    assert "<img" not in html
    assert "<b>" not in html


def test_tiny_is_printed_and_not_judged(shown: list[Output]) -> None:
    Claims("tiny").add("x", measured=1, holds=False).show()
    assert shown[0].data[CLAIMS]["claims"][0]["judged"] is False
    assert "not judged" in shown[0].data["text/plain"]


def test_judged_at_chooses_the_scales() -> None:
    def judged(scale: str) -> bool:
        return bool(
            Claims(scale)
            .add("x", measured=1, holds=True, judged_at=("medium",))
            ._claims["x"]["judged"]
        )

    assert [judged(scale) for scale in ("tiny", "small", "medium", "full")] == [
        False,
        False,
        True,
        False,
    ]


def test_the_scale_is_the_notebooks_own(monkeypatch: pytest.MonkeyPatch) -> None:
    shell = SimpleNamespace(user_ns={"scale": "medium"})
    monkeypatch.setattr("smallscale.notebook.claims.get_ipython", lambda: shell)
    assert Claims().scale == "medium"


def test_stated_again_it_is_replaced(shown: list[Output]) -> None:
    claims = Claims().add("x", measured=1, holds=False)
    claims.add("x", measured=2, holds=True).show()
    assert [c["measured"] for c in shown[0].data[CLAIMS]["claims"]] == ["2"]


def test_a_metric_takes_its_unit_size_and_interval_along(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shown: list[dict[str, Any]] = []
    monkeypatch.setattr("smallscale.notebook.claims.show_output", shown.append)
    claims = Claims()
    claims.metric("gain", np.float32(2), unit="points", n=40, low=1, high=np.float64(3))
    claims.metric("count", np.int64(7)).metric("open", 1.5, low=-math.inf, high=2)
    claims.metric("share", 0.1, low=0.0, high=0.3).metric("loss", -1, low=-2, high=0)
    claims.show()
    metrics = {"gain": 2, "count": 7, "open": 1.5, "share": 0.1, "loss": -1}
    assert shown[0][CLAIMS]["metrics"] == metrics
    assert shown[0][CLAIMS]["details"] == {
        "gain": {"unit": "points", "n": 40, "low": 1, "high": 3},
        "count": {"whole": True},
        "open": {"high": 2},
        "share": {"low": 0, "high": 0.3},
        "loss": {"whole": True, "low": -2, "high": 0},
    }


@pytest.mark.parametrize(
    ("call", "complaint"),
    [
        (lambda c: c.add("", measured=1, holds=True), "statement"),
        (lambda c: c.add("x", measured=1, holds=0.7), "holds must be True or False"),
        (lambda c: c.add("x", measured=1, holds="yes"), "holds must be True or False"),
        (lambda c: c.add("x", measured=1, holds=True, reproduced=1), "reproduced"),
        (lambda c: c.add("x", measured=1, holds=True, judged_at="small"), "judged_at"),
        (
            lambda c: c.add("x", measured=1, holds=True, judged_at=("large",)),
            "judged_at",
        ),
        (lambda c: c.metric("two words", 1), "name"),
        (lambda c: c.metric("x", "1"), "value of metric x must be a number"),
        (lambda c: c.metric("x", 1, low=0), "low and high of metric x must both"),
        (lambda c: c.metric("x", 1, high=0), "low and high of metric x must both"),
        (lambda c: c.metric("x", 1, low=2, high=1), "low of metric x must be at most"),
        (lambda c: c.metric("x", 1, low="0", high=1), "low of metric x must be a num"),
        (lambda c: c.metric("x", 1, n=0), "n of metric x must be a whole number"),
        (lambda c: c.metric("x", 1, n=2.5), "n of metric x must be a whole number"),
    ],
)
def test_what_cannot_be_right_is_refused(call: Any, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        call(Claims())


def test_an_unknown_scale_is_refused() -> None:
    with pytest.raises(
        ValueError, match="scale must be one of tiny, small, medium, full"
    ):
        Claims("large")


def test_a_cell_that_ends_in_claims_shows_nothing() -> None:
    """In a real kernel, where the last expression of a cell is displayed."""
    notebook = nbformat.v4.new_notebook()
    notebook.cells = [
        nbformat.v4.new_code_cell(source)
        for source in (
            "from smallscale.notebook import Claims\nclaims = Claims()",
            "claims.add('One', measured=1, holds=True)",
            "claims.metric('one', 1)",
            "claims",
            "claims.show()",
        )
    ]
    NotebookClient(notebook, kernel_name="python3", timeout=120).execute()
    assert [len(cell.outputs) for cell in notebook.cells] == [0, 0, 0, 0, 1]
    (table,) = notebook.cells[-1].outputs
    assert CLAIMS in table.data


def test_what_is_masked_was_not_measured():
    """The number under the mask is none; numpy gives 0.0 for it."""
    with pytest.raises(ValueError, match="must not be masked"):
        Claims("small").metric("a", np.ma.masked)
    with pytest.raises(ValueError, match="must not be masked"):
        Claims("small").add("A", measured=np.ma.masked, holds=True)


def test_the_papers_number_may_be_a_number():
    claims = Claims("small").add(
        "A", measured=0.51, holds=True, paper=0.5, tolerance=np.float64(0.02)
    )
    for text in ("0.5", "0.02"):
        assert f">{text}</td>" in claims._html()


def test_a_column_of_the_table_of_runs_means_one_thing() -> None:
    claims = Claims("small").metric("error", 0.2, low=0.1, high=0.3, n=5)
    claims.metric("error", 0.3, low=0.1, high=0.4)  # stated again
    with pytest.raises(ValueError, match="'error_low' is the column of the low of"):
        claims.metric("error_low", 7)
    claims.metric("error_n", 7)  # the second time no size was given
    with pytest.raises(ValueError, match="'error_n' is the column of the n of metric"):
        claims.metric("error", 0.3, n=5)
    assert claims._metrics == {"error": 0.3, "error_n": 7}


def test_what_is_no_statement_name_or_size_is_refused() -> None:
    claims = Claims("small")
    with pytest.raises(ValueError, match="statement must be a sentence; got 5"):
        claims.add(5, measured=1, holds=True)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="judged_at must be a tuple of tiny"):
        claims.add("It is", measured=1, holds=True, judged_at=None)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="name must be a word"):
        claims.metric(5, 1)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="n of metric m must be a whole number"):
        claims.metric("m", 1, n=True)
