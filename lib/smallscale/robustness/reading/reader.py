"""Can a small network answer questions about a passage? A reader trained from scratch.

For each word of the passage it says how likely the answer starts there, and how likely
it ends there (Chen et al. 2017, section 3.2; BERT's question-answering head does the
same).
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from threading import Lock
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from smallscale.core.devices import threads
from smallscale.core.modes import eval_mode
from smallscale.core.progress import ProgressBar
from smallscale.core.seeds import seeded
from smallscale.core.validation import one_of, require, whole_number
from smallscale.robustness.reading.dataset import Dataset, all_text, asked
from smallscale.robustness.reading.encoders import (
    PASSAGE,
    QUESTION,
    WIDTH,
    GRUEncoder,
    TransformerEncoder,
)
from smallscale.robustness.reading.readings import Pair, Reading
from smallscale.robustness.reading.side_by_side import side_by_side
from smallscale.robustness.reading.words import (
    TRIGRAM_HASHES,
    WORD_FEATURES,
    trigram_ids,
    word_features,
    word_places,
    words_of,
)
from smallscale.training.optimizers import make_optimizer, warmup_cosine

ENCODERS: Mapping[str, Callable[[], nn.Module]] = {
    "transformer": TransformerEncoder,
    "gru": GRUEncoder,
}
LEAST_TEXTS = (
    3  # passages and questions with a word, before it gets a vector of its own
)
LEARNING_RATE = 8e-3  # of 3e-3, 5e-3 and 8e-3 the best on passages not reported on
LARGEST_GRADIENT = 1.0  # in length; a longer one is cut to it
BATCH_SIZE = 16  # pairs in a step of training
BATCHES_SORTED_TOGETHER = 20  # by length, so that a batch needs little padding
# Initial weights come from torch's one generator, which two threads may not share.
_INITIAL_WEIGHTS = Lock()


class TokenizedPair(NamedTuple):
    """What the reader sees of one pair: the question's words, then the passage's.

    features: (words, WORD_FEATURES). sides: (words,) of QUESTION and PASSAGE.
    """

    words: list[str]
    features: Tensor
    sides: Tensor


class Batch(NamedTuple):
    """Several pairs as tensors, padded to the longest.

    Each distinct word is looked up once, wherever it stands.

    word_ids: (distinct,) each distinct word's place in the vocabulary, 0 for unknown.
    trigrams: (trigrams,) the distinct words' trigram hashes, one word after the other.
    trigram_starts: (distinct,) where in `trigrams` each distinct word's begin.
    distinct: (pairs, words) which distinct word stands here.
    features: (pairs, words, WORD_FEATURES).
    sides: (pairs, words) of PADDING, QUESTION and PASSAGE.
    """

    word_ids: Tensor
    trigrams: Tensor
    trigram_starts: Tensor
    distinct: Tensor
    features: Tensor
    sides: Tensor


class Example(NamedTuple):
    """A pair to learn from. span: the answer's first and last word in the passage."""

    pair: TokenizedPair
    span: list[int]


