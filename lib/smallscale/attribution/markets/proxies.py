"""Retraining on every coalition is too dear for a large model. Which cheap score comes close to the exact value?

Scores are (authors, completions), and only their order within a completion is compared: overlap and gradients have
no unit. The exact value does, and so has the count model fitted to the large one.
"""

from collections.abc import Sequence
from itertools import product

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from smallscale.attribution.markets import batched_transformers
from smallscale.attribution.markets.batched_transformers import Parameters
from smallscale.attribution.markets.ngram_model import (
    Counts,
    Documents,
    draw_windows,
    log_likelihood,
)
from smallscale.attribution.scores.lds import spearman

SMALL, GRID = 4.0, (16.0, 64.0, 256.0, 1024.0)


def per_completion(tokens: np.ndarray, completions: int) -> np.ndarray:
    """(..., T) of tokens -> (..., completions), the mean of each."""
    return tokens.reshape(*tokens.shape[:-1], completions, -1).mean(-1)


def overlap(counts: Counts, k: int, completions: int) -> np.ndarray:
    """The share of each completion's k-grams that stand somewhere in the author's text."""
    return per_completion((counts.hits[:, k - 1] > 0).astype(float), completions)


def alone(table: np.ndarray) -> np.ndarray:
    """From the values (2^n, ...) of all coalitions: what each author is worth with nobody else."""
    return table[1 << np.arange(len(table).bit_length() - 1)] - table[0]


def left_out(table: np.ndarray) -> np.ndarray:
    """From the values (2^n, ...) of all coalitions: what is lost when the author alone goes."""
    return (
        table[-1]
        - table[len(table) - 1 - (1 << np.arange(len(table).bit_length() - 1))]
    )


def fit_counts(counts: Counts, log_p: np.ndarray) -> tuple[float, ...]:
    """The concentrations, of two or three orders, whose count model comes closest to another model of the same text.

    counts: of everybody's documents; log_p: (T,) ln p of the same tokens by the other model. Closest in the mean
    square of ln p. How often a token occurs at all any model learns from little text, so the first concentration
    stays small. That two models which agree with everybody's text agree without some of it is hoped, and `agreements`
    tells.
    """
    everybody = np.ones((1, len(counts)))
    tried = [
        (SMALL, *rest) for orders in (1, 2) for rest in product(GRID, repeat=orders)
    ]
    return min(
        tried,
        key=lambda a: float(
            ((log_likelihood(counts, everybody, a)[0] - log_p) ** 2).mean()
        ),
    )


def author_gradients(
    parameters: Parameters,
    libraries: Sequence[Documents],
    *,
    windows: int = 60,
    seed: int = 0,
) -> Tensor:
    """Gradients (authors, windows, parameters) of the loss on some of each author's text."""
    texts = [
        [np.concatenate(documents)] for documents in libraries
    ]  # every token as likely, in whatever document
    drawn = [
        draw_windows(text, windows, batched_transformers.CONTEXT, seed=seed)
        for text in texts
    ]
    return torch.stack(
        [batched_transformers.stack_gradients(parameters, each) for each in drawn]
    )


def gradient_dot(authors: Tensor, completions: Tensor) -> np.ndarray:
    """How far a step on the author's text is a step on the completion: gradients (authors, windows, p) . (n, p)."""
    return (authors.mean(1) @ completions.T).numpy()


def fisher_influence(
    authors: Tensor, completions: Tensor, damping: float = 0.1
) -> np.ndarray:
    """The same through the damped inverse of the Fisher matrix F of the authors' gradients: g_i' (F + d I)^-1 g.

    damping: in units of the mean of F's eigenvalues that are not zero. The inverse is taken between the windows
    (Woodbury), of which there are fewer than parameters.
    """
    rows = authors.flatten(0, 1)  # (authors * windows, p)
    kernel = rows @ rows.T / len(rows)
    strength = damping * kernel.diagonal().mean()
    inner = torch.linalg.solve(
        kernel + strength * torch.eye(len(rows)), rows @ completions.T
    )
    return inner.view(*authors.shape[:2], -1).mean(1).numpy()


def agreements(scores: dict[str, np.ndarray], truth: np.ndarray) -> pd.DataFrame:
    """Do scores (authors, n) order the authors of a completion as the truth does? A row for each, the best first.

    spearman: the mean of the rank correlations, with the half-width `error` of its 95 % interval over completions;
    top: the share of completions whose first author is the same.
    """
    rho = pd.DataFrame(
        {name: spearman(values, truth) for name, values in scores.items()}
    )
    top = {
        name: (values.argmax(0) == truth.argmax(0)).mean()
        for name, values in scores.items()
    }
    table = pd.DataFrame(
        {
            "spearman": rho.mean(),
            "error": 1.96 * rho.std() / len(rho) ** 0.5,
            "top": top,
        }
    )
    return (
        table.sort_values("spearman", ascending=False)
        .rename_axis("method")
        .reset_index()
    )
