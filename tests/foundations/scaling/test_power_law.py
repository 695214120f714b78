"""Does the fit find the law that made the runs, and does its interval hold it?"""

import math
from typing import Any

import numpy as np
import pytest

from smallscale.foundations.scaling.power_law import (
    FREE,
    Bootstrap,
    PowerLaw,
    backtest,
    bootstrap,
    fit_power_law,
    log_loss,
)

N, D = (
    grid.ravel()
    for grid in np.meshgrid([1e3, 3e3, 1e4, 3e4], [5e4, 2e5, 8e5], indexing="ij")
)
TRUTHS = {
    "hoffmann": PowerLaw("hoffmann", 1.5, 60.0, 600.0, 0.5, 0.5, 1.0),
    "no floor": PowerLaw("no floor", 0.0, 9.0, 40.0, 0.15, 0.3, 1.0),
    "kaplan": PowerLaw("kaplan", 0.0, 3e4, 3e8, 0.6, 1.0, 0.12),
}
NEXT = (1e5, 3e6)


@pytest.mark.parametrize("form", TRUTHS)
def test_without_scatter_the_law_itself_is_found(form: str) -> None:
    truth = TRUTHS[form]
    law = fit_power_law(N, D, truth.loss(N, D), form=form)
    for name in ("E", "alpha", "beta", "gamma"):
        assert getattr(law, name) == pytest.approx(getattr(truth, name), rel=0.03)
    assert law.loss(*NEXT) == pytest.approx(truth.loss(*NEXT), rel=2e-3)


def test_in_a_unit_that_makes_losses_small_the_exponents_are_the_same() -> None:
    truth = TRUTHS["hoffmann"]
    law = fit_power_law(N, D, truth.loss(N, D) / 100)
    assert law.alpha == pytest.approx(truth.alpha, rel=0.03)
    assert pytest.approx(truth.E / 100, rel=0.03) == law.E


def test_runs_that_lay_above_the_law_raise_what_is_foretold() -> None:
    law = TRUTHS["hoffmann"]
    above = Bootstrap(law, (law,), np.full(len(N), 0.1))
    foretold = above.predict(*NEXT)
    assert foretold.low > foretold.loss == law.loss(*NEXT)


def test_what_a_form_does_not_fit_stays_fixed() -> None:
    loss = TRUTHS["hoffmann"].loss(N, D)
    assert fit_power_law(N, D, loss).gamma == 1
    without = fit_power_law(N, D, loss, form="no floor")
    assert (without.E, without.gamma) == (0, 1)
    kaplan = fit_power_law(N, D, loss, form="kaplan")
    assert (kaplan.E, kaplan.beta) == (0, 1)


def test_the_logarithm_is_the_laws() -> None:
    law = PowerLaw("hoffmann", 1.2, 30.0, 90.0, 0.4, 0.3, 0.7)
    p = np.array([math.log(1.2), math.log(30), math.log(90), 0.4, 0.3, 0.7])
    assert log_loss(p, np.log(N), np.log(D)) == pytest.approx(np.log(law.loss(N, D)))


def test_one_odd_run_does_not_pull_the_law_to_itself() -> None:
    truth = TRUTHS["hoffmann"]
    loss = truth.loss(N, D)
    loss[5] *= 1.5
    robust = abs(
        fit_power_law(N, D, loss, delta=1e-3).loss(*NEXT) / truth.loss(*NEXT) - 1
    )
    square = abs(
        fit_power_law(N, D, loss, delta=10.0).loss(*NEXT) / truth.loss(*NEXT) - 1
    )
    assert robust < 0.01 < square


def test_the_least_is_least_from_other_starts_too() -> None:
    generator = np.random.default_rng(0)
    loss = TRUTHS["hoffmann"].loss(N, D) * np.exp(0.01 * generator.standard_normal(12))

    def cost(law: PowerLaw) -> float:
        off = abs(np.log(law.loss(N, D) / loss))
        return float(np.where(off < 0.01, off**2 / 2, 0.01 * off - 5e-5).sum())

    best = cost(fit_power_law(N, D, loss))
    for start in TRUTHS.values():
        assert best <= cost(fit_power_law(N, D, loss, start=start)) * 1.001


