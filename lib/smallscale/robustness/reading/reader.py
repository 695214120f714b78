"""Can a small network answer questions about a passage? A reader trained from scratch, and what it believes.

A reader marks a span: for each word of the passage, how likely the answer starts there, and how likely it ends there
(Wang and Jiang 2017; BERT's question-answering head is the same). `Reader` is small and trained here; `HubReader` is
any transformers model with that head. Both read pairs of passage and question, and give a `Reading` for each.
"""

import re
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, Protocol

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence
from tqdm import tqdm

from smallscale.core.devices import threads
from smallscale.core.seeds import seeded
from smallscale.robustness.reading.squad import Dataset, all_text, asked, questions
from smallscale.training.evaluation import eval_mode

Pair = tuple[str, str]  # passage, question
Words = tuple[
    list[str], Tensor, Tensor
]  # the words, their features (words, f), which side each is on (words,)
TOKEN = re.compile(r"\w+|[^\w\s]")
BUCKETS = 4096  # for the hashes of three letters
NEAR = 12  # words; farther apart is one distance
BATCH, TRAIN_BATCH = 128, 32  # passages read at once
PADDING, QUESTION, PASSAGE = 0, 1, 2  # sides
FEATURES = 13  # of a word: six of its form, six of the other text, one of its rarity
STEM = 5  # letters
WIDTH = 64  # of a word's vector
LAYERS, HEADS = 2, 4  # of the transformer
LONGEST = 16  # words in an answer


@dataclass(frozen=True)
class Reading:
    """What a reader believes about one passage.

    places: (words, 2) where in the passage each word starts and ends, in characters; starts, ends: (words,) the
    log-probabilities that the answer's first and last word is this one.
    """

    passage: str
    places: np.ndarray
    starts: np.ndarray
    ends: np.ndarray

    @cached_property
    def spans(self) -> np.ndarray:
        """(words, words): the probability of each span by its first and last word, 0 for what is too long."""
        allowed = np.triu(np.tri(len(self.places), k=LONGEST - 1, dtype=bool))
        scores = np.where(allowed, self.starts[:, None] + self.ends, -np.inf)
        weights = np.exp(scores - scores.max(initial=-np.inf))
        return weights / weights.sum()

    def best(self, k: int = 1) -> list[tuple[str, float]]:
        """The k likeliest answers with their probabilities, the likeliest first; none in a passage without words."""
        likeliest = np.argsort(-self.spans, axis=None, kind="stable")[:k]
        pairs = zip(*np.unravel_index(likeliest, self.spans.shape), strict=True)
        return [
            (
                self.passage[self.places[i, 0] : self.places[j, 1]],
                float(self.spans[i, j]),
            )
            for i, j in pairs
        ]

    @property
    def answer(self) -> str:
        """The likeliest answer; "" in a passage without words."""
        return next((text for text, _ in self.best()), "")


class Reads(Protocol):
    """What answers questions: a Reader, a HubReader, or anything else with this method."""

    def read(self, pairs: Sequence[Pair]) -> list[Reading]: ...


def answers(reader: Reads, dataset: Dataset) -> dict[str, str]:
    """The likeliest answer to every question, by id, as `score_squad` takes them. Passages are never cut."""
    pairs = sorted(
        asked(dataset), key=lambda pair: len(pair[0])
    )  # alike in length: little padding
    found: dict[str, str] = {}
    for at in range(0, len(pairs), BATCH):
        part = pairs[at : at + BATCH]
        readings = reader.read([(context, qa["question"]) for context, qa in part])
        found |= {
            qa["id"]: reading.answer
            for (_, qa), reading in zip(part, readings, strict=True)
        }
    return {qa["id"]: found[qa["id"]] for qa in questions(dataset)}


