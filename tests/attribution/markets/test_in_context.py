"""Is the completion scored behind the right author's text, and recorded truly?"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from smallscale.attribution.markets import ngram_model
from smallscale.attribution.markets.in_context import (
    BETWEEN,
    PIECE,
    PIECES,
    RECORDED,
    context_scores,
    excerpts,
)
from smallscale.models import (
    LanguageModel,
    ModelMissing,
    NotRecorded,
    RecordedModel,
    option_logps,
)
from smallscale.models import recorded as recorded_module
from smallscale.models.language_model import is_here, language_model

TEXTS = ["import os\nos.walk(top)\n" * 60, "class Tag:\n    name = None\n" * 60]
TOKENIZER = ngram_model.train_tokenizer(TEXTS, 300)
LIBRARIES = [ngram_model.encode(TOKENIZER, [text, text[5:]]) for text in TEXTS]


class Copier:
    """In place of a model: a letter costs a nat where it is not in the text before."""

    def __init__(self) -> None:
        self.prompts: list[str] = []

    def option_logps(self, prompts: list[str], options: list[str]) -> Any:
        self.prompts = prompts
        rows = [
            [
                -float(sum(letter not in prompt for letter in option))
                for option in options
            ]
            for prompt in prompts
        ]
        return torch.tensor(rows)


def test_every_author_is_given_as_much_text() -> None:
    pieces = excerpts(LIBRARIES, seed=1)
    assert [part.shape for part in pieces] == [(PIECES, PIECE)] * 2
    for part, documents in zip(pieces, LIBRARIES, strict=True):
        runs = [bytes(document.astype(np.uint16)) for document in documents]
        for row in part:
            assert any(bytes(row.astype(np.uint16)) in run for run in runs)


def test_the_score_is_of_the_completion_alone_behind_each_authors_pieces() -> None:
    model = Copier()
    texts = ["zzzz os.walk", "zzzz Tag:"]
    rows = [TOKENIZER.encode(text).ids for text in texts]
    prompt = len(TOKENIZER.encode("zzzz").ids)
    short = min(map(len, rows))
    windows = np.array([row[:short] for row in rows])
    pieces = excerpts(LIBRARIES, seed=1)
    scores = context_scores(model, TOKENIZER, pieces, windows, prompt)  # type: ignore[arg-type]
    assert scores.shape == (2, 2)
    for a, of_author in enumerate(pieces):
        before = BETWEEN.join(TOKENIZER.decode(row.tolist()) for row in of_author)
        assert model.prompts[a] == before + BETWEEN
        for i, row in enumerate(windows):
            written = TOKENIZER.decode(row[prompt:].tolist())
            missing = sum(letter not in model.prompts[a] for letter in written)
            assert scores[a, i] == -missing  # the z's of the prompt cost nothing


def no_model(name: object, **_: object) -> LanguageModel:
    raise ModelMissing(f"{name} is not here")


def test_without_the_model_what_was_not_recorded_is_refused_not_made_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorded_module, "language_model", no_model)
    model = RecordedModel(tmp_path / "none.jsonl")
    windows = np.array([LIBRARIES[0][0][:20]])
    with pytest.raises(NotRecorded, match="2 of 2 prompts are not recorded"):
        context_scores(model, TOKENIZER, excerpts(LIBRARIES), windows, 8)


def test_what_was_recorded_is_what_the_model_says() -> None:
    if not is_here():
        pytest.skip("SmolLM2 is not here; `smallscale model` gets it")
    lines = [json.loads(text) for text in RECORDED.read_text("utf-8").splitlines()]
    live = language_model()
    for line in (lines[0], lines[-1]):
        options = line["settings"]["options"]
        some = [*range(0, len(options), 40)]
        texts = [options[i] for i in some]
        logps = option_logps(*live, [line["prompt"]], texts)[0]
        np.testing.assert_allclose(logps, np.array(line["answer"])[some], atol=1e-3)
