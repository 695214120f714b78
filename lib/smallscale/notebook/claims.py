"""What does this notebook state, and did it hold in this run?

A claim is a sentence, the number that this run measured, and a verdict. The bench reads
the claims back from the executed notebook (output type `CLAIMS`) and fails a run whose
judged claims do not hold. The paper's number stands beside as information: a result
that did not reproduce, and says so, is a claim that holds.
"""

import math
from collections.abc import Collection, Sequence
from html import escape
from numbers import Integral, Real
from typing import Any, Self

import numpy as np
from IPython import get_ipython

from smallscale.notebook.output import show_output
from smallscale.notebook.scale import SCALES, check_scale

CLAIMS = "application/vnd.smallscale.claims+json"

PARTS = {"low", "high", "n"}  # of a metric, with columns of their own
COLUMNS = ("Claim", "Measured here", "Tolerance", "Verdict", "The paper", "Reproduced")


class Claims:
    """The claims and metrics of one run; `add` and `metric` collect, `show` shows them.

    scale: decides which claims are judged. None takes the notebook's own parameter
    `scale`, and "small" outside a notebook.

    >>> claims = Claims("small").add("Two is more than one", measured=2, holds=2 > 1)
    >>> print(claims)
    [holds] Two is more than one (2)

    Raises ValueError for an unknown scale.
    """

    def __init__(self, scale: str | None = None) -> None:
        if scale is None:
            shell = get_ipython()
            scale = (shell.user_ns.get("scale") if shell else None) or "small"
        check_scale(scale)
        self.scale = scale
        self._claims: dict[str, dict[str, Any]] = {}
        self._metrics: dict[str, int | float | None] = {}
        self._details: dict[str, dict[str, Any]] = {}  # of each metric

    def add(
        self,
        statement: str,
        *,
        measured: Any,
        holds: bool,
        tolerance: Any = "",
        paper: Any = "",
        reproduced: bool | None = None,
        judged_at: tuple[str, ...] = ("small", "medium", "full"),
    ) -> Self:
        """State something, and say whether this run bears it out.

        statement: one sentence, which names the claim: stated again, it is replaced.
        measured: the number of this run, or a text with several.
        holds: the verdict; True or False, as a boolean of Python, numpy or torch.
        tolerance: what would still count as holding.
        paper: the published number, or a text with several.
        reproduced: whether this run came to the same; None where it cannot be compared.
        judged_at: the scales at which the verdict counts; elsewhere it is only printed.

        Raises ValueError for an empty statement, a verdict that is neither True nor
        False, and an unknown scale.
        """
        if not isinstance(statement, str):
            raise ValueError(f"statement must be a sentence; got {statement!r}")
        if not statement.strip():
            raise ValueError("statement must say something; got an empty text")
        listed = isinstance(judged_at, Collection) and not isinstance(judged_at, str)
        if not listed or any(each not in SCALES for each in judged_at):
            raise ValueError(
                f"judged_at must be a tuple of {', '.join(SCALES)}; got {judged_at!r}"
            )
        if reproduced is not None:
            reproduced = _true_or_false("reproduced", reproduced)
        self._claims[statement] = {
            "statement": statement,
            "measured": _as_text(measured),
            "holds": _true_or_false("holds", holds),
            "tolerance": _as_text(tolerance),
            "paper": _as_text(paper),
            "reproduced": reproduced,
            "judged": self.scale in judged_at,
        }
        return self

    def metric(
        self,
        name: str,
        value: float,
        *,
        unit: str = "",
        n: int | None = None,
        low: float | None = None,
        high: float | None = None,
    ) -> Self:
        """Record a number for the table of runs (`runs.csv`).

        name: its column. value: a number; NaN, infinity and what no float can
        hold become an empty field.
        unit: what it counts, such as "s" or "points". n: how many it is measured on.
        low, high: the ends of its interval. They get columns of their own,
        `<name>_low`, `<name>_high` and `<name>_n`, and the unit stands in
        `columns.csv`.

        Raises ValueError for a name that cannot be a column's, for what is no number,
        for one end without the other, and for low above high.
        """
        if not (isinstance(name, str) and name.isidentifier()):
            raise ValueError(
                "name must be a word usable as a column name, such as pgd_accuracy; "
                f"got {name!r}"
            )
        number = _number(f"value of metric {name}", value)
        if (low is None) != (high is None):
            raise ValueError(f"low and high of metric {name} must both be given")
        ends = [
            None if end is None else _number(f"{side} of metric {name}", end)
            for side, end in (("low", low), ("high", high))
        ]
        if ends[0] is not None and ends[1] is not None and ends[0] > ends[1]:
            raise ValueError(
                f"low of metric {name} must be at most high; got {low} and {high}"
            )
        size = None if n is None else _number(f"n of metric {name}", n)
        whole = isinstance(size, int) and not isinstance(_single(n), bool | np.bool_)
        if size is not None and not (whole and size >= 1):
            raise ValueError(
                f"n of metric {name} must be a whole number, at least 1; got {n}"
            )
        detail = {
            "whole": isinstance(number, int),
            "unit": str(unit),
            "n": size,
            "low": _as_json(_finite(ends[0])),
            "high": _as_json(_finite(ends[1])),
        }
        # What was not said is left out: the bench knows it. An end at 0 is said.
        said = {
            key: value
            for key, value in detail.items()
            if value is not None and value is not False and value != ""
        }
        self._check_columns(name, said)
        self._metrics[name] = _finite(number)
        self._details[name] = said
        return self

    def _check_columns(self, name: str, detail: dict[str, Any]) -> None:
        """Refuse a metric whose name, or whose interval's, another has as a column."""
        details = {**self._details, name: detail}
        for other, its in details.items():
            for part in PARTS & set(its):
                column = f"{other}_{part}"
                if column == name or (other == name and column in self._metrics):
                    raise ValueError(
                        f"name {column!r} is the column of the {part} of metric "
                        f"{other!r}; name one of them otherwise"
                    )

    def show(self) -> None:
        """Show the table of claims, and hand claims and metrics to the bench."""
        record = {
            "scale": self.scale,
            "claims": list(self._claims.values()),
            "metrics": {name: _as_json(x) for name, x in self._metrics.items()},
        }
        details = {name: detail for name, detail in self._details.items() if detail}
        if details:
            record["details"] = details
        show_output(
            {CLAIMS: record, "text/html": self._html(), "text/plain": str(self)}
        )

    def _ipython_display_(self) -> None:
        """Show nothing where a cell ends in `claims.add(...)`: `show` shows it all."""

    def __str__(self) -> str:
        return "\n".join(
            f"[{verdict(claim)}] {claim['statement']} ({claim['measured']})"
            for claim in self._claims.values()
        )

    def _html(self) -> str:
        caption = f"<caption>Claims of this run, at scale {self.scale}</caption>"
        head = _table_row('th scope="col"', COLUMNS)
        rows = [_table_row("td", _cells(claim)) for claim in self._claims.values()]
        return (
            f'<table class="claims">{caption}<thead>{head}</thead>'
            f"<tbody>{''.join(rows)}</tbody></table>"
        )


