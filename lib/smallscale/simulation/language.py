"""Can a language model live these lives? One that is trained here in a minute, or any.

A question is read once, as a text. The weights of its options are the probabilities of
their letters as the next token, and of nothing else: constrained decoding in one step.
Equal questions were merged before they come here.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from string import ascii_uppercase
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from tokenizers import Tokenizer, models, pre_tokenizers
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from torch.optim.lr_scheduler import OneCycleLR
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from smallscale.core.progress import ProgressBar
from smallscale.core.seeds import seeded
from smallscale.core.validation import require, whole_number
from smallscale.models.encoding import encode_prompts
from smallscale.models.identity import model_hash
from smallscale.models.transformer import small_transformer
from smallscale.simulation.answers import replies_of
from smallscale.simulation.brains import Brain, Fault
from smallscale.simulation.questions import Question
from smallscale.simulation.town import Town
from smallscale.training.loop import in_single_precision
from smallscale.training.optimizers import make_optimizer

Situation = tuple[Question, np.ndarray]  # a question, and the weights of its options

LONGEST_LINE = 256  # tokens
ENTRIES_IN_BATCH = 32  # of a step of training


class DiaryEntry(NamedTuple):
    """A question, the letters of its options, and how many people chose each."""

    text: str
    letters: str
    times: tuple[int, ...]


class LanguageBrain:
    """Any causal language model of transformers, with its tokenizer, as a brain.

    name: what it is called. batch_size: questions read at a time. identity: what a
    checkpoint remembers, the name and a hash of the weights as they are by then.
    Raises ValueError where two capital letters would be the same token.
    """

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        *,
        name: str = "language model",
        batch_size: int = 128,
    ) -> None:
        self.model = model.eval()
        self.tokenizer = tokenizer
        self.name = name
        self.batch_size = whole_number("batch_size", batch_size)
        self.letters = _letter_tokens(tokenizer)

    @property
    def identity(self) -> str:
        """The name, and 16 hexadecimal digits that another model does not share."""
        return f"{self.name} {model_hash(self.model, self.tokenizer)[:16]}"

    @torch.no_grad()
    def answer(self, questions: Sequence[Question]) -> list[Sequence[float] | Fault]:
        """Return the model's probability of each option's letter as the next token:
            P(option) = exp(z[letter]) / sum of exp(z[other]) over the letters offered
        with z the model's logits after the text of the question.
        """
        answers: list[Sequence[float] | Fault] = []
        for start in range(0, len(questions), self.batch_size):
            batch = questions[start : start + self.batch_size]
            logits = self._next_token_logits([question.text for question in batch])
            for question, z in zip(batch, logits, strict=True):
                offered = [self.letters[letter] for letter in question.letters]
                answers.append(z[offered].softmax(0).tolist())
        return answers

    def _next_token_logits(self, texts: list[str]) -> Tensor:
        """Return the logits of the token after each text, (texts, vocabulary)."""
        ids, lengths = _padded(encode_prompts(self.tokenizer, texts))
        mask = torch.arange(ids.shape[1]) < lengths[:, None]
        device = self.model.device
        output = self.model(input_ids=ids.to(device), attention_mask=mask.to(device))
        last: Tensor = output.logits[torch.arange(len(texts)), lengths - 1]
        return last.double().cpu()


def _letter_tokens(tokenizer: Any) -> dict[str, int]:
    """Return the token of each capital letter as it stands after a space."""
    tokens: dict[str, int] = {}
    for letter in ascii_uppercase:
        ids = tokenizer(f" {letter}", add_special_tokens=False).input_ids
        if ids:
            tokens[letter] = ids[-1]
    require(
        len(set(tokens.values())) == len(ascii_uppercase),
        "tokenizer must have a token of its own for each capital letter",
    )
    return tokens


def _padded(rows: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
    """Return token ids (rows, longest), padded on the right, and the lengths (rows,).

    No token of a causal model sees the padding on its right.
    """
    ids = pad_sequence([torch.tensor(row) for row in rows], batch_first=True)
    return ids, torch.tensor([len(row) for row in rows])


def experience(towns: Iterable[Town]) -> list[Situation]:
    """Return every situation that came up in some towns, each text once.

    A situation is a question with the weights that the brain gave its options.
    """
    by_text: dict[str, Situation] = {}
    for town in towns:
        for question, weights in town.answers.answered():
            by_text[question.text] = (question, weights)
    return list(by_text.values())


def diary_entries(
    situations: Sequence[Situation], people: int, *, seed: int = 0
) -> list[DiaryEntry]:
    """Return what people did, a question an entry, as something to learn from.

    To each question `people` people gave an answer, drawn by its options' weights; the
    entry counts their letters. The weights themselves stand nowhere in it.

    >>> town = Town(3).run(9)
    >>> sum(diary_entries(town.answers.answered(), 40)[0].times)
    40
    """
    random = np.random.default_rng(seed)
    entries = []
    for question, weights in situations:
        times = random.multinomial(people, weights / weights.sum()).tolist()
        entries.append(DiaryEntry(question.text, question.letters, tuple(times)))
    return entries


def word_tokenizer(lines: Sequence[str]) -> PreTrainedTokenizerFast:
    """Return a tokenizer with a token for each word and mark of these lines.

    All other words are one token, <unk>. The capital letters are always there.
    """
    split = pre_tokenizers.Whitespace()
    words = set(ascii_uppercase)
    for line in lines:
        words.update(word for word, _ in split.pre_tokenize_str(line))
    tokens = ["<pad>", "<unk>", *sorted(words)]
    vocabulary = {token: number for number, token in enumerate(tokens)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = split
    make: Any = PreTrainedTokenizerFast
    fast: PreTrainedTokenizerFast = make(
        tokenizer_object=tokenizer, pad_token="<pad>", unk_token="<unk>"
    )
    return fast


def untrained_diarist(
    tokenizer: PreTrainedTokenizerFast, *, width: int = 64, seed: int = 0
) -> LlamaForCausalLM:
    """Return a small Llama with random weights for this tokenizer, in eval mode."""
    return small_transformer(
        len(tokenizer),
        length=LONGEST_LINE,
        width=width,
        intermediate_size=5 * width // 2,
        tie_word_embeddings=True,
        seed=seed,
    )


def train_diarist(
    model: Any,
    tokenizer: Any,
    entries: Sequence[DiaryEntry],
    *,
    epochs: int = 1,
    lr: float = 2e-3,
    seed: int = 0,
    progress: str = "",
) -> list[float]:
    """Fit the model in place to a diary, each entry read once an epoch.

    The loss is the letters' cross-entropy, among the letters that were offered, as the
    brain decides among them; and half the mean of all other words', so that the model
    stays a model of language. Returns the letters' loss of each batch, and leaves the
    model in eval mode, its weights in float32 or finer. Where the training is
    interrupted, the model gets its old weights back. progress: what to call a progress
    bar; empty for none.
    """
    in_single_precision(model)
    before = {name: each.clone() for name, each in model.state_dict().items()}
    rows = encode_prompts(tokenizer, [entry.text for entry in entries])
    letters = _letter_tokens(tokenizer)
    optimizer = make_optimizer("adamw", model.parameters(), lr=lr, weight_decay=0.01)
    losses = []
    try:
        model.train()
        with seeded(seed):
            batches: list[Tensor] = []
            for _ in range(whole_number("epochs", epochs)):
                order = torch.randperm(len(rows))
                batches += order.split(ENTRIES_IN_BATCH)  # type: ignore[no-untyped-call]
            schedule = OneCycleLR(
                optimizer, lr, total_steps=len(batches), pct_start=0.1
            )
            for batch in ProgressBar(batches, desc=progress):
                logits, words = _read(model, [rows[i] for i in batch])
                letter = _letter_loss(logits, [entries[i] for i in batch], letters)
                optimizer.zero_grad()
                (letter + words / 2).backward()  # type: ignore[no-untyped-call]
                optimizer.step()
                schedule.step()
                losses.append(float(letter.detach()))
    except BaseException:
        model.load_state_dict(before)
        raise
    finally:
        model.eval()
    return losses


def _read(model: Any, rows: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
    """Return the logits after each text (rows, vocabulary), and the words' loss."""
    ids, lengths = _padded(rows)
    ids = ids.to(model.device)
    logits = model(input_ids=ids).logits
    last = logits[torch.arange(len(rows)), lengths - 1]
    each = F.cross_entropy(logits[:, :-1].transpose(1, 2), ids[:, 1:], reduction="none")
    is_word = torch.arange(each.shape[1]) < lengths[:, None] - 1
    return last, each[is_word].mean()


