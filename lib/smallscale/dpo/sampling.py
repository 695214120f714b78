"""Where do a reference's habits come from, and what would learning from its own texts do? Fitting, drawing, REINFORCE.

The on-policy baseline is REINFORCE (Williams 1992) with a leave-one-out baseline (Ahmadian et al. 2024), on the
objective whose optimum DPO also seeks: E[reward] - beta KL(policy || reference).
"""

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Generator, Tensor, nn
from torch.optim import AdamW, Muon, Optimizer
from torch.optim.lr_scheduler import LambdaLR

from smallscale.core.devices import few_threads
from smallscale.dpo.losses import MASKED
from smallscale.dpo.policy_training import (
    Answers,
    all_logps,
    answer_logps,
    padded_answers,
)
from smallscale.training.evaluation import eval_mode
from smallscale.training.loop import minimise

Reward = Callable[[list[int]], float]  # of a completion
MUON_LR, ADAMW_LR, ON_POLICY_LR = 0.02, 6e-3, 1e-3
DRAWS = 64  # completions in a step of `train_on_policy`


def fit_texts(
    policy: nn.Module,
    texts: Answers,
    *,
    steps: int,
    frequency: Any = None,
    batch_size: int = 64,
    **options: Any,
) -> nn.Module:
    """Supervised, in place: maximise the log-probability of texts drawn with `frequency` (n,), or all alike.

    The loss is the mean over tokens. Muon (Jordan et al. 2024) moves the matrices inside the model, AdamW the rest,
    both at a rate that falls to zero over the last half: on models this small, better than AdamW alone in the same
    time. options: seed and progress, as for `minimise`. Returned in eval mode.
    """
    weights = (
        torch.ones(len(texts)) if frequency is None else torch.as_tensor(frequency)
    )
    named = dict(policy.named_parameters())
    inside = {
        name: p
        for name, p in named.items()
        if p.ndim == 2 and "embed" not in name and "head" not in name
    }
    rest = [p for name, p in named.items() if name not in inside]
    optimizers: list[Optimizer] = [
        AdamW(rest, lr=ADAMW_LR, weight_decay=0.0, foreach=True)
    ]
    if inside:
        optimizers.append(Muon(inside.values(), lr=MUON_LR, weight_decay=0.0))
    falling = [
        LambdaLR(optimizer, lambda step: min(1.0, 2 - 2 * step / steps))
        for optimizer in optimizers
    ]

    def mean_loss(generator: Generator) -> Tensor:
        batch = texts[
            weights.multinomial(batch_size, replacement=True, generator=generator)
        ]
        return (
            -answer_logps(policy, batch).sum() / (batch.labels[:, 1:] != MASKED).sum()
        )

    return minimise(policy, mean_loss, *falling, steps=steps, **options)


@torch.no_grad()
def draw(
    policy: nn.Module,
    prompts: Tensor,
    *,
    most: int,
    end: int,
    generator: Generator | None = None,
) -> list[list[int]]:
    """A completion for each of `prompts` (n, length), drawn token by token at temperature 1: lists of token ids.

    A completion ends with `end`, or without it after `most` tokens. generator: on the CPU; None: one seeded 0.
    """
    generator = Generator().manual_seed(0) if generator is None else generator
    ids, cache = prompts.to(next(policy.parameters()).device), None
    written = torch.full((len(ids), 0), end)
    with eval_mode(policy), few_threads(policy):
        for _ in range(most):
            output = policy(input_ids=ids, past_key_values=cache, use_cache=True)
            cache = output.past_key_values
            token = (
                output.logits[:, -1]
                .softmax(1)
                .cpu()
                .multinomial(1, generator=generator)
            )  # (n, 1)
            written = torch.cat([written, token], 1)
            if (written == end).any(1).all():
                break
            ids = token.to(ids.device)
    rows = written.tolist()
    return [row[: row.index(end) + 1] if end in row else row for row in rows]


def train_on_policy(
    policy: nn.Module,
    prompt: list[int],
    reward: Reward,
    *,
    beta: float,
    most: int,
    end: int,
    **options: Any,
) -> nn.Module:
    """Fit `policy` in place to E[reward] - beta KL(policy || policy as it came), from completions it draws itself.

    reward(completion) -> a number; a completion without `end` within `most` tokens is one too. Each step draws 64
    completions of one prompt; each one's gain is its reward - beta * (log policy - log reference), against the mean of
    the others'. It asks for 64 true rewards a step, which DPO never sees. options: steps, seed and progress, as for
    `minimise`. In eval mode at the end.
    """
    reference, device = copy.deepcopy(policy).eval(), next(policy.parameters()).device
    prompts = torch.tensor([prompt] * DRAWS)

    def surrogate(generator: Generator) -> Tensor:
        completions = draw(policy, prompts, most=most, end=end, generator=generator)
        batch = padded_answers(prompts.tolist(), completions, pad=end)
        logps = answer_logps(policy, batch)
        ratio = logps.detach() - all_logps(reference, batch).to(device)
        gains = (
            torch.tensor([reward(row) for row in completions]).to(device) - beta * ratio
        )
        baseline = (gains.sum() - gains) / (DRAWS - 1)
        return (-(gains - baseline) * logps).mean()

    optimizer = AdamW(
        policy.parameters(), lr=ON_POLICY_LR, weight_decay=0.0, foreach=True
    )
    return minimise(policy, surrogate, LambdaLR(optimizer, lambda step: 1.0), **options)
