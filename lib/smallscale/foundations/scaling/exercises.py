"""Is the answer right, and if not, why? Checks for the exercises on scaling laws.

Each check returns a sentence.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from smallscale.foundations.scaling.power_law import PowerLaw, fit_power_law
from smallscale.notebook.exercises import NOT_YET

RIGHT_SIZE = "Right: it is the size of the lowest loss, for two laws and four computes."
NO_SIX = (
    "Almost: C = 6 N D, so what N and D multiply to is C / 6. Your size is that for "
    "N D = C."
)
SWAPPED = (
    "The exponent belongs to the tokens: N grows with beta / (alpha + beta), D with "
    "alpha / (alpha + beta). Where data help faster (a large beta), they are soon "
    "enough, and what is left goes into size."
)
UPSIDE_DOWN = "G is upside down: a large A makes size worth more, so N must grow."
NO_FACTOR = "The exponent is right, but G is missing."
HALF = "You take the square root whatever the law; alpha and beta decide the exponent."
ONE_LAW_ONLY = "Right for the first law, wrong for the second: use the law's numbers."
NOT_A_NUMBER = "The answer must be one positive number, the parameters."

# For the design of a ladder: two laws that it must serve, unknown to who designs it.
WORLDS = (
    PowerLaw("hoffmann", 1.8, 40.0, 600.0, 0.45, 0.55, 1.0),
    PowerLaw("hoffmann", 1.2, 12.0, 60.0, 0.25, 0.33, 1.0),
)
SCATTER = 0.01  # of log L from run to run
TRIALS = 10  # ladders drawn for each law
BUDGET = 6e10  # of compute, for all runs together
TARGET = (20_000.0, 2_000_000.0)  # parameters, tokens


def check_best_size(best_size: Callable[[Any, float], Any]) -> str:
    """Check a function (law, compute) -> the parameters of the lowest loss."""
    laws = (
        PowerLaw("hoffmann", 1.7, 400.0, 2000.0, 0.35, 0.45, 1.0),
        PowerLaw("hoffmann", 0.4, 30.0, 90.0, 0.6, 0.3, 1.0),
    )
    for law in laws:
        for compute in (1e12, 1e18):
            answer = best_size(law, compute)
            if answer is None:
                return NOT_YET
            message = _about_size(answer, law, compute)
            if message:
                return message if law is laws[0] else ONE_LAW_ONLY
    return RIGHT_SIZE


def _about_size(answer: Any, law: PowerLaw, compute: float) -> str:
    """Return what is wrong with a size, or nothing."""
    try:
        size = float(answer)
    except (TypeError, ValueError):
        return NOT_A_NUMBER
    if not (math.isfinite(size) and size > 0):
        return NOT_A_NUMBER
    a, product = law.size_exponent, compute / 6
    g = float(law.best_size(6.0))
    known = {
        "": g * product**a,
        NO_SIX: g * compute**a,
        SWAPPED: g * product ** (1 - a),
        UPSIDE_DOWN: product**a / g,
        NO_FACTOR: product**a,
        HALF: math.sqrt(product),
    }
    for message, value in known.items():
        if math.isclose(size, value, rel_tol=1e-3):
            return message
    n, d = size, product / size
    best = float(law.best_size(compute))
    return (
        f"At N = {n:,.0f} the compute leaves {d:,.0f} tokens and the loss is "
        f"{law.loss(n, d):.4f}; at N = {best:,.0f} it is "
        f"{law.loss(best, product / best):.4f}. Set the slope of "
        "A / N^alpha + B / D^beta along N D = C / 6 to zero."
    )


def check_ladder(design: Callable[[float], Any], *, within: float = 0.02) -> str:
    """Check design(budget) -> runs (N, D), whose law must foretell a larger run.

    The runs together may cost `budget` in 6 N D. They are made in two made-up worlds
    whose law nobody is told, with chance scatter; from each a law is fitted and the
    loss of TARGET foretold. The median error of log L must be at most `within`.
    """
    runs = design(BUDGET)
    if runs is None:
        return NOT_YET
    try:
        pairs = np.array(runs, dtype=float)
    except (TypeError, ValueError):
        pairs = np.zeros(0)
    if pairs.ndim != 2 or pairs.shape[1] != 2 or not (pairs > 0).all():
        return "The answer must be a list of pairs (N, D) of positive numbers."
    n, d = pairs.T
    cost = float((6 * n * d).sum())
    if cost > BUDGET * (1 + 1e-9):
        return f"The runs cost {cost:.2g} together, and the budget is {BUDGET:.2g}."
    errors = []
    for world in WORLDS:
        found = _errors(world, n, d)
        if isinstance(found, str):
            return f"No law can be fitted: {found}."
        errors.append(found)
    worst = max(errors)
    if worst > within:
        return (
            f"{len(pairs)} runs, {cost / BUDGET:.0%} of the budget: the foretold loss "
            f"is off by {worst:.1%}, and the goal is {within:.0%}. "
            + _advice(n, d, cost)
        )
    return (
        f"Right: with {len(pairs)} runs, {cost / BUDGET:.0%} of the budget, the law "
        f"foretells a run {6 * math.prod(TARGET) / cost:.0f} times as dear as the "
        f"whole ladder to {worst:.1%}."
    )


def _errors(world: PowerLaw, n: Any, d: Any) -> float | str:
    """Return the median error of log L at the target, or why nothing can be fitted."""
    truth = float(world.loss(*TARGET))
    generator = np.random.default_rng(0)
    off = []
    for _ in range(TRIALS):
        scatter = np.exp(SCATTER * generator.standard_normal(len(n)))
        try:
            law = fit_power_law(n, d, world.loss(n, d) * scatter)
        except ValueError as error:
            return str(error)
        off.append(abs(math.log(float(law.loss(*TARGET)) / truth)))
    return float(np.median(off))


def _advice(n: Any, d: Any, cost: float) -> str:
    """Return what most likely keeps a ladder from foretelling well."""
    spans: Sequence[tuple[str, float]] = (
        ("sizes", float(n.max() / n.min())),
        ("tokens", float(d.max() / d.min())),
    )
    name, span = min(spans, key=lambda pair: pair[1])
    if cost < BUDGET / 2:
        return "More than half of the budget is left."
    if abs(np.corrcoef(np.log(n), np.log(d))[0, 1]) > 0.9:
        return (
            "Size and tokens rise together, so the law cannot tell which of the two "
            "lowered the loss: vary each at a fixed value of the other."
        )
    return (
        f"The {name} span a factor of {span:.0f} only; a slope seen over so short a "
        "stretch is uncertain far away."
    )
