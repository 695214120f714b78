"""Which answers of SmolLM2 does the notebook show? They are kept, so it need not be
there.
"""

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from torch import Tensor

from smallscale.evaluation.holistic.entrants import (
    Echo,
    Entrant,
    MostCommon,
    Nearest,
    NgramModel,
    Prompted,
)
from smallscale.evaluation.holistic.items import split_items
from smallscale.evaluation.holistic.scenarios import (
    FORMATS,
    FORMATS_BY_NAME,
    SCENARIOS_BY_NAME,
    Format,
    prompt,
)
from smallscale.models import language_model, option_logps, write
from smallscale.models.recorded import KEPT

RECORDED = KEPT / "holistic.jsonl"
NGRAM_TEXT = 100_000  # characters of the standard library
COMPARED = ("reviews", "status")  # scenarios whose prompts are compared
COMPARED_EXAMPLES = 2
TIMED = 80  # prompts that SmolLM2 is timed on behind a server
TOKENS = 8  # that an answer has then, at most


def language_entrants(model: object, name: str = "SmolLM2") -> list[Entrant]:
    """Return a language model three times: as the scenarios say, in another format, and
    without examples."""
    return [
        Prompted(name, model),
        Prompted(f"{name}, arrows", model, form=FORMATS_BY_NAME["arrow"]),
        Prompted(f"{name}, no examples", model, examples=False),
    ]


def simple_entrants(texts: Sequence[str]) -> list[Entrant]:
    """Return the entrants that anybody has: an n-gram model and three rules.

    texts: what the n-gram model counts, up to `NGRAM_TEXT` characters. The standard
    library's modules hold the questions of "next line": give it such as do not.
    """
    ngram = NgramModel("\n".join(texts)[:NGRAM_TEXT])
    return [
        Prompted("n-grams of code", ngram, operations=ngram.order + 1),
        Nearest(),
        Echo(),
        MostCommon(),
    ]


def format_scores(
    model: object,
    scenario: str,
    *,
    n: int = 48,
    formats: Sequence[Format] = FORMATS,
) -> pd.DataFrame:
    """Return the scores of a model on n items under each format, (n, formats)."""
    each = SCENARIOS_BY_NAME[scenario]
    training, items, _ = split_items(scenario, n)
    found = {}
    for form in formats:
        entrant = Prompted(form.name, model, form=form)
        said = entrant.answers(each, items, training[:COMPARED_EXAMPLES])
        found[form.name] = [
            float(answer.text == item.answer)
            for answer, item in zip(said, items, strict=True)
        ]
    return pd.DataFrame(found).astype(np.float64)


def speed_queries(n: int) -> list[str]:
    """Return n sums at most, each with two examples, as a model is timed on them."""
    sums = SCENARIOS_BY_NAME["sums"]
    pool = split_items(sums.name, n)
    return [prompt(sums, item.text, pool.training[:2]) for item in pool.test]


def served_settings() -> dict[str, Any]:
    """Return the settings of `latency.served_speed` that are recorded."""
    return {"prompts": speed_queries(TIMED), "max_new_tokens": TOKENS}


class LocalModel:
    """A model of transformers with the methods that `Prompted` asks for.

    name: as `smallscale.models.language_model` takes it.
    """

    def __init__(self, name: str | os.PathLike[str]) -> None:
        self.live = language_model(name)

    def write(
        self, prompts: Sequence[str], *, max_new_tokens: int, stop: Sequence[str]
    ) -> list[str]:
        """Return how the model continues each prompt, greedily."""
        return list(
            write(*self.live, prompts, max_new_tokens=max_new_tokens, stop=stop)
        )

    def option_logps(
        self, prompts: Sequence[str], options: Sequence[Sequence[str]]
    ) -> Tensor:
        """Return log p(option | prompt), (prompts, options)."""
        return option_logps(*self.live, prompts, options)
