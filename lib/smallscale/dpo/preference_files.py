"""What does a model learn from a file of preferences? From its pairs to a number."""

import os
from collections import Counter, defaultdict
from collections.abc import Mapping
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
from smallscale.models.encoding import EncodedAnswers, encode_answers
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
    kept = _kept(preferences, tokenizer, max_length)
    return _as_texts(kept, len(preferences.prompts), tokenizer, max_length)


def _kept(
    preferences: Preferences, tokenizer: Any, max_length: int | None
) -> list[tuple[str, EncodedAnswers]]:
    """Return the pairs that are not dropped, each with its prompt as it was given."""
    if max_length is not None:
        max_length = whole_number("max_length", max_length)
    encoded = [
        (prompt, encode_answers(tokenizer, prompt, answers))
        for prompt, *answers in zip(
            preferences.prompts, preferences.chosen, preferences.rejected, strict=True
        )
    ]
    kept = [
        (prompt, pair)
        for prompt, pair in encoded
        if max_length is None or len(pair.prompt) < max_length
    ]
    require(
        kept,
        f"max_length={max_length} leaves nothing of any completion; the prompts alone "
        "are longer",
    )
    return kept


def _as_texts(
    kept: list[tuple[str, EncodedAnswers]],
    given: int,
    tokenizer: Any,
    max_length: int | None,
) -> EncodedPreferences:
    """Return the pairs kept, of as many as were given, as padded texts."""
    texts = padded_answers(
        [pair.prompt for _, pair in kept] * 2,
        [pair.answers[side] for side in (0, 1) for _, pair in kept],
        pad=tokenizer.eos_token_id,
        max_length=max_length,
    )
    pairs = [[i, len(kept) + i] for i in range(len(kept))]
    return EncodedPreferences(texts, pairs, dropped=given - len(kept))


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
    same where the first max_length tokens are. All pairs of one prompt are in one part
    too, unless they are all there is; prompts are the same where their words are, and
    pairs with none share none. Held out are pairs of two different texts, each once:
    those of the last prompts, each where it brings their number nearer to a fifth.
    Raises ValueError where max_length is more than the model's positions, for a
    tokenizer with more tokens than the model, and for fewer than 5 different pairs.
    """
    most = most_tokens(model)
    require(
        most is None or max_length <= most,
        f"max_length must be at most {most}, the positions of the model; got "
        f"{max_length}",
    )
    kept = _kept(preferences, tokenizer, max_length)
    given = len(preferences.prompts)
    texts, pairs, dropped = _as_texts(kept, given, tokenizer, max_length)
    check_readable(model, texts)
    alike = defaultdict(list)  # from two texts to the pairs of them
    prompts: dict[Any, set[str]] = defaultdict(
        set
    )  # from two texts to the prompts they are answers to
    for pair, (prompt, _) in zip(pairs, kept, strict=True):
        both = frozenset(_text(texts, position) for position in pair)
        alike[both].append(pair)
        prompts[both] |= {" ".join(prompt.split())} - {""}
    repeated = len(pairs) - len(alike)
    different = [both for both in alike if len(both) == 2]
    held = len(different) // 5
    require(
        held > 0,
        "preferences must hold at least 5 pairs of different texts within "
        f"max_length={max_length}, no two pairs alike; got {len(different)}",
    )
    group_of = _groups(prompts)
    if len({group_of[both] for both in different}) == 1:
        group_of = {both: both for both in alike}
    last_first = [group_of[both] for both in reversed(different)]
    held_groups = _nearest(Counter(last_first), held)
    learnt_from = [both for both in alike if group_of[both] not in held_groups]
    held_out = [both for both in different if group_of[both] in held_groups]
    return SplitPreferences(
        texts,
        pairs=sorted(pair for both in learnt_from for pair in alike[both]),
        held_out=[alike[both][0] for both in held_out],
        dropped=dropped,
        repeated=repeated,
    )


def _groups(prompts: Mapping[Any, set[str]]) -> dict[Any, Any]:
    """Return for each key what is the same for all keys that share a prompt.

    Keys that share none, but one with a third key, are together too.

    >>> _groups({1: {"a"}, 2: {"a", "b"}, 3: {"b"}, 4: {"c"}, 5: set()})
    {1: 'a', 2: 'a', 3: 'a', 4: 'c', 5: 5}
    """
    above: dict[str, str] = {}  # a prompt's group is named by the topmost above it

    def topmost(prompt: str) -> str:
        while above.setdefault(prompt, prompt) != prompt:
            prompt = above[prompt]
        return prompt

    for asked in prompts.values():
        first, *others = sorted(map(topmost, asked)) or [""]
        above.update(dict.fromkeys(others, first))
    return {
        key: topmost(min(asked)) if asked else key for key, asked in prompts.items()
    }


def _nearest(sizes: Mapping[Any, int], goal: int) -> set[Any]:
    """Return some of these groups, at least one, with about `goal` members together.

    A group is taken, in the order given, where it brings their number nearer to goal.

    >>> sorted(_nearest({"a": 9, "b": 2, "c": 2, "d": 1}, 4)), _nearest({"a": 9}, 1)
    (['b', 'c'], {'a'})
    """
    taken = set()
    total = 0
    for group, size in sizes.items():
        if abs(total + size - goal) < abs(total - goal):
            taken.add(group)
            total += size
    return taken or {min(sizes, key=lambda group: sizes[group])}


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
