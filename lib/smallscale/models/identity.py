"""Which model is it? A hash of all on which its answers depend."""

import json
from hashlib import sha256
from typing import Any

import torch

# Settings that say where a model came from and how it is kept, not what it does.
NOT_OF_THE_MODEL = {
    "_name_or_path",
    "architectures",
    "dtype",
    "torch_dtype",
    "transformers_version",
}
SET_BY_CALLS = {"padding", "truncation"}  # of a tokenizer


def model_hash(model: Any, tokenizer: Any) -> str:
    """Return a hash of all on which the answers of a model depend.

    Of the model: its class, parameters, buffers (also those that are not saved) and
    settings. Of the tokenizer: its words and rules. Two copies of one model have the
    same, wherever they were loaded from.
    """
    total = sha256(type(model).__name__.encode())
    tensors = {**dict(model.named_buffers()), **model.state_dict()}
    for name, tensor in sorted(tensors.items()):
        total.update(f"\0{name}\0{tensor.dtype}\0{tuple(tensor.shape)}\0".encode())
        flat = tensor.detach().cpu().contiguous().flatten()
        total.update(flat.view(torch.uint8).numpy().data)
    for described in (_settings(model), _rules(tokenizer)):
        total.update(json.dumps(described, sort_keys=True, default=str).encode())
    return total.hexdigest()


def _settings(model: Any) -> dict[str, Any]:
    """Return a model's settings without what a copy of it may have otherwise."""
    config: Any = getattr(model, "config", None)
    settings: dict[str, Any] = config.to_dict() if hasattr(config, "to_dict") else {}
    return {
        name: value for name, value in settings.items() if name not in NOT_OF_THE_MODEL
    }


def _rules(tokenizer: Any) -> Any:
    """Return a tokenizer's rules, without those of padding, which calls may change."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is not None:
        rules = json.loads(backend.to_str())
        return {name: rules[name] for name in rules if name not in SET_BY_CALLS}
    if hasattr(tokenizer, "get_vocab"):
        return [type(tokenizer).__name__, tokenizer.get_vocab()]
    return type(tokenizer).__name__
