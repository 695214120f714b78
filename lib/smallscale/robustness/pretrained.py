"""Does a model from a hub fall for the same sentences? Any question-answering model of transformers, as a reader."""

from collections.abc import Sequence

import numpy as np
import torch

from smallscale.robustness.reading import Pair, Reading


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
            reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
            raise ValueError(f"model {name!r} cannot be loaded as a question-answering model: {reason}") from error
        if not self.tokenizer.is_fast:
            raise ValueError(f"model {name!r} has a slow tokenizer, which cannot say where its tokens stand")
        self.window = min(window, getattr(self.model.config, "max_position_embeddings", window))

    def read(self, pairs: Sequence[Pair]) -> list[Reading]:
        """A Reading for each (passage, question), over the model's own tokens."""
        return [self._read(passage, question) for passage, question in pairs]

    def _read(self, passage: str, question: str) -> Reading:
        encoded = self.tokenizer(
            question,
            passage,
            truncation="only_second",
            max_length=self.window,
            stride=self.window // 4,
            return_overflowing_tokens=True,
            return_offsets_mapping=True,
            padding=True,
            return_tensors="pt",
        )
        offsets = encoded.pop("offset_mapping").numpy()  # (windows, tokens, 2)
        encoded.pop("overflow_to_sample_mapping")
        with torch.no_grad():
            out = self.model(**encoded)
        scores = torch.stack([out.start_logits, out.end_logits], 2).double().numpy()  # (windows, tokens, 2)
        strongest: dict[tuple[int, int], np.ndarray] = {}
        for w, (places, logits) in enumerate(zip(offsets, scores, strict=True)):
            for side, (a, b), value in zip(encoded.sequence_ids(w), places, logits, strict=True):
                if side == 1 and b > a:
                    at = (int(a), int(b))
                    strongest[at] = np.maximum(strongest.get(at, value), value)
        places = np.array(sorted(strongest), dtype=int).reshape(-1, 2)
        logits = np.array([strongest[tuple(at)] for at in places.tolist()]).reshape(-1, 2)
        log_p = torch.from_numpy(logits).log_softmax(0).numpy()
        return Reading(passage, places, log_p[:, 0], log_p[:, 1])
