"""Does SmolLM2 keep to a constitution that it is told, or trained on? Records it.

    python benchmarks/values_by_prompt.py [SEED ...]

What the notebook on collective values asks at its scale small: every statement alone,
the constitutions of each seed with their controls, and a training on the one by
consensus; the same at tiny, where the training has two steps. What is recorded already
is not asked again.
"""

import sys
import time
from typing import Any

from smallscale.models import RecordedModel
from smallscale.values import opinion_groups
from smallscale.values.constitution_prompts import (
    RECORDED,
    SHORT_TRAINING,
    TRAINING,
    articles,
    own_words,
    statement_effects,
    told_and_controls,
    told_effects,
    train_on_constitution,
)
from smallscale.values.constitutions import constitutions
from smallscale.values.population import population

PEOPLE = {"small": 240, "tiny": 60}
STATEMENTS = population(seed=0).statements


def lists_of(seed: int, scale: str) -> dict[tuple[str, int], list[Any]]:
    """Return the constitutions of a seed, as the notebook finds them."""
    made = population(PEOPLE[scale], majority=0.7, seed=seed)
    groups = opinion_groups(made.matrix, seed=seed)
    found = constitutions(made.matrix, groups, seed=seed)
    return {(name, seed): ids for name, ids in found.items()}


def ask(model: RecordedModel, seed: int, scale: str) -> None:
    """Ask what is missing of a seed, and print the effects."""
    lists = lists_of(seed, scale)
    effects = told_effects(model, STATEMENTS, lists)
    print(effects.round(2).to_string(), flush=True)
    told = told_and_controls(STATEMENTS, lists["by consensus", seed])
    said = own_words(model, {"nothing": [], **told})
    print(said.T.to_string(), flush=True)


def train(model: RecordedModel, seed: int, scale: str) -> None:
    """Train on the constitution by consensus of a seed, and print what came of it."""
    wanted = articles(STATEMENTS, lists_of(seed, scale)["by consensus", seed])
    settings = TRAINING if scale == "small" else SHORT_TRAINING
    start = time.perf_counter()
    result = model.result_of(
        train_on_constitution, wanted=wanted, seed=seed, **settings
    )
    print(wanted, result, f"{time.perf_counter() - start:.0f} s", flush=True)


def main(seeds: list[int]) -> None:
    """Ask and train."""
    model = RecordedModel(RECORDED, record=True)
    print(statement_effects(model).round(2).to_string(), flush=True)
    ask(model, seeds[0], "tiny")
    train(model, seeds[0], "tiny")
    for seed in seeds:
        ask(model, seed, "small")
        train(model, seed, "small")


if __name__ == "__main__":
    main([int(text) for text in sys.argv[1:]] or [0, 1, 2])