class Reader(nn.Module):
    """A small network that marks the answer to a question in a passage.

    vocabulary: the words that get a vector of their own, with how rare each is, as
    `vocabulary_of` returns them. encoder: transformer, two layers with a bias for the
    distance between words (Shaw et al. 2018), or gru, one layer in both directions.
    seed: of the initial weights.
    Raises ValueError for an unknown encoder.
    """

    def __init__(
        self,
        vocabulary: Mapping[str, float],
        *,
        encoder: str = "transformer",
        seed: int = 0,
    ) -> None:
        super().__init__()
        make_encoder = ENCODERS[one_of("encoder", encoder, ENCODERS)]
        self.word_ids = {word: i for i, word in enumerate(vocabulary, 1)}  # 0: unknown
        self.rarity = dict(vocabulary)
        self.rarest = max(vocabulary.values(), default=1.0)
        with seeded(seed):
            self.word_vectors = nn.Embedding(len(self.word_ids) + 1, WIDTH)
            self.letter_vectors = nn.EmbeddingBag(TRIGRAM_HASHES, WIDTH, mode="mean")
            self.feature_vectors = nn.Linear(WORD_FEATURES, WIDTH)
            self.encode = make_encoder()
            self.importance = nn.Linear(WIDTH, 1)  # of a word of the question
            self.sought = nn.Linear(WIDTH, 2 * WIDTH)  # at the start, at the end
            nn.init.normal_(self.word_vectors.weight, std=0.3)
            nn.init.normal_(self.letter_vectors.weight, std=0.6)

    def forward(self, batch: Batch) -> Tensor:
        """Return (pairs, words, 2), the logits that an answer starts or ends at a word:
            q = sum_j b_j h_j,  b = softmax_j(w · h_j) over the question's words j
            logit_start(i) = h_i · W_s q,  logit_end(i) = h_i · W_e q
        h are the encoded words. A word off the passage gets -inf.

        After Chen et al. 2017, section 3.2, where the two products are p_i W_s q and
        p_i W_e q.
        """
        letters = self.letter_vectors(batch.trigrams, batch.trigram_starts)
        vectors = self.word_vectors(batch.word_ids) + letters  # (distinct, width)
        x = vectors[batch.distinct] + self.feature_vectors(batch.features)
        h = self.encode(x, batch.sides)  # (pairs, words, width)

        scores = self.importance(h).squeeze(2)  # w · h_j, (pairs, words)
        b = scores.masked_fill(batch.sides != QUESTION, -torch.inf).softmax(1)
        q = torch.einsum("pj,pjw->pw", b, h)  # (pairs, width)

        # W_s q and W_e q, (pairs, 2, width)
        sought = self.sought(q).view(len(q), 2, -1)
        logits = torch.einsum("piw,psw->pis", h, sought)  # (pairs, words, 2)
        off_passage = (batch.sides != PASSAGE).unsqueeze(2)  # (pairs, words, 1)
        return logits.masked_fill(off_passage, -torch.inf)

    def read(self, pairs: Sequence[Pair]) -> list[Reading]:
        """Return a Reading for each (passage, question)."""
        with eval_mode(self), torch.no_grad(), threads(1):
            batch = self.collate([self.tokenize(pair) for pair in pairs])
            log_probabilities = self(batch).log_softmax(1)  # (pairs, words, 2)
        readings = []
        for i, (passage, _) in enumerate(pairs):
            ours = log_probabilities[i, batch.sides[i] == PASSAGE]
            starts, ends = ours.numpy().astype(np.float64).T
            readings.append(Reading(passage, word_places(passage), starts, ends))
        return readings

    def tokenize(self, pair: Pair) -> TokenizedPair:
        """Return what the reader sees of a (passage, question)."""
        passage, question = pair
        told = words_of(passage)
        wanted = words_of(question) or ["?"]  # a blank question still asks
        features = [
            word_features(wanted, told, self.rarity, self.rarest),
            word_features(told, wanted, self.rarity, self.rarest),
        ]
        sides = torch.tensor([QUESTION] * len(wanted) + [PASSAGE] * len(told))
        stacked = torch.from_numpy(np.concatenate(features))
        return TokenizedPair(wanted + told, stacked, sides)

    def collate(self, pairs: Sequence[TokenizedPair]) -> Batch:
        """Return the pairs as one batch for `forward`."""
        number: dict[str, int] = {}  # of each distinct word, in order of appearance
        for pair in pairs:
            for word in pair.words:
                number.setdefault(word, len(number))
        distinct = [torch.tensor([number[word] for word in p.words]) for p in pairs]
        word_ids = [self.word_ids.get(word.lower(), 0) for word in number]
        trigrams: list[int] = []
        trigram_starts = []
        for word in number:
            trigram_starts.append(len(trigrams))
            trigrams += trigram_ids(word)
        return Batch(
            word_ids=torch.tensor(word_ids),
            trigrams=torch.tensor(trigrams),
            trigram_starts=torch.tensor(trigram_starts),
            distinct=pad_sequence(distinct, batch_first=True),
            features=pad_sequence([p.features for p in pairs], batch_first=True),
            sides=pad_sequence([p.sides for p in pairs], batch_first=True),
        )


def vocabulary_of(dataset: Dataset) -> dict[str, float]:
    """Return the words in at least three passages and questions, with their rarity.

    The rarity of a word is log(texts / texts with the word).
    """
    texts = list(all_text(dataset))
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update({word.lower() for word in words_of(text)})
    return {
        word: float(np.log(len(texts) / count))
        for word, count in sorted(counts.items())
        if count >= LEAST_TEXTS
    }


