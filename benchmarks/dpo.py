"""Is a step of preference training as fast as it can be? `train_preferences` against
trl's DPOTrainer.

The same small GPT-2 of transformers, the same pairs of random tokens, AdamW in single
precision, one thread. trl is timed as it comes, which in 1.16 means recomputing
activations and bfloat16; without these two, which makes it faster on a CPU and is the
fairer peer; and with its reference log-probabilities precomputed as well. The ways take
turns. Setting up is not counted, on either side: neither trl's tokenising, nor
log-probabilities computed once.

    python benchmarks/dpo.py
"""

import copy
import logging
import os
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from typing import Any

import datasets
import torch
import transformers
import trl
from rich.console import Console
from rich.table import Table
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

from smallscale.dpo import padded_answers, train_preferences
from smallscale.dpo.answers import all_logps

ROUNDS, STEPS, WARM = 7, 15, 3
PROMPT, ANSWER, VOCABULARY = 16, 32, 256  # tokens
WANTED = 1 / 1.5
THEIRS: dict[str, dict[str, Any]] = {
    "as it comes": {},
    "single precision, nothing recomputed": {
        "bf16": False,
        "gradient_checkpointing": False,
    },
    "and reference precomputed": {
        "bf16": False,
        "gradient_checkpointing": False,
        "precompute_ref_log_probs": True,
    },
}


def main() -> None:
    """Measure and print."""
    quiet()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    model = GPT2LMHeadModel(
        GPT2Config(
            vocab_size=VOCABULARY, n_positions=64, n_embd=64, n_layer=2, n_head=4
        )
    )
    size = sum(p.numel() for p in model.parameters())
    title = (
        f"GPT-2 of {size:,} parameters, texts of up to {PROMPT + ANSWER} tokens, "
        f"{torch.get_num_threads()} thread"
    )
    table = Table(
        "pairs a step",
        "trl",
        "ours, ms",
        "trl, ms",
        "ratio",
        title=f"{title}, medians of {ROUNDS}",
    )
    for batch in (8, 32):
        rows = pairs(batch * STEPS)
        ways = [lambda batch=batch, rows=rows: ours(model, rows, batch)]
        ways += [
            lambda batch=batch, rows=rows, o=o: theirs(model, rows, batch, o)
            for o in THEIRS.values()
        ]
        for name, (mine, peer) in zip(THEIRS, measured(ways, batch), strict=True):
            wanted = (
                f"   (wanted: at most {WANTED:.2f})" if name == "as it comes" else ""
            )
            table.add_row(
                str(batch),
                name,
                f"{mine:.1f}",
                f"{peer:.1f}",
                f"{mine / peer:.2f}{wanted}",
            )
    Console(width=120).print(table)


def measured(ways: list[Callable[[], float]], batch: int) -> list[tuple[float, float]]:
    """The median milliseconds of the first way beside those of each other."""
    times: list[list[float]] = [[] for _ in ways]
    for round in range(ROUNDS):
        print(f"{batch} pairs, round {round + 1} of {ROUNDS}", file=sys.stderr)
        for each, way in zip(times, ways, strict=True):
            each.append(way())
    ours, *peers = (statistics.median(each) for each in times)
    return [(ours, peer) for peer in peers]


def pairs(n: int) -> list[dict[str, list[int]]]:
    """Prompts and two answers each, of random tokens; answers of 8 tokens and more, so
    that padding plays its part."""

    def tokens(length: int) -> list[int]:
        return torch.randint(3, VOCABULARY, (length,)).tolist()

    def answer() -> list[int]:
        return tokens(int(torch.randint(8, ANSWER, ())))

    return [
        {"prompt": tokens(PROMPT), "chosen": answer(), "rejected": answer()}
        for _ in range(n)
    ]


def ours(model: Any, rows: list[dict[str, list[int]]], batch: int) -> float:
    """Milliseconds a step, the first few left out."""
    texts = padded_answers(
        [row["prompt"] for row in rows] * 2,
        [[*row[side], 1] for side in ("chosen", "rejected") for row in rows],
    )
    policy = copy.deepcopy(model)
    order = [[i, len(rows) + i] for i in range(len(rows))]
    reference = all_logps(policy, texts)
    stamps: list[float] = []
    train_preferences(
        policy,
        texts,
        order,
        beta=0.1,
        lr=1e-4,
        steps=STEPS,
        batch_size=batch,
        reference=reference,
        watch=lambda *_: stamps.append(time.perf_counter()),
    )
    return 1000 * statistics.median(
        b - a for a, b in zip(stamps[WARM:], stamps[WARM + 1 :], strict=False)
    )


class Stamps(transformers.TrainerCallback):
    """When each of trl's steps ended."""

    def __init__(self) -> None:
        self.at: list[float] = []

    def on_step_end(self, *_: Any, **__: Any) -> None:
        """Called by the trainer."""
        self.at.append(time.perf_counter())


def theirs(
    model: Any, rows: list[dict[str, list[int]]], batch: int, options: dict[str, Any]
) -> float:
    """Milliseconds a step of trl's trainer on the same rows, the first few left out."""
    stamps = Stamps()
    with tempfile.TemporaryDirectory() as folder:
        config = trl.DPOConfig(
            output_dir=folder,
            max_steps=STEPS,
            per_device_train_batch_size=batch,
            learning_rate=1e-4,
            use_cpu=True,
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
            logging_strategy="no",
            **options,
        )
        words = [
            {key: " ".join(f"w{t}" for t in row[key]) for key in row} for row in rows
        ]
        trainer = trl.DPOTrainer(
            model=copy.deepcopy(model),
            ref_model=copy.deepcopy(model),
            args=config,
            callbacks=[stamps],
            train_dataset=datasets.Dataset.from_list(
                [{**w, "prompt": w["prompt"] + " "} for w in words]
            ),
            processing_class=tokenizer(),
        )
        trainer.train()
    return 1000 * statistics.median(
        b - a for a, b in zip(stamps.at[WARM:], stamps.at[WARM + 1 :], strict=False)
    )


def tokenizer() -> PreTrainedTokenizerFast:
    """A word is a token: w17 is 17."""
    names = {
        "<pad>": 0,
        "<end>": 1,
        "<other>": 2,
        **{f"w{i}": i for i in range(3, VOCABULARY)},
    }
    words = Tokenizer(models.WordLevel(names, unk_token="<other>"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(
        tokenizer_object=words, eos_token="<end>", pad_token="<pad>"
    )


def quiet() -> None:
    """No bars, no advice: the table is what is read."""
    os.environ["TRL_EXPERIMENTAL_SILENCE"] = "1"
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    datasets.disable_progress_bars()
    transformers.Trainer.log = lambda *_, **__: None  # type: ignore[method-assign, assignment]


if __name__ == "__main__":
    main()
