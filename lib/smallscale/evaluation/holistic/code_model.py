"""Does a model win where it was trained, and elsewhere? A small one that read code.

It is a Llama that learns from Python's standard library alone. The scenario "next line"
asks about the same library, so no module that holds a question is in what it reads. A
twin reads the test's modules on purpose, and is the control of the other.
"""

import math
from collections.abc import Sequence
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import ByteLevelBPETokenizer, Tokenizer
from torch import Tensor
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from smallscale.core.validation import require, whole_number
from smallscale.datasets.source_code import stdlib_modules
from smallscale.evaluation.holistic.entrants import Prompted
from smallscale.evaluation.holistic.items import SOURCE, Item, split_items
from smallscale.evaluation.holistic.scenarios import SCENARIOS_BY_NAME
from smallscale.models import option_logps, small_transformer, write
from smallscale.training.language import next_token_loss, random_windows
from smallscale.training.loop import minimise
from smallscale.training.optimizers import make_optimizer, warmup_cosine

ASKED = "next line"  # the scenario that is about code
VOCABULARY = 512
CONTEXT = 160  # tokens that it reads, about 300 characters of code
BATCH = 12  # windows a step
WIDTH = 64
RATE = 8e-3
END = "<end>"
MOST_QUESTIONS = 10_000
LONGEST_TEXT = 200  # characters of a text whose bits are counted


class Readings(NamedTuple):
    """Modules to learn from. clean: none holds a question of the scenario. more: as
    `clean`, with as many characters as `test`, and none of them in `clean`. test: all
    that hold one of the test's questions.
    """

    clean: tuple[str, ...]
    more: tuple[str, ...]
    test: tuple[str, ...]


def readings(n: int, characters: int) -> Readings:
    """Return what the models read, for a test of n questions.

    characters: of the clean modules, at least, if the library has so many. A module
    that repeats a question's lines is no clean one, wherever it stands.
    Raises ValueError where nothing clean is left.
    """
    characters = whole_number("characters", characters)
    first = stdlib_modules(SOURCE)
    test = tuple(m for m in first if any(held(split_items(ASKED, n).test, [m])))
    size = sum(map(len, test))
    wanted = sum(map(len, first)) + characters + 2 * size
    every = stdlib_modules(wanted)[len(first) :]
    clean = [m for m in every if not any(held(every_question(), [m]))]
    more = _taken(clean, size)
    rest = _taken(clean[len(more) :], characters)
    require(rest, f"characters must leave modules without questions; got {characters}")
    return Readings(rest, more, test)


def held(questions: Sequence[Item], texts: Sequence[str]) -> list[bool]:
    """Return for each question whether a text holds its lines with the right answer
    behind them, indentation aside."""
    bare = [f"\n{_bare(text)}\n" for text in texts]
    lines = [f"\n{_bare(_whole(item))}\n" for item in questions]
    return [any(asked in text for text in bare) for asked in lines]


@cache
def every_question() -> tuple[Item, ...]:
    """Return all questions of the scenario: examples, test and fresh ones."""
    split = split_items(ASKED, 1, MOST_QUESTIONS)
    return (*split.training, *split.test, *split.fresh)


def _whole(item: Item) -> str:
    """Return a question of code with its answer, as they stand in the module."""
    return f"{item.text}\n{item.answer}"


def _bare(text: str) -> str:
    """Return the text's lines without what stands before and after them."""
    return "\n".join(line.strip() for line in text.splitlines() if line.strip())


def _taken(texts: Sequence[str], characters: int) -> tuple[str, ...]:
    """Return the first of the texts, until there are so many characters."""
    found: list[str] = []
    for text in texts:
        if sum(map(len, found)) >= characters:
            break
        found.append(text)
    return tuple(found)


def train_code_model(
    texts: Sequence[str], *, steps: int, seed: int = 0
) -> dict[str, Any]:
    """Return a model that has read texts: its weights by name, and its tokenizer, which
    has read the same alone. seed: of the first weights and of what is read when."""
    pieces = ByteLevelBPETokenizer()
    pieces.train_from_iterator(
        texts, VOCABULARY - 1, min_frequency=0, show_progress=False
    )
    tokenizer = _with_end(pieces.to_str())
    model = _untrained(len(tokenizer), seed)
    _read(model, _tokens(tokenizer, texts), steps, RATE, seed)
    return {"tokenizer": pieces.to_str(), "weights": dict(model.state_dict())}


