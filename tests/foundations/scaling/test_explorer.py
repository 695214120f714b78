"""Does the widget answer at once, and does it say what the fit says?"""

import time
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest

from smallscale.foundations.scaling.explorer import law_explorer
from smallscale.foundations.scaling.power_law import FREE, PowerLaw, fit_power_law

TRUTH = PowerLaw("hoffmann", 1.5, 60.0, 600.0, 0.5, 0.5, 1.0)
N, D = (
    grid.ravel() for grid in np.meshgrid([1000, 3000, 9000], [50_000, 100_000, 200_000])
)
SCATTER = np.exp(0.004 * np.random.default_rng(0).standard_normal(9))
RUNS = pd.DataFrame({"inner": N, "tokens": D, "loss": TRUTH.loss(N, D) * SCATTER})
TARGET = {"inner": 30_000, "tokens": 400_000, "loss": float(TRUTH.loss(3e4, 4e5))}


@pytest.fixture(scope="module")
def explorer():  # type: ignore[no-untyped-def]
    return law_explorer(RUNS, TARGET, draws=4)


def test_every_setting_is_a_picture_at_once(explorer) -> None:  # type: ignore[no-untyped-def]
    scene, sliders = explorer
    form, size, budget = sliders.values()
    for f in [value for _, value in form.options]:
        for s in [value for _, value in size.options]:
            for b in [value for _, value in budget.options]:
                begun = time.perf_counter()
                html = scene(f, s, b)
                assert time.perf_counter() - begun < 0.15
                svg = html[html.index("<svg") : html.index("</svg>") + 6]
                root = ElementTree.fromstring(svg)
                assert root.get("aria-label")
                hollow = sum(c.get("fill") == "none" for c in root.iter("circle"))
                kept = ((RUNS.inner >= s) & (RUNS.tokens >= b)).sum()
                assert hollow == len(RUNS) - kept


def test_it_says_what_the_fit_says(explorer) -> None:  # type: ignore[no-untyped-def]
    scene, _ = explorer
    for form in FREE:
        law = fit_power_law(RUNS.inner, RUNS.tokens, RUNS.loss, form=form)
        said = f"foretold {law.loss(TARGET['inner'], TARGET['tokens']):.2f}"
        assert said in scene(form, 1000, 50_000)
    assert f"measured {TARGET['loss']:.2f}" in scene("hoffmann", 1000, 50_000)


def test_too_few_runs_are_told_and_not_hidden(explorer) -> None:  # type: ignore[no-untyped-def]
    scene, _ = explorer
    html = scene("hoffmann", 3000, 100_000)
    assert "takes at least 6 runs; got 4" in html
    assert "<rect" not in html
    assert "<rect" in scene("hoffmann", 1000, 100_000)


def test_it_opens_on_all_runs(explorer) -> None:  # type: ignore[no-untyped-def]
    scene, sliders = explorer
    values = [slider.value for slider in sliders.values()]
    assert values == ["kaplan", 1000, 50_000]
    assert "9 of 9 points" in scene(*values)


def test_a_table_without_its_columns_is_refused() -> None:
    with pytest.raises(ValueError, match=r"missing: \['tokens'\]"):
        law_explorer(RUNS.drop(columns="tokens"), TARGET)
