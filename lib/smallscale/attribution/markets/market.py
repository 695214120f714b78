"""Can the market be gamed? Attacks on a payment by value, and rules that pay for evidence instead of names.

Cloning and splitting are the attacks of Agarwal, Dahleh and Sarkar 2019; that nobody can rule out all of them and
stay fair, and the remedy of valuing clusters of evidence, are Burnat and Davidson's 2026. The value that no
splitting can change is Aumann and Shapley's (1974).
"""

import keyword
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache

import numpy as np
import pandas as pd

from smallscale.attribution.markets.games import banzhaf_of, membership, shapley_of
from smallscale.attribution.markets.ngram_model import (
    CONCENTRATION,
    Counts,
    Tokenizer,
    count,
    encode,
    log_likelihood,
)
from smallscale.attribution.markets.payments import payouts

Texts = Mapping[
    str, Mapping[str, str]
]  # name -> document -> text, in order of submission

WORD = re.compile(r"\w+|[^\w\s]")
NAME = re.compile(r"[^\W\d]\w+")  # of two characters at least: i and x are nobody's
SHINGLE = 8  # words
SAME = 0.4  # share of a document's shingles that were submitted before: from here on it is nothing new
RULES = ("Shapley", "Banzhaf", "clusters", "diagonal")


@dataclass(frozen=True)
class Market:
    """Texts under the names that submitted them; owner: name -> the person behind it."""

    texts: dict[str, dict[str, str]]
    owner: dict[str, str]


def honest(texts: Texts) -> Market:
    """Everyone submits their own documents under one name."""
    return _submitted(texts, "", {})


def clone(texts: Texts, attacker: str, copies: int = 1) -> Market:
    """The attacker submits everything again, under as many new names."""
    return _submitted(
        texts,
        attacker,
        {f"{attacker}, copy {k + 1}": texts[attacker] for k in range(copies)},
    )


def rewrite(texts: Texts, attacker: str, share: float, *, seed: int = 0) -> Market:
    """The attacker submits everything again under a new name, with this share of the identifiers exchanged."""
    documents = texts[attacker].items()
    copy = {
        name: rename(text, share, seed=seed + k)
        for k, (name, text) in enumerate(documents)
    }
    return _submitted(texts, attacker, {f"{attacker}, rewritten": copy})


def split(texts: Texts, attacker: str, parts: int = 2) -> Market:
    """The attacker divides the documents among as many names, of about equal size; nothing is submitted twice."""
    piles: list[dict[str, str]] = [{} for _ in range(parts)]
    for name, text in sorted(texts[attacker].items(), key=lambda item: -len(item[1])):
        min(piles, key=lambda pile: sum(map(len, pile.values())))[name] = text
    others = {f"{attacker}, part {k}": pile for k, pile in enumerate(piles[1:], 2)}
    return _submitted({**texts, attacker: piles[0]}, attacker, others)


def free_ride(texts: Texts, victim: str) -> Market:
    """A newcomer submits the victim's documents, after the victim did."""
    return _submitted(texts, "newcomer", {"newcomer": texts[victim]})


def poison(texts: Texts, like: str, *, seed: int = 0) -> Market:
    """A newcomer submits what somebody wrote with the words of each document in random order: as much, of no use."""
    random = np.random.default_rng(seed)
    words = {name: re.findall(r"\w+|\W", text) for name, text in texts[like].items()}
    shuffled = {
        name: "".join(found[i] for i in random.permutation(len(found)))
        for name, found in words.items()
    }
    return _submitted(texts, "newcomer", {"newcomer": shuffled})


def _submitted(texts: Texts, owner: str, more: Texts) -> Market:
    """Everyone's own texts under their own names, then more of them, by the owner."""
    everything = {
        name: dict(documents) for name, documents in (*texts.items(), *more.items())
    }
    return Market(
        everything, {name: owner if name in more else name for name in everything}
    )


def rename(text: str, share: float, *, seed: int = 0) -> str:
    """The text with this share of its identifiers exchanged for one another, everywhere alike."""
    random = np.random.default_rng(seed)
    names = sorted({name for name in NAME.findall(text) if not keyword.iskeyword(name)})
    chosen = [name for name in names if random.random() < share]
    other = dict(
        zip(chosen, (chosen[i] for i in random.permutation(len(chosen))), strict=True)
    )
    return NAME.sub(lambda match: other.get(match[0], match[0]), text)


@lru_cache(maxsize=1024)
def shingles(text: str) -> frozenset[int]:
    """Every run of eight words in a text, by its hash; a shorter text is one run."""
    words = WORD.findall(text)
    return frozenset(
        hash(tuple(words[i : i + SHINGLE]))
        for i in range(max(1, len(words) - SHINGLE + 1))
    )


