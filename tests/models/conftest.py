"""A tiny language model with its tokenizer, and the real one where it is."""

from typing import Any

import pytest
import torch

from smallscale.models import LanguageModel, language_model, small_transformer
from smallscale.models.language_model import is_here
from tests.models.tokenizers_like import CHATML, byte_level


@pytest.fixture(scope="session")
def tiny() -> LanguageModel:
    """Random weights, spread widely so that it is sure of what it writes."""
    tokenizer: Any = byte_level()
    tokenizer.chat_template = CHATML
    tokenizer.pad_token = tokenizer.eos_token
    tokenizer.padding_side = "left"
    model = small_transformer(
        len(tokenizer),
        length=256,
        width=32,
        initializer_range=0.3,
        eos_token_id=tokenizer.eos_token_id,
    )
    return LanguageModel(model.double(), tokenizer)


@pytest.fixture(scope="session")
def smollm2() -> LanguageModel:
    """SmolLM2 itself."""
    if not is_here():
        pytest.skip("SmolLM2 is not here; `smallscale model` gets it")
    return language_model("smollm2", dtype=torch.float32)
