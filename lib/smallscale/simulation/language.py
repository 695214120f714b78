"""Can a language model live these lives? One that is trained here in a minute, or any other.

A question is read once, as a text; the weights of its options are the probabilities of their letters as the next
token, and of nothing else: constrained decoding in a single step. Equal questions were merged before they come here.
"""

from collections.abc import Iterable, Sequence
from string import ascii_uppercase
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from tokenizers import Tokenizer, models, pre_tokenizers
from torch.nn.utils.rnn import pad_sequence
from tqdm import tqdm
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from smallscale.core.seeds import seeded
from smallscale.simulation.brains import Fault, Question
from smallscale.simulation.town import Town

SIZES: dict[str, Any] = {
    "hidden_size": 64,
    "intermediate_size": 160,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
}
BATCH = 64  # lines in a step of training


class LanguageBrain:
    """Any causal language model of transformers with its tokenizer. name: what a checkpoint remembers of it.

    Raises ValueError where two letters would be the same token.
    """

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        *,
        name: str = "language model",
        batch_size: int = 128,
    ) -> None:
        self.model, self.tokenizer, self.name, self.batch_size = (
            model.eval(),
            tokenizer,
            name,
            batch_size,
        )
        ids = [
            tokenizer(f" {letter}", add_special_tokens=False).input_ids
            for letter in ascii_uppercase
        ]
        self.letters = {
            letter: each[-1]
            for letter, each in zip(ascii_uppercase, ids, strict=True)
            if each
        }
        if len(set(self.letters.values())) < len(ascii_uppercase):
            raise ValueError(
                "tokenizer must have a token of its own for each capital letter"
            )

    @torch.no_grad()
    def answer(self, questions: Sequence[Question]) -> list[Sequence[float] | Fault]:
        weights: list[Sequence[float] | Fault] = []
        for start in range(0, len(questions), self.batch_size):
            batch = questions[start : start + self.batch_size]
            ids, lengths = _padded(
                self.tokenizer([question.text for question in batch]).input_ids
            )
            mask = torch.arange(ids.shape[1]) < lengths[:, None]
            ids, mask = ids.to(self.model.device), mask.to(self.model.device)
            last = self.model(input_ids=ids, attention_mask=mask).logits[
                torch.arange(len(batch)), lengths - 1
            ]
            for question, logits in zip(batch, last.double().cpu(), strict=True):
                offered = [self.letters[letter] for letter in question.letters]
                weights.append(logits[offered].softmax(0).tolist())
        return weights


def _padded(rows: Sequence[Sequence[int]]) -> tuple[torch.Tensor, torch.Tensor]:
    """Token ids as a batch (rows, longest), and their lengths (rows,). No token sees the padding on its right."""
    ids = pad_sequence([torch.tensor(row) for row in rows], batch_first=True)
    return ids, torch.tensor([len(row) for row in rows])


def diary_lines(
    asked: Sequence[tuple[Question, np.ndarray]], copies: int, *, seed: int = 0
) -> list[str]:
    """What people did, a line each: every question `copies` times, answered as often as its weights say.

    asked: questions and the weights of their options, as `experience` gives them.
    """
    random = np.random.default_rng(seed)
    return [
        f"{question.text} {question.letters[choice]}"
        for question, weights in asked
        for choice in random.choice(len(weights), copies, p=weights / weights.sum())
    ]


def experience(towns: Iterable[Town]) -> list[tuple[Question, np.ndarray]]:
    """Every situation that came up in some towns, each text once, with the weights that the brain gave the options."""
    said = (each for town in towns for each in town.answers.said())
    return list(
        {question.text: (question, weights) for question, weights in said}.values()
    )


def word_tokenizer(lines: Sequence[str]) -> PreTrainedTokenizerFast:
    """A token for each word and each mark of these lines, and one for all others."""
    split = pre_tokenizers.Whitespace()
    words = sorted(
        {word for line in lines for word, _ in split.pre_tokenize_str(line)}
        | set(ascii_uppercase)
    )
    vocabulary = {word: i for i, word in enumerate(["<pad>", "<unk>", *words])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = split
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", unk_token="<unk>"
    )


def new_model(
    tokenizer: PreTrainedTokenizerFast, *, seed: int = 0, **sizes: Any
) -> LlamaForCausalLM:
    """A small Llama with random weights for this tokenizer; sizes: as in its configuration, else `SIZES`."""
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        max_position_embeddings=256,
        tie_word_embeddings=True,
        **{**SIZES, **sizes},
    )
    with seeded(seed):
        return LlamaForCausalLM(config)


def train_diarist(
    model: Any,
    tokenizer: Any,
    lines: Sequence[str],
    *,
    lr: float = 3e-3,
    seed: int = 0,
    progress: str = "",
) -> list[float]:
    """Fit the model in place to lines that end in a letter, each seen once; returns the letters' loss by batch.

    Half of the loss is the letter's, half the mean of all other words: without the first, the one word that decides
    would be one in forty.
    """
    rows = tokenizer(list(lines)).input_ids
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=lr, weight_decay=0.01, foreach=True
    )
    losses = []
    model.train()
    with seeded(seed):
        batches = torch.randperm(len(rows)).split(BATCH)
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer, lr, total_steps=len(batches), pct_start=0.1
        )
        for batch in tqdm(batches, desc=progress, leave=False, disable=not progress):
            ids, lengths = _padded([rows[i] for i in batch])
            logits = model(input_ids=ids).logits[:, :-1]
            each = F.cross_entropy(
                logits.transpose(1, 2), ids[:, 1:], reduction="none"
            )  # (batch, length - 1)
            letter = each[torch.arange(len(batch)), lengths - 2].mean()
            words = torch.arange(each.shape[1]) < lengths[:, None] - 2
            loss = (letter + each[words].mean()) / 2
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            losses.append(float(letter.detach()))
    model.eval()
    return losses


def disagreement(
    brain: Any, asked: Sequence[tuple[Question, np.ndarray]]
) -> np.ndarray:
    """Total variation distance between the brain's weights and those given, for each question: 0 same, 1 disjoint."""
    replies = brain.answer([question for question, _ in asked])
    pairs = [
        (np.asarray(r) / np.sum(r), w / w.sum())
        for r, (_, w) in zip(replies, asked, strict=True)
    ]
    return np.array([np.abs(a - b).sum() / 2 for a, b in pairs])
