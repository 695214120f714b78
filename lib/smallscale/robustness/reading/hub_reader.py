"""Does a model from a hub fall for the same sentences?

Any question-answering model of transformers, as a reader.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from scipy.special import log_softmax
from torch import Tensor

from smallscale.core.devices import place
from smallscale.core.validation import require
from smallscale.models.language_model import NOT_LOADED
from smallscale.robustness.reading.readings import Pair, Reading


class HubReader:
    """A question-answering model with its own tokenizer.

    name: a folder (`~` is the home folder), or the model's name on a hub, from which it
    is then downloaded.
    window: tokens that are read at once; a longer passage is read in windows that
    overlap by a quarter, and of two opinions on a word the stronger counts.
    Weights are float32 whatever they are stored in, on the device that
    `core.devices.place` chooses.
    Raises ValueError where there is no such model, or its tokenizer cannot say where in
    the text its tokens stand.
    """

    def __init__(self, name: str, *, window: int = 384) -> None:
        # Here, not above: importing it takes seconds, and only this class needs it.
        from transformers import AutoModelForQuestionAnswering, AutoTokenizer

        folder = Path(name).expanduser()
        source = str(folder) if folder.is_dir() else name
        try:
            self.tokenizer: Any = AutoTokenizer.from_pretrained(source)
            model: Any = AutoModelForQuestionAnswering.from_pretrained(
                source, dtype=torch.float32
            )
        except NOT_LOADED as error:
            raise ValueError(
                f"model {name!r} cannot be loaded as a question-answering model: "
                f"{_first_line(error)}"
            ) from error
        self.model = place(model).eval()
        require(
            self.tokenizer.is_fast,
            f"model {name!r} has a slow tokenizer, which cannot say where its tokens "
            "stand",
        )
        most = getattr(self.model.config, "max_position_embeddings", window)
        self.window = min(window, most)

    def read(self, pairs: Sequence[Pair]) -> list[Reading]:
        """Return a Reading for each pair, over the model's own tokens."""
        return [self._read_one(passage, question) for passage, question in pairs]

    def _read_one(self, passage: str, question: str) -> Reading:
        encoded = self.tokenizer(
            question,
            passage,
            padding=True,
            truncation="only_second",
            max_length=self.window,
            stride=self.window // 4,
            return_overflowing_tokens=True,
            return_offsets_mapping=True,
            return_tensors="pt",
        )
        places = encoded.pop("offset_mapping")  # (windows, tokens, 2)
        encoded.pop("overflow_to_sample_mapping")
        with torch.no_grad():
            out = self.model(**encoded.to(self.model.device))
        logits = torch.stack([out.start_logits, out.end_logits], 2).double().cpu()
        ours = _passage_tokens(encoded, places)  # (windows, tokens)
        # A token that two windows hold keeps its larger logits. groupby sorts by place.
        by_place = pd.DataFrame(logits[ours].numpy()).groupby(places[ours].T.tolist())
        strongest = by_place.max()
        starts, ends = log_softmax(strongest.to_numpy(), axis=0).T
        return Reading(passage, strongest.index.to_frame().to_numpy(), starts, ends)


def _passage_tokens(encoded: Any, places: Tensor) -> Tensor:
    """Return (windows, tokens): which tokens are of the passage and not empty."""
    sides = [encoded.sequence_ids(window) for window in range(len(places))]
    second = torch.tensor([[side == 1 for side in window] for window in sides])
    return second & (places[..., 1] > places[..., 0])


def _first_line(error: Exception) -> str:
    text = str(error).strip()
    return text.splitlines()[0] if text else type(error).__name__
