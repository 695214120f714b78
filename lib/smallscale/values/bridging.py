"""Which statements are liked across the divide, and not by the larger camp alone? Community Notes' bridging scores.

Wojcik et al. 2022 fit a vote by intercepts and one factor; what the factor explains is taste, and what is left to the
statement's intercept is liked beyond taste.
"""

from typing import Any

import numpy as np
import pandas as pd

from smallscale.values.votes import canonical, vote_matrix

INTERCEPT_PENALTY, FACTOR_PENALTY = 0.15, 0.03  # Community Notes' lambda_i and lambda_f
HELPFUL, EXTREME = (
    0.40,
    0.50,
)  # its thresholds: an intercept at least, the size of a factor below
STARTS = 4  # of the fit from random factors, beside the spectral one
ROUNDS, STILL = (
    5000,
    1e-8,
)  # of alternating least squares; parameters that move by less stand still


def bridging_scores(matrix: Any, *, seed: int = 0) -> pd.DataFrame:
    """A row for each statement: intercept, factor, and helpful (intercept >= 0.40 and |factor| < 0.50).

    A vote of 1, 0 or -1 is the rating 1, 1/2 or 0. Participant u's of statement n is fitted by

        rating = mu + i_u + i_n + f_u f_n

    with the least mean squared error over the ratings, plus 0.15 (mu^2 + mean i_u^2 + mean i_n^2), plus
    0.03 (mean f_u^2 + mean f_n^2). These means are Community Notes' code; with every vote cast they are the same as
    its paper's sum over ratings. Alternating least squares finds the minimum, from several starts.
    seed: of the random starts. The sign is Community Notes' own: the larger camp has negative factors.
    The order of rows and columns changes nothing. A statement without votes has NaN, and is not helpful.
    Raises ValueError as `vote_matrix` does, and where there is no vote at all.
    """
    frame = vote_matrix(matrix)
    voted = canonical(frame).dropna(how="all").dropna(how="all", axis=1)
    if voted.empty:
        raise ValueError("matrix must hold a vote; all of it is NaN")
    cast = voted.notna().to_numpy()
    ratings = np.where(cast, (voted.to_numpy() + 1) / 2, 0.0)
    rng = np.random.default_rng(seed)
    centred = np.where(cast, ratings - ratings.sum() / cast.sum(), 0)
    _, size, right = np.linalg.svd(centred, full_matrices=False)
    starts = [right[0] * np.sqrt(size[0] / np.sqrt(len(voted)))]
    starts += [rng.normal(scale=0.5, size=voted.shape[1]) for _ in range(STARTS)]
    _, person, statement = min(
        (_fit(ratings, cast, start) for start in starts), key=lambda fit: fit[0]
    )
    side = (
        np.sign(person[:, 1]).sum() or person[:, 1].sum()
    )  # of two camps of one size, the one with more feeling
    sign = -1 if side > 0 else 1
    scores = pd.DataFrame(
        {"intercept": statement[:, 0], "factor": sign * statement[:, 1]},
        index=voted.columns,
    )
    scores = scores.reindex(frame.columns)
    scores["helpful"] = (scores["intercept"] >= HELPFUL) & (
        scores["factor"].abs() < EXTREME
    )
    return scores


def _fit(
    ratings: np.ndarray, cast: np.ndarray, start: np.ndarray
) -> tuple[float, np.ndarray, np.ndarray]:
    """(loss, (people, 2), (statements, 2)) of intercepts and factors, from `start` as the statements' factors."""
    n = cast.sum()
    people, statements = cast.shape
    mu, person, statement = (
        ratings.sum() / n,
        np.zeros((people, 2)),
        np.stack([np.zeros(statements), start], 1),
    )
    penalty = n * np.array(
        [INTERCEPT_PENALTY, FACTOR_PENALTY]
    )  # of a sum, where the loss is a mean
    for _ in range(ROUNDS):
        before = np.concatenate([person, statement])
        person = _ridge(
            ratings - mu - statement[:, 0], cast, statement[:, 1], penalty / people
        )
        statement = _ridge(
            (ratings - mu - person[:, :1]).T, cast.T, person[:, 1], penalty / statements
        )
        rest = (
            ratings
            - person[:, :1]
            - statement[:, 0]
            - np.outer(person[:, 1], statement[:, 1])
        )
        mu = (rest * cast).sum() / (n + penalty[0])
        if np.abs(np.concatenate([person, statement]) - before).max() < STILL:
            break
    error = ((rest - mu) ** 2 * cast).sum() / n
    loss = (
        error
        + penalty / n @ ((person**2).mean(0) + (statement**2).mean(0))
        + INTERCEPT_PENALTY * mu**2
    )
    return float(loss), person, statement


def _ridge(
    target: np.ndarray, cast: np.ndarray, factor: np.ndarray, penalty: np.ndarray
) -> np.ndarray:
    """For each row of target (rows, columns), where cast: the (intercept, slope on factor) of the penalised fit."""
    ones, once, twice = (
        cast.sum(1),
        cast @ factor,
        cast @ factor**2,
    )  # the normal equations' entries, (rows,) each
    known = np.where(cast, target, 0)
    y, yf = known.sum(1), known @ factor
    a, d = ones + penalty[0], twice + penalty[1]
    det = a * d - once**2
    return np.stack([(d * y - once * yf) / det, (a * yf - once * y) / det], 1)
