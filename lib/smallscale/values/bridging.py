"""Which statements are liked across the divide, and not by the larger camp alone?

Community Notes' bridging scores: Wojcik et al. 2022 fit a vote by intercepts and one
factor. What the factor explains is taste, and what is left to the statement's intercept
is liked beyond taste.
"""

from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from smallscale.core.validation import require
from smallscale.values.votes import sorted_by_id, vote_matrix

INTERCEPT_PENALTY = 0.15  # Community Notes' lambda_i
FACTOR_PENALTY = 0.03  # and its lambda_f
HELPFUL_INTERCEPT = 0.40  # a helpful statement has at least this intercept,
EXTREME_FACTOR = 0.50  # and a factor smaller than this
RANDOM_STARTS = 4  # of the fit, beside the spectral one
MOST_ROUNDS = 5000  # of alternating least squares
STILL = 1e-8  # the fit ends where no parameter moves by more


def bridging_scores(matrix: Any, *, seed: int = 0) -> pd.DataFrame:
    """Return each statement's intercept, factor and whether it is helpful: the rating
    of statement n by person u is fitted by mu + i_u + i_n + f_u f_n, and n is helpful
    if i_n >= 0.40 and |f_n| < 0.50.

    matrix: (participants, statements) of 1, -1, 0 and NaN. A vote of 1, 0 or -1 is the
    rating 1, 1/2 or 0. Minimised is the mean squared error over the ratings, plus
    0.15 (mu^2 + mean i_u^2 + mean i_n^2), plus 0.03 (mean f_u^2 + mean f_n^2). These
    means are Community Notes' code; with every vote cast they are the same as its
    paper's sum over ratings. Alternating least squares finds the minimum, from several
    starts.
    seed: of the random starts.
    The sign is Community Notes' own: the larger camp has negative factors. The order of
    rows and columns changes nothing. A statement without votes has NaN, and is not
    helpful.
    Raises ValueError as `vote_matrix` does, and where there is no vote at all.

    Two camps of 6 and 4 people, who both like the first statement:

    >>> votes = [[1, 1, 1, -1, -1]] * 6 + [[1, -1, -1, 1, 1]] * 4
    >>> scores = bridging_scores(votes)
    >>> scores["helpful"].tolist()
    [True, False, False, False, False]
    >>> scores["factor"].round(2).tolist()
    [-0.05, -0.75, -0.75, 0.69, 0.69]
    """
    frame = vote_matrix(matrix)
    voted = sorted_by_id(frame).dropna(how="all").dropna(how="all", axis=1)
    require(not voted.empty, "matrix must hold a vote; all of it is NaN")
    cast = voted.notna().to_numpy()
    ratings = np.where(cast, (voted.to_numpy() + 1) / 2, 0.0)
    starts = _starts(ratings, cast, seed)
    best = min(
        (_fit(ratings, cast, start) for start in starts), key=lambda fit: fit.loss
    )
    # Of two camps of one size, the one with more feeling counts as the larger.
    side = np.sign(best.person[:, 1]).sum() or best.person[:, 1].sum()
    sign = -1 if side > 0 else 1
    scores = pd.DataFrame(
        {"intercept": best.statement[:, 0], "factor": sign * best.statement[:, 1]},
        index=voted.columns,
    ).reindex(frame.columns)
    liked = scores["intercept"] >= HELPFUL_INTERCEPT
    scores["helpful"] = liked & (scores["factor"].abs() < EXTREME_FACTOR)
    return scores


class _Fit(NamedTuple):
    """person: (people, 2) and statement: (statements, 2), each intercept and factor."""

    loss: float
    person: np.ndarray
    statement: np.ndarray


def _starts(ratings: np.ndarray, cast: np.ndarray, seed: int) -> list[np.ndarray]:
    """Return the statements' factors that fits start from, a spectral one first."""
    people, statements = cast.shape
    mean = ratings.sum() / cast.sum()
    centred = np.where(cast, ratings - mean, 0)
    _, size, right = np.linalg.svd(centred, full_matrices=False)
    spectral = right[0] * np.sqrt(size[0] / np.sqrt(people))
    rng = np.random.default_rng(seed)
    random = [rng.normal(scale=0.5, size=statements) for _ in range(RANDOM_STARTS)]
    return [spectral, *random]


def _fit(ratings: np.ndarray, cast: np.ndarray, start: np.ndarray) -> _Fit:
    """Return the fit that alternating least squares reaches from `start`, the
    statements'
    factors: people's parameters given the statements', and the reverse, in turns.
    """
    n = cast.sum()
    people, statements = cast.shape
    mu = ratings.sum() / n
    person = np.zeros((people, 2))
    statement = np.stack([np.zeros(statements), start], 1)
    # The loss is a mean over ratings; what the steps minimise is n times it.
    penalty = n * np.array([INTERCEPT_PENALTY, FACTOR_PENALTY])
    for _ in range(MOST_ROUNDS):
        before = np.concatenate([person, statement])
        target = ratings - mu - statement[:, 0]
        person = _ridge(target, cast, statement[:, 1], penalty / people)
        target = (ratings - mu - person[:, :1]).T
        statement = _ridge(target, cast.T, person[:, 1], penalty / statements)
        rest = _without_mean(ratings, person, statement)
        mu = (rest * cast).sum() / (n + penalty[0])
        moved = np.abs(np.concatenate([person, statement]) - before)
        if moved.max() < STILL:
            break
    error = ((rest - mu) ** 2 * cast).sum() / n
    squares = (person**2).mean(0) + (statement**2).mean(0)
    loss = error + penalty / n @ squares + INTERCEPT_PENALTY * mu**2
    return _Fit(float(loss), person, statement)


def _without_mean(
    ratings: np.ndarray, person: np.ndarray, statement: np.ndarray
) -> np.ndarray:
    """Return the ratings less all that is fitted but mu."""
    factors = np.outer(person[:, 1], statement[:, 1])
    rest: np.ndarray = ratings - person[:, :1] - statement[:, 0] - factors
    return rest


def _ridge(
    target: np.ndarray, cast: np.ndarray, factor: np.ndarray, penalty: np.ndarray
) -> np.ndarray:
    """Return (intercept, slope on factor) of the penalised fit of each row, (rows, 2).

    target: (rows, columns), where cast. The two by two normal equations
    [[a, b], [b, d]] (intercept, slope) = (y, yf) are solved for all rows at once.
    """
    known = np.where(cast, target, 0)
    y = known.sum(1)
    yf = known @ factor
    a = cast.sum(1) + penalty[0]
    b = cast @ factor
    d = cast @ factor**2 + penalty[1]
    determinant = a * d - b**2
    intercept = (d * y - b * yf) / determinant
    slope = (a * yf - b * y) / determinant
    return np.stack([intercept, slope], 1)
