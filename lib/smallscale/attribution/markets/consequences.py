"""What follows from a payment? Removing the best paid, and authors who choose.

`removals` asks whether the model misses whoever is paid. `best_response_dynamics` lets
each author choose how much to write and how carefully, by what pays best.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from smallscale.attribution.markets.games import shapley_of
from smallscale.attribution.markets.ngram_model import (
    Counts,
    Documents,
    count_ngrams,
    log_likelihood,
)
from smallscale.attribution.markets.valuation import coalition_values, diagonal
from smallscale.core.validation import (
    as_array,
    finite,
    one_of,
    require,
    same_length,
    whole_number,
)

BITS = 1 / np.log(2)  # in a nat


class Effort(NamedTuple):
    """A day's work: the share of a text that gets done, and of its tokens, wrong."""

    share: float
    wrong: float


EFFORTS = (
    Effort(share=0.2, wrong=0.0),
    Effort(share=0.4, wrong=0.05),
    Effort(share=0.6, wrong=0.15),
    Effort(share=0.8, wrong=0.35),
    Effort(share=1.0, wrong=0.6),
)


def removals(
    documents: Counts, author: Any, sizes: Any, *, draws: int = 20, seed: int = 0
) -> pd.DataFrame:
    """Return what the model loses without each author, and without as much by others.

    A row for each author, in bits a token: lost, without them; random, without as many
    tokens of the others' documents, drawn at random, on average over the draws; low and
    high, the middle 95 % of the draws; tokens, how many the author has.

    documents: counts, a row for each document. author, sizes: of each document, its
    author and its tokens. Documents are drawn until as many tokens are reached; the
    last one goes in part. An author larger than all the others together has no such
    draw: NaN.
    """
    writer, size = np.asarray(author), as_array("sizes", sizes, dtype=float)
    same_length(documents=documents, author=writer, sizes=size)
    finite("sizes", size)
    require((size >= 0).all(), "sizes must be tokens, at least 0; some are negative")
    whole_number("draws", draws)
    generator = np.random.default_rng(seed)
    everything = np.ones((1, len(size)))
    before = log_likelihood(documents, everything).mean() * BITS
    rows = []
    for i in np.unique(writer):
        others = np.flatnonzero(writer != i)
        tokens = size[writer == i].sum()
        without = np.ones((draws + 1, len(size)))  # what each model reads
        without[0, writer == i] = 0
        for draw in without[1:]:
            order = generator.permutation(others)
            # The first documents of the order go, the one that completes them in part.
            read_up_to = size[order].cumsum()
            draw[order] = np.clip((read_up_to - tokens) / size[order], 0, 1)
        lost = before - log_likelihood(documents, without).mean(1) * BITS
        enough = size[others].sum() > tokens
        drawn = lost[1:] if enough else np.full(draws, np.nan)
        low, high = np.quantile(drawn, [0.025, 0.975])
        rows.append(
            {
                "author": i,
                "tokens": int(tokens),
                "lost": lost[0],
                "random": drawn.mean(),
                "low": low,
                "high": high,
            }
        )
    return pd.DataFrame(rows)


def deliver(
    documents: Documents, effort: Effort, vocabulary: int, *, seed: int = 0
) -> list[np.ndarray]:
    """Return the beginning of each document, some tokens replaced at random."""
    generator = np.random.default_rng(seed)
    delivered = []
    for tokens in documents:
        part = tokens[: round(effort.share * len(tokens))].copy()
        spoilt = generator.random(len(part)) < effort.wrong
        part[spoilt] = generator.integers(vocabulary, size=spoilt.sum())
        delivered.append(part)
    return delivered


@dataclass(frozen=True)
class EffortOptions:
    """What each author could deliver, by each of EFFORTS.

    counts: a row for each effort of the first author, then of the next. volume:
    (authors, efforts) tokens. sold: the first of the T tokens, which are paid for; the
    others judge the model.
    """

    counts: Counts
    volume: np.ndarray
    sold: int

    def paid_for(self, efforts: np.ndarray) -> Counts:
        """Return what efforts (authors,) say about the tokens that are paid for."""
        return self.counts.select(self._rows(efforts), slice(self.sold))

    def quality(self, efforts: np.ndarray) -> float:
        """Return the mean log-likelihood of the tokens that judge, in bits."""
        judged = self.counts.select(self._rows(efforts), slice(self.sold, None))
        everybody = np.ones((1, len(judged)))
        return float(log_likelihood(judged, everybody).mean() * BITS)

    def _rows(self, efforts: np.ndarray) -> np.ndarray:
        return np.asarray(np.arange(len(efforts)) * len(EFFORTS) + efforts)


