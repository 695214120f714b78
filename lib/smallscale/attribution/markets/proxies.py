"""Which cheap score comes close to the exact value?

Retraining on every coalition is too dear for a large model. Scores here are (authors,
completions), and only their order within a completion is compared, because overlap and
gradients have no unit. The exact value has one, and so has the count model that is
fitted to the large one.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from smallscale.attribution.markets.batched_transformers import (
    CONTEXT,
    Stack,
    window_gradients,
)
from smallscale.attribution.markets.ngram_model import (
    Counts,
    Documents,
    draw_windows,
    log_likelihood,
)
from smallscale.attribution.scores.lds import spearman
from smallscale.core.validation import as_array, finite, finite_number, require

# The concentrations that are tried. How often a token occurs at all, any model learns
# from little text; so the first one stays small.
FIRST_CONCENTRATION = 4.0
TRIED_CONCENTRATIONS = (16.0, 64.0, 256.0, 1024.0)


def per_completion(values: np.ndarray, completions: int) -> np.ndarray:
    """Return the mean over each completion's tokens: (..., T) -> (..., completions)."""
    by_completion = values.reshape(*values.shape[:-1], completions, -1)
    return np.asarray(by_completion.mean(-1))


def overlap(counts: Counts, k: int, completions: int) -> np.ndarray:
    """Return the share of a completion's k-grams that stand in the author's text."""
    stands_there = (counts.hits[:, k - 1] > 0).astype(float)
    return per_completion(stands_there, completions)


def alone(table: np.ndarray) -> np.ndarray:
    """Return what each author is worth with nobody else, (n, ...).

    table: the values (2^n, ...) of all coalitions, in the order of `membership`.
    """
    return np.asarray(table[_one_each(table)] - table[0])


def left_out(table: np.ndarray) -> np.ndarray:
    """Return what is lost when only the author goes, (n, ...), from such a table."""
    everybody = len(table) - 1
    return np.asarray(table[everybody] - table[everybody - _one_each(table)])


def _one_each(table: np.ndarray) -> np.ndarray:
    """Return the rows of the coalitions that have one member: 1, 2, 4 and so on."""
    authors = len(table).bit_length() - 1
    return 2 ** np.arange(authors)


def fit_counts(counts: Counts, log_p: np.ndarray) -> tuple[float, ...]:
    """Return the concentrations whose count model comes closest to another model:
        argmin over a of mean over tokens of (ln p_a - ln p)^2

    Two or three orders are tried, on a grid. That two models which agree with
    everybody's text also agree without some of it is hoped, and `agreements` tells.

    counts: of the documents of all authors. log_p: (T,), ln p of the same tokens by the
    other model, which has learnt from the same documents.
    """
    everybody = np.ones((1, len(counts)))
    first, grid = FIRST_CONCENTRATION, TRIED_CONCENTRATIONS
    two_orders = [(first, a) for a in grid]
    three_orders = [(first, a, b) for a in grid for b in grid]

    def distance(concentration: tuple[float, ...]) -> float:
        difference = log_likelihood(counts, everybody, concentration)[0] - log_p
        return float((difference**2).mean())

    return min([*two_orders, *three_orders], key=distance)


def author_gradients(
    stack: Stack,
    libraries: Sequence[Documents],
    *,
    windows: int = 60,
    seed: int = 0,
) -> Tensor:
    """Return loss gradients on some of each author's text.

    (authors, windows, parameters).

    stack: of one model. windows: how many of each author are drawn.
    """
    gradients = []
    for documents in libraries:
        # In one row, so that every token is as likely, in whatever document it stands.
        text = [np.concatenate(documents)]
        drawn = draw_windows(text, windows, CONTEXT, seed=seed)
        gradients.append(window_gradients(stack, drawn))
    return torch.stack(gradients)


def gradient_dot(authors: Tensor, completions: Tensor) -> np.ndarray:
    """Return how far a step on an author's text is a step on each completion.

    authors: gradients (authors, windows, p). completions: gradients (n, p). Returns the
    products of the authors' mean gradients with them, (authors, n).
    """
    return (authors.mean(1) @ completions.T).numpy()


def fisher_influence(
    authors: Tensor, completions: Tensor, damping: float = 0.1
) -> np.ndarray:
    """Return `gradient_dot` through the inverse Fisher matrix, (authors, n):
        scores = g_i' (F + d I)^-1 g
    where F is the mean outer product of the authors' gradients.

    damping: d, in units of the mean of F's eigenvalues that are not zero. The inverse
    is taken between the windows (Woodbury), of which there are fewer than parameters.
    """
    damping = finite_number("damping", damping, above=0)
    rows = authors.flatten(0, 1)  # (authors * windows, p)
    kernel = rows @ rows.T / len(rows)
    strength = damping * kernel.diagonal().mean()
    damped = kernel + strength * torch.eye(len(rows))
    inner = torch.linalg.solve(damped, rows @ completions.T)
    by_author = inner.view(*authors.shape[:2], -1)
    return np.asarray(by_author.mean(1))


def agreements(scores: dict[str, np.ndarray], truth: np.ndarray) -> pd.DataFrame:
    """Return how far scores order a completion's authors as the truth does.

    A row for each method, the best first. spearman: the mean of the rank correlations
    over completions; error: the half-width of its 95 % interval; top: the share of
    completions whose first author is the same.

    scores: method -> (authors, n). truth: (authors, n). Raises ValueError for other
    shapes, for fewer than 2 completions, and for NaN.
    """
    truth = as_array("truth", truth, dtype=float)
    right = truth.ndim == 2 and min(truth.shape) > 1
    wanted = "truth must be (authors, completions), at least 2 of each"
    require(right, f"{wanted}; got {truth.shape}")
    finite("truth", truth)
    rows = []
    for method, given in scores.items():
        values = as_array(f"scores of {method}", given, dtype=float)
        require(
            values.shape == truth.shape,
            f"scores must be (authors, n) as truth is, {truth.shape}; got "
            f"{values.shape} for {method}",
        )
        finite(f"scores of {method}", values)
        rho = spearman(values, truth)
        same_first = values.argmax(0) == truth.argmax(0)
        rows.append(
            {
                "method": method,
                "spearman": rho.mean(),
                "error": 1.96 * rho.std(ddof=1) / len(rho) ** 0.5,
                "top": same_first.mean(),
            }
        )
    table = pd.DataFrame(rows).sort_values("spearman", ascending=False)
    return table.reset_index(drop=True)
