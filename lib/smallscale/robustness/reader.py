"""How does a machine read? A small transformer that points at the first and the last word of the answer.

Extractive question answering as SQuAD poses it (Rajpurkar et al. 2016): of all spans of the passage, the one with
the highest start score plus end score. The reader is trained from scratch: question and passage go in as one
sequence, words it has not met are known by their letters and their shape, and each word of the passage says
whether the question has it too, as in DrQA (Chen et al. 2017).
"""

import math
import re
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from tqdm.auto import tqdm

from smallscale.models import seeded
from smallscale.robustness.squad import Dataset, gold_texts, paragraphs
from smallscale.training import eval_mode

PAD, UNKNOWN, SEPARATOR = 0, 1, 2  # the first word numbers
BUCKETS = 4096  # for pieces of three letters
FARTHEST = 24  # words apart, beyond which distance no longer matters
RARE = 5  # a word seen less often is known by its letters only
TOKENS = 16_000  # in one batch at most, so that long passages take no more memory than many short ones
WORD = re.compile(r"\w+|[^\w\s]")
MARKS = 9


@dataclass(frozen=True)
class Reading:
    """What the reader made of one question.

    answer: a piece of the passage; spans: (n,) where each of the passage's n words begins and ends in it;
    start, end: (n,) the probability of each word to be the answer's first, and to be its last.
    """

    answer: str
    spans: list[tuple[int, int]]
    start: Tensor
    end: Tensor


@dataclass(frozen=True)
class Example:
    """Question, separator and passage as numbers: words (n,), pieces (n, letters), marks (n, MARKS)."""

    words: list[int]
    pieces: list[list[int]]
    marks: list[list[float]]
    offset: int  # the passage begins here
    spans: list[tuple[int, int]]


