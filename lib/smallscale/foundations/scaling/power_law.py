"""How does the loss fall with size and data? A power law, fitted, with its interval.

One formula holds the three forms that are compared (N parameters, D tokens):

    L = (E + A / N^alpha + B / D^beta)^gamma

- hoffmann: gamma = 1 (Hoffmann et al. 2022, eq. 2)
- no floor: gamma = 1 and E = 0
- kaplan: E = 0 and beta = 1 (Kaplan et al. 2020, eq. 1.5; their alpha_N is alpha gamma
  here, their alpha_D is gamma)
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares
from scipy.stats import norm
from scipy.stats import t as student

from smallscale.core.validation import (
    as_array,
    finite,
    finite_number,
    one_of,
    require,
    same_length,
    vectors,
    whole_number,
)

Floats = NDArray[np.float64]

NAMES = ("E", "A", "B", "alpha", "beta", "gamma")
FREE = {  # which of them each form fits
    "hoffmann": np.array([True, True, True, True, True, False]),
    "no floor": np.array([False, True, True, True, True, False]),
    "kaplan": np.array([False, True, True, True, False, True]),
}
LOWEST = np.array([-12.0, -np.inf, -np.inf, 0.0, 0.0, 0.0])  # log E is above -12
HIGHEST = np.array([np.inf, np.inf, np.inf, 5.0, 5.0, 5.0])  # no exponent is above 5

DRAWN = 20  # residuals of a new run, for each law


@dataclass(frozen=True)
class PowerLaw:
    """L = (E + A / N^alpha + B / D^beta)^gamma, with its numbers.

    form: one of "hoffmann", "no floor", "kaplan", which says what was fitted.
    """

    form: str
    E: float
    A: float
    B: float
    alpha: float
    beta: float
    gamma: float

    def loss(self, parameters: Any, tokens: Any) -> Any:
        """Return the loss of runs with so many parameters (n,) and tokens (n,).

        >>> law = PowerLaw("hoffmann", 1.69, 406.4, 410.7, 0.34, 0.28, 1.0)
        >>> print(f"{law.loss(70e9, 1.4e12):.2f}")  # Chinchilla
        1.94
        """
        n = as_array("parameters", parameters, dtype=float)
        d = as_array("tokens", tokens, dtype=float)
        inside = self.E + self.A * n**-self.alpha + self.B * d**-self.beta
        return inside**self.gamma

    @property
    def size_exponent(self) -> float:
        """a in N_opt ~ C^a, the best size for a compute C = 6 N D: beta/(alpha+beta).

        It holds for all three forms: E and gamma move no minimum (Hoffmann et al. 2022,
        eq. 4).
        """
        return self.beta / (self.alpha + self.beta)

    def best_size(self, compute: Any) -> Any:
        """Return the parameters of the lowest loss for a compute C = 6 N D.

        N_opt = G (C/6)^a with G = (alpha A / (beta B))^(1/(alpha+beta)), eq. 4.
        """
        ratio = self.alpha * self.A / (self.beta * self.B)
        g = ratio ** (1 / (self.alpha + self.beta))
        c = as_array("compute", compute, dtype=float)
        return g * (c / 6) ** self.size_exponent


def log_loss(p: Floats, x: Floats, y: Floats) -> Floats:
    """Return log L = gamma log(E + A/N^alpha + B/D^beta).

    p: log E, log A, log B, alpha, beta, gamma. x: log N. y: log D.
    """
    e, a, b, alpha, beta, gamma = p
    total: Floats = gamma * np.logaddexp(e, np.logaddexp(a - alpha * x, b - beta * y))
    return total


def fit_power_law(
    parameters: Any,
    tokens: Any,
    loss: Any,
    *,
    form: str = "hoffmann",
    delta: float = 1e-2,
    start: PowerLaw | None = None,
) -> PowerLaw:
    """Fit L = (E + A/N^alpha + B/D^beta)^gamma to n runs: the least sum of Huber's loss
    of what log L is off by (Hoffmann et al. 2022, eq. 3), best from a grid of starts.

    parameters, tokens, loss: (n,) each. form: one of FREE, which says what is fitted;
    the module says what the others are. delta: how far log L is off where Huber's loss
    turns from a square into a line; the paper has 0.001, for runs with less scatter.
    start: a law near the answer, in place of the grid.
    Raises ValueError for fewer runs than fitted numbers + 1, a loss that is constant or
    not positive, and for parameters or tokens that are not positive or do not vary.

    >>> n, d = np.meshgrid([1e3, 1e4, 1e5], [1e5, 1e6, 1e7])
    >>> n, d = n.ravel(), d.ravel()
    >>> law = fit_power_law(n, d, 2 + 9 / n**0.3 + 80 / d**0.4)
    >>> print(f"{law.E:.2f} {law.alpha:.2f} {law.beta:.2f}")
    2.00 0.30 0.40
    """
    x, y, z = _checked_runs(parameters, tokens, loss, form, delta)
    x0, y0, free = x.mean(), y.mean(), FREE[form]

    def off(fitted: Floats) -> Floats:
        return log_loss(_numbers(fitted, form), x - x0, y - y0) - z

    tries = [
        least_squares(
            off,
            guess[free],
            bounds=(LOWEST[free], HIGHEST[free]),
            loss="huber",
            f_scale=float(delta),
            ftol=1e-6,
        )
        for guess in _starts(z, start, x0, y0)
    ]
    best = min(tries, key=lambda found: float(found.cost))
    return _law(form, _numbers(best.x, form), x0, y0)


def backtest(
    parameters: Any, tokens: Any, loss: Any, *, held: int, delta: float = 1e-2
) -> dict[str, float]:
    """Return how far off each form of the law is on the dearest runs, fitted without.

    The runs of the most compute, 6 N D, are held back, as the next run will be, and
    each form is fitted to the others. What is returned for a form is the root of the
    mean square of what log L is off by. Of equal compute the later run is held back.

    parameters, tokens, loss: (n,) each. held: how many are held back.
    Raises ValueError as `fit_power_law` does for the runs that are left.
    """
    runs = vectors(parameters=parameters, tokens=tokens, loss=loss)
    held = whole_number("held", held, most=len(runs[0]) - 1)
    order = np.argsort(runs[0] * runs[1], kind="stable")
    cheap = [values[order[:-held]] for values in runs]
    size, text, dear = (values[order[-held:]] for values in runs)
    found = {}
    for form in FREE:
        law = fit_power_law(*cheap, form=form, delta=delta)
        off = np.log(law.loss(size, text) / dear)
        found[form] = float(np.sqrt((off**2).mean()))
    return found


@dataclass(frozen=True)
class Prediction:
    """A loss that was foretold: the law's, and the ends of its interval."""

    loss: float
    low: float
    high: float

    def contains(self, measured: float) -> bool:
        """Whether a loss lies in the interval."""
        return self.low <= measured <= self.high

    def __str__(self) -> str:
        return f"{self.loss:.3f}, interval {self.low:.3f} to {self.high:.3f}"


