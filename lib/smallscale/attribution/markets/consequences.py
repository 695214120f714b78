"""What follows from a payment? Remove whoever is paid best, and see; let authors choose what to write, and see."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product
from typing import Any

import numpy as np
import pandas as pd

from smallscale.attribution.checks import require
from smallscale.attribution.markets.games import shapley_of
from smallscale.attribution.markets.market import diagonal, game
from smallscale.attribution.markets.ngram_model import (
    Counts,
    Documents,
    count,
    log_likelihood,
)

BITS = 1 / np.log(2)

# A day's work: the share of an author's text that gets done, and the share of its tokens that come out wrong.
EFFORTS = ((0.2, 0.0), (0.4, 0.05), (0.6, 0.15), (0.8, 0.35), (1.0, 0.6))


def removals(
    documents: Counts, author: Any, sizes: Any, *, draws: int = 20, seed: int = 0
) -> pd.DataFrame:
    """For each author: what the model loses without them, and without as much text by the others, drawn at random.

    documents: counts, a row for each document; author, sizes: of each, its author and its tokens. Documents are
    drawn from all the others' until as many tokens are reached; the last one goes in part. Losses are in bits a
    token; low and high: the middle 95 % of the draws. An author larger than all the others together has no such
    draw: NaN.
    """
    who, size = np.asarray(author), np.asarray(sizes, dtype=float)
    random, rows = np.random.default_rng(seed), []
    before = log_likelihood(documents, np.ones((1, len(size)))).mean() * BITS
    for i in np.unique(who):
        others, target = np.flatnonzero(who != i), size[who == i].sum()
        kept = np.ones((draws + 1, len(size)))
        kept[0, who == i] = 0
        for row in kept[1:]:
            order = random.permutation(others)
            row[order] = np.clip((size[order].cumsum() - target) / size[order], 0, 1)
        lost = before - log_likelihood(documents, kept).mean(1) * BITS
        drawn = lost[1:] if size[others].sum() > target else np.full(draws, np.nan)
        rows.append(
            (i, int(target), lost[0], drawn.mean(), *np.quantile(drawn, [0.025, 0.975]))
        )
    return pd.DataFrame(
        rows, columns=["author", "tokens", "lost", "random", "low", "high"]
    )


def deliver(
    documents: Documents, share: float, wrong: float, vocabulary: int, *, seed: int = 0
) -> list[np.ndarray]:
    """The beginning of each document, this share of it, with a share `wrong` of its tokens replaced at random."""
    random, delivered = np.random.default_rng(seed), []
    for tokens in documents:
        part = tokens[: round(share * len(tokens))].copy()
        spoilt = random.random(len(part)) < wrong
        part[spoilt] = random.integers(vocabulary, size=spoilt.sum())
        delivered.append(part)
    return delivered


@dataclass(frozen=True)
class Choices:
    """What each author could deliver. counts: a row for each effort of the first author, then of the next;
    volume: (authors, efforts) tokens; the first `sold` of the T tokens are paid for, the others judge the model."""

    counts: Counts
    volume: np.ndarray
    sold: int

    def paid_for(self, efforts: np.ndarray) -> Counts:
        """What the authors' efforts (authors,) put into the tokens that are paid for."""
        return self.counts.of(
            np.arange(len(efforts)) * len(EFFORTS) + efforts, slice(self.sold)
        )

    def quality(self, efforts: np.ndarray) -> float:
        """The mean log-likelihood of the tokens nobody is paid for, in bits."""
        judged = self.counts.of(
            np.arange(len(efforts)) * len(EFFORTS) + efforts, slice(self.sold, None)
        )
        return float(log_likelihood(judged, np.ones((1, len(judged)))).mean() * BITS)


def choices(
    libraries: Sequence[Documents],
    windows: np.ndarray,
    prompt: int,
    vocabulary: int,
    *,
    sold: int,
    seed: int = 0,
) -> Choices:
    """Every author's EFFORTS counted; the first `sold` windows (n, length) are paid for, the others judge."""
    days = product(enumerate(libraries), EFFORTS)
    delivered = [
        deliver(documents, *effort, vocabulary, seed=seed + i)
        for (i, documents), effort in days
    ]
    volume = np.array([sum(map(len, option)) for option in delivered]).reshape(
        -1, len(EFFORTS)
    )
    return Choices(
        count(delivered, windows, prompt, vocabulary),
        volume,
        sold * (windows.shape[1] - prompt),
    )


# (what was delivered, how many tokens) -> values (authors,)
PAY: dict[str, Callable[[Counts, np.ndarray], np.ndarray]] = {
    "volume": lambda counts, volume: volume,
    "overlap": lambda counts, volume: (counts.hits[:, 2] > 0).mean(1),  # of 3-grams
    "Shapley": lambda counts, volume: shapley_of(game(counts)),
    "diagonal": lambda counts, volume: diagonal(counts, nodes=32).mean(1),
}


def play(options: Choices, rule: str, *, rounds: int, start: int = 2) -> pd.DataFrame:
    """Authors who change their effort by a step where it pays, in turns; a row for each round, 0 before the first.

    Each round every author tries a step either way, with the others as they are, and keeps what pays best; a tie
    changes nothing. Columns: round, quality (bits a token), volume (tokens), and each author's effort by number.
    """
    require(rule in PAY, f"rule must be one of {', '.join(PAY)}; got {rule!r}")
    authors, steps = options.volume.shape
    each, efforts, rows = np.arange(authors), np.full(authors, start), []

    def income(i: int, effort: int) -> float:
        tried = np.where(each == i, effort, efforts)
        values = PAY[rule](options.paid_for(tried), options.volume[each, tried]).clip(0)
        return float(values[i] / values.sum()) if values.sum() > 0 else 1 / authors

    for turn in range(rounds + 1):
        for i in range(authors if turn else 0):
            near = [
                e
                for e in (efforts[i], efforts[i] - 1, efforts[i] + 1)
                if 0 <= e < steps
            ]
            efforts[i] = max(near, key=partial(income, i))
        rows.append(
            (
                turn,
                options.quality(efforts),
                options.volume[each, efforts].sum(),
                *efforts,
            )
        )
    return pd.DataFrame(rows, columns=["round", "quality", "volume", *each])
