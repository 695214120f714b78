"""What does a model learn from a file of preferences? From its pairs to a number."""

import os
from collections import defaultdict
from typing import Any, NamedTuple

import torch
from torch import nn
from transformers import ByT5Tokenizer

from smallscale.core.intervals import binomial_interval
from smallscale.core.validation import require, whole_number
from smallscale.dpo.answers import (
    Answers,
    all_logps,
    check_readable,
    most_tokens,
    padded_answers,
)
from smallscale.dpo.policies import small_policy
from smallscale.dpo.policy_training import check_training_options, train_preferences
from smallscale.dpo.preference_reader import Preferences, read_preferences
from smallscale.dpo.supervised import fit_texts
from smallscale.models.encoding import encode_answers
from smallscale.models.language_model import language_model
from smallscale.training.loop import in_single_precision

__all__ = [
    "EncodedPreferences",
    "Preferences",
    "SplitPreferences",
    "encode_preferences",
    "learn",
    "read_preferences",
    "split_preferences",
    "starting_policy",
]


def starting_policy(
    name: str | os.PathLike[str] = "", *, length: int = 256, seed: int = 0
) -> tuple[nn.Module, Any]:
    """Return the policy that training starts from, and its tokenizer.

    name: "smollm2", a folder or a name of the Hugging Face hub, as
    `smallscale.models.language_model` takes it. Empty: a small model with random
    weights that reads bytes, takes texts of up to `length` of them, and needs no
    download; seed is of its weights.
    Weights are float32 whatever they are stored in: in half precision the steps of
    fine-tuning round away. The model is on the device that `core.devices.place` gives
    it, and in eval mode.
    Raises ValueError, in one line, for a model that cannot be loaded.
    """
    if name:
        return language_model(name, dtype=torch.float32)
    reads_bytes = ByT5Tokenizer(extra_ids=0)  # a byte is a token
    return small_policy(len(reads_bytes), length=length, seed=seed), reads_bytes


class EncodedPreferences(NamedTuple):
    """What `train_preferences` takes. pairs: positions in texts, chosen first.
    dropped: how many pairs were too long."""

    texts: Answers
    pairs: list[list[int]]
    dropped: int


def encode_preferences(
    preferences: Preferences, tokenizer: Any, *, max_length: int | None = None
) -> EncodedPreferences:
    """Return preferences as tokens, by a transformers tokenizer that has an eos token.

    A prompt with its answer is encoded as one text, ended where it does not end by
    itself: see `encode_answers`. A pair is dropped, and counted, where max_length
    leaves nothing of an answer.
    Raises ValueError if no pair is left.
    """
    if max_length is not None:
        whole_number("max_length", max_length)
    encoded = [
        encode_answers(tokenizer, prompt, answers)
        for prompt, *answers in zip(
            preferences.prompts, preferences.chosen, preferences.rejected, strict=True
        )
    ]
    kept = [
        pair for pair in encoded if max_length is None or len(pair.prompt) < max_length
    ]
    require(
        kept,
        f"max_length={max_length} leaves nothing of any completion; the prompts alone "
        "are longer",
    )
    texts = padded_answers(
        [pair.prompt for pair in kept] * 2,
        [pair.answers[side] for side in (0, 1) for pair in kept],
        pad=tokenizer.eos_token_id,
        max_length=max_length,
    )
    pairs = [[i, len(kept) + i] for i in range(len(kept))]
    return EncodedPreferences(texts, pairs, dropped=len(encoded) - len(kept))


class SplitPreferences(NamedTuple):
    """Pairs to learn from, and others to measure on.

    texts: all of them. pairs, held_out: (n, 2) and (m, 2) positions in texts, the
    chosen one first. dropped: how many pairs were too long. repeated: how many pairs
    hold the same two texts as one before.
    """

    texts: Answers
    pairs: list[list[int]]
    held_out: list[list[int]]
    dropped: int
    repeated: int