def seen_before(texts: Texts) -> dict[str, dict[str, float]]:
    """For each document the share of its shingles that came in an earlier one, whoever submitted it."""
    seen: set[int] = set()
    found: dict[str, dict[str, float]] = {}
    for name, documents in texts.items():
        found[name] = {}
        for document, text in documents.items():
            here = shingles(text)
            found[name][document] = len(here & seen) / len(here)
            seen |= here
    return found


def first_of_each(texts: Texts) -> dict[str, dict[str, str]]:
    """The texts with each cluster of near-duplicates represented by the document that was submitted first."""
    return {
        name: {
            document: texts[name][document]
            for document, share in shares.items()
            if share < SAME
        }
        for name, shares in seen_before(texts).items()
    }


def diagonal(counts: Counts, nodes: int = 64) -> np.ndarray:
    """Aumann and Shapley's value of every token's log-likelihood, (authors, T).

        phi_i = integral over t from 0 to 1 of d ln p(t, ..., t) / d t_i

    Everyone's text is read a little more at a time, all in proportion, and each increment is credited to the text
    that was read. Whose name is on it does not enter: an author's value is the sum of that of any parts of it.
    The values add up to those of `log_likelihood` for all, less those for nobody.
    """
    # Most is learnt from the first few words, so t = s^8: many steps where ln p is steep.
    points, weights = np.polynomial.legendre.leggauss(nodes)
    s = (points + 1) / 2
    t = s[:, None] ** 8
    p, slopes = (
        np.full_like(t, 1 / counts.vocabulary),
        np.zeros(1),
    )  # then (nodes, T); dp / dt_i (nodes, authors, T)
    for k, a in enumerate(CONCENTRATION):
        hits, seen = counts.hits[:, k], counts.seen[:, k]
        total = t * seen.sum(0) + a
        p = (t * hits.sum(0) + a * p) / total
        slopes = (hits + a * slopes - p[:, None] * seen) / total[:, None]
    return np.tensordot(weights / 2 * 8 * s**7, slopes / p[:, None], axes=1)


def game(counts: Counts) -> np.ndarray:
    """The mean log-likelihood (2^n,) that each coalition's model gives the tokens."""
    return log_likelihood(counts, membership(len(counts))).mean(1)


class Sales:
    """What was sold, and how likely each author's documents make it. What was counted is kept."""

    def __init__(self, tokenizer: Tokenizer, windows: np.ndarray, prompt: int) -> None:
        """windows: (n, length) tokens of completions, the first `prompt` of each given."""
        self.vocabulary = tokenizer.get_vocab_size()
        self._row = cache(
            lambda texts: count(
                [encode(tokenizer, texts)], windows, prompt, self.vocabulary
            )
        )

    def authors(self, texts: Texts) -> Counts:
        """A row of counts for each author; without documents, of zeros."""
        rows = [self._row(tuple(documents.values())) for documents in texts.values()]
        return Counts(
            np.concatenate([r.hits for r in rows]),
            np.concatenate([r.seen for r in rows]),
            self.vocabulary,
        )

    def documents(self, texts: Iterable[str]) -> Counts:
        """A row of counts for each document; an author's row is the sum of theirs."""
        return self.authors({str(k): {"": text} for k, text in enumerate(texts)})

    def values(self, texts: Texts) -> dict[str, np.ndarray]:
        """What each name's texts are worth (names,), in nats a token, by each of RULES.

        Shapley and Banzhaf: of the game whose players are names. clusters: Shapley's value of the texts without
        near-duplicates; diagonal: `diagonal` of the same. A name with nothing new is worth 0.
        """
        table, clusters = game(self.authors(texts)), first_of_each(texts)
        new = self.authors(
            {name: documents for name, documents in clusters.items() if documents}
        )
        evidence = np.zeros((2, len(texts)))
        evidence[:, list(map(bool, clusters.values()))] = (
            shapley_of(game(new)),
            diagonal(new).mean(1),
        )
        return dict(
            zip(RULES, (shapley_of(table), banzhaf_of(table), *evidence), strict=True)
        )

    def paid(self, market: Market, pot: int) -> dict[str, dict[str, int]]:
        """rule -> person -> the cents that the person gets, under all of their names."""
        cents = {
            rule: payouts(values, pot)
            for rule, values in self.values(market.texts).items()
        }
        people = [market.owner[name] for name in market.texts]
        return pd.DataFrame(cents).groupby(people, sort=False).sum().to_dict()
