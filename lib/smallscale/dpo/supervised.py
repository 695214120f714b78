"""Where do a reference's habits come from? From texts that it was taught to write."""

from typing import Any

import torch
from torch import Generator, Tensor, nn

from smallscale.core.validation import as_tensor
from smallscale.dpo.answers import Answers, answer_logps
from smallscale.dpo.losses import MASKED
from smallscale.training.loop import minimise
from smallscale.training.optimizers import late_decay, make_optimizer

MUON_LR = 0.02
ADAMW_LR = 6e-3


def fit_texts(
    policy: nn.Module,
    texts: Answers,
    *,
    steps: int,
    frequency: Any = None,
    batch_size: int = 64,
    **options: Any,
) -> nn.Module:
    """Raise the log-probability of texts under `policy`, in place.

    This is supervised training. frequency: (n,) how often each text is drawn; None: all
    alike. The loss is the mean over the answers' tokens. Muon (Jordan et al. 2024)
    moves the matrices inside the model and AdamW the rest, both at a rate that falls to
    zero over the last half; on models this small that does better than AdamW alone in
    the same time.
    options: seed and progress, as for `minimise`. Returned in eval mode, its weights in
    float32 or finer.
    """
    if frequency is None:
        weights = torch.ones(len(texts))
    else:
        weights = as_tensor("frequency", frequency).cpu()  # where the generator is
    inside: list[Tensor] = []
    rest: list[Tensor] = []
    for name, parameter in policy.named_parameters():
        matrix = parameter.ndim == 2 and "embed" not in name and "head" not in name
        group = inside if matrix else rest
        group.append(parameter)
    optimizers = [make_optimizer("adamw", rest, lr=ADAMW_LR)]
    if inside:
        optimizers.append(make_optimizer("muon", inside, lr=MUON_LR))
    rates = [late_decay(optimizer, steps) for optimizer in optimizers]

    def mean_loss(generator: Generator) -> Tensor:
        drawn = weights.multinomial(batch_size, replacement=True, generator=generator)
        batch = texts[drawn]
        tokens = (batch.labels[:, 1:] != MASKED).sum()
        return -answer_logps(policy, batch).sum() / tokens

    return minimise(policy, mean_loss, *rates, steps=steps, **options)