def split_preferences(
    preferences: Preferences, model: nn.Module, tokenizer: Any, *, max_length: int
) -> SplitPreferences:
    """Return preferences as tokens, four fifths to learn from and the last fifth to
    measure on. What `learn` refuses of preferences and model is refused here, at once.

    All pairs of the same two texts, in either order, are in one part; texts are the
    same where the first max_length tokens are. Held out are pairs of two different
    texts, each once.
    Raises ValueError where max_length is more than the model's positions, for a
    tokenizer with more tokens than the model, and for fewer than 5 different pairs.
    """
    most = most_tokens(model)
    require(
        most is None or max_length <= most,
        f"max_length must be at most {most}, the positions of the model; got "
        f"{max_length}",
    )
    texts, pairs, dropped = encode_preferences(
        preferences, tokenizer, max_length=max_length
    )
    check_readable(model, texts)
    alike = defaultdict(list)  # from two texts to the pairs of them
    for pair in pairs:
        both = frozenset(_text(texts, position) for position in pair)
        alike[both].append(pair)
    repeated = len(pairs) - len(alike)
    different = [both for both in alike if len(both) == 2]
    held = len(different) // 5
    require(
        held > 0,
        "preferences must hold at least 5 pairs of different texts within "
        f"max_length={max_length}, no two pairs alike; got {len(different)}",
    )
    held_out = {both: alike.pop(both) for both in different[-held:]}
    learnt_from = [pair for same in alike.values() for pair in same]
    return SplitPreferences(
        texts,
        pairs=sorted(learnt_from),
        held_out=[same[0] for same in held_out.values()],
        dropped=dropped,
        repeated=repeated,
    )


def _text(texts: Answers, position: int) -> tuple[int, ...]:
    """Return the token ids of one text, without padding."""
    return tuple(texts.ids[position][texts.mask[position].bool()].tolist())


def learn(
    preferences: Preferences,
    model: nn.Module,
    tokenizer: Any,
    *,
    max_length: int,
    fitting: int = 0,
    **options: Any,
) -> dict[str, float]:
    """Train `model` in place on four fifths of the pairs, and measure it on the last.

    fitting: steps of supervised training on the chosen texts first, for a model that
    knows nothing yet.
    options: what `train_preferences` takes, steps among it; beta 0.1, lr 5e-4 and
    batch_size 16 unless they are given.
    Returns pairs, identical, dropped and repeated (see `split_preferences`), held (how
    many pairs were held out), accuracy (the share of them with a strictly higher reward
    for the chosen text), low and high (its 95 % Wilson interval), and margin: by how
    many nats more the chosen text rose than the rejected one, the mean. Accuracy counts
    a rise however small, so only the margin shows a model that has hardly moved.
    Raises ValueError as `split_preferences` does, before the first step.
    """
    options = {"beta": 0.1, "lr": 5e-4, "batch_size": 16, "seed": 0} | options
    check_training_options(**options)
    size = options["batch_size"]
    split = split_preferences(preferences, model, tokenizer, max_length=max_length)
    texts = split.texts
    in_single_precision(model)
    if fitting:
        chosen_texts = texts[torch.tensor([chosen for chosen, _ in split.pairs])]
        fit_texts(
            model,
            chosen_texts,
            steps=fitting,
            batch_size=size,
            seed=options["seed"],
            progress="texts",
        )
    before = all_logps(model, texts, batch_size=size)
    train_preferences(
        model, texts, split.pairs, reference=before, progress="preferences", **options
    )
    held = len(split.held_out)
    positions = torch.tensor(split.held_out).T.flatten()  # chosen, then rejected
    rise = all_logps(model, texts[positions], batch_size=size) - before[positions]
    margin = rise[:held] - rise[held:]  # (held,), in nats
    right = int((margin > 0).sum())
    low, high = binomial_interval(right, held)
    return {
        "pairs": len(preferences.prompts),
        "identical": preferences.identical,
        "dropped": split.dropped,
        "repeated": split.repeated,
        "held": held,
        "accuracy": right / held,
        "low": low,
        "high": high,
        "margin": float(margin.mean()),
    }