@dataclass(frozen=True)
class Bootstrap:
    """A law, and the laws that would have been fitted had its runs come out otherwise.

    laws: one for each redrawing. residuals: (n,) how far log L of each run is from the
    law, widened for the numbers that were fitted.
    """

    law: PowerLaw
    laws: tuple[PowerLaw, ...]
    residuals: Floats

    def interval(
        self, quantity: Callable[[PowerLaw], float], *, level: float = 0.9
    ) -> tuple[float, float]:
        """Return the ends of the middle `level` of a quantity over the laws."""
        return _middle(np.array([quantity(law) for law in self.laws]), level)

    def predict(
        self, parameters: float, tokens: float, *, level: float = 0.9, seed: int = 0
    ) -> Prediction:
        """Return the loss of a run not made yet, with its interval.

        Each law predicts it, and a residual drawn from the runs is added to log L, for
        the new run has its own. The spread is widened by Student's t over the normal
        quantile, since the scatter is known from n - k runs. The interval covers what
        chance does to the runs that were fitted and to the new one. It does not cover
        a wrong form of the law.
        """
        level = finite_number("level", level, above=0, below=1)
        own = np.random.default_rng(seed).choice(
            self.residuals, (DRAWN, len(self.laws))
        )
        centre = float(self.law.loss(parameters, tokens))
        foretold = np.array([law.loss(parameters, tokens) for law in self.laws])
        off = (np.log(foretold / centre) + own).ravel()
        freedom = len(self.residuals) - int(FREE[self.law.form].sum())
        upper = (1 + level) / 2
        wider = student.ppf(upper, freedom) / norm.ppf(upper)
        low, high = centre * np.exp(wider * np.array(_middle(off, level)))
        return Prediction(centre, float(low), float(high))


