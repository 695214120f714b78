"""Which statements are liked across the divide, and not by the larger camp alone?

Community Notes' bridging scores: Wojcik et al. 2022 fit a vote by intercepts and one
factor. What the factor explains is taste, and what is left to the statement's intercept
is liked beyond taste.
"""

from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy.sparse import csr_array

from smallscale.core.validation import require, whole_number
from smallscale.votes.polis import sorted_by_id, vote_matrix

INTERCEPT_PENALTY = 0.15  # Community Notes' lambda_i
FACTOR_PENALTY = 0.03  # and its lambda_f
HELPFUL_INTERCEPT = 0.40  # a helpful statement has at least this intercept,
EXTREME_FACTOR = 0.50  # and a factor smaller than this
RANDOM_STARTS = 4  # of the fit, beside the spectral one
MOST_ROUNDS = 5000  # of alternating least squares
STILL = 1e-8  # the fit ends where no parameter moves by more
ROUNDS_TO_MEETING = 10  # after so many, and again, starts that have met become one
MET = 1e-3  # starts have met where no statement's factors differ by more
SPARSE = 0.3  # below this share of votes cast, products skip what nobody saw


def bridging_scores(matrix: Any, *, seed: int = 0) -> pd.DataFrame:
    """Return each statement's intercept, factor and whether it is helpful: the rating
    of statement n by person u is fitted by mu + i_u + i_n + f_u f_n, and n is helpful
    if i_n >= 0.40 and |f_n| < 0.50.

    matrix: (participants, statements) of 1, -1, 0 and NaN. A vote of 1, 0 or -1 is the
    rating 1, 1/2 or 0. Minimised is the mean squared error over the ratings, plus
    0.15 (mu^2 + mean i_u^2 + mean i_n^2), plus 0.03 (mean f_u^2 + mean f_n^2). These
    means are Community Notes' code; with every vote cast they are the same as its
    paper's sum over ratings. Alternating least squares finds the minimum, from five
    starts at once; starts that meet on the way go on as one.
    seed: of the random starts.
    The sign is Community Notes' own: the larger camp has negative factors. The order of
    rows and columns changes nothing. A statement without votes has NaN, and is not
    helpful.
    Raises ValueError as `vote_matrix` does, where there is no vote at all, and for a
    seed that is no whole number of at least 0.

    Two camps of 6 and 4 people, who both like the first statement:

    >>> votes = [[1, 1, 1, -1, -1]] * 6 + [[1, -1, -1, 1, 1]] * 4
    >>> scores = bridging_scores(votes)
    >>> scores["helpful"].tolist()
    [True, False, False, False, False]
    >>> scores["factor"].round(2).tolist()
    [-0.05, -0.75, -0.75, 0.69, 0.69]
    """
    seed = whole_number("seed", seed, least=0)
    frame = vote_matrix(matrix)
    voted = sorted_by_id(frame).dropna(how="all").dropna(how="all", axis=1)
    require(not voted.empty, "matrix must hold a vote; all of it is NaN")
    cast = voted.notna().to_numpy().astype(float)
    ratings = np.where(cast > 0, (voted.to_numpy() + 1) / 2, 0.0)
    fits = _fits(ratings, cast, _starts(ratings, cast, seed))
    best = fits.only([_losses(ratings, cast, fits).argmin()])
    person_factor = best.person.factor[:, 0]
    # Of two camps of one size, the one with more feeling counts as the larger.
    side = np.sign(person_factor).sum() or person_factor.sum()
    sign = -1 if side > 0 else 1
    scores = pd.DataFrame(
        {
            "intercept": best.statement.intercept[:, 0],
            "factor": sign * best.statement.factor[:, 0],
        },
        index=voted.columns,
    ).reindex(frame.columns)
    liked = scores["intercept"] >= HELPFUL_INTERCEPT
    scores["helpful"] = liked & (scores["factor"].abs() < EXTREME_FACTOR)
    return scores


class _Terms(NamedTuple):
    """Intercepts and factors of people or of statements, (rows, starts) each: a fit for
    each start."""

    intercept: np.ndarray
    factor: np.ndarray


class _Fits(NamedTuple):
    """mu: (starts,). person, statement: the terms of either."""

    mu: np.ndarray
    person: _Terms
    statement: _Terms

    def only(self, starts: list[Any]) -> "_Fits":
        """Return the fits of these starts."""
        person = _Terms(*(term[:, starts] for term in self.person))
        statement = _Terms(*(term[:, starts] for term in self.statement))
        return _Fits(self.mu[starts], person, statement)


class _Votes(NamedTuple):
    """Votes as products need them, one row a person or one row a statement.

    cast: 1 where a vote was cast. ratings: 0 where none was. number and total: the
    number of ratings and their sum, by row, (rows, 1).
    """

    cast: Any  # an array or a csr_array, whichever multiplies faster
    ratings: Any
    number: np.ndarray
    total: np.ndarray


