"""Which line of the training text made the model write this one? Lines of code.

The language model is small enough to be trained in seconds, a hundred at a time, so
that what a score says of a line can be compared with training without the line.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Generator, Tensor, nn

from smallscale.attribution.scores.gradients import cross_entropy
from smallscale.core.validation import require, whole_number
from smallscale.models.transformer import small_transformer

PADDING = 0  # the token after a line's end, which no loss counts
LINE_END = 1  # the token before a line's first word, and after its last one
FIRST_WORD = 2  # the token of the commonest word
WORDS = re.compile(r"\w+|[^\w\s]| +")


@dataclass(frozen=True)
class Lines:
    """Lines of text as tokens, each line an example of its own.

    texts: (n), the lines. sources: (n), the document of each. words: the vocabulary,
    the commonest first. longest: how many words a line may have. inputs, targets: (n,
    longest + 1) tokens; the target of each token is the next one.
    """

    texts: list[str]
    sources: list[str]
    words: list[str]
    longest: int
    inputs: Tensor
    targets: Tensor

    @property
    def vocabulary(self) -> int:
        """How many tokens there are: the words, a line's end, and padding."""
        return FIRST_WORD + len(self.words)


def code_lines(
    documents: Mapping[str, str],
    count: int,
    *,
    words: int = 64,
    longest: int = 14,
    seed: int = 0,
) -> Lines:
    """Return `count` different lines that use only the documents' commonest words.

    documents: name -> text. A word is a run of letters, digits and underscores, any
    other single character, or a run of blanks; a line's indentation is left out. Lines
    have 5 to `longest` words, and are drawn at random by seed, each with the first
    document that has it. Raises ValueError where there are fewer such lines.

    >>> lines = code_lines({"a.py": "x = x + x\\n"}, 1, words=4)
    >>> lines.texts, lines.sources, lines.words
    (['x = x + x'], ['a.py'], [' ', 'x', '=', '+'])
    """
    count = whole_number("count", count)
    first: dict[str, str] = {}  # line -> the first document that has it
    for name, text in documents.items():
        for line in text.splitlines():
            first.setdefault(line.strip(), name)
    common = Counter(word for line in first for word in WORDS.findall(line))
    known = [word for word, _ in common.most_common(words)]
    places = {word: FIRST_WORD + place for place, word in enumerate(known)}
    usable = []
    for line in first:
        parts = WORDS.findall(line)
        if 5 <= len(parts) <= longest and all(part in places for part in parts):
            usable.append(line)
    require(
        len(usable) >= count,
        f"count must be at most {len(usable)}, the lines that use only the {words} "
        f"commonest words; got {count}",
    )
    order = torch.randperm(len(usable), generator=Generator().manual_seed(seed))
    texts = [usable[place] for place in order[:count].tolist()]
    inputs, targets = _as_examples(texts, places, longest)
    sources = [first[text] for text in texts]
    return Lines(texts, sources, known, longest, inputs, targets)


class LineModel(nn.Module):
    """A small transformer that answers tokens (n, length) with logits of the next ones.

    One layer by default, without dropout. lines: say how many tokens there are, and how
    long a line is. seed: of the initial weights.
    """

    def __init__(
        self, lines: Lines, *, width: int = 32, layers: int = 1, seed: int = 0
    ) -> None:
        super().__init__()
        self.transformer = small_transformer(
            lines.vocabulary,
            length=lines.longest + 1,
            width=width,
            layers=layers,
            heads=2,
            seed=seed,
            attn_implementation="eager",  # torch.func takes no fused attention
            use_cache=False,
        )

    def forward(self, tokens: Tensor) -> Tensor:
        logits: Tensor = self.transformer(tokens).logits
        return logits


def line_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """Return the mean over a line's tokens of -log p(token), padding aside, (n,).

    logits: (n, length, vocabulary). targets: (n, length).

    >>> line_loss(torch.zeros(1, 3, 4), torch.tensor([[2, 1, 0]]))  # p = 1/4 each
    tensor([1.3863])
    """
    counts = targets != PADDING
    losses = cross_entropy(logits, targets) * counts
    return losses.sum(-1) / counts.sum(-1)


def written_lines(
    model: nn.Module, lines: Lines, starts: Iterable[str]
) -> tuple[list[str], Tensor, Tensor]:
    """Return how the model ends each start, taking the likeliest word each time.

    Returns the lines as text, and as inputs and targets (starts, longest + 1) for
    `line_loss`, where the words of the start are not counted. Raises ValueError for a
    start with a word that is not in the vocabulary.

    >>> lines = code_lines({"a.py": "x = x + x\\n"}, 1, words=4)
    >>> _, inputs, _ = written_lines(LineModel(lines), lines, ["x ="])
    >>> inputs.shape
    torch.Size([1, 15])
    """
    places = {word: FIRST_WORD + place for place, word in enumerate(lines.words)}
    written, inputs, targets = [], [], []
    for start in starts:
        parts = WORDS.findall(start)
        missing = [part for part in parts if part not in places]
        require(
            not missing, f"starts must use the lines' words; {missing} are not of them"
        )
        tokens = [LINE_END, *(places[part] for part in parts)]
        while len(tokens) < lines.longest + 2:
            with torch.no_grad():
                logits = model(torch.tensor([tokens]))[0, -1]
            logits[PADDING] = -torch.inf
            tokens.append(int(logits.argmax()))
            if tokens[-1] == LINE_END:
                break
        words = [lines.words[token - FIRST_WORD] for token in tokens[1:] if token > 1]
        written.append("".join(words))
        tokens += [PADDING] * (lines.longest + 2 - len(tokens))
        inputs.append(tokens[:-1])
        uncounted = [PADDING] * len(parts)  # what was given, not written
        targets.append(uncounted + tokens[1 + len(parts) :])
    return written, torch.tensor(inputs), torch.tensor(targets)


def shared_words(lines: Lines, written: Iterable[str], *, run: int = 2) -> Tensor:
    """Return how many runs of `run` words a line shares with each text, (n, texts).

    As a share of the text's own runs: what a search finds, which asks no model.

    >>> lines = code_lines({"a.py": "x = x + x\\n"}, 1, words=4)
    >>> shared_words(lines, ["x = x"], run=3)
    tensor([[0.6667]])
    """
    run = whole_number("run", run)
    ours = [_runs(text, run) for text in lines.texts]
    columns = []
    for text in written:
        wanted = _runs(text, run)
        shared = [len(wanted & own) / max(1, len(wanted)) for own in ours]
        columns.append(torch.tensor(shared))
    return torch.stack(columns, 1)


def _runs(text: str, run: int) -> set[tuple[str, ...]]:
    parts = ["\n", *(part for part in WORDS.findall(text) if part.strip()), "\n"]
    return {tuple(parts[k : k + run]) for k in range(len(parts) - run + 1)}


def _as_examples(
    texts: Iterable[str], places: Mapping[str, int], longest: int
) -> tuple[Tensor, Tensor]:
    """Return lines as inputs and targets, each (n, longest + 1) tokens."""
    rows = []
    for text in texts:
        tokens = [LINE_END, *(places[part] for part in WORDS.findall(text)), LINE_END]
        rows.append(tokens + [PADDING] * (longest + 2 - len(tokens)))
    table = torch.tensor(rows)
    return table[:, :-1], table[:, 1:]
