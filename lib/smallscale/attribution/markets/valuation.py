"""What is each author's text worth? Values of what was sold, by four rules.

`ValuationModel` counts what each author's documents say about the completions that were
sold, and values them: by Shapley's and Banzhaf's rules, by Shapley's over clusters of
evidence (Burnat and Davidson 2026), and along the diagonal (Aumann and Shapley 1974),
which no splitting can change. That nobody can rule out all attacks and stay fair is
proved by Burnat and Davidson as well.
"""

from collections.abc import Iterable
from functools import cache

import numpy as np
from tokenizers import ByteLevelBPETokenizer

from smallscale.attribution.markets.games import banzhaf_of, membership, shapley_of
from smallscale.attribution.markets.market import Market, Texts, first_of_each
from smallscale.attribution.markets.ngram_model import (
    CONCENTRATION,
    Counts,
    count_ngrams,
    encode,
    log_likelihood,
)
from smallscale.attribution.markets.payments import payouts

VALUE_RULES = ("Shapley", "Banzhaf", "clusters", "diagonal")


def diagonal(counts: Counts, nodes: int = 64) -> np.ndarray:
    """Return Aumann and Shapley's value of every token's log-likelihood, (authors, T):
        phi_i = integral over t from 0 to 1 of d ln p(t, ..., t) / d t_i

    Aumann and Shapley 1974. Everyone's text is read a little more at a time, all in
    proportion, and each increment is credited to the text that was read. Whose name is
    on it does not enter: an author's value is the sum of the values of any parts of it.
    The values add up to `log_likelihood` for all, less that for nobody.

    nodes: of the Gauss-Legendre quadrature.
    """
    # Most is learnt from the first few words, so t = s^8: many steps where ln p is
    # steep.
    points, quadrature = np.polynomial.legendre.leggauss(nodes)
    s = (points + 1) / 2
    t = s[:, None] ** 8
    p = np.full_like(t, 1 / counts.vocabulary)  # p_0; from order 1 on (nodes, T)
    slopes = np.zeros(1)  # dp / dt_i; from order 1 on (nodes, authors, T)
    for k, a in enumerate(CONCENTRATION):
        hits, seen = counts.hits[:, k], counts.seen[:, k]  # (authors, T)
        total = t * seen.sum(0) + a
        p = (t * hits.sum(0) + a * p) / total  # p_k where all are read t times
        slopes = (hits + a * slopes - p[:, None] * seen) / total[:, None]
    dt = quadrature / 2 * 8 * s**7  # of t = s^8, and s in [0, 1]
    return np.tensordot(dt, slopes / p[:, None], axes=1)  # d ln p = dp / p


def coalition_values(counts: Counts) -> np.ndarray:
    """Return the mean log-likelihood of the tokens by each coalition's model, (2^n,).

    In the order of `membership`, as `shapley_of` takes it.
    """
    values: np.ndarray = log_likelihood(counts, membership(len(counts))).mean(1)
    return values


class ValuationModel:
    """What was sold, and how likely each author's documents make it.

    What was counted once is kept.
    """

    def __init__(
        self, tokenizer: ByteLevelBPETokenizer, windows: np.ndarray, prompt: int
    ) -> None:
        """windows: (n, length) tokens of completions, the first `prompt` given."""
        self.vocabulary = int(tokenizer.get_vocab_size())

        @cache
        def counted(texts: tuple[str, ...]) -> Counts:
            documents = encode(tokenizer, texts)
            return count_ngrams([documents], windows, prompt, self.vocabulary)

        self._counted = counted

    def author_counts(self, texts: Texts) -> Counts:
        """Return a row of counts for each author; without documents, of zeros."""
        rows = [self._counted(tuple(each.values())) for each in texts.values()]
        hits = np.concatenate([row.hits for row in rows])
        seen = np.concatenate([row.seen for row in rows])
        return Counts(hits, seen, self.vocabulary)

    def document_counts(self, texts: Iterable[str]) -> Counts:
        """Return a row of counts for each document; an author's row is their sum."""
        return self.author_counts({str(k): {"": text} for k, text in enumerate(texts)})

    def values(self, texts: Texts) -> dict[str, np.ndarray]:
        """Return what each name's texts are worth, (names,), by each of VALUE_RULES.

        In nats a token. Shapley and Banzhaf: of the game whose players are names.
        clusters: Shapley's value of the texts without near-duplicates. diagonal:
        `diagonal` of the same texts. A name with nothing new is worth 0 by the last
        two.
        """
        table = coalition_values(self.author_counts(texts))
        evidence = first_of_each(texts)
        new = {name: documents for name, documents in evidence.items() if documents}
        counts = self.author_counts(new)
        is_new = [bool(documents) for documents in evidence.values()]
        clusters, along_diagonal = np.zeros(len(texts)), np.zeros(len(texts))
        clusters[is_new] = shapley_of(coalition_values(counts))
        along_diagonal[is_new] = diagonal(counts).mean(1)
        return {
            "Shapley": shapley_of(table),
            "Banzhaf": banzhaf_of(table),
            "clusters": clusters,
            "diagonal": along_diagonal,
        }

    def payments(self, market: Market, pot: int) -> dict[str, dict[str, int]]:
        """Return rule -> person -> the cents that they get under all their names."""
        payments: dict[str, dict[str, int]] = {}
        for rule, values in self.values(market.texts).items():
            payments[rule] = dict.fromkeys(market.owner.values(), 0)
            for name, cents in zip(market.texts, payouts(values, pot), strict=True):
                payments[rule][market.owner[name]] += cents
        return payments