def test_intervals_cover_what_they_say() -> None:
    """Of 60 made-up ladders the 90 % intervals must hold the truth in 80 % or more."""
    truth = TRUTHS["hoffmann"]
    trials = 60
    held = dict.fromkeys(("alpha", "beta", "a", "next"), 0)
    widths = []
    for trial in range(trials):
        generator = np.random.default_rng(trial)
        scatter = np.exp(0.01 * generator.standard_normal(13))
        loss = truth.loss(N, D) * scatter[:-1]
        fit = bootstrap(fit_power_law(N, D, loss), N, D, loss, draws=40, seed=trial)
        new = float(truth.loss(*NEXT) * scatter[-1])
        foretold = fit.predict(*NEXT, seed=trial)
        held["next"] += foretold.contains(new)
        widths.append(foretold.high - foretold.low)
        for name, quantity in {
            "alpha": lambda law: law.alpha,
            "beta": lambda law: law.beta,
            "a": lambda law: law.size_exponent,
        }.items():
            low, high = fit.interval(quantity)
            held[name] += low <= quantity(truth) <= high
    assert min(held.values()) >= 0.8 * trials, held
    # An interval that holds everything says nothing.
    assert np.median(widths) < 0.2 * truth.loss(*NEXT)


def test_a_higher_level_is_wider_and_the_seed_decides() -> None:
    loss = TRUTHS["hoffmann"].loss(N, D) * np.exp(
        0.01 * np.random.default_rng(3).standard_normal(12)
    )
    law = fit_power_law(N, D, loss)
    fit = bootstrap(law, N, D, loss, draws=20, seed=1)
    again = bootstrap(law, N, D, loss, draws=20, seed=1)
    assert fit.laws == again.laws
    assert fit.laws != bootstrap(law, N, D, loss, draws=20, seed=2).laws
    narrow, wide = fit.predict(*NEXT, level=0.5), fit.predict(*NEXT, level=0.95)
    assert wide.low < narrow.low < narrow.loss < narrow.high < wide.high
    assert narrow.contains(narrow.loss)
    assert not narrow.contains(wide.high)
    assert "interval" in str(narrow)


@pytest.mark.parametrize("form", TRUTHS)
def test_the_best_size_is_the_lowest_point_at_that_compute(form: str) -> None:
    law = TRUTHS[form]
    for compute in (1e11, 1e14):
        sizes = np.geomspace(1, compute / 6, 200_001)
        losses = law.loss(sizes, compute / 6 / sizes)
        assert law.best_size(compute) == pytest.approx(sizes[losses.argmin()], rel=1e-3)
    ratio = law.best_size(1e14) / law.best_size(1e13)
    assert ratio == pytest.approx(10**law.size_exponent)


def _changed(**changes: Any) -> dict[str, Any]:
    runs = {"parameters": N, "tokens": D, "loss": TRUTHS["hoffmann"].loss(N, D)}
    return runs | changes


@pytest.mark.parametrize(
    ("runs", "says"),
    [
        (_changed(loss=np.full(12, 3.0)), "loss must vary between the runs; all 12"),
        (_changed(loss=N - 1e3), "loss must be positive; got 0"),
        (_changed(loss=np.full(12, math.nan)), "loss must be finite"),
        (_changed(parameters=np.full(12, 1e3)), "parameters must vary"),
        (_changed(tokens=np.full(12, 1e5)), "tokens must vary"),
        (_changed(tokens=-D), "tokens must be positive"),
        (_changed(loss=[1.0, 2.0]), "must have the same length"),
        (_changed(parameters=N.reshape(3, 4)), r"parameters must be \(n,\)"),
        (_changed(form="chinchilla"), "form must be one of hoffmann, no floor, kaplan"),
        (_changed(delta=0), "delta must be a finite number, above 0"),
        (_changed(loss="low"), "loss must be numbers"),
    ],
)
def test_runs_that_no_law_can_be_fitted_to_are_refused(
    runs: dict[str, Any], says: str
) -> None:
    with pytest.raises(ValueError, match=says) as error:
        fit_power_law(runs.pop("parameters"), runs.pop("tokens"), **runs)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("form", FREE)
