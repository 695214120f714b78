"""How much faster are texts written side by side, and options judged together?

SmolLM2, greedy, prompts of two sentences. `write` against transformers' `generate`, one
prompt after another and all in one padded batch; `option_logps` against one forward of
the whole text for each option. The ways take turns.

    python benchmarks/language_model.py
"""

import os
import statistics
import time
from collections.abc import Callable

import torch
from rich.console import Console
from rich.table import Table

from smallscale.models import LanguageModel, language_model, option_logps, write

ROUNDS, TEXTS, TOKENS = 3, 25, 24
OPTIONS = [" Paris", " Rome", " a city in the north", " nobody knows"]
PLACES = ("France", "Italy", "Norway", "Peru", "Kenya")


def main() -> None:
    """Measure and print."""
    model = language_model()
    prompts = [
        f"Here are some facts about the world. Number {i}: the capital of {place} is"
        for i in range(TEXTS // len(PLACES))
        for place in PLACES
    ]
    ways: dict[str, Callable[[], object]] = {
        "write, side by side": lambda: write(*model, prompts, max_new_tokens=TOKENS),
        "generate, side by side": lambda: generate(model, prompts),
        "generate, one by one": lambda: [generate(model, [p]) for p in prompts],
        "option_logps": lambda: option_logps(*model, prompts, OPTIONS),
        "a forward for each option": lambda: one_by_one(model, prompts),
    }
    seconds: dict[str, list[float]] = {way: [] for way in ways}
    for _ in range(ROUNDS):
        for way, run in ways.items():
            start = time.perf_counter()
            run()
            seconds[way].append(time.perf_counter() - start)
    table = Table("", "seconds", "times as fast as the last of its kind")
    medians = {way: statistics.median(found) for way, found in seconds.items()}
    for way, median in medians.items():
        last = "generate, one by one"
        if "option" in way:
            last = "a forward for each option"
        table.add_row(way, f"{median:.2f}", f"{medians[last] / median:.2f}")
    Console().print(table)


def generate(model: LanguageModel, prompts: list[str]) -> list[str]:
    """transformers' own way."""
    inputs = model.tokenizer(prompts, return_tensors="pt", padding=True)
    ids = model.model.generate(
        **inputs, max_new_tokens=TOKENS, do_sample=False, pad_token_id=2
    )
    texts: list[str] = model.tokenizer.batch_decode(
        ids[:, inputs.input_ids.shape[1] :], skip_special_tokens=True
    )
    return texts


@torch.no_grad()
def one_by_one(model: LanguageModel, prompts: list[str]) -> list[float]:
    """Each option's sum of log-probabilities, from the whole text."""
    sums = []
    for prompt in prompts:
        before = len(model.tokenizer.encode(prompt))
        for option in OPTIONS:
            ids = torch.tensor([model.tokenizer.encode(prompt + option)])
            logps = model.model(input_ids=ids).logits.log_softmax(2)
            places = logps[0, before - 1 : -1].gather(1, ids[0, before:, None])
            sums.append(places.sum().item())
    return sums


if __name__ == "__main__":
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    main()