def _letter_loss(
    logits: Tensor, entries: Sequence[DiaryEntry], letters: dict[str, int]
) -> Tensor:
    """Return the mean cross-entropy of what people did among what was offered."""
    losses = []
    for z, entry in zip(logits, entries, strict=True):
        offered = z[torch.tensor([letters[letter] for letter in entry.letters])]
        times = torch.tensor(entry.times).to(z)
        losses.append(-(times * offered.log_softmax(0)).sum() / times.sum())
    return torch.stack(losses).mean()


def disagreement(brain: Brain, situations: Sequence[Situation]) -> np.ndarray:
    """Return how far the brain's answers are from given ones: total variation distance.

        sum of |p - q| over the options, halved        0 the same, 1 nothing in common

    One number for each situation, (situations,). Raises ValueError where an answer of
    the brain cannot be used.
    """
    replies = replies_of(brain, [question for question, _ in situations])
    faults = Counter(str(reply) for reply in replies if isinstance(reply, Fault))
    reasons = ", ".join(f"{reason}: {count}" for reason, count in faults.items())
    answered = f"brain must answer all {len(situations)} questions; faults: {reasons}"
    require(not faults, answered)
    distances = []
    for p, (_, weights) in zip(replies, situations, strict=True):
        q = weights / weights.sum()
        distances.append(np.abs(np.asarray(p) - q).sum() / 2)
    return np.array(distances)
