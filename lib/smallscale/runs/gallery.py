"""How do all runs look side by side? One page, theme by theme, the worst runs first.

Like every page here it stands alone: no script, nothing fetched. Its links are relative
to the results folder.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from smallscale.runs.curves import HEIGHT, WIDTH, Curves, curves
from smallscale.runs.pages import template_environment
from smallscale.runs.record import RunRecord, claims_held, passed

CARDS = 24  # runs of one notebook that are shown as cards; the rest is a table
OUTSIDE = "other"  # the heading of notebooks that lie in no theme's folder


@dataclass(frozen=True)
class NotebookRuns:
    """One notebook's part of the gallery."""

    name: str
    title: str
    question: str
    varied: list[str]  # the parameters that differ between its runs
    runs: list[RunRecord]  # those that failed or do not hold first
    curves: Curves | None  # what its metrics do along a swept parameter


def gallery(runs: list[RunRecord]) -> str:
    """Return the page of all runs; its links are relative to the results folder."""
    counts = [claims_held(run) for run in runs]
    return (
        template_environment()
        .get_template("gallery.html.j2")
        .render(
            themes=_by_theme(runs),
            statuses=Counter(run.status for run in runs),
            held=sum(count.held for count in counts),
            judged=sum(count.judged for count in counts),
            cards=CARDS,
            width=WIDTH,
            height=HEIGHT,
            made=datetime.now(UTC),
        )
    )


def _by_theme(runs: Iterable[RunRecord]) -> dict[str, list[NotebookRuns]]:
    """Sort the runs by notebook and the notebooks by theme, in alphabetical order."""
    by_notebook: dict[str, list[RunRecord]] = {}
    for run in runs:
        by_notebook.setdefault(run.notebook, []).append(run)
    in_themes = sorted(name for name in by_notebook if "/" in name)
    outside = sorted(name for name in by_notebook if "/" not in name)
    themes: dict[str, list[NotebookRuns]] = {}
    for name in in_themes + outside:
        theme = name.split("/")[0] if "/" in name else OUTSIDE
        themes.setdefault(theme, []).append(_notebook(name, by_notebook[name]))
    return themes


def _notebook(name: str, runs: list[RunRecord]) -> NotebookRuns:
    """Arrange one notebook's runs; its newest run gives the title and the question."""
    newest = max(runs, key=lambda run: run.finished)
    varied = _varied(runs)

    def worst_first(run: RunRecord) -> tuple[object, ...]:
        values = [_sortable(run.parameters.get(name)) for name in varied]
        return run.status == "completed", passed(run), values

    return NotebookRuns(
        name=name,
        title=newest.title,
        question=newest.question,
        varied=varied,
        runs=sorted(runs, key=worst_first),
        curves=curves(runs, varied),
    )


def _varied(runs: list[RunRecord]) -> list[str]:
    """Name the parameters that differ between these runs.

    The seed comes last, so that the seeds of one setting stand together.
    """
    names = dict.fromkeys(name for run in runs for name in run.parameters)
    varied = []
    for name in names:
        values = {repr(run.parameters.get(name)) for run in runs}
        if len(values) > 1:
            varied.append(name)
    return sorted(varied, key=lambda name: name == "seed")


def _sortable(value: object) -> tuple[int, float, str]:
    """Return a key that sorts numbers by size and, after them, texts by letters."""
    if isinstance(value, int | float):
        return 0, value, ""
    return 1, 0, str(value)
