"""What does the law foretell, if it is fitted to other runs or has another form?

All fits are made beforehand; moving a slider draws one of them.
"""

from collections.abc import Mapping
from typing import Any

import ipywidgets as widgets
import numpy as np
import pandas as pd

from smallscale.core.templates import template
from smallscale.core.validation import require
from smallscale.foundations.scaling.power_law import (
    FREE,
    Bootstrap,
    Prediction,
    bootstrap,
    fit_power_law,
)
from smallscale.notebook.explorer import Explorer

LAW_TEMPLATE = template("foundations/scaling/law.html.j2")
COLUMNS = ("inner", "tokens", "loss")
WORDS = {
    "hoffmann": "with a floor (Hoffmann)",
    "no floor": "without a floor",
    "kaplan": "Kaplan",
}
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00")
WIDE = 700  # of the drawing, in units of the SVG
TALL = 260
LEFT = 46
TOP = 26


def law_explorer(
    runs: pd.DataFrame,
    target: Mapping[str, float],
    *,
    draws: int = 40,
    level: float = 0.9,
    seed: int = 0,
) -> Explorer:
    """Return a scene and its sliders, for `explore`.

    Choose the form of the law, the smallest size and the fewest tokens that it is
    fitted to. It shows the runs, the law, and what it foretells of `target` with its
    interval, beside what was measured there.
    runs: with the columns inner (parameters), tokens and loss. target: the same of the
    run that was foretold. draws: of the bootstrap, for each setting.
    Raises ValueError for a table without these columns.
    """
    missing = [name for name in COLUMNS if name not in runs or name not in target]
    require(
        not missing,
        f"runs and target must have {', '.join(COLUMNS)}; missing: {missing}",
    )
    sizes = sorted(runs.inner.unique())
    budgets = sorted(runs.tokens.unique())
    # At least two of each must stay, or nothing varies.
    smallest, fewest = sizes[:-1], budgets[:-1]
    made = {
        (form, size, budget): _foretold(
            runs[(runs.inner >= size) & (runs.tokens >= budget)],
            target,
            form,
            draws=draws,
            level=level,
            seed=seed,
        )
        for form in FREE
        for size in smallest
        for budget in fewest
    }

    def scene(form: str, size: float, budget: float) -> str:
        return law_scene(runs, target, made[form, size, budget], form, size, budget)

    sliders = {
        "form of the law": widgets.SelectionSlider(
            options=[(words, form) for form, words in WORDS.items()], value="kaplan"
        ),
        "smallest size": widgets.SelectionSlider(
            options=[(f"{size:,}", size) for size in smallest], value=smallest[0]
        ),
        "fewest tokens": widgets.SelectionSlider(
            options=[(f"{budget:,}", budget) for budget in fewest], value=fewest[0]
        ),
    }
    return scene, sliders


def law_scene(
    runs: pd.DataFrame,
    target: Mapping[str, float],
    foretold: tuple[Bootstrap, Prediction] | str,
    form: str,
    size: float,
    budget: float,
) -> str:
    """Return the state as HTML: an SVG, and a sentence that says what it shows.

    foretold: the law with its prediction, or why there is none.
    """
    measured = float(target["loss"])
    kept = (runs.inner >= size) & (runs.tokens >= budget)
    left, right = np.log(runs.inner.min()), np.log(float(target["inner"]))
    # The frame stays where it is while the law moves, so that its moves can be seen.
    highest = float(runs.loss.max()) + 0.1
    lowest = measured - 0.45 * (highest - measured)

    def x(inner: Any) -> Any:
        return LEFT + (np.log(inner) - left) / (right - left) * (WIDE - 2 * LEFT)

    def y(loss: Any) -> Any:
        share = (highest - np.clip(loss, lowest, highest)) / (highest - lowest)
        return TOP + share * TALL

    curves = []
    if isinstance(foretold, str):
        sentence = f"{WORDS[form].capitalize()}: {foretold}."
        bar = None
    else:
        fit, prediction = foretold
        along = np.exp(np.linspace(left, right, 40))
        budgets = [*sorted(runs.tokens.unique()), float(target["tokens"])]
        for tokens in budgets:
            heights = y(fit.law.loss(along, tokens))
            corners = zip(x(along), heights, strict=True)
            curves.append(" ".join(f"{a:.1f},{b:.1f}" for a, b in corners))
        low, high = float(y(prediction.high)), float(y(prediction.low))
        bar = {"top": low, "height": high - low, "middle": float(y(prediction.loss))}
        within = "inside" if prediction.contains(measured) else "outside"
        sentence = (
            f"{WORDS[form].capitalize()}, fitted to {kept.sum()} of {len(runs)} "
            f"points: foretold {prediction.loss:.2f}, interval {prediction.low:.2f} to "
            f"{prediction.high:.2f}; measured {measured:.2f}, {within}."
        )
    colour = dict(zip(sorted(runs.tokens.unique()), COLOURS, strict=False))
    points = [
        {
            "x": float(x(run.inner)),
            "y": float(y(run.loss)),
            "colour": colour.get(run.tokens, "currentColor"),
            "kept": bool(keep),
        }
        for run, keep in zip(runs.itertuples(), kept, strict=True)
    ]
    labels = [
        {
            "y": float(y(runs[runs.tokens == t].nlargest(1, "inner").loss.iloc[0])),
            "words": f"{t / 1000:,.0f} k tokens",
            "colour": c,
            "x": float(x(runs.inner.max())) + 9,
        }
        for t, c in colour.items()
    ]
    ticks = np.linspace(lowest, highest, 5)[1:-1]
    html: str = LAW_TEMPLATE.render(
        sentence=sentence,
        curves=curves,
        colours=[*colour.values(), "currentColor"],
        points=points,
        labels=labels,
        bar=bar,
        truth=float(y(measured)),
        right=float(x(float(target["inner"]))),
        ticks=[{"y": float(y(t)), "words": f"{t:.1f}"} for t in ticks],
        sizes=[
            {"x": float(x(n)), "words": f"{n:,.0f}"}
            for n in [*sorted(runs.inner.unique()), target["inner"]]
        ],
        bottom=TOP + TALL,
        left=LEFT,
    )
    return html


def _foretold(
    runs: pd.DataFrame,
    target: Mapping[str, float],
    form: str,
    *,
    draws: int,
    level: float,
    seed: int,
) -> tuple[Bootstrap, Prediction] | str:
    """Return the law of these runs and what it foretells, or why there is none."""
    points = (runs.inner, runs.tokens, runs.loss)
    try:
        law = fit_power_law(*points, form=form)
    except ValueError as error:
        return str(error)
    fit = bootstrap(law, *points, draws=draws, seed=seed)
    foretold = fit.predict(target["inner"], target["tokens"], level=level, seed=seed)
    return fit, foretold
