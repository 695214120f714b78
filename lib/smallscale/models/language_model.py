"""Which language model does a name stand for?"""

import difflib
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError

from smallscale.core.devices import place
from smallscale.core.validation import require, shown
from smallscale.models.smollm2 import ModelMissing, smollm2_folder

SMOLLM2 = "smollm2"
HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+")
# What transformers raises for a model that it cannot find, read or build.
NOT_LOADED = (OSError, ValueError, KeyError, ImportError, RuntimeError, SafetensorError)
TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer.model",
    "vocab.json",
    "vocab.txt",
    "tokenizer_config.json",  # all there is where bytes are the tokens
)
ALLOWED = (
    'a model\'s name must be "smollm2", a folder that a model was saved in, or a name '
    'of the Hugging Face hub such as "HuggingFaceTB/SmolLM2-360M-Instruct"'
)


class LanguageModel(NamedTuple):
    """A causal language model of transformers, and the tokenizer it was trained with.

    The model is in eval mode. The tokenizer pads on the left, where a text is continued
    on the right.
    """

    model: Any
    tokenizer: Any


def language_model(
    name: str | os.PathLike[str] = SMOLLM2, *, dtype: torch.dtype = torch.float32
) -> LanguageModel:
    """Return the language model of this name and its tokenizer.

    name: "smollm2", which is SmolLM2-135M-Instruct and needs no network once
    `smallscale model` has fetched it; a folder that a model and its tokenizer were
    saved in; or a name of the Hugging Face hub (owner/model), which is downloaded.
    dtype: of the weights. The model is in eval mode, on the device that
    `smallscale.core.devices.place` chooses. Weights are read from safetensors and
    nothing is unpickled; no code that comes with a model is run.
    Raises ModelMissing, a ValueError, for a model that is not here, with the line that
    gets it; and ValueError for an unknown name, a folder that lacks its weights or its
    tokenizer, and a tokenizer that does not fit the model or has no end of text.
    """
    require(
        isinstance(dtype, torch.dtype) and dtype.is_floating_point,
        f"dtype must be a floating-point dtype of torch; got {dtype!r}",
    )
    model, tokenizer = _load(_source(name), dtype)
    _check_fit(model, tokenizer, name)
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    tokenizer.padding_side = "left"
    return LanguageModel(place(model).eval(), tokenizer)


def is_here(name: str | os.PathLike[str] = SMOLLM2) -> bool:
    """Return whether this model can be loaded without the network, by its files."""
    from smallscale.models import smollm2

    if name == SMOLLM2:
        return smollm2.is_here()
    return Path(name).expanduser().is_dir()


def _source(name: str | os.PathLike[str]) -> str:
    """Return the folder or the hub's name that a name stands for, or refuse it."""
    if name == SMOLLM2:
        return str(smollm2_folder())
    require(isinstance(name, str | os.PathLike) and str(name), ALLOWED)
    text = os.fspath(name)
    folder = Path(text).expanduser()
    if folder.is_dir():
        _check_folder(folder)
        return str(folder.resolve())
    is_path = not isinstance(name, str) or text.startswith(("~", ".", "/", "\\"))
    if is_path or not HUB_NAME.fullmatch(text):
        near = difflib.get_close_matches(text.lower(), [SMOLLM2])
        nearest = f": did you mean {near[0]!r}?" if near and not is_path else ""
        raise ModelMissing(f"{ALLOWED}; there is no folder {shown(text)}{nearest}")
    return text


def _check_folder(folder: Path) -> None:
    """Refuse a folder that lacks what a model needs, and say what is missing."""
    present = {path.name for path in folder.iterdir()}
    required = "save it with model.save_pretrained(folder)"
    require("config.json" in present, f"{folder} holds no model: {required}")
    weights = any(name.endswith(".safetensors") for name in present)
    require(weights, f"{folder} holds no weights as safetensors: {required}")
    require(
        present.intersection(TOKENIZER_FILES),
        f"{folder} holds no tokenizer: save it with tokenizer.save_pretrained(folder)",
    )


def _load(source: str, dtype: torch.dtype) -> tuple[Any, Any]:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    try:
        with quiet_loading():
            tokenizer = AutoTokenizer.from_pretrained(source)
            model = AutoModelForCausalLM.from_pretrained(
                source, dtype=dtype, use_safetensors=True
            )
    except NOT_LOADED as error:
        reason = str(error).strip().split("\n")[0]
        raise ModelMissing(
            f"{ALLOWED}; {shown(source)} cannot be loaded: {reason}"
        ) from error
    return model, tokenizer


def _check_fit(model: Any, tokenizer: Any, name: Any) -> None:
    require(
        tokenizer.eos_token_id is not None,
        f"the tokenizer of {shown(name)} must have an end-of-text token, which tells "
        "where a text ends; set eos_token in its tokenizer_config.json",
    )
    embedded = model.get_input_embeddings().num_embeddings
    largest = max(tokenizer.get_vocab().values())
    require(
        largest < embedded,
        f"the tokenizer of {shown(name)} has token {largest} and its model knows "
        f"{embedded} tokens: they do not belong together",
    )


@contextmanager
def quiet_loading() -> Iterator[None]:
    """Let transformers load without its bars and its remarks."""
    from transformers.utils import logging

    logs: Any = logging  # some of it is not typed
    shows_bars = logs.is_progress_bar_enabled()
    level = logs.get_verbosity()
    logs.disable_progress_bar()
    logs.set_verbosity_error()
    try:
        yield
    finally:
        logs.set_verbosity(level)
        if shows_bars:
            logs.enable_progress_bar()
