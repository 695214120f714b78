"""What is the smallest language model that shows the effect? A Llama, untrained.

Llama (Touvron et al. 2023) is transformers' own implementation, so a small model is
used, saved and loaded exactly as a large one from the Hugging Face hub.
"""

from typing import Any

from transformers import LlamaConfig, LlamaForCausalLM

from smallscale.core.seeds import seeded
from smallscale.core.validation import whole_number


def small_transformer(
    vocabulary: int,
    *,
    length: int,
    width: int = 64,
    layers: int = 2,
    heads: int = 4,
    seed: int = 0,
    **config: Any,
) -> LlamaForCausalLM:
    """Return a causal language model with random weights, in eval mode.

    vocabulary: how many tokens there are. length: the most tokens that a text may have.
    width: of the hidden state; the inner layer of each block is twice as wide.
    config: anything else that transformers' LlamaConfig takes. It has no dropout.
    seed: of the initial weights; no global state is touched.
    Raises ValueError for a size that is not a whole number of at least 1.

    >>> small_transformer(vocabulary=30, length=16).num_parameters()
    86080
    """
    sizes: dict[str, Any] = {
        "vocab_size": whole_number("vocabulary", vocabulary),
        "max_position_embeddings": whole_number("length", length),
        "hidden_size": whole_number("width", width),
        "intermediate_size": 2 * width,
        "num_hidden_layers": whole_number("layers", layers),
        "num_attention_heads": whole_number("heads", heads),
    }
    with seeded(seed):
        model = LlamaForCausalLM(LlamaConfig(**{**sizes, **config}))
    model.train(False)  # eval mode
    return model