def _starts(ratings: np.ndarray, cast: np.ndarray, seed: int) -> np.ndarray:
    """Return the statements' factors that fits start from, (statements, starts), a
    spectral one first."""
    people, statements = cast.shape
    mean = ratings.sum() / cast.sum()
    centred = ratings - mean * cast
    squares, directions = np.linalg.eigh(centred.T @ centred)  # in increasing order
    size = np.sqrt(max(squares[-1], 0.0))  # the largest singular value
    spectral = directions[:, -1] * np.sqrt(size / np.sqrt(people))
    rng = np.random.default_rng(seed)
    random = [rng.normal(scale=0.5, size=statements) for _ in range(RANDOM_STARTS)]
    return np.stack([spectral, *random], 1)


def _fits(ratings: np.ndarray, cast: np.ndarray, starts: np.ndarray) -> _Fits:
    """Return the fits that alternating least squares reaches from `starts`, the
    statements' factors (statements, starts): people's terms given the statements', and
    the reverse, in turns. All starts take their rounds together.
    """
    n = cast.sum()
    people, statements = cast.shape
    by_person = _votes_by_row(ratings, cast)
    by_statement = _votes_by_row(ratings.T, cast.T)
    # The loss is a mean over ratings; what the steps minimise is n times it.
    penalty = n * np.array([INTERCEPT_PENALTY, FACTOR_PENALTY])
    mu = np.full(starts.shape[1], ratings.sum() / n)
    person = _Terms(*np.zeros((2, people, starts.shape[1])))
    statement = _Terms(np.zeros_like(starts), starts)
    for round_ in range(1, MOST_ROUNDS + 1):
        before = np.concatenate([*person, *statement])
        person = _ridge(by_person, mu, statement, penalty / people)
        statement = _ridge(by_statement, mu, person, penalty / statements)
        rest = ratings.sum() - _fitted_without_mean(by_person, person, statement)
        mu = rest / (n + penalty[0])
        moved = np.abs(np.concatenate([*person, *statement]) - before)
        if moved.max() < STILL:
            break
        if round_ % ROUNDS_TO_MEETING == 0:
            apart = _starts_apart(statement)
            mu, person, statement = _Fits(mu, person, statement).only(apart)
    return _Fits(mu, person, statement)


def _votes_by_row(ratings: np.ndarray, cast: np.ndarray) -> _Votes:
    count = cast.sum(1, keepdims=True)
    total = ratings.sum(1, keepdims=True)
    if cast.mean() < SPARSE:
        return _Votes(csr_array(cast), csr_array(ratings), count, total)
    return _Votes(cast, ratings, count, total)


def _ridge(votes: _Votes, mu: np.ndarray, other: _Terms, penalty: np.ndarray) -> _Terms:
    """Return intercept and factor of the penalised fit of each row of `votes`, given mu
    and the terms of the columns, `other`.

    A row's ratings less mu and the columns' intercepts are fitted by a line over the
    columns' factors. Its normal equations [[a, b], [b, d]] (intercept, factor) =
    (y, yf) are two by two, and solved for all rows and starts at once.
    """
    a = votes.number + penalty[0]
    b = votes.cast @ other.factor
    d = votes.cast @ other.factor**2 + penalty[1]
    y = votes.total - mu * votes.number - votes.cast @ other.intercept
    yf = votes.ratings @ other.factor - mu * b
    yf = yf - votes.cast @ (other.intercept * other.factor)
    determinant = a * d - b**2
    return _Terms((d * y - b * yf) / determinant, (a * yf - b * y) / determinant)


def _fitted_without_mean(
    by_person: _Votes, person: _Terms, statement: _Terms
) -> np.ndarray:
    """Return the sum over all ratings of i_u + i_n + f_u f_n, (starts,)."""
    own = by_person.number * person.intercept
    theirs = by_person.cast @ statement.intercept
    products = person.factor * (by_person.cast @ statement.factor)
    fitted: np.ndarray = (own + theirs + products).sum(0)
    return fitted


def _starts_apart(statement: _Terms) -> list[int]:
    """Return the starts whose fits differ: the first of those that have met.

    Turned round, people's and statements' factors make the same fit.
    """
    apart: list[int] = []
    for start in range(statement.factor.shape[1]):
        own = statement.factor[:, [start]]
        kept = statement.factor[:, apart]
        nearest = np.minimum(abs(kept - own).max(0), abs(kept + own).max(0))
        intercept = statement.intercept
        shifted = abs(intercept[:, apart] - intercept[:, [start]]).max(0)
        if (np.maximum(nearest, shifted) > MET).all():
            apart.append(start)
    return apart


def _losses(ratings: np.ndarray, cast: np.ndarray, fits: _Fits) -> np.ndarray:
    """Return the loss of each fit, (starts,)."""
    losses = []
    for start, mu in enumerate(fits.mu):
        person, statement = fits.only([start])[1:]
        fitted = mu + person.intercept + statement.intercept.T
        fitted = fitted + person.factor @ statement.factor.T
        error = ((ratings - fitted) ** 2 * cast).sum() / cast.sum()
        intercepts = mu**2
        intercepts += (person.intercept**2).mean() + (statement.intercept**2).mean()
        factors = (person.factor**2).mean() + (statement.factor**2).mean()
        losses.append(error + INTERCEPT_PENALTY * intercepts + FACTOR_PENALTY * factors)
    return np.array(losses)
