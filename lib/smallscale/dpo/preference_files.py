"""Whose preferences? A file of them, a JSON object a line, as texts that a model can be trained on."""

import json
import re
from operator import eq
from os.path import commonprefix
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import nn
from transformers import AutoModelForCausalLM, AutoTokenizer, ByT5Tokenizer

from smallscale.core.intervals import binomial_interval
from smallscale.dpo.policy_training import (
    Answers,
    all_logps,
    padded_answers,
    train_preferences,
)
from smallscale.dpo.reviews import small_llama
from smallscale.dpo.sampling import fit_texts


class Preferences(NamedTuple):
    """n pairs of texts. prompts, chosen, rejected: (n,) each; identical: how many pairs hold one text twice (kept)."""

    prompts: tuple[str, ...]
    chosen: tuple[str, ...]
    rejected: tuple[str, ...]
    identical: int


def read_preferences(path: str | Path) -> Preferences:
    """The pairs in a JSONL file: {"prompt": …, "chosen": …, "rejected": …} a line, all text; empty lines are skipped.

    Without "prompt", it is what chosen and rejected have in common at their start, up to the last white space in it.
    Raises ValueError, one line with the number of the file's line, for what is not such an object.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = (
            error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        )
        raise ValueError(
            f"{path} cannot be read: {reason}; give a JSONL file of preferences"
        ) from error
    rows = [
        _pair(line, f"{path}, line {number}")
        for number, line in enumerate(lines, 1)
        if line.strip()
    ]
    if not rows:
        raise ValueError(
            f"{path} holds no preferences; each line is an object with chosen and rejected"
        )
    prompts, chosen, rejected = zip(*rows, strict=True)
    return Preferences(prompts, chosen, rejected, sum(map(eq, chosen, rejected)))


def _pair(line: str, where: str) -> tuple[str, str, str]:
    try:
        record = json.loads(line)
    except (json.JSONDecodeError, RecursionError) as error:
        reason = getattr(error, "msg", "nested too deeply")
        raise ValueError(
            f"{where} is not JSON: {reason}; one whole object a line"
        ) from error
    if not isinstance(record, dict):
        raise ValueError(
            f"{where} must be an object with chosen and rejected; got {type(record).__name__}"
        )
    for name in ("prompt", "chosen", "rejected"):
        if name not in record and name != "prompt":
            raise ValueError(
                f"{where} has no field {name!r}; it has {', '.join(map(repr, record)) or 'none'}"
            )
        if not isinstance(record.get(name, ""), str):
            kind = type(record[name]).__name__
            raise ValueError(
                f"{where}: {name} must be text, of type string; got {kind} (write out chat messages)"
            )
    chosen, rejected = record["chosen"], record["rejected"]
    if "prompt" in record:
        return record["prompt"], chosen, rejected
    # In two texts alike nothing tells where a prompt would end.
    common = commonprefix([chosen, rejected]) if chosen != rejected else ""
    cut = len(common) - len(re.split(r"\s", common)[-1])
    return chosen[:cut], chosen[cut:], rejected[cut:]


def language_model(
    name: str = "", *, length: int = 256, seed: int = 0
) -> tuple[nn.Module, Any]:
    """(model, tokenizer): a causal model of the Hugging Face hub, or of a folder; empty: a small one that reads bytes.

    The small one is freshly initialised, for texts of up to `length` bytes, and nothing is downloaded for it.
    """
    if name:
        return AutoModelForCausalLM.from_pretrained(
            name
        ), AutoTokenizer.from_pretrained(name)
    words = ByT5Tokenizer(extra_ids=0)  # a byte is a token
    return small_llama(len(words), length=length, seed=seed), words


def encode_preferences(
    preferences: Preferences, tokenizer: Any, *, max_length: int | None = None
) -> tuple[Answers, list[list[int]], int]:
    """(texts, pairs, dropped): what `train_preferences` takes, with a transformers tokenizer that has an eos token.

    Prompt and completion are encoded apart, so that the boundary is a token's; the end of text is put after each
    completion, and the beginning (or, without one, the end) before each prompt.
    A pair is dropped, and counted, where max_length leaves nothing of a completion. Raises ValueError if none is left.
    """
    end = tokenizer.eos_token_id
    start = end if tokenizer.bos_token_id is None else tokenizer.bos_token_id
    prompts, chosen, rejected = (
        [tokenizer.encode(text, add_special_tokens=False) for text in side]
        for side in preferences[:3]
    )
    kept = [
        i
        for i, prompt in enumerate(prompts)
        if max_length is None or len(prompt) + 1 < max_length
    ]
    if not kept:
        raise ValueError(
            f"max_length={max_length} leaves nothing of any completion; the prompts alone are longer"
        )
    answers = [[*side[i], end] for side in (chosen, rejected) for i in kept]
    texts = padded_answers(
        [[start, *prompts[i]] for i in kept] * 2,
        answers,
        pad=start,
        max_length=max_length,
    )
    return (
        texts,
        [[i, len(kept) + i] for i in range(len(kept))],
        len(prompts) - len(kept),
    )


def learn(
    preferences: Preferences,
    model: nn.Module,
    tokenizer: Any,
    *,
    max_length: int,
    fitting: int = 0,
    **options: Any,
) -> dict[str, float]:
    """Train `model` in place on four fifths of the pairs; what it says of the last fifth, as it got them.

    fitting: steps of supervised training on the chosen texts first, for a model that knows nothing yet.
    options: what `train_preferences` takes, steps among it; beta 0.1, lr 5e-4 and batch_size 16 unless they are given.
    Returned: pairs, identical, dropped (see `encode_preferences`), held (how many), accuracy (on them, strictly higher
    reward), low and high (95 % Wilson interval). Raises ValueError for fewer than 5 pairs that fit.
    """
    options = {"beta": 0.1, "lr": 5e-4, "batch_size": 16, "seed": 0} | options
    size, seed = options["batch_size"], options["seed"]
    texts, pairs, dropped = encode_preferences(
        preferences, tokenizer, max_length=max_length
    )
    kept = len(pairs) - len(pairs) // 5
    if kept == len(pairs):
        raise ValueError(
            f"preferences must hold at least 5 pairs within max_length={max_length}; got {len(pairs)}"
        )
    if fitting:
        fit_texts(
            model,
            texts[torch.arange(kept)],
            steps=fitting,
            batch_size=size,
            seed=seed,
            progress="texts",
        )
    before = all_logps(model, texts, batch_size=size)
    train_preferences(
        model, texts, pairs[:kept], reference=before, progress="preferences", **options
    )
    held = torch.tensor(pairs[kept:]).T.flatten()
    chosen, rejected = (
        all_logps(model, texts[held], batch_size=size) - before[held]
    ).chunk(2)
    right, n = int((chosen > rejected).sum()), len(chosen)
    low, high = binomial_interval(right, n)
    counts = {
        "pairs": len(preferences.prompts),
        "identical": preferences.identical,
        "dropped": dropped,
    }
    return counts | {"held": n, "accuracy": right / n, "low": low, "high": high}
