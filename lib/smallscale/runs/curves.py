"""How does what was measured move with what was varied? Curves for the gallery.

One panel for each metric and each setting of the other parameters: the metric's mean
over the seeds against the parameter that was swept, with a 95 % t-interval. Where each
point is one run, its own interval is drawn, if the notebook gave one.
"""

import itertools
import math
from collections.abc import Iterable
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Any

from smallscale.runs.parameters import Value
from smallscale.runs.record import MetricDetail, RunRecord

MOST_METRICS = 12  # that are drawn
MOST_SETTINGS = 6  # of the other parameters; beyond, panels would not be looked at
LARGEST = 1e100  # a number beyond it is not drawn: its square is no float any more
WIDTH, HEIGHT, MARGIN = 220, 120, 8  # of a panel's field, in the page's units


@dataclass(frozen=True)
class Point:
    """A mean over seeds, at one value of the swept parameter."""

    x: float
    mean: float
    low: float
    high: float
    n: int  # how many runs


@dataclass(frozen=True)
class Panel:
    """One metric against the swept parameter, at one setting of the others."""

    metric: str
    unit: str
    setting: str  # of the other parameters; empty where none varies
    points: list[Point]
    bottom: float  # the scale that all panels of a metric share
    top: float
    left: float
    right: float

    def place(self, x: float, y: float) -> tuple[float, float]:
        """Return where a value stands in the field, from its upper left corner."""
        wide = self.right - self.left or 1.0
        tall = self.top - self.bottom
        across = (x - self.left) / wide * (WIDTH - 2 * MARGIN) + MARGIN
        share = (self.top - y) / tall if tall else 0.5
        down = share * (HEIGHT - 2 * MARGIN) + MARGIN
        return round(across, 1), round(down, 1)

    @property
    def line(self) -> str:
        """The means, as the points of an SVG polyline."""
        return _corners(self.place(point.x, point.mean) for point in self.points)

    @property
    def band(self) -> str:
        """The intervals, as the corners of an SVG polygon; empty for none."""
        if all(point.low == point.high for point in self.points):
            return ""
        there = [self.place(point.x, point.high) for point in self.points]
        back = [self.place(point.x, point.low) for point in reversed(self.points)]
        return _corners(there + back)


@dataclass(frozen=True)
class Curves:
    """All panels of one notebook's runs."""

    swept: str  # the parameter along the horizontal axis
    panels: list[Panel]
    over_seeds: bool  # whether an interval is over seeds
    left_out: int  # metrics beyond MOST_METRICS


def curves(runs: list[RunRecord], varied: Iterable[str]) -> Curves | None:
    """Return the curves of one notebook's runs; None where there is nothing to draw.

    varied: the parameters that differ between them. The swept one is the number with
    most values, of at least three; every combination of the others has panels of its
    own, so that no mean mixes settings. Runs that did not complete are left out.
    """
    done = [run for run in runs if run.status == "completed"]
    others = [name for name in varied if name != "seed"]
    counts = {
        name: len(values)
        for name in others
        if (values := _numbers(done, name)) and len(values) >= 3
    }
    if not counts:
        return None
    swept = max(counts, key=lambda name: counts[name])
    settings: dict[str, list[RunRecord]] = {}
    for run in done:
        rest = (f"{name} = {run.parameters.get(name)}" for name in others)
        setting = ", ".join(
            text for name, text in zip(others, rest, strict=True) if name != swept
        )
        settings.setdefault(setting, []).append(run)
    names = list(dict.fromkeys(name for run in done for name in run.metrics))
    if len(settings) > MOST_SETTINGS or not names:
        return None
    panels = [
        panel
        for metric in names[:MOST_METRICS]
        for panel in _of_metric(metric, swept, settings)
    ]
    seeds = any(point.n > 1 for panel in panels for point in panel.points)
    left_out = max(0, len(names) - MOST_METRICS)
    return Curves(swept, panels, seeds, left_out) if panels else None


def _numbers(runs: list[RunRecord], name: str) -> set[float]:
    """Return a parameter's values; none where one of them is no number."""
    values: list[Value | None] = [run.parameters.get(name) for run in runs]
    numbers: list[Any] = [value for value in values if type(value) in (int, float)]
    if len(numbers) < len(values) or not _can_be_drawn(numbers):
        return set()
    return {float(number) for number in numbers}


def _can_be_drawn(numbers: Iterable[Any]) -> bool:
    """Tell whether sums and squares of these numbers are floats too."""
    return all(abs(number) <= LARGEST for number in numbers)


def _of_metric(
    metric: str, swept: str, settings: dict[str, list[RunRecord]]
) -> list[Panel]:
    """Return a metric's panels, all on one scale; none for numbers beyond drawing."""
    for run in itertools.chain(*settings.values()):
        detail = run.details.get(metric, MetricDetail())
        numbers = (run.metrics.get(metric), detail.low, detail.high)
        if not _can_be_drawn(number or 0 for number in numbers):
            return []
    lines = {
        setting: _points(metric, swept, runs) for setting, runs in settings.items()
    }
    lines = {setting: points for setting, points in lines.items() if len(points) >= 2}
    every = [point for points in lines.values() for point in points]
    if not every:
        return []
    unit = next(
        (
            run.details[metric].unit
            for runs in settings.values()
            for run in runs
            if metric in run.details and run.details[metric].unit
        ),
        "",
    )
    return [
        Panel(
            metric,
            unit,
            setting,
            points,
            bottom=min(point.low for point in every),
            top=max(point.high for point in every),
            left=min(point.x for point in every),
            right=max(point.x for point in every),
        )
        for setting, points in lines.items()
    ]


def _points(metric: str, swept: str, runs: list[RunRecord]) -> list[Point]:
    """Return the points of one line, from the smallest value of the swept parameter."""
    by_x: dict[float, list[RunRecord]] = {}
    for run in runs:
        if run.metrics.get(metric) is not None:
            by_x.setdefault(float(run.parameters[swept]), []).append(run)
    return [_point(x, metric, by_x[x]) for x in sorted(by_x)]


def _point(x: float, metric: str, runs: list[RunRecord]) -> Point:
    values = [float(run.metrics[metric] or 0) for run in runs]
    mean = fmean(values)
    if len(values) == 1:
        detail = runs[0].details.get(metric, MetricDetail())
        low = mean if detail.low is None else detail.low
        high = mean if detail.high is None else detail.high
        return Point(x, mean, low, high, 1)
    # Imported here: only a sweep over seeds needs it.
    from scipy.special import stdtrit

    n = len(values)
    half = float(stdtrit(n - 1, 0.975)) * stdev(values) / math.sqrt(n)
    return Point(x, mean, mean - half, mean + half, n)


def _corners(places: Iterable[tuple[float, float]]) -> str:
    return " ".join(f"{across:g},{down:g}" for across, down in places)