class Recurrence(nn.Module):
    """A gated recurrent unit (Cho et al. 2014) over question and passage, in both directions."""

    def __init__(self) -> None:
        super().__init__()
        self.gru = nn.GRU(WIDTH, WIDTH, batch_first=True, bidirectional=True)
        self.out = nn.Linear(2 * WIDTH, WIDTH)

    def forward(self, x: Tensor, side: Tensor) -> Tensor:
        lengths = (side != PADDING).sum(1)
        packed = nn.utils.rnn.pack_padded_sequence(
            x, lengths, batch_first=True, enforce_sorted=False
        )
        seen = nn.utils.rnn.pad_packed_sequence(
            self.gru(packed)[0], batch_first=True, total_length=x.shape[1]
        )[0]
        return x + self.out(seen).relu()


class Attention(nn.Module):
    """Two pre-norm transformer layers, four heads; a learned bias for the distance of two words, one across texts."""

    def __init__(self) -> None:
        super().__init__()
        far = torch.cat([torch.arange(-NEAR, NEAR + 1).abs(), torch.zeros(1)])
        slopes = 2.0 ** -torch.arange(
            HEADS
        )  # some heads start near-sighted (Press et al. 2022)
        self.bias = nn.Parameter((-slopes[:, None] * far).repeat(LAYERS, 1, 1))
        self.qkv = nn.ModuleList(nn.Linear(WIDTH, 3 * WIDTH) for _ in range(LAYERS))
        self.out = nn.ModuleList(nn.Linear(WIDTH, WIDTH) for _ in range(LAYERS))
        self.up = nn.ModuleList(nn.Linear(WIDTH, 2 * WIDTH) for _ in range(LAYERS))
        self.down = nn.ModuleList(nn.Linear(2 * WIDTH, WIDTH) for _ in range(LAYERS))
        self.norm = nn.ModuleList(nn.LayerNorm(WIDTH) for _ in range(2 * LAYERS + 1))

    def forward(self, x: Tensor, side: Tensor) -> Tensor:
        b, n, width = x.shape
        at = torch.arange(n, device=x.device)
        distance = (at[None, :] - at[:, None]).clamp(-NEAR, NEAR) + NEAR  # (n, n)
        apart = (side[:, :, None] != side[:, None, :])[
            :, None
        ]  # (b, 1, n, n): one in the question, one in the passage
        hidden = (side == PADDING)[:, None, None, :]  # (b, 1, 1, n)
        for k, bias in enumerate(self.bias):
            mask = torch.where(
                apart, bias[:, -1, None, None], bias[:, distance]
            )  # (b, heads, n, n)
            mask = mask.masked_fill(hidden, -torch.inf)
            q, key, value = (
                self.qkv[k](self.norm[2 * k](x))
                .view(b, n, 3, HEADS, -1)
                .permute(2, 0, 3, 1, 4)
            )
            seen = F.scaled_dot_product_attention(
                q, key, value, attn_mask=mask
            )  # (b, heads, n, width / heads)
            x = x + self.out[k](seen.transpose(1, 2).reshape(b, n, width))
            x = x + self.down[k](F.gelu(self.up[k](self.norm[2 * k + 1](x))))
        return self.norm[-1](x)


ENCODERS = {"transformer": Attention, "gru": Recurrence}


