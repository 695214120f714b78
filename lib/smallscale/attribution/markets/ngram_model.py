"""Which language model can be retrained on every coalition of its authors in a second? One that only counts.

An n-gram model with Dirichlet back-off (MacKay and Peto 1995): the probability of a token w after a context c is
its share of what followed there, pulled towards the probability after the next shorter context.

    p_k(w | c) = (count(c w) + a_k p_{k-1}(w | c)) / (count(c) + a_k),    p_0 = 1 / vocabulary

The counts of a coalition are the sums of its members' counts, so training on a coalition is an addition.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from tokenizers import ByteLevelBPETokenizer as Tokenizer

from smallscale.attribution.checks import require

# a_k for one token to five: the best of a coarse grid on modules of the standard library by none of the six.
CONCENTRATION = (4.0, 64.0, 32.0, 16.0, 8.0)
ORDER = len(CONCENTRATION)

Documents = Sequence[np.ndarray]  # the tokens (length,) of each


def train_tokenizer(texts: Sequence[str], vocabulary: int = 1024) -> Tokenizer:
    """Byte-pair encoding of bytes, trained on the texts: every text can be encoded, and nothing in it is special."""
    tokenizer = Tokenizer()
    tokenizer.train_from_iterator(
        texts, vocabulary, min_frequency=0, show_progress=False
    )
    return tokenizer


def encode(tokenizer: Tokenizer, texts: Sequence[str]) -> list[np.ndarray]:
    """The tokens (length,) of each text."""
    return [
        np.array(encoding.ids, dtype=np.int64)
        for encoding in tokenizer.encode_batch(list(texts))
    ]


def draw_windows(
    documents: Documents, n: int, length: int, *, seed: int = 0
) -> np.ndarray:
    """n pieces (n, length) of documents, from each document in turn, at random places.

    Raises ValueError where no document is that long.
    """
    long = [tokens for tokens in documents if len(tokens) >= length]
    require(
        long,
        f"documents must hold one of at least {length} tokens to draw from; add longer ones",
    )
    random = np.random.default_rng(seed)
    order = random.permutation(len(long))
    turns = [
        np.lib.stride_tricks.sliding_window_view(long[k], length)
        for k in np.resize(order, n)
    ]
    return np.stack([pieces[random.integers(len(pieces))] for pieces in turns])


def grams(
    documents: Documents, vocabulary: int, order: int = ORDER
) -> list[np.ndarray]:
    """Every run of k tokens in documents, for k = 1 to `order`, sorted; runs do not cross the documents' borders.

    A run is a whole number to the base `vocabulary`, so those that begin alike stand together.
    """
    require(
        vocabulary**order < 2**63,
        f"vocabulary must fit {order} times into 63 bits; got {vocabulary}",
    )
    none = np.zeros(0, np.int64)
    runs = [
        [keys(d, k, vocabulary) for d in documents if len(d) >= k]
        for k in range(1, order + 1)
    ]
    return [np.sort(np.concatenate([none, *found])) for found in runs]


def within(runs: np.ndarray, low: np.ndarray, width: int) -> np.ndarray:
    """How many of the sorted runs lie in [low, low + width), for each of low."""
    return np.searchsorted(runs, low + width) - np.searchsorted(runs, low)


def keys(tokens: np.ndarray, k: int, vocabulary: int) -> np.ndarray:
    """Every run of k tokens along the last axis, (..., length - k + 1), as a number; of none, one 0."""
    runs = np.lib.stride_tricks.sliding_window_view(tokens, k, axis=-1)
    return runs @ vocabulary ** np.arange(k - 1, -1, -1, dtype=np.int64)


@dataclass(frozen=True)
class Counts:
    """What each author's documents say about some tokens.

    hits: (authors, order, T), how often the author has the last k - 1 tokens and then this one; seen: (authors,
    order, T), how often the author has the last k - 1 tokens and then any. vocabulary: how many tokens there are.
    """

    hits: np.ndarray
    seen: np.ndarray
    vocabulary: int

    def __len__(self) -> int:
        return len(self.hits)

    def of(self, authors: Any = slice(None), tokens: Any = slice(None)) -> "Counts":
        """Of these authors and tokens alone: slices, or lists of positions."""
        return Counts(
            self.hits[authors][..., tokens],
            self.seen[authors][..., tokens],
            self.vocabulary,
        )


def count(
    libraries: Sequence[Documents], windows: np.ndarray, prompt: int, vocabulary: int
) -> Counts:
    """What each author's documents say about windows (n, length) of tokens, of which the first `prompt` are given.

    T = n * (length - prompt). prompt: at least ORDER - 1, so that every token has its context.
    """
    length = windows.shape[1]
    require(
        ORDER - 1 <= prompt < length,
        f"prompt must lie in [{ORDER - 1}, {length - 1}]; got {prompt}",
    )
    hits, seen = np.zeros((2, len(libraries), ORDER, windows[:, prompt:].size))
    for i, documents in enumerate(libraries):
        for k, runs in enumerate(grams(documents, vocabulary)):
            run = keys(windows[:, prompt - k :], k + 1, vocabulary).ravel()
            hits[i, k], seen[i, k] = (
                within(runs, run, 1),
                within(runs, run // vocabulary * vocabulary, vocabulary),
            )
    return Counts(hits, seen, vocabulary)


def log_likelihood(
    counts: Counts, weights: Any, concentration: Sequence[float] = CONCENTRATION
) -> np.ndarray:
    """ln p (m, T) of every token, for m models: weights (m, authors) say how often each reads each author's text.

    A coalition's weights are 1 for its members and 0 for others; the empty coalition guesses uniformly.
    """
    weights = np.asarray(weights, dtype=float)
    p = np.full((len(weights), counts.hits.shape[2]), 1 / counts.vocabulary)
    for k, a in enumerate(concentration):
        p = (weights @ counts.hits[:, k] + a * p) / (weights @ counts.seen[:, k] + a)
    return np.log(p)


def generate(
    documents: Documents,
    prompts: np.ndarray,
    length: int,
    vocabulary: int,
    *,
    seed: int = 0,
) -> np.ndarray:
    """Prompts (n, prompt) continued by `length` tokens from the model of the documents, (n, prompt + length)."""
    found, random = grams(documents, vocabulary), np.random.default_rng(seed)

    @lru_cache(64)  # the empty context comes back at every token, and is the dearest
    def after(k: int, context: int) -> np.ndarray:
        """How often each token follows a context of k tokens somewhere, (vocabulary,)."""
        first, last = np.searchsorted(
            found[k], [context * vocabulary, (context + 1) * vocabulary]
        )
        return np.bincount(found[k][first:last] % vocabulary, minlength=vocabulary)

    windows = np.concatenate(
        [prompts, np.zeros((len(prompts), length), np.int64)], axis=1
    )
    for window in windows:
        for t in range(prompts.shape[1], len(window)):
            p = np.full(vocabulary, 1 / vocabulary)
            for k, a in enumerate(CONCENTRATION):
                times = after(k, int(keys(window[t - k : t], k, vocabulary)[0]))
                p = (a * p + times) / (times.sum() + a)
            window[t] = random.choice(vocabulary, p=p / p.sum())
    return windows
