"""Which language model is retrained on a coalition in no time? One that counts.

An n-gram model with Dirichlet back-off (MacKay and Peto 1995): the probability of a
token w after a context c is its share of what followed there, pulled towards the
probability after the next shorter context.

    p_k(w | c) = (count(c w) + a_k p_{k-1}(w | c)) / (count(c) + a_k)

with p_0 = 1 / vocabulary.

The counts of a coalition are the sums of its members' counts, so training on a
coalition is an addition.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from tokenizers import ByteLevelBPETokenizer

from smallscale.core.validation import as_array, require, whole_number

# a_k for one token to five: the best of a coarse grid on modules of the standard
# library that none of the six authors wrote.
CONCENTRATION = (4.0, 64.0, 32.0, 16.0, 8.0)
ORDER = len(CONCENTRATION)

Documents = Sequence[np.ndarray]  # the tokens (length,) of each


@dataclass(frozen=True)
class Counts:
    """What each author's documents say about T tokens.

    hits: (authors, order, T), how often the author has the last k - 1 tokens and then
    this one. seen: (authors, order, T), how often the author has the last k - 1 tokens
    and then any. vocabulary: how many tokens there are.
    """

    hits: np.ndarray
    seen: np.ndarray
    vocabulary: int

    def __len__(self) -> int:
        return len(self.hits)

    def select(self, authors: Any = slice(None), tokens: Any = slice(None)) -> "Counts":
        """Return the counts of some authors and tokens: slices, or positions."""
        hits = self.hits[authors][..., tokens]
        seen = self.seen[authors][..., tokens]
        return Counts(hits, seen, self.vocabulary)


def log_likelihood(
    counts: Counts, weights: Any, concentration: Sequence[float] = CONCENTRATION
) -> np.ndarray:
    """Return ln p of every token for m models, (m, T), by Dirichlet back-off:
        p_k(w | c) = (count(c w) + a_k p_{k-1}(w | c)) / (count(c) + a_k)
    with p_0 = 1 / vocabulary, and as many orders k as there are concentrations a_k.

    MacKay and Peto 1995.

    weights: (m, authors), how often each model reads each author's text. A coalition's
    weights are 1 for its members and 0 for others; the empty coalition guesses
    uniformly.

    >>> one = Counts(np.array([[[3.0]]]), np.array([[[6.0]]]), vocabulary=2)
    >>> np.exp(log_likelihood(one, [[1]], concentration=[4.0]))  # (3 + 4 / 2) / (6 + 4)
    array([[0.5]])
    """
    weights = as_array("weights", weights, dtype=float)
    tokens = counts.hits.shape[2]
    p = np.full((len(weights), tokens), 1 / counts.vocabulary)  # p_0: (m, T)
    for k, a in enumerate(concentration):
        count_cw = weights @ counts.hits[:, k]  # of the context and then the token
        count_c = weights @ counts.seen[:, k]  # of the context and then any
        p = (count_cw + a * p) / (count_c + a)
    return np.asarray(np.log(p))


def count_ngrams(
    libraries: Sequence[Documents], windows: np.ndarray, prompt: int, vocabulary: int
) -> Counts:
    """Return what each author's documents say about the tokens after the prompts.

    libraries: each author's documents. windows: (n, length) tokens, of which the first
    `prompt` are given; T = n * (length - prompt).
    prompt: at least ORDER - 1, so that every token has its context.
    Raises ValueError for a prompt that is too short, or leaves nothing to predict.
    """
    length = windows.shape[1]
    require(
        ORDER - 1 <= prompt < length,
        f"prompt must lie in [{ORDER - 1}, {length - 1}]; got {prompt}",
    )
    shape = (len(libraries), ORDER, windows[:, prompt:].size)
    hits, seen = np.zeros(shape), np.zeros(shape)
    for i, documents in enumerate(libraries):
        for k, runs in enumerate(sorted_ngrams(documents, vocabulary)):
            run = ngram_keys(windows[:, prompt - k :], k + 1, vocabulary).ravel()
            hits[i, k] = count_between(runs, run, 1)
            # The runs with the same context are those that differ in the last digit.
            context = run // vocabulary * vocabulary
            seen[i, k] = count_between(runs, context, vocabulary)
    return Counts(hits, seen, vocabulary)


def sorted_ngrams(
    documents: Documents, vocabulary: int, order: int = ORDER
) -> list[np.ndarray]:
    """Return every run of k tokens, for k = 1 to `order`, as sorted numbers.

    A run is a whole number to the base `vocabulary`, so runs that begin alike stand
    together. Runs do not cross the documents' borders.
    Raises ValueError for a vocabulary whose runs do not fit into 63 bits.
    """
    require(
        vocabulary**order < 2**63,
        f"vocabulary must fit {order} times into 63 bits; got {vocabulary}",
    )
    ngrams = []
    for k in range(1, order + 1):
        runs = [np.zeros(0, np.int64)]
        for tokens in documents:
            if len(tokens) >= k:
                runs.append(ngram_keys(tokens, k, vocabulary))
        ngrams.append(np.sort(np.concatenate(runs)))
    return ngrams


def ngram_keys(tokens: np.ndarray, k: int, vocabulary: int) -> np.ndarray:
    """Return every run of k tokens along the last axis as a number to that base.

    (..., length) -> (..., length - k + 1). The run of no tokens is 0.

    >>> ngram_keys(np.array([1, 2, 3]), 2, vocabulary=10)
    array([12, 23])
    """
    runs = np.lib.stride_tricks.sliding_window_view(tokens, k, axis=-1)
    digits = np.arange(k - 1, -1, -1, dtype=np.int64)
    keys: np.ndarray = runs @ vocabulary**digits
    return keys


def count_between(runs: np.ndarray, low: np.ndarray, width: int) -> np.ndarray:
    """Return how many of the sorted runs lie in [low, low + width), for each of low."""
    below: np.ndarray = np.searchsorted(runs, low)
    return np.asarray(np.searchsorted(runs, low + width) - below)


def generate(
    documents: Documents,
    prompts: np.ndarray,
    length: int,
    vocabulary: int,
    *,
    seed: int = 0,
) -> np.ndarray:
    """Continue prompts (n, prompt) by `length` tokens of the documents' model.

    Returns (n, prompt + length). seed: of the tokens that are drawn.
    """
    ngrams = sorted_ngrams(documents, vocabulary)
    random = np.random.default_rng(seed)

    @lru_cache(64)  # the empty context comes back at every token, and is the dearest
    def followers(k: int, context: int) -> np.ndarray:
        """Return how often each token follows a context of k tokens, (vocabulary,)."""
        ends = [context * vocabulary, (context + 1) * vocabulary]
        first, last = np.searchsorted(ngrams[k], ends)
        return np.bincount(ngrams[k][first:last] % vocabulary, minlength=vocabulary)

    n, prompt = prompts.shape
    windows = np.concatenate([prompts, np.zeros((n, length), np.int64)], axis=1)
    for window in windows:
        for t in range(prompt, prompt + length):
            p = np.full(vocabulary, 1 / vocabulary)
            for k, a in enumerate(CONCENTRATION):
                context = int(ngram_keys(window[t - k : t], k, vocabulary)[0])
                count_cw = followers(k, context)
                p = (a * p + count_cw) / (count_cw.sum() + a)
            window[t] = random.choice(vocabulary, p=p / p.sum())
    return windows


def train_tokenizer(
    texts: Sequence[str], vocabulary: int = 1024
) -> ByteLevelBPETokenizer:
    """Return byte-pair encoding of bytes, trained on the texts.

    Every text can be encoded, and nothing in it is special.
    """
    tokenizer = ByteLevelBPETokenizer()
    tokenizer.train_from_iterator(
        texts, vocabulary, min_frequency=0, show_progress=False
    )
    return tokenizer


def encode(tokenizer: ByteLevelBPETokenizer, texts: Sequence[str]) -> list[np.ndarray]:
    """Return the tokens (length,) of each text."""
    encodings = tokenizer.encode_batch(list(texts))
    return [np.array(encoding.ids, dtype=np.int64) for encoding in encodings]


def draw_windows(
    documents: Documents, n: int, length: int, *, seed: int = 0
) -> np.ndarray:
    """Return n pieces at random places of each document in turn, (n, length).

    Raises ValueError where no document is that long.
    """
    n = whole_number("n", n)
    long_enough = [tokens for tokens in documents if len(tokens) >= length]
    require(
        long_enough,
        f"documents must hold one of at least {length} tokens to draw from; "
        "add longer ones",
    )
    random = np.random.default_rng(seed)
    order = random.permutation(len(long_enough))
    pieces = []
    for k in np.resize(order, n):
        tokens = long_enough[k]
        start = random.integers(len(tokens) - length + 1)
        pieces.append(tokens[start : start + length])
    return np.stack(pieces)