class Layer(nn.Module):
    """A transformer layer, (batch, n, width) -> (batch, n, width), normalised before each half (Xiong et al. 2020)."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.before = nn.ModuleList([nn.LayerNorm(width), nn.LayerNorm(width)])
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.feed = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))
        # How much a word looks d places to its right, a number per head: relative position as a bias (Raffel et al. 2020).
        # The heads start out looking left, right, around and everywhere: from zeros that takes them most of the training.
        away = torch.arange(-FARTHEST, FARTHEST + 1.0)
        starts = [-(away + 1).abs(), -(away - 1).abs(), -away.abs() / 4, 0 * away]
        self.near = nn.Parameter(torch.stack([starts[head % 4] for head in range(heads)]))

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """mask: (batch, 1, 1, n), 0 for words and -inf for padding."""
        b, n, width = x.shape
        q, k, v = self.qkv(self.before[0](x)).view(b, n, 3, self.heads, -1).permute(2, 0, 3, 1, 4)  # (b, heads, n, d)
        places = torch.arange(n, device=x.device)
        apart = (places - places[:, None]).clamp(-FARTHEST, FARTHEST) + FARTHEST  # (n, n)
        seen = F.scaled_dot_product_attention(q, k, v, attn_mask=self.near[:, apart] + mask)  # (b, heads, n, d)
        x = x + self.out(seen.transpose(1, 2).reshape(b, n, width))
        return x + self.feed(self.before[1](x))


class Network(nn.Module):
    """Words (batch, n), pieces (batch, n, letters), marks (batch, n, MARKS) -> scores (batch, n, 2), start and end."""

    def __init__(self, vocabulary: int, *, width: int, layers: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.words = nn.Embedding(vocabulary, width, padding_idx=PAD)
        self.pieces = nn.EmbeddingBag(BUCKETS, width, padding_idx=PAD)
        self.marks = nn.Linear(MARKS, width)
        self.layers = nn.ModuleList([Layer(width, heads) for _ in range(layers)])
        self.norm = nn.LayerNorm(width)
        self.dropout = nn.Dropout(dropout)
        self.score = nn.Linear(width, 2)

    def forward(self, words: Tensor, pieces: Tensor, marks: Tensor) -> Tensor:
        x = self.words(words) + self.pieces(pieces.flatten(0, 1)).unflatten(0, words.shape) + self.marks(marks)
        mask = torch.zeros_like(words, dtype=x.dtype).masked_fill(words == PAD, -torch.inf)[:, None, None]
        for layer in self.layers:
            x = layer(self.dropout(x), mask)
        return self.score(self.norm(x))


class Reader:
    """A trained reader: `answer` for a dataset, `read` for one passage and question."""

    def __init__(self, network: Network, vocabulary: dict[str, int], idf: dict[str, float], longest: int) -> None:
        self.network, self.vocabulary, self.idf, self.longest = network, vocabulary, idf, longest

    def answer(self, dataset: Mapping[str, Any]) -> dict[str, str]:
        """The answer's text by question id, for every question of a dataset. It always answers."""
        asked = [(qa["id"], p["context"], qa["question"]) for p in paragraphs(dataset) for qa in p["qas"]]
        examples = [self.encode(context, question) for _, context, question in asked]
        answers = {}
        with eval_mode(self.network), torch.no_grad():
            for batch in batches(examples, range(len(examples)), 256):
                scores = self.network(*collate([examples[i] for i in batch]))
                for i, row in zip(batch, scores, strict=True):
                    id_, context, _ = asked[i]
                    answers[id_] = self._best(examples[i], row, context)
        return answers

    def read(self, passage: str, question: str) -> Reading:
        """One passage and question, with the probability of every word to begin and to end the answer."""
        example = self.encode(passage, question)
        with eval_mode(self.network), torch.no_grad():
            row = self.network(*collate([example]))[0]
        start, end = row[example.offset : example.offset + len(example.spans)].softmax(0).T
        return Reading(self._best(example, row, passage), example.spans, start, end)

    def _best(self, example: Example, row: Tensor, passage: str) -> str:
        """The span of at most `longest` words with the highest start score plus end score."""
        if not example.spans:
            return ""
        start, end = row[example.offset : example.offset + len(example.spans)].T  # (n,) each
        both = (start[:, None] + end).triu().tril(self.longest - 1)
        allowed = torch.ones_like(both, dtype=torch.bool).triu().tril(self.longest - 1)
        best = int(both.masked_fill(~allowed, -torch.inf).argmax())
        first, last = divmod(best, len(example.spans))
        return passage[example.spans[first][0] : example.spans[last][1]]

    def encode(self, passage: str, question: str) -> Example:
        asked, told = WORD.findall(question), [(m.group(), m.span()) for m in WORD.finditer(passage)]
        texts = [*asked, "", *(text for text, _ in told)]
        offset = len(asked) + 1
        sides = [[text.lower() for text in side] for side in (asked, texts[offset:])]
        known = [(set(side), {stem(word) for word in side}) for side in sides]
        words, pieces, marks = [], [], []
        for i, text in enumerate(texts):
            lower = text.lower()
            words.append(self.vocabulary.get(lower, UNKNOWN) if i != offset - 1 else SEPARATOR)
            pieces.append(letters(lower))
            exact, stems = known[0] if i >= offset else known[1]
            both, weight = lower in exact, self.idf.get(lower, self.idf[""])
            marks.append([float(i >= offset), both, stem(lower) in stems, both * weight, *shape(text)])
        return Example(words, pieces, marks, offset, [span for _, span in told])