class Reader(nn.Module):
    """A small reader: words by letters, by form and by whether the question has them too; then one encoder over both.

    vocabulary: the words that get a vector of their own, with how rare each is, as `vocabulary_of` returns them.
    encoder: transformer, two layers with a bias for the distance between words (Shaw et al. 2018), or gru, one layer in
    both directions. seed: of the initial weights.
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
        if encoder not in ENCODERS:
            raise ValueError(
                f"encoder must be one of {', '.join(ENCODERS)}; got {encoder!r}"
            )
        self.words = {word: i for i, word in enumerate(vocabulary, 1)}  # 0: unknown
        self.rarity = dict(vocabulary)
        self.rarest = max(vocabulary.values(), default=1.0)
        with seeded(seed):
            self.word = nn.Embedding(len(self.words) + 1, WIDTH)
            self.letters = nn.EmbeddingBag(BUCKETS, WIDTH, mode="mean")
            self.form = nn.Linear(FEATURES, WIDTH)
            self.encode = ENCODERS[encoder]()
            self.ask = nn.Linear(WIDTH, 1)  # how much each word of the question counts
            self.seek = nn.Linear(
                WIDTH, 2 * WIDTH
            )  # what the question seeks: at the start, at the end
            nn.init.normal_(self.word.weight, std=0.3)
            nn.init.normal_(self.letters.weight, std=0.6)

    def forward(
        self,
        known: Tensor,
        grams: Tensor,
        offsets: Tensor,
        which: Tensor,
        features: Tensor,
        side: Tensor,
    ) -> Tensor:
        """(pairs, words, 2): the logits that an answer starts and ends at a word; -inf off the passage."""
        kinds = self.word(known) + self.letters(
            grams, offsets
        )  # (different words, width)
        x = kinds[which] + self.form(features)  # (pairs, words, width)
        seen = self.encode(x, side)
        weight = (
            self.ask(seen)
            .squeeze(2)
            .masked_fill(side != QUESTION, -torch.inf)
            .softmax(1)
        )
        sought = self.seek(torch.einsum("bn,bnw->bw", weight, seen)).view(
            len(x), 2, -1
        )  # (pairs, 2, width)
        logits = torch.einsum("bnw,bsw->bns", seen, sought)
        return logits.masked_fill((side != PASSAGE).unsqueeze(2), -torch.inf)

    def read(self, pairs: Sequence[Pair]) -> list[Reading]:
        """A Reading for each (passage, question)."""
        with eval_mode(self), torch.no_grad(), threads(1):
            *words, side = self.batch([self.words_of(pair) for pair in pairs])
            scores = (
                self(*words, side).log_softmax(1).numpy().astype(np.float64)
            )  # (pairs, words, 2)
        inside = (side == PASSAGE).numpy()
        return [
            Reading(passage, _places(passage), *scores[i, inside[i]].T)
            for i, (passage, _) in enumerate(pairs)
        ]

    def words_of(self, pair: Pair) -> Words:
        """What the reader sees of a (passage, question): the question's words, then the passage's."""
        asked, told = (
            TOKEN.findall(pair[1]) or ["?"],
            TOKEN.findall(pair[0]),
        )  # a blank question still asks
        features = np.concatenate(
            [self._features(asked, told), self._features(told, asked)]
        )
        side = torch.tensor([QUESTION] * len(asked) + [PASSAGE] * len(told))
        return asked + told, torch.from_numpy(features), side

    def batch(self, examples: Sequence[Words]) -> tuple[Tensor, ...]:
        """Examples as what `forward` takes; every different word is looked up once.

        known, grams, offsets: of the different words; which, side: (pairs, words); features: (pairs, words, f).
        """
        texts, features, sides = zip(*examples, strict=True)
        kinds: dict[str, int] = {}
        which = [
            torch.tensor([kinds.setdefault(word, len(kinds)) for word in words])
            for words in texts
        ]
        grams = [_grams(word) for word in kinds]
        return (
            torch.tensor([self.words.get(word.lower(), 0) for word in kinds]),
            torch.tensor([gram for each in grams for gram in each]),
            torch.from_numpy(np.cumsum([0, *map(len, grams)])[:-1]),
            *(
                pad_sequence(list(each), batch_first=True)
                for each in (which, features, sides)
            ),
        )

    def _features(self, words: list[str], others: list[str]) -> np.ndarray:
        """(words, FEATURES) of a text: each word's form, whether the other text has it, how rare it is."""
        same, low = set(others), {word.lower() for word in others}
        stems = {word[:STEM] for word in low}
        rows = np.zeros((len(words), FEATURES), dtype=np.float32)
        for row, word in zip(rows, words, strict=True):
            small = word.lower()
            shared = (word in same, small in low, small[:STEM] in stems)
            rare = self.rarity.get(small, self.rarest) / self.rarest
            row[:] = (*_form(word), *shared, *(rare * hit for hit in shared), rare)
        return rows


@lru_cache(maxsize=100_000)
def _form(word: str) -> tuple[bool, ...]:
    digits = sum(c.isdigit() for c in word)
    return (
        word[0].isupper(),
        word.isalpha(),
        digits > 0,
        digits == 4,
        not word[0].isalnum(),
        len(word) > 6,
    )


