"""Does a model from a hub fall for the same sentences? Any question-answering model of transformers, as a reader."""

from collections.abc import Sequence

import pandas as pd
import torch
from scipy.special import log_softmax

from smallscale.robustness.reading.reader import Pair, Reading


class HubReader:
    """A question-answering model, read from a folder or by its name on a hub, with its own tokenizer.

    A passage longer than the model's window is read in windows that overlap by a quarter; of two opinions on a word the
    stronger counts. Raises ValueError where there is no such model, or its tokenizer cannot say where tokens stand.
    """

    def __init__(self, name: str, *, window: int = 384) -> None:
        # here, not above: importing it takes seconds, and only this class needs it
        from transformers import AutoModelForQuestionAnswering, AutoTokenizer

        try:
            self.tokenizer = AutoTokenizer.from_pretrained(name)
            self.model = AutoModelForQuestionAnswering.from_pretrained(name).eval()
        except (OSError, ValueError) as error:
            reason = (
                str(error).strip().splitlines()[0]
                if str(error).strip()
                else type(error).__name__
            )
            raise ValueError(
                f"model {name!r} cannot be loaded as a question-answering model: {reason}"
            ) from error
        if not self.tokenizer.is_fast:
            raise ValueError(
                f"model {name!r} has a slow tokenizer, which cannot say where its tokens stand"
            )
        self.window = min(
            window, getattr(self.model.config, "max_position_embeddings", window)
        )

    def read(self, pairs: Sequence[Pair]) -> list[Reading]:
        """A Reading for each (passage, question), over the model's own tokens."""
        return [self._read(*pair) for pair in pairs]

    def _read(self, passage: str, question: str) -> Reading:
        windows = {
            "truncation": "only_second",
            "max_length": self.window,
            "stride": self.window // 4,
        }
        wanted = {
            "return_overflowing_tokens": True,
            "return_offsets_mapping": True,
            "return_tensors": "pt",
        }
        encoded = self.tokenizer(question, passage, padding=True, **windows, **wanted)
        places = encoded.pop("offset_mapping")  # (windows, tokens, 2)
        encoded.pop("overflow_to_sample_mapping")
        with torch.no_grad():
            out = self.model(**encoded)
        scores = torch.stack(
            [out.start_logits, out.end_logits], 2
        ).double()  # (windows, tokens, 2)
        ours = torch.tensor(
            [
                [side == 1 for side in encoded.sequence_ids(w)]
                for w in range(len(places))
            ]
        )
        ours &= places[..., 1] > places[..., 0]
        strongest = (
            pd.DataFrame(scores[ours].numpy()).groupby(places[ours].T.tolist()).max()
        )  # in order of place
        starts, ends = log_softmax(strongest.to_numpy(), axis=0).T
        return Reading(passage, strongest.index.to_frame().to_numpy(), starts, ends)
