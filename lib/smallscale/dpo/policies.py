"""What is the plainest policy, and the smallest that writes text?

A policy is any module from token ids (batch, length) to logits (batch, length,
vocabulary), or a transformers model.
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from transformers import LlamaForCausalLM

from smallscale.core.devices import place
from smallscale.core.validation import as_array, require
from smallscale.models.transformer import small_transformer

START, END = 0, 1  # the token ids of the prompt, and of the end of text
INITIAL_SPREAD = 0.1  # of the first weights: wide, because the model is narrow


def small_policy(
    vocabulary: int, *, length: int, width: int = 64, seed: int = 0
) -> LlamaForCausalLM:
    """Return a `small_transformer` with random weights that are spread widely.

    length: the most tokens of a text. At a vocabulary of 16 and the default width it
    has 84,000 parameters. It has no dropout, and comes in eval mode, on the device that
    `core.devices.place` gives it.
    """
    model = small_transformer(
        vocabulary,
        length=length,
        width=width,
        seed=seed,
        initializer_range=INITIAL_SPREAD,
        bos_token_id=START,
        eos_token_id=END,
    )
    return place(model)


class Tabular(nn.Module):
    """The plainest policy: a free logit for each answer to each prompt.

    reference: (prompts, answers) probabilities that it starts from, all above 0. A
    prompt is one token and so is an answer. `padded_answers([[p], ...], [[a], ...])`
    are its texts, and it is trained as a language model is. It comes on the CPU, in
    double precision; `to` moves it as any module.
    Raises ValueError for other shapes, and for what are no probabilities above 0.

    >>> Tabular([[0.2, 0.8]]).probabilities()
    array([[0.2, 0.8]])
    """

    def __init__(self, reference: Any) -> None:
        super().__init__()
        table = as_array("reference", reference, dtype=float)
        shaped = table.ndim == 2 and (table > 0).all()
        require(
            shaped and np.allclose(table.sum(1), 1),
            "reference must be (prompts, answers) probabilities above 0, each row's "
            "sum 1",
        )
        self.logits = nn.Parameter(torch.tensor(table).log())

    def forward(self, ids: Tensor) -> Tensor:
        """Return logits (batch, 2, answers) for ids (batch, 2) of prompt and answer.

        The logits at the prompt predict the answer. Those at the answer are never used,
        and are the prompt's again.
        Raises ValueError for a prompt that is no row of the table.
        """
        prompts = ids[:, :1].expand_as(ids).to(self.logits.device)  # (batch, 2)
        require(
            int(prompts.max()) < len(self.logits),
            f"prompts must be below {len(self.logits)}, the rows of the table; got "
            f"{int(prompts.max())}",
        )
        return self.logits[prompts]

    def probabilities(self) -> np.ndarray:
        """Return the policy as it is now, (prompts, answers)."""
        table: np.ndarray = self.logits.detach().softmax(1).cpu().numpy()
        return table