@lru_cache(maxsize=100_000)
def _grams(word: str) -> list[int]:
    """The hashes of the word's runs of three letters, its edges marked."""
    marked = f"<{word.lower()}>"
    return [
        zlib.crc32(marked[i : i + 3].encode()) % BUCKETS for i in range(len(marked) - 2)
    ] or [0]


def vocabulary_of(dataset: Dataset) -> dict[str, float]:
    """The words in at least three passages and questions, and how rare each is: log(texts / texts with the word)."""
    texts = list(all_text(dataset))
    counts = Counter(
        word for text in texts for word in {w.lower() for w in TOKEN.findall(text)}
    )
    return {
        word: float(np.log(len(texts) / n))
        for word, n in sorted(counts.items())
        if n >= 3
    }


def train_reader(
    dataset: Dataset,
    *,
    encoder: str = "transformer",
    epochs: int = 5,
    seed: int = 0,
    progress: str = "",
) -> Reader:
    """A Reader trained from scratch on the dataset's answerable questions, the first gold answer of each.

    The loss is the mean cross-entropy of the first and the last word. Adam, the rate rising over the first tenth and
    falling along half a cosine. seed: of weights and order; the same seed gives the same reader.
    Raises ValueError if no question has an answer, for an unknown encoder, and epochs below 1.
    """
    if epochs < 1:
        raise ValueError(f"epochs must be at least 1; got {epochs}")
    reader = Reader(vocabulary_of(dataset), encoder=encoder, seed=seed)
    examples = [(reader.words_of(pair), span) for pair, span in _examples(dataset)]
    if not examples:
        raise ValueError(
            "dataset has no question with an answer, so there is nothing to learn from"
        )
    optimizer = torch.optim.Adam(reader.parameters(), lr=3e-3, betas=(0.9, 0.98))
    steps = epochs * -(-len(examples) // TRAIN_BATCH)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer,
        lambda k: (
            min(1, (k + 1) / (0.1 * steps)) * (0.5 + 0.5 * np.cos(np.pi * k / steps))
        ),
    )
    rng = np.random.default_rng(seed)
    parts = (part for _ in range(epochs) for part in _batches(examples, rng))
    with threads(1):
        for part in tqdm(
            parts,
            total=steps,
            desc=progress,
            unit="batch",
            leave=False,
            disable=not progress,
        ):
            *words, side = reader.batch([words for words, _ in part])
            logits = reader(*words, side)  # (pairs, words, 2)
            shift = (side == QUESTION).sum(1, keepdim=True)
            target = torch.tensor([span for _, span in part]) + shift  # (pairs, 2)
            loss = F.cross_entropy(logits, target)
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(reader.parameters(), 1.0)
            optimizer.step()
            schedule.step()
    return reader.eval()


def _places(text: str) -> np.ndarray:
    """(words, 2): where each word starts and ends."""
    return np.array(
        [match.span() for match in TOKEN.finditer(text)], dtype=int
    ).reshape(-1, 2)


def _examples(dataset: Dataset) -> Iterator[tuple[Pair, list[int]]]:
    """The pairs, each with the first and last word of its answer in the passage."""
    for context, qa in asked(dataset):
        for answer in qa["answers"][:1]:
            start, places = answer["answer_start"], _places(context)
            inside = np.flatnonzero(
                (places[:, 1] > start) & (places[:, 0] < start + len(answer["text"]))
            )
            if len(inside) and answer["text"].strip():
                yield (context, qa["question"]), inside[[0, -1]].tolist()


def _batches(examples: list[Any], rng: np.random.Generator) -> list[list[Any]]:
    """The examples in batches of passages alike in length, anew each time."""
    shuffled = [examples[i] for i in rng.permutation(len(examples))]
    parts = []
    for at in range(0, len(shuffled), 20 * TRAIN_BATCH):
        chunk = sorted(
            shuffled[at : at + 20 * TRAIN_BATCH], key=lambda example: len(example[0][0])
        )
        parts += [chunk[i : i + TRAIN_BATCH] for i in range(0, len(chunk), TRAIN_BATCH)]
    return [parts[i] for i in rng.permutation(len(parts))]
