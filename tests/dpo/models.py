"""A tiny model, and some texts in its tokens."""

from torch import nn
from transformers import GPT2Config, GPT2LMHeadModel

from smallscale.core.seeds import seeded

END = 9


PROMPTS = [[1, 2, 3], [4], [5, 6], [1, 2, 3]]


COMPLETIONS = [[7, END], [8, 8, 7, 2, END], [END], [3, 3, END]]


def tiny_gpt2(dropout: float = 0.0) -> nn.Module:
    """Learned positions, so that a wrong position shows; large weights, so that
    everything shows."""
    config = GPT2Config(
        vocab_size=10,
        n_positions=24,
        n_embd=16,
        n_layer=2,
        n_head=2,
        initializer_range=0.5,
        resid_pdrop=dropout,
        embd_pdrop=dropout,
        attn_pdrop=dropout,
        bos_token_id=0,
        eos_token_id=END,
    )
    with seeded(0):
        return GPT2LMHeadModel(config).eval()