def effort_options(
    libraries: Sequence[Documents],
    windows: np.ndarray,
    prompt: int,
    vocabulary: int,
    *,
    sold: int,
    seed: int = 0,
) -> EffortOptions:
    """Return what every author could deliver, counted.

    windows: (n, length); the first `sold` are paid for, the others judge the model.
    """
    delivered = [
        deliver(documents, effort, vocabulary, seed=seed + i)
        for i, documents in enumerate(libraries)
        for effort in EFFORTS
    ]
    tokens = [sum(len(document) for document in option) for option in delivered]
    volume = np.array(tokens).reshape(-1, len(EFFORTS))
    counts = count_ngrams(delivered, windows, prompt, vocabulary)
    return EffortOptions(counts, volume, sold * (windows.shape[1] - prompt))


def _pay_by_volume(counts: Counts, volume: np.ndarray) -> np.ndarray:
    return volume


def _pay_by_overlap(counts: Counts, volume: np.ndarray) -> np.ndarray:
    """The share of sold tokens whose 3-gram stands in the author's text."""
    return np.asarray((counts.hits[:, 2] > 0).mean(1))


def _pay_by_shapley(counts: Counts, volume: np.ndarray) -> np.ndarray:
    return shapley_of(coalition_values(counts))


def _pay_by_diagonal(counts: Counts, volume: np.ndarray) -> np.ndarray:
    return np.asarray(diagonal(counts, nodes=32).mean(1))


# (what was delivered, how many tokens it has) -> values (authors,)
PayRule = Callable[[Counts, np.ndarray], np.ndarray]
PAY_RULES: dict[str, PayRule] = {
    "volume": _pay_by_volume,
    "overlap": _pay_by_overlap,
    "Shapley": _pay_by_shapley,
    "diagonal": _pay_by_diagonal,
}


def best_response_dynamics(
    options: EffortOptions, rule: str, *, rounds: int, start: int = 2
) -> pd.DataFrame:
    """Return how authors change their effort where it pays, a row for each round.

    In each round every author in turn tries a step of effort either way, with the
    others as they are, and keeps what pays best; a tie changes nothing. Round 0 is
    before the first. Columns: round, quality (bits a token), volume (tokens), and each
    author's effort by number.

    rule: one of PAY_RULES. start: everybody's first effort, a position in EFFORTS.
    Raises ValueError for another rule, and for a start that is no such position.
    """
    pay = PAY_RULES[one_of("rule", rule, PAY_RULES)]
    whole_number("rounds", rounds, least=0)
    whole_number("start", start, least=0, most=len(EFFORTS) - 1)
    authors, steps = options.volume.shape
    each = np.arange(authors)
    efforts = np.full(authors, start)

    def income(author: int, effort: int) -> float:
        """The author's share of all pay if they change to this effort."""
        tried = np.where(each == author, effort, efforts)
        volume = options.volume[each, tried]
        values = pay(options.paid_for(tried), volume).clip(0)
        return float(values[author] / values.sum()) if values.sum() > 0 else 1 / authors

    rows = []
    for turn in range(rounds + 1):
        for author in range(authors if turn else 0):
            now = int(efforts[author])
            # `max` keeps the first of equals: without a gain, the effort stays.
            near = [e for e in (now, now - 1, now + 1) if 0 <= e < steps]
            incomes = {effort: income(author, effort) for effort in near}
            efforts[author] = max(near, key=incomes.__getitem__)
        state = {
            "round": turn,
            "quality": options.quality(efforts),
            "volume": options.volume[each, efforts].sum(),
        }
        rows.append(state | dict(enumerate(efforts.tolist())))
    return pd.DataFrame(rows)
