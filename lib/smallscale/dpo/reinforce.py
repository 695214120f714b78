"""What would a policy learn from its own texts, if it were told their true reward?

REINFORCE (Williams 1992) with a leave-one-out baseline (Ahmadian et al. 2024), on the
objective whose optimum DPO also seeks: E[reward] - beta KL(policy || reference).
"""

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Generator, Tensor, nn
from torch.optim.lr_scheduler import LambdaLR

from smallscale.dpo.answers import all_logps, answer_logps, padded_answers
from smallscale.dpo.sampling import sample_completions
from smallscale.training.loop import in_single_precision, minimise
from smallscale.training.optimizers import make_optimizer

Reward = Callable[[list[int]], float]  # of a completion
LR = 1e-3
DRAWS = 64  # completions in a step


def train_on_policy(
    policy: nn.Module,
    prompt: list[int],
    reward: Reward,
    *,
    beta: float,
    max_new_tokens: int,
    end_token: int,
    **options: Any,
) -> nn.Module:
    """Fit `policy` in place to E[reward] - beta KL(policy || policy as it came), from
    completions that it draws itself: each step raises the mean of
    (gain - mean gain of the other completions) log policy(completion), where
    gain = reward - beta (log policy - log reference).

    reward: called as reward(completion) for a number. A completion that has no
    end_token within max_new_tokens gets one too. Each step draws 64 completions of one
    prompt, so it asks for 64 true rewards, which DPO never sees.
    options: steps, seed and progress, as for `minimise`. Returned in eval mode, its
    weights in float32 or finer.
    The policy has no dropout while it learns: it is judged by the log-probabilities
    that it draws by.
    """
    in_single_precision(policy)
    reference = copy.deepcopy(policy).eval()
    device = next(policy.parameters()).device
    prompts = torch.tensor([prompt] * DRAWS)

    def surrogate(generator: Generator) -> Tensor:
        completions = sample_completions(
            policy,
            prompts,
            max_new_tokens=max_new_tokens,
            end_token=end_token,
            generator=generator,
        )
        batch = padded_answers(prompts.tolist(), completions, pad=end_token)
        logps = answer_logps(policy.eval(), batch)
        ratio = logps.detach() - all_logps(reference, batch).to(device)
        rewards = torch.tensor([reward(row) for row in completions]).to(device)
        gains = rewards - beta * ratio
        baseline = (gains.sum() - gains) / (DRAWS - 1)  # the mean of the others
        return (-(gains - baseline) * logps).mean()

    optimizer = make_optimizer("adamw", policy.parameters(), lr=LR)
    constant = LambdaLR(optimizer, lambda step: 1.0)
    return minimise(policy, surrogate, constant, **options)
