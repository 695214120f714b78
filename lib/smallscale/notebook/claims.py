"""What does this notebook state, and did it hold in this run?

A claim is a sentence, the number this run measured, and a verdict. The bench reads the claims back from the
executed notebook (output type `CLAIMS`) and fails a run whose judged claims do not hold. The paper's number
stands beside as information: a result that did not reproduce, and says so, is a claim that holds.
"""

import math
from html import escape
from numbers import Integral, Real
from typing import Any, Self

from IPython import get_ipython
from IPython.display import display

from smallscale.notebook.scale import SCALES

CLAIMS = "application/vnd.smallscale.claims+json"

COLUMNS = ("Claim", "Measured here", "Tolerance", "Verdict", "The paper", "Reproduced")


class Claims:
    """The claims and metrics of one run. `add` and `metric` collect, `show` prints the table.

    The scale that decides which claims are judged is the notebook's own parameter `scale`;
    outside a notebook it is "small" unless given.
    """

    def __init__(self, scale: str | None = None) -> None:
        if scale is None:
            shell = get_ipython()
            scale = (shell.user_ns.get("scale") if shell else None) or "small"
        if scale not in SCALES:
            raise ValueError(f"scale must be one of {', '.join(SCALES)}; got {scale!r}")
        self.scale = scale
        self._claims: dict[str, dict[str, Any]] = {}
        self._metrics: dict[str, float | None] = {}

    def add(
        self,
        statement: str,
        *,
        measured: Any,
        holds: bool,
        tolerance: str = "",
        paper: str = "",
        reproduced: bool | None = None,
        judged_at: tuple[str, ...] = ("small", "medium", "full"),
    ) -> Self:
        """State something and say whether this run bears it out.

        statement: one sentence, which is also the claim's name: stated again, it is replaced.
        measured: the number(s) of this run, as text or a number; tolerance: what would still count as holding.
        holds: the verdict; True or False, as Python's, numpy's or torch's boolean.
        paper, reproduced: the published number, and whether this run came to the same (None: not comparable).
        judged_at: the scales at which the verdict counts; elsewhere it is printed, not judged.
        """
        if not statement.strip():
            raise ValueError("statement must say something; got an empty text")
        unknown = set(judged_at) - set(SCALES)
        if isinstance(judged_at, str) or unknown:
            raise ValueError(
                f"judged_at must be a tuple of {', '.join(SCALES)}; got {judged_at!r}"
            )
        self._claims[statement] = {
            "statement": statement,
            "measured": _words(measured),
            "holds": _truth("holds", holds),
            "tolerance": tolerance,
            "paper": paper,
            "reproduced": None
            if reproduced is None
            else _truth("reproduced", reproduced),
            "judged": self.scale in judged_at,
        }
        return self

    def metric(self, name: str, value: float) -> Self:
        """A number for the table of runs (`runs.csv`); one that is not finite becomes an empty field."""
        if not name.isidentifier():
            raise ValueError(
                f"name must be a word usable as a column name, such as pgd_accuracy; got {name!r}"
            )
        value = _plain(value)
        if not isinstance(value, Real):
            raise ValueError(
                f"value of metric {name} must be a number; got {type(value).__name__}"
            )
        number = value if isinstance(value, (bool, Integral)) else float(value)
        self._metrics[name] = number if math.isfinite(number) else None
        return self

    def show(self) -> None:
        """Print the table of claims, and hand claims and metrics to the bench."""
        record = {
            "scale": self.scale,
            "claims": list(self._claims.values()),
            "metrics": self._metrics,
        }
        display(
            {CLAIMS: record, "text/html": self._html(), "text/plain": str(self)},
            raw=True,
        )

    def _ipython_display_(self) -> None:
        """Show nothing where a cell ends in `claims.add(...)`: `show` prints the table."""

    def __str__(self) -> str:
        return "\n".join(
            f"[{verdict(c)}] {c['statement']} ({c['measured']})"
            for c in self._claims.values()
        )

    def _html(self) -> str:
        head = _line('th scope="col"', COLUMNS)
        body = "".join(_line("td", _row(claim)) for claim in self._claims.values())
        caption = f"<caption>Claims of this run, at scale {self.scale}</caption>"
        return f'<table class="claims">{caption}<thead>{head}</thead><tbody>{body}</tbody></table>'


def verdict(claim: dict[str, Any]) -> str:
    """holds, does not hold, or not judged."""
    if not claim["judged"]:
        return "not judged at this scale"
    return "holds" if claim["holds"] else "does not hold"


def _row(claim: dict[str, Any]) -> tuple[str, ...]:
    reproduced = {None: "", True: "yes", False: "no"}[claim["reproduced"]]
    measured = (claim["measured"], claim["tolerance"], verdict(claim))
    return (claim["statement"], *measured, claim["paper"], reproduced)


def _line(tag: str, texts: tuple[str, ...]) -> str:
    cells = (
        f'<{tag} style="text-align:left">{escape(text)}</{tag[:2]}>' for text in texts
    )
    return f"<tr>{''.join(cells)}</tr>"


def _plain(value: Any) -> Any:
    """A single number of numpy's or torch's as Python's."""
    return (
        value.item()
        if hasattr(value, "item") and math.prod(value.shape) == 1
        else value
    )


def _words(measured: Any) -> str:
    measured = _plain(measured)
    return f"{measured:.4g}" if isinstance(measured, float) else str(measured)


def _truth(name: str, value: Any) -> bool:
    value = _plain(value)
    if not isinstance(value, bool):
        raise ValueError(f"{name} must be True or False; got {value!r}")
    return value