def test_as_many_runs_as_numbers_are_too_few(form: str) -> None:
    k = int(FREE[form].sum())
    loss = TRUTHS["hoffmann"].loss(N, D)
    spread = [0, 5, 10, 3, 8, 1]
    enough = spread[: k + 1]
    fit_power_law(N[enough], D[enough], loss[enough], form=form)
    few = spread[:k]
    with pytest.raises(ValueError, match=f"takes at least {k + 1} runs; got {k}"):
        fit_power_law(N[few], D[few], loss[few], form=form)


def test_a_level_outside_0_to_1_and_no_draws_are_refused() -> None:
    loss = TRUTHS["hoffmann"].loss(N, D) * np.linspace(1, 1.01, 12)
    law = fit_power_law(N, D, loss)
    with pytest.raises(ValueError, match="draws must be a whole number"):
        bootstrap(law, N, D, loss, draws=0)
    fit = bootstrap(law, N, D, loss, draws=3)
    with pytest.raises(ValueError, match="level must be a finite number"):
        fit.predict(*NEXT, level=1.0)
    with pytest.raises(ValueError, match="level must be a finite number"):
        fit.interval(lambda law: law.alpha, level=0)


@pytest.mark.parametrize("form", ["hoffmann", "kaplan"])
def test_the_form_that_made_the_runs_wins_the_backtest(form: str) -> None:
    off = backtest(N, D, TRUTHS[form].loss(N, D), held=3)
    assert min(off, key=lambda name: off[name]) == form
    assert off[form] < 2e-3
    others = [value for name, value in off.items() if name != form]
    assert min(others) > 4e-3


def test_what_is_held_back_is_the_dearest_whatever_the_order() -> None:
    """One wrong loss at the dearest run: only a fit without it is off by all of it."""
    loss = TRUTHS["kaplan"].loss(N, D)
    loss[np.argmax(N * D)] *= 1.5
    off = backtest(N, D, loss, held=1)["kaplan"]
    assert off == pytest.approx(math.log(1.5), rel=0.02)
    order = np.random.default_rng(0).permutation(len(N))
    again = backtest(N[order], D[order], loss[order], held=1)["kaplan"]
    assert again == pytest.approx(off, rel=1e-3)
    two = backtest(N, D, loss, held=2)["kaplan"]
    assert two == pytest.approx(off / math.sqrt(2), rel=0.02)


@pytest.mark.parametrize("held", [0, 12, -1, 2.5])
def test_a_backtest_holds_back_some_and_not_all(held: Any) -> None:
    with pytest.raises(ValueError, match="held must be a whole number"):
        backtest(N, D, TRUTHS["kaplan"].loss(N, D), held=held)


def test_a_backtest_needs_enough_runs_that_are_left() -> None:
    with pytest.raises(ValueError, match="at least 6 runs; got 5"):
        backtest(N, D, TRUTHS["kaplan"].loss(N, D), held=7)


def test_a_column_of_tokens_is_no_list():
    with pytest.raises(ValueError, match=r"tokens must be a list of numbers, \(n,\)"):
        backtest([1.0, 2.0], [[1.0], [2.0]], [3.0, 2.0], held=1)


def test_a_law_takes_numbers_and_nothing_hidden_or_complex():
    law = TRUTHS["kaplan"]
    hidden = np.ma.array(N, mask=[True] + [False] * (len(N) - 1))
    with pytest.raises(ValueError, match="parameters must not be masked"):
        law.loss(hidden, D)
    with pytest.raises(ValueError, match="tokens must be real numbers"):
        law.loss(N, [1j])
    with pytest.raises(ValueError, match="compute must be numbers"):
        law.best_size("1e21")