def train_reader(
    dataset: Dataset,
    *,
    encoder: str = "transformer",
    epochs: int = 5,
    steps: int | None = None,
    seed: int = 0,
    progress: str = "",
) -> Reader:
    """Return a Reader trained from scratch on the dataset's answerable questions.

    The loss is the mean cross-entropy of the first and the last word of the first gold
    answer. Adam, the rate rising over the first tenth and falling along half a cosine.

    epochs: how often each question is met. steps: if given, the batches of training
    instead, however many questions there are, so that readers of different datasets
    can be given the same budget.
    seed: of weights and order; the same seed gives the same reader. progress: what to
    call a bar of the steps; empty: no bar.
    Raises ValueError for epochs or steps below 1, an unknown encoder, and a dataset
    without answers.
    """
    epochs = whole_number("epochs", epochs)
    if steps is not None:
        steps = whole_number("steps", steps)
    with _INITIAL_WEIGHTS:
        reader = Reader(vocabulary_of(dataset), encoder=encoder, seed=seed)
    examples = _examples(reader, dataset)
    require(examples, "dataset has no question with an answer to learn from")
    if steps is None:
        batches = -(-len(examples) // BATCH_SIZE)  # in an epoch, rounded up
        steps = epochs * batches
    optimizer = make_optimizer(
        "adam", reader.parameters(), lr=LEARNING_RATE, betas=(0.9, 0.98)
    )
    schedule = warmup_cosine(optimizer, steps)
    rng = np.random.default_rng(seed)
    bar = ProgressBar(total=steps, desc=progress, unit="batch")
    with threads(1), bar:
        for part in islice(_endless_batches(examples, rng), steps):
            optimizer.zero_grad()
            loss = _span_loss(reader, part)
            torch.autograd.backward(loss)
            nn.utils.clip_grad_norm_(reader.parameters(), LARGEST_GRADIENT)
            optimizer.step()
            schedule.step()
            bar.update()
    return reader.eval()


def train_readers(
    datasets: Mapping[tuple[str, int], Dataset],
    *,
    steps: int,
    encoder: str = "transformer",
    progress: str = "",
) -> dict[tuple[str, int], Reader]:
    """Return a reader for each dataset, all trained for equally many steps.

    Two are trained at a time, each on one thread; each is the reader that
    `train_reader` returns.

    datasets: by kind of reader and seed. steps: the batches that each is trained on.
    progress: what to call a bar of the readers; empty: no bar.
    Raises ValueError as `train_reader` does.
    """

    def trained(key: tuple[str, int]) -> Reader:
        return train_reader(datasets[key], encoder=encoder, steps=steps, seed=key[1])

    bar = ProgressBar(total=len(datasets), desc=progress, unit="reader")
    readers = {}
    with bar:
        results = side_by_side(trained, datasets)
        for key, reader in zip(datasets, results, strict=True):
            readers[key] = reader
            bar.update()
    return readers


def _endless_batches(
    examples: Sequence[Example], rng: np.random.Generator
) -> Iterator[list[Example]]:
    """Yield batches, epoch after epoch, each epoch in an order of its own."""
    while True:
        yield from _batches(examples, rng)


def _span_loss(reader: Reader, examples: Sequence[Example]) -> Tensor:
    """Return the mean cross-entropy of the answers' first and last words."""
    batch = reader.collate([example.pair for example in examples])
    spans = torch.tensor([example.span for example in examples])  # (pairs, 2)
    # The question stands before the passage, so the passage's words move along.
    shift = (batch.sides == QUESTION).sum(1, keepdim=True)  # (pairs, 1)
    logits: Tensor = reader(batch)  # (pairs, words, 2)
    return F.cross_entropy(logits, spans + shift)


def _examples(reader: Reader, dataset: Dataset) -> list[Example]:
    """Return the dataset's pairs with the place of their first gold answer."""
    examples = []
    for context, qa in asked(dataset):
        for answer in qa["answers"][:1]:
            starts, ends = word_places(context).T
            first_character = answer["answer_start"]
            end = first_character + len(answer["text"])
            covered = np.flatnonzero((ends > first_character) & (starts < end))
            if len(covered) > 0 and answer["text"].strip():
                pair = reader.tokenize(Pair(context, qa["question"]))
                span = [int(covered[0]), int(covered[-1])]
                examples.append(Example(pair, span))
    return examples


def _batches(
    examples: Sequence[Example], rng: np.random.Generator
) -> list[list[Example]]:
    """Return the examples in batches of pairs alike in length, drawn anew each time."""
    shuffled = [examples[i] for i in rng.permutation(len(examples))]
    size = BATCHES_SORTED_TOGETHER * BATCH_SIZE
    parts = []
    for start in range(0, len(shuffled), size):
        chunk = shuffled[start : start + size]
        chunk.sort(key=lambda example: len(example.pair.words))
        for i in range(0, len(chunk), BATCH_SIZE):
            parts.append(chunk[i : i + BATCH_SIZE])
    return [parts[i] for i in rng.permutation(len(parts))]