def train_reader(
    dataset: Mapping[str, Any],
    *,
    seed: int = 0,
    epochs: int = 3,
    width: int = 64,
    layers: int = 2,
    lr: float = 4e-3,
    dropout: float = 0.0,
    batch_size: int = 32,
    progress: str = "",
) -> Reader:
    asked = [(p["context"], qa) for p in paragraphs(dataset) for qa in p["qas"] if qa["answers"]]
    if not asked:
        raise ValueError("dataset has no question with an answer, so there is nothing to learn from")
    counts: Counter[str] = Counter()
    documents: Counter[str] = Counter()
    contexts = {context for context, _ in asked}
    for text in [*sorted(contexts), *(qa["question"] for _, qa in asked)]:
        here = [word.lower() for word in WORD.findall(text)]
        counts.update(here)
        documents.update(set(here))
    total = len(contexts) + len(asked)
    vocabulary = {word: i + 3 for i, word in enumerate(sorted(w for w, n in counts.items() if n >= RARE))}
    idf = {word: math.log(total / n) / math.log(total) for word, n in documents.items()} | {"": 1.0}
    with seeded(seed):
        network = Network(len(vocabulary) + 3, width=width, layers=layers, heads=4, dropout=dropout)
        reader = Reader(network, vocabulary, idf, 1)
        examples, targets = [], []
        for context, qa in asked:
            example = reader.encode(context, qa["question"])
            begin = qa["answers"][0]["answer_start"]
            stop = begin + len(qa["answers"][0]["text"])
            inside = [i for i, (a, b) in enumerate(example.spans) if a < stop and b > begin]
            if inside:
                examples.append(example)
                targets.append((example.offset + inside[0], example.offset + inside[-1]))
        reader.longest = max(last - first + 1 for first, last in targets)
        goal = torch.tensor(targets)
        optimizer = torch.optim.AdamW(network.parameters(), lr=lr, weight_decay=0.01)
        plan = [b for _ in range(epochs) for b in shuffled(examples, batch_size)]
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, lr, total_steps=len(plan), pct_start=0.1)
        network.train()
        for batch in tqdm(plan, desc=progress, leave=False, disable=not progress):
            words, pieces, marks = collate([examples[i] for i in batch])
            scores = network(words, pieces, marks)  # (batch, n, 2)
            outside = (marks[..., 0] == 0) | (words == PAD)
            scores = scores.masked_fill(outside[..., None], -1e4)
            loss = F.cross_entropy(scores, goal[batch])  # over the n words; targets (batch, 2)
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimizer.step()
            schedule.step()
    network.eval()
    return reader


def shuffled(examples: Sequence[Example], batch_size: int) -> list[list[int]]:
    """Batches in random order, each of examples of about one length."""
    order = torch.randperm(len(examples)).tolist()
    noisy = sorted(order, key=lambda i: len(examples[i].words) // 8)
    cut = list(batches(examples, noisy, batch_size))
    return [cut[i] for i in torch.randperm(len(cut)).tolist()]


def batches(examples, order, size) -> Iterator[list[int]]:
    batch: list[int] = []
    longest = 0
    for i in order:
        longest = max(longest, len(examples[i].words))
        if batch and (len(batch) == size or longest * (len(batch) + 1) > TOKENS):
            yield batch
            batch, longest = [], len(examples[i].words)
        batch.append(i)
    if batch:
        yield batch


def collate(examples):
    n = max(len(e.words) for e in examples)
    p = max(len(x) for e in examples for x in e.pieces)
    words = torch.tensor([e.words + [PAD] * (n - len(e.words)) for e in examples])
    pieces = torch.tensor(
        [[x + [PAD] * (p - len(x)) for x in e.pieces] + [[PAD] * p] * (n - len(e.words)) for e in examples]
    )
    marks = torch.tensor([e.marks + [[0.0] * MARKS] * (n - len(e.words)) for e in examples], dtype=torch.float)
    return words, pieces, marks


@lru_cache(maxsize=100_000)
def letters(word: str) -> list[int]:
    padded = f"^{word}$"
    return [zlib.crc32(padded[i : i + 3].encode()) % (BUCKETS - 1) + 1 for i in range(min(len(padded) - 2, 14))] or [1]


def stem(word: str) -> str:
    return word[:5] if len(word) > 5 else word.removesuffix("s")


@lru_cache(maxsize=100_000)
def shape(text: str) -> tuple[float, ...]:
    return (
        float(text[:1].isupper()),
        float(text.isdigit()),
        float(len(text) == 4 and text.isdigit()),
        float(not text.isalnum()),
        float(text.isupper() and len(text) > 1),
    )
