"""Which answers of SmolLM2 does the notebook show? They are kept, so it need not be
there.
"""

import os
from collections.abc import Sequence

import numpy as np
import pandas as pd
from torch import Tensor

from smallscale.datasets.source_code import stdlib_modules
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
)
from smallscale.models import language_model, option_logps, write
from smallscale.models.recorded import KEPT

RECORDED = KEPT / "holistic.jsonl"
NGRAM_TEXT = 100_000  # characters of the standard library
COMPARED = ("reviews", "status")  # scenarios whose prompts are compared
COMPARED_EXAMPLES = 2


def language_entrants(model: object, name: str = "SmolLM2") -> list[Entrant]:
    """Return a language model three times: as the scenarios say, in another format, and
    without examples."""
    return [
        Prompted(name, model),
        Prompted(f"{name}, arrows", model, form=FORMATS_BY_NAME["arrow"]),
        Prompted(f"{name}, no examples", model, examples=False),
    ]


def simple_entrants() -> list[Entrant]:
    """Return the entrants that anybody has: an n-gram model and three rules."""
    text = "\n".join(stdlib_modules(NGRAM_TEXT))[:NGRAM_TEXT]
    ngram = NgramModel(text)
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
