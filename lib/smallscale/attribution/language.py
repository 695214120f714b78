"""Which language model can be retrained on every coalition of its authors in a second? One that only counts.

An n-gram model with Dirichlet back-off (MacKay and Peto 1995): the probability of a token w after a context c is
its share of what followed there, pulled towards the probability after the next shorter context.

    p_k(w | c) = (count(c w) + a_k p_{k-1}(w | c)) / (count(c) + a_k),    p_0 = 1 / vocabulary

The counts of a coalition are the sums of its members' counts, so training on a coalition is an addition.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

# a_k for one token to five: the best of a coarse grid on modules of the standard library by none of the six.
CONCENTRATION = (4.0, 64.0, 32.0, 16.0, 8.0)
ORDER = len(CONCENTRATION)

Documents = Sequence[np.ndarray]  # the tokens (length,) of each


def train_tokenizer(texts: Sequence[str], vocabulary: int = 1024) -> Tokenizer:
    """Byte-pair encoding of bytes, trained on the texts: every text can be encoded, and nothing in it is special."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(vocab_size=vocabulary, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def encode(tokenizer: Tokenizer, texts: Sequence[str]) -> list[np.ndarray]:
    """The tokens (length,) of each text."""
    return [np.array(encoding.ids, dtype=np.int64) for encoding in tokenizer.encode_batch(list(texts))]


def draw_windows(documents: Documents, n: int, length: int, *, seed: int = 0) -> np.ndarray:
    """n pieces (n, length) of documents, from each document in turn, at random places.

    Raises ValueError where no document is that long.
    """
    long = [tokens for tokens in documents if len(tokens) >= length]
    if not long:
        raise ValueError(f"documents must hold one of at least {length} tokens to draw from; add longer ones")
    random = np.random.default_rng(seed)
    order = [long[k] for k in random.permutation(len(long))]
    starts = [random.integers(len(order[i % len(order)]) - length + 1) for i in range(n)]
    return np.stack([order[i % len(order)][s : s + length] for i, s in enumerate(starts)])


class Grams:
    """How often each run of k tokens, k = 1 to `order`, occurs in documents; runs do not cross their borders.

    A run is a whole number to the base `vocabulary`, so those that begin alike stand together when sorted.
    """

    def __init__(self, documents: Documents, vocabulary: int, order: int = ORDER) -> None:
        if vocabulary**order >= 2**63:
            raise ValueError(f"vocabulary must fit {order} times into 63 bits; got {vocabulary}")
        self.vocabulary, self.order = vocabulary, order
        self.keys, self.counts, self.totals = [], [], []
        for k in range(1, order + 1):
            runs = [keys(tokens, k, vocabulary) for tokens in documents if len(tokens) >= k]
            found, counts = np.unique(np.concatenate([np.zeros(0, np.int64), *runs]), return_counts=True)
            self.keys.append(found)
            self.counts.append(counts)
            self.totals.append(np.concatenate([[0], counts.cumsum()]))

    def between(self, k: int, low: np.ndarray, high: np.ndarray) -> np.ndarray:
        """How many runs of k tokens there are with low <= key < high."""
        found, totals = self.keys[k - 1], self.totals[k - 1]
        return totals[np.searchsorted(found, high)] - totals[np.searchsorted(found, low)]

    def after(self, context: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The tokens that follow a context (k - 1,) somewhere, and how often."""
        k, low = len(context) + 1, int(keys(context, len(context), self.vocabulary)[0]) * self.vocabulary
        part = slice(*np.searchsorted(self.keys[k - 1], [low, low + self.vocabulary]))
        return self.keys[k - 1][part] - low, self.counts[k - 1][part]


def keys(tokens: np.ndarray, k: int, vocabulary: int) -> np.ndarray:
    """Every run of k tokens along the last axis, (..., length - k + 1), as a number; of none, one 0."""
    if k == 0:
        return np.zeros((*tokens.shape[:-1], 1), np.int64)
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

    def of(self, authors: Sequence[int]) -> "Counts":
        """Of these authors alone."""
        return Counts(self.hits[list(authors)], self.seen[list(authors)], self.vocabulary)


def count(libraries: Sequence[Documents], windows: np.ndarray, prompt: int, vocabulary: int) -> Counts:
    """What each author's documents say about windows (n, length) of tokens, of which the first `prompt` are given.

    T = n * (length - prompt). prompt: at least ORDER - 1, so that every token has its context.
    """
    if prompt < ORDER - 1 or windows.shape[1] <= prompt:
        raise ValueError(f"prompt must lie in [{ORDER - 1}, {windows.shape[1] - 1}]; got {prompt}")
    runs = [keys(windows[:, prompt - k + 1 :], k, vocabulary).ravel() for k in range(1, ORDER + 1)]
    hits, seen = np.zeros((2, len(libraries), ORDER, len(runs[0])))
    for i, documents in enumerate(libraries):
        grams = Grams(documents, vocabulary)
        for k, run in enumerate(runs, 1):
            context = run // vocabulary * vocabulary
            hits[i, k - 1] = grams.between(k, run, run + 1)
            seen[i, k - 1] = grams.between(k, context, context + vocabulary)
    return Counts(hits, seen, vocabulary)


def log_likelihood(counts: Counts, weights: Any, concentration: Sequence[float] = CONCENTRATION) -> np.ndarray:
    """ln p (m, T) of every token, for m models: weights (m, authors) say how often each reads each author's text.

    A coalition's weights are 1 for its members and 0 for others; the empty coalition guesses uniformly.
    """
    weights = np.asarray(weights, dtype=float)
    p = np.full((len(weights), counts.hits.shape[2]), 1 / counts.vocabulary)
    for k, a in enumerate(concentration):
        p = (weights @ counts.hits[:, k] + a * p) / (weights @ counts.seen[:, k] + a)
    return np.log(p)


def slopes(counts: Counts, weights: Any, concentration: Sequence[float] = CONCENTRATION) -> np.ndarray:
    """d ln p / d weight (authors, T), at weights (authors,): what a little more of each author's text would do."""
    weights = np.asarray(weights, dtype=float)
    p = np.full(counts.hits.shape[2], 1 / counts.vocabulary)
    dp = np.zeros((len(counts), len(p)))
    for k, a in enumerate(concentration):
        total = weights @ counts.seen[:, k] + a
        new = (weights @ counts.hits[:, k] + a * p) / total
        dp = (counts.hits[:, k] + a * dp - new * counts.seen[:, k]) / total
        p = new
    return dp / p


def generate(
    documents: Documents,
    prompts: np.ndarray,
    length: int,
    vocabulary: int,
    *,
    temperature: float = 1.0,
    seed: int = 0,
    concentration: Sequence[float] = CONCENTRATION,
) -> np.ndarray:
    """Prompts (n, prompt) continued by `length` tokens from the model of the documents, (n, prompt + length)."""
    grams, random = Grams(documents, vocabulary), np.random.default_rng(seed)
    windows = np.concatenate([prompts, np.zeros((len(prompts), length), np.int64)], axis=1)
    for window in windows:
        for t in range(prompts.shape[1], len(window)):
            p = np.full(vocabulary, 1 / vocabulary)
            for k, a in enumerate(concentration):
                tokens, times = grams.after(window[t - k : t])
                p *= a
                p[tokens] += times
                p /= times.sum() + a
            sharp = p ** (1 / temperature)
            window[t] = random.choice(vocabulary, p=sharp / sharp.sum())
    return windows