def bootstrap(
    law: PowerLaw,
    parameters: Any,
    tokens: Any,
    loss: Any,
    *,
    draws: int = 200,
    delta: float = 1e-2,
    seed: int = 0,
) -> Bootstrap:
    """Redraw the runs and fit each time: a bootstrap of residuals (Efron 1979).

    A redrawn run has the law's log L plus a residual drawn, with replacement, from all
    residuals; the residuals are about their mean and times sqrt(n / (n - k)), for k
    fitted numbers took some of the scatter. parameters, tokens, loss: (n,), the runs
    that the law was fitted to, with this delta.
    Raises ValueError as `fit_power_law` does.
    """
    _, _, z = _checked_runs(parameters, tokens, loss, law.form, delta)
    draws = whole_number("draws", draws)
    foretold = np.log(law.loss(parameters, tokens))
    off = z - foretold
    residuals = (off - off.mean()) * np.sqrt(len(z) / (len(z) - FREE[law.form].sum()))
    generator = np.random.default_rng(seed)
    laws = []
    for _ in range(draws):
        again = np.exp(foretold + generator.choice(residuals, len(z)))
        laws.append(
            fit_power_law(
                parameters, tokens, again, form=law.form, delta=delta, start=law
            )
        )
    return Bootstrap(law, tuple(laws), residuals)


def _numbers(fitted: Floats, form: str) -> Floats:
    """Return all six numbers; those that the form does not fit have fixed values."""
    p = np.array([-np.inf, 0.0, 0.0, 1.0, 1.0, 1.0])
    p[FREE[form]] = fitted
    return p


def _starts(z: Floats, start: PowerLaw | None, x0: float, y0: float) -> list[Floats]:
    """Return where to start the descent: a law, or a grid."""
    if start is not None:
        e = math.log(start.E) if start.E > 0 else LOWEST[0]
        a = math.log(start.A) - start.alpha * x0
        b = math.log(start.B) - start.beta * y0
        p = np.array([e, a, b, start.alpha, start.beta, start.gamma])
        return [np.clip(p, LOWEST, HIGHEST)]
    grid = product((-2.0, 0.0), (0.3, 1.0), (0.3, 1.0))
    least = z.min() - 1
    return [
        np.array([z.min() + e, least, least, alpha, beta, 0.3])
        for e, alpha, beta in grid
    ]


def _law(form: str, p: Floats, x0: float, y0: float) -> PowerLaw:
    """Return the law whose numbers were measured from the middle of the runs."""
    e, a, b, alpha, beta, gamma = (float(value) for value in p)
    return PowerLaw(
        form=form,
        E=math.exp(e),
        A=math.exp(a + alpha * x0),
        B=math.exp(b + beta * y0),
        alpha=alpha,
        beta=beta,
        gamma=gamma,
    )


def _middle(values: Floats, level: float) -> tuple[float, float]:
    """Return the ends of the middle `level` of the values."""
    level = finite_number("level", level, above=0, below=1)
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def _checked_runs(
    parameters: Any, tokens: Any, loss: Any, form: str, delta: float
) -> tuple[Floats, Floats, Floats]:
    """Return log N, log D and log L of runs that a law can be fitted to."""
    one_of("form", form, FREE)
    finite_number("delta", delta, above=0)
    runs = {"parameters": parameters, "tokens": tokens, "loss": loss}
    arrays = {name: as_array(name, given, dtype=float) for name, given in runs.items()}
    for name, values in arrays.items():
        require(values.ndim == 1, f"{name} must be (n,); got {values.shape}")
        finite(name, values)
    n = same_length(**arrays)
    least = int(FREE[form].sum()) + 1
    require(
        n >= least,
        f"a law of the form {form} has {least - 1} numbers to fit, so it takes at "
        f"least {least} runs; got {n}",
    )
    for name, values in arrays.items():
        require((values > 0).all(), f"{name} must be positive; got {values.min():g}")
        require(
            np.ptp(values) > 0,
            f"{name} must vary between the runs; all {n} are {values[0]:g}",
        )
    return (
        np.log(arrays["parameters"]),
        np.log(arrays["tokens"]),
        np.log(arrays["loss"]),
    )
