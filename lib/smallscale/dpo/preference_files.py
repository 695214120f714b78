"""Whose preferences? A file of them, as texts that a model can be trained on."""

import json
import re
from operator import eq
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import nn
from transformers import AutoModelForCausalLM, AutoTokenizer, ByT5Tokenizer

from smallscale.core.intervals import binomial_interval
from smallscale.core.validation import require
from smallscale.dpo.answers import Answers, all_logps, padded_answers
from smallscale.dpo.policies import small_policy
from smallscale.dpo.policy_training import train_preferences
from smallscale.dpo.supervised import fit_texts


class Preferences(NamedTuple):
    """n pairs of texts.

    prompts, chosen, rejected: (n,) each. identical: how many pairs hold one text twice;
    they are kept.
    """

    prompts: tuple[str, ...]
    chosen: tuple[str, ...]
    rejected: tuple[str, ...]
    identical: int


def read_preferences(path: str | Path) -> Preferences:
    """Return the pairs in a JSONL file, an object a line:
    {"prompt": …, "chosen": …, "rejected": …}, all of them text.

    Empty lines are skipped. Without "prompt", it is what chosen and rejected have in
    common at their start, up to the last white space in it.
    Raises ValueError, in one line with the number of the file's line, for what is not
    such an object.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8-sig").split("\n")
    except OSError as error:
        raise ValueError(
            f"{path} cannot be read: {error.strerror}; give a JSONL file of preferences"
        ) from error
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{path} cannot be read: it is not UTF-8 text; give a JSONL file of "
            "preferences"
        ) from error
    rows = [
        _read_pair(line, f"{path}, line {number}")
        for number, line in enumerate(lines, 1)
        if line.strip()
    ]
    require(
        rows,
        f"{path} holds no preferences; each line is an object with chosen and rejected",
    )
    prompts, chosen, rejected = zip(*rows, strict=True)
    return Preferences(prompts, chosen, rejected, sum(map(eq, chosen, rejected)))


def _read_pair(line: str, where: str) -> tuple[str, str, str]:
    """Return prompt, chosen and rejected of one line; `where` names it in messages."""
    record = _read_object(line, where)
    chosen = record["chosen"]
    rejected = record["rejected"]
    if "prompt" in record:
        return record["prompt"], chosen, rejected
    # In two texts that are alike nothing tells where a prompt would end.
    common = _common_start(chosen, rejected) if chosen != rejected else ""
    last_word = re.split(r"\s", common)[-1]
    cut = len(common) - len(last_word)
    return chosen[:cut], chosen[cut:], rejected[cut:]


def _common_start(first: str, second: str) -> str:
    """Return the characters that two texts have in common at their start."""
    length = 0
    for a, b in zip(first, second, strict=False):
        if a != b:
            break
        length += 1
    return first[:length]


def _read_object(line: str, where: str) -> dict[str, str]:
    """Return the JSON object in a line, with chosen and rejected and perhaps prompt."""
    try:
        record = json.loads(line)
    except (json.JSONDecodeError, RecursionError) as error:
        reason = getattr(error, "msg", "nested too deeply")
        raise ValueError(
            f"{where} is not JSON: {reason}; one whole object a line"
        ) from error
    if not isinstance(record, dict):
        raise ValueError(
            f"{where} must be an object with chosen and rejected; got "
            f"{type(record).__name__}"
        )
    for name in ("chosen", "rejected"):
        fields = ", ".join(map(repr, record)) or "none"
        require(name in record, f"{where} has no field {name!r}; it has {fields}")
    for name in ("prompt", "chosen", "rejected"):
        value = record.get(name, "")
        require(
            isinstance(value, str),
            f"{where}: {name} must be text, of type string; got {type(value).__name__} "
            "(write out chat messages)",
        )
    return record


def language_model(
    name: str = "", *, length: int = 256, seed: int = 0
) -> tuple[nn.Module, Any]:
    """Return (model, tokenizer): a causal language model of the Hugging Face hub, or of
    a folder. An empty name gives a small one that reads bytes.

    The small one has random weights, takes texts of up to `length` bytes, and needs no
    download.
    """
    if name:
        model = AutoModelForCausalLM.from_pretrained(name)
        return model, AutoTokenizer.from_pretrained(name)
    tokenizer = ByT5Tokenizer(extra_ids=0)  # a byte is a token
    return small_policy(len(tokenizer), length=length, seed=seed), tokenizer


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

    Prompt and completion are encoded apart, so that the boundary is a token's. The end
    of text is put after each completion, and the beginning (or, where the tokenizer has
    none, the end) before each prompt. A pair is dropped, and counted, where max_length
    leaves nothing of a completion.
    Raises ValueError if no pair is left.
    """
    end = tokenizer.eos_token_id
    start = end if tokenizer.bos_token_id is None else tokenizer.bos_token_id

    def encoded(texts: tuple[str, ...]) -> list[list[int]]:
        return [tokenizer.encode(text, add_special_tokens=False) for text in texts]

    prompts = encoded(preferences.prompts)
    chosen = encoded(preferences.chosen)
    rejected = encoded(preferences.rejected)
    kept = [
        i
        for i, prompt in enumerate(prompts)
        if max_length is None or len(prompt) + 1 < max_length
    ]
    require(
        kept,
        f"max_length={max_length} leaves nothing of any completion; the prompts alone "
        "are longer",
    )
    answers = [[*side[i], end] for side in (chosen, rejected) for i in kept]
    texts = padded_answers(
        [[start, *prompts[i]] for i in kept] * 2,
        answers,
        pad=start,
        max_length=max_length,
    )
    pairs = [[i, len(kept) + i] for i in range(len(kept))]
    return EncodedPreferences(texts, pairs, dropped=len(prompts) - len(kept))


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
    Returns pairs, identical, dropped (see `encode_preferences`), held (how many pairs
    were held out), accuracy (the share of them with a strictly higher reward for the
    chosen text), low and high (its 95 % Wilson interval).
    Raises ValueError for fewer than 5 pairs that fit.
    """
    options = {"beta": 0.1, "lr": 5e-4, "batch_size": 16, "seed": 0} | options
    size = options["batch_size"]
    texts, pairs, dropped = encode_preferences(
        preferences, tokenizer, max_length=max_length
    )
    held = len(pairs) // 5
    require(
        held > 0,
        f"preferences must hold at least 5 pairs within max_length={max_length}; got "
        f"{len(pairs)}",
    )
    kept = len(pairs) - held
    if fitting:
        chosen_texts = texts[torch.arange(kept)]
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
        model, texts, pairs[:kept], reference=before, progress="preferences", **options
    )
    positions = torch.tensor(pairs[kept:]).T.flatten()  # the chosen, then the rejected
    rise = all_logps(model, texts[positions], batch_size=size) - before[positions]
    right = int((rise[:held] > rise[held:]).sum())
    low, high = binomial_interval(right, held)
    return {
        "pairs": len(preferences.prompts),
        "identical": preferences.identical,
        "dropped": dropped,
        "held": held,
        "accuracy": right / held,
        "low": low,
        "high": high,
    }
