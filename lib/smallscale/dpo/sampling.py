"""Where do a reference's habits come from, and what would learning from its own texts do? Fitting, drawing, REINFORCE.

The on-policy baseline is REINFORCE (Williams 1992) with a leave-one-out baseline (Ahmadian et al. 2024), on the
objective whose optimum DPO also seeks: E[reward] - beta KL(policy || reference).
"""

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Generator, Tensor, nn
from torch.optim import AdamW, Muon
from torch.optim.lr_scheduler import LambdaLR

from smallscale.dpo.losses import MASKED
from smallscale.dpo.training import Answers, all_logps, answer_logps, few_threads, minimise, padded_answers
from smallscale.training import eval_mode

MUON_LR, ADAMW_LR = 0.02, 6e-3


def fit_texts(
    policy: nn.Module,
    texts: Answers,
    *,
    steps: int,
    frequency: Any = None,
    batch_size: int = 64,
    seed: int = 0,
    progress: str = "",
) -> nn.Module:
    """Supervised, in place: maximise the log-probability of texts drawn with `frequency` (n,), or all alike.

    The loss is the mean over tokens. Muon (Jordan et al. 2024) moves the matrices inside the model, AdamW the
    rest, both at a rate that falls to zero over the last half: on models this small, better than AdamW alone in the
    same time. Returned in eval mode.
    """
    weights = torch.ones(len(texts)) if frequency is None else torch.as_tensor(frequency)
    generator = Generator().manual_seed(seed)
    named = dict(policy.named_parameters())
    inside = [name for name, p in named.items() if p.ndim == 2 and "embed" not in name and "head" not in name]
    rest = [p for name, p in named.items() if name not in inside]
    optimizers: list[torch.optim.Optimizer] = [AdamW(rest, lr=ADAMW_LR, weight_decay=0.0, foreach=True)]
    if inside:
        optimizers.append(Muon([named[name] for name in inside], lr=MUON_LR, weight_decay=0.0))
    falling = [LambdaLR(optimizer, lambda step: min(1.0, 2 - 2 * step / steps)) for optimizer in optimizers]

    def mean_loss() -> Tensor:
        batch = texts[weights.multinomial(batch_size, replacement=True, generator=generator)]
        return -answer_logps(policy, batch).sum() / (batch.labels[:, 1:] != MASKED).sum()

    return minimise(policy, mean_loss, *falling, steps=steps, seed=seed, progress=progress)


@torch.no_grad()
def draw(
    policy: nn.Module, prompts: Tensor, *, most: int, end: int, generator: Generator | None = None
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
            token = output.logits[:, -1].softmax(1).cpu().multinomial(1, generator=generator)  # (n, 1)
            written = torch.cat([written, token], 1)
            if (written == end).any(1).all():
                break
            ids = token.to(ids.device)
    rows = written.tolist()
    return [row[: row.index(end) + 1] if end in row else row for row in rows]


def train_on_policy(
    policy: nn.Module,
    prompt: list[int],
    reward: Callable[[list[int]], float],
    *,
    beta: float,
    steps: int,
    most: int,
    end: int,
    batch_size: int = 64,
    lr: float = 1e-3,
    seed: int = 0,
    progress: str = "",
) -> nn.Module:
    """Fit `policy` in place to E[reward] - beta KL(policy || policy as it came), from completions it draws itself.

    reward(completion) -> a number; a completion without `end` within `most` tokens is one too. Each step draws
    batch_size completions of one prompt; each one's gain is its reward - beta * (log policy - log reference), against
    the mean of the others'. It asks for batch_size true rewards a step, which DPO never sees. In eval mode at the end.
    """
    reference = copy.deepcopy(policy).eval()
    generator, device = Generator().manual_seed(seed), next(policy.parameters()).device
    prompts = torch.tensor([prompt] * batch_size)

    def surrogate() -> Tensor:
        completions = draw(policy, prompts, most=most, end=end, generator=generator)
        batch = padded_answers(prompts.tolist(), completions, pad=end)
        logps = answer_logps(policy, batch)
        ratio = logps.detach() - all_logps(reference, batch).to(device)
        gains = torch.tensor([reward(row) for row in completions]).to(device) - beta * ratio
        baseline = (gains.sum() - gains) / (batch_size - 1)
        return (-(gains - baseline) * logps).mean()

    constant = LambdaLR(AdamW(policy.parameters(), lr=lr, weight_decay=0.0, foreach=True), lambda step: 1.0)
    return minimise(policy, surrogate, constant, steps=steps, seed=seed, progress=progress)