def verdict(claim: dict[str, Any]) -> str:
    """Return "holds", "does not hold" or "not judged at this scale"."""
    if not claim["judged"]:
        return "not judged at this scale"
    return "holds" if claim["holds"] else "does not hold"


def _cells(claim: dict[str, Any]) -> list[str]:
    """Return a claim's text for each of COLUMNS."""
    return [
        claim["statement"],
        claim["measured"],
        claim["tolerance"],
        verdict(claim),
        claim["paper"],
        {None: "", True: "yes", False: "no"}[claim["reproduced"]],
    ]


def _table_row(tag: str, texts: Sequence[str]) -> str:
    closing = tag.split()[0]
    cells = [
        f'<{tag} style="text-align:left">{escape(text)}</{closing}>' for text in texts
    ]
    return f"<tr>{''.join(cells)}</tr>"


def _single(value: Any) -> Any:
    """Return Python's number for an array or tensor that holds one; else the value."""
    if np.ma.is_masked(value):
        raise ValueError(
            "a claim or a metric must not be masked; record what was measured, or "
            "math.nan where nothing was"
        )
    one = hasattr(value, "item") and math.prod(value.shape) == 1
    return value.item() if one else value


def _as_text(measured: Any) -> str:
    measured = _single(measured)
    return f"{measured:.4g}" if isinstance(measured, float) else str(measured)


def _number(name: str, value: Any) -> int | float:
    """Return one number of any library as Python's; truth values count as 0 and 1."""
    number = _single(value)
    if not isinstance(number, Real):
        raise ValueError(f"{name} must be a number; got {type(number).__name__}")
    return int(number) if isinstance(number, Integral) else float(number)


def _finite(number: float | None) -> float | None:
    """Return the number; None for NaN, infinity and a whole number beyond all floats.

    Nothing that computes with what a notebook measured could take one.
    """
    try:
        return None if number is None or not math.isfinite(number) else number
    except OverflowError:
        return None


def _as_json(number: Any) -> Any:
    """Return a number as JupyterLab writes it when a notebook is saved: 1 for 1.0."""
    if isinstance(number, float) and number.is_integer() and abs(number) < 2**53:
        return int(number)
    return number


def _true_or_false(name: str, value: Any) -> bool:
    value = _single(value)
    if not isinstance(value, bool):
        raise ValueError(f"{name} must be True or False; got {value!r}")
    return value
