"""What follows from a payment? Removing the best paid, and authors who choose.

`removals` asks whether the model misses whoever is paid. `best_response_dynamics` lets
each author choose how much to write and how carefully, by what pays best, and
`best_joint_efforts` is what they could reach together.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
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
from smallscale.core.seeds import replicate_seeds
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
    documents: Counts,
    author: Any,
    sizes: Any,
    *,
    completions: int = 1,
    draws: int = 20,
    seed: int = 0,
) -> pd.DataFrame:
    """Return what the model loses without each author, and without as much by others.

    A row for each author, in bits a token: lost, without them; random, without as many
    tokens of the others' documents, drawn at random, on average over the draws; low and
    high, the middle 95 % of the draws; more, lost less random; error, half the 95 %
    interval of `more` over completions; tokens, how many the author has.

    documents: counts, a row for each document. author, sizes: of each document, its
    author and its tokens. completions: how many of equal length the counted tokens
    belong to; with one there is no interval: NaN. Documents are drawn until as many
    tokens are reached; the last one goes in part. An author larger than all the others
    together has no such draw: NaN.
    """
    writer, size = np.asarray(author), as_array("sizes", sizes, dtype=float)
    same_length(documents=documents, author=writer, sizes=size)
    for name, values in (("author", writer), ("sizes", size)):
        require(values.ndim == 1, f"{name} must be (documents,); got {values.shape}")
    finite("sizes", size)
    require((size >= 0).all(), "sizes must be tokens, at least 0; some are negative")
    draws = whole_number("draws", draws)
    completions = whole_number("completions", completions)
    generator = np.random.default_rng(seed)

    def bits(weights: np.ndarray) -> np.ndarray:
        """Return the bits a token of each completion, (models, completions)."""
        log_p = log_likelihood(documents, weights) * BITS
        return np.asarray(log_p.reshape(len(weights), completions, -1).mean(2))

    before = bits(np.ones((1, len(size))))
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
            beyond = np.maximum(read_up_to - tokens, 0)
            # Of a document without tokens any part is as good as another.
            draw[order] = np.minimum(beyond / np.where(size > 0, size, 1)[order], 1)
        lost = before - bits(without)  # (1 + draws, completions)
        if size[others].sum() <= tokens:
            lost[1:] = np.nan
        drawn = lost[1:].mean(1)
        low, high = np.quantile(drawn, [0.025, 0.975])
        more = lost[0] - lost[1:].mean(0)  # of each completion
        spread = more.std(ddof=1) if completions > 1 else np.nan
        rows.append(
            {
                "author": i,
                "tokens": int(tokens),
                "lost": lost[0].mean(),
                "random": drawn.mean(),
                "low": low,
                "high": high,
                "more": more.mean(),
                "error": 1.96 * spread / completions**0.5,
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
    seeds = replicate_seeds(seed, len(libraries))
    delivered = [
        deliver(documents, effort, vocabulary, seed=own)
        for own, documents in zip(seeds, libraries, strict=True)
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
    Where the authors end may depend on it; `dynamics_from_every_start` tries all.
    Raises ValueError for another rule, and for a start that is no such position.
    """
    pay = PAY_RULES[one_of("rule", rule, PAY_RULES)]
    rounds = whole_number("rounds", rounds, least=0)
    start = whole_number("start", start, least=0, most=len(EFFORTS) - 1)
    authors, steps = options.volume.shape
    each = np.arange(authors)
    efforts = np.full(authors, start)

    @cache
    def shares(tried: tuple[int, ...]) -> np.ndarray:
        """Return everybody's share of all pay under these efforts."""
        chosen = np.array(tried)
        volume = options.volume[each, chosen]
        values = pay(options.paid_for(chosen), volume).clip(0)
        total = values.sum()
        return values / total if total > 0 else np.full(authors, 1 / authors)

    def income(author: int, effort: int) -> float:
        """The author's share of all pay if they change to this effort."""
        tried = np.where(each == author, effort, efforts)
        return float(shares(tuple(tried.tolist()))[author])

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


def dynamics_from_every_start(
    options: EffortOptions, rules: Sequence[str], *, rounds: int
) -> pd.DataFrame:
    """Return `best_response_dynamics` by each rule, from each effort that all begin at.

    The columns rule and start come first.
    """
    tables = []
    for rule in rules:
        for start in range(len(EFFORTS)):
            table = best_response_dynamics(options, rule, rounds=rounds, start=start)
            table.insert(0, "rule", rule)
            table.insert(1, "start", start)
            tables.append(table)
    return pd.concat(tables, ignore_index=True)


def best_joint_efforts(options: EffortOptions) -> np.ndarray:
    """Return the efforts (authors,) under which the model is best, as far as is found.

    Somebody who can tell every author what to do, and who knows the text that judges,
    changes one author's effort at a time to the best one, until no change helps; from
    every effort that all begin at, of which the best end is returned.
    """
    authors, steps = options.volume.shape
    ends = []
    for start in range(steps):
        efforts, before = np.full(authors, start), -np.inf
        while options.quality(efforts) > before:
            before = options.quality(efforts)
            for author in range(authors):
                tried = np.tile(efforts, (steps, 1))
                tried[:, author] = np.arange(steps)
                efforts = max(tried, key=options.quality)
        ends.append(efforts)
    return max(ends, key=options.quality)