def read_more(
    model: dict[str, Any], texts: Sequence[str], *, steps: int, seed: int = 0
) -> dict[str, Any]:
    """Return a model of `train_code_model` after it has read other texts as well."""
    tokenizer = _with_end(model["tokenizer"])
    found = _untrained(len(tokenizer), seed)
    found.load_state_dict(model["weights"])
    _read(found, _tokens(tokenizer, texts), steps, RATE / 2, seed)
    return {**model, "weights": dict(found.state_dict())}


def _untrained(vocabulary: int, seed: int) -> LlamaForCausalLM:
    return small_transformer(
        vocabulary,
        length=CONTEXT,
        width=WIDTH,
        seed=seed,
        tie_word_embeddings=True,
        initializer_range=0.05,
    )


def _with_end(pieces: str) -> PreTrainedTokenizerFast:
    """Return a tokenizer of transformers with an end of text."""
    make: Any = PreTrainedTokenizerFast
    fast: PreTrainedTokenizerFast = make(
        tokenizer_object=Tokenizer.from_str(pieces), eos_token=END, pad_token=END
    )
    return fast


def _tokens(tokenizer: Any, texts: Sequence[str]) -> Tensor:
    rows = tokenizer([f"{text}\n" for text in texts], add_special_tokens=False)
    return torch.tensor([token for row in rows.input_ids for token in row])


def _read(
    model: LlamaForCausalLM, tokens: Tensor, steps: int, rate: float, seed: int
) -> None:
    optimizer = make_optimizer("adamw", model.parameters(), lr=rate, betas=(0.9, 0.98))

    def loss(generator: torch.Generator) -> Tensor:
        windows = random_windows(tokens, BATCH, CONTEXT + 1, generator)
        return next_token_loss(model, windows)

    schedule = warmup_cosine(optimizer, steps)
    minimise(model, loss, schedule, steps=steps, seed=seed)


class CodeModel:
    """A small model with the methods that `Prompted` asks for.

    It reads the last `CONTEXT` tokens of a text at most: what stands before them is cut
    off. found: of `train_code_model`.
    """

    def __init__(self, found: dict[str, Any]) -> None:
        self.tokenizer = _with_end(found["tokenizer"])
        self.model = _untrained(len(self.tokenizer), 0)
        self.model.load_state_dict(found["weights"])

    @property
    def operations(self) -> float:
        """Operations for a character: two a parameter and token of two characters."""
        return float(self.model.num_parameters())

    def write(
        self, prompts: Sequence[str], *, max_new_tokens: int, stop: Sequence[str]
    ) -> list[str]:
        """Return how the model continues each prompt, greedily."""
        cut = [self._cut(text, CONTEXT - max_new_tokens) for text in prompts]
        return list(
            write(
                self.model,
                self.tokenizer,
                cut,
                max_new_tokens=max_new_tokens,
                stop=stop,
            )
        )

    def option_logps(
        self, prompts: Sequence[str], options: Sequence[Sequence[str]]
    ) -> Tensor:
        """Return log p(option | prompt), (prompts, options)."""
        cut = []
        for text, row in zip(prompts, options, strict=True):
            longest = max(len(self._ids(option)) for option in row)
            cut.append(self._cut(text, max(1, CONTEXT - longest - 1)))
        return option_logps(self.model, self.tokenizer, cut, options)

    def _ids(self, text: str) -> list[int]:
        ids: list[int] = self.tokenizer.encode(text, add_special_tokens=False)
        return ids

    def _cut(self, text: str, tokens: int) -> str:
        return str(self.tokenizer.decode(self._ids(text)[-tokens:]))


def bits_per_byte(model: Any, items: Sequence[Item]) -> NDArray[np.float64]:
    """Return how badly a model foretells each question with its answer, (items,):

        - log2 p(text after an empty line) / bytes of the text

    The text is at most its first 200 characters. Bytes do not depend on a tokenizer,
    so models compare. model: has `option_logps`.
    """
    texts = [_whole(item)[:LONGEST_TEXT] for item in items]
    logps = model.option_logps(["\n"] * len(texts), [[text] for text in texts])
    sizes = np.array([len(text.encode()) for text in texts])
    bits: NDArray[np.float64] = -logps.numpy()[:, 0] / math.log(2) / sizes
    return bits


def right_lines(
    model: Any, items: Sequence[Item], training: Sequence[Item]
) -> NDArray[np.bool_]:
    """Return which questions of the scenario a model answers rightly, (items,), asked
    as the scenario says."""
    scenario = SCENARIOS_BY_NAME[ASKED]
    said = Prompted(ASKED, model).answers(scenario, items, training)
    return np.array([a.text == i.answer for a, i in zip(said, items, strict=True)])
