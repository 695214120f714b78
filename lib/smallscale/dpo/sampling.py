"""What does a policy write? Completions, drawn token by token."""

import torch
from torch import Generator, Tensor, nn

from smallscale.core.devices import few_threads
from smallscale.core.modes import eval_mode
from smallscale.core.seeds import generator_or_new
from smallscale.core.validation import require, whole_number
from smallscale.dpo.answers import most_tokens
from smallscale.dpo.losses import real_tensor


@torch.no_grad()
def sample_completions(
    policy: nn.Module,
    prompts: Tensor,
    *,
    max_new_tokens: int,
    end_token: int,
    generator: Generator | None = None,
) -> list[list[int]]:
    """Draw a completion of each prompt at temperature 1; return lists of token ids.

    policy: a transformers model. prompts: (n, length) token ids, all of one length.
    A completion ends with end_token, or without it after max_new_tokens.
    generator: on the CPU, wherever the policy is, so that a seed draws the same on
    every device; None: one seeded 0.
    Raises ValueError where prompt and completion would be longer than the policy has
    positions.
    """
    _check_length(policy, prompts, max_new_tokens)
    generator = generator_or_new(generator)
    ids = prompts.to(next(policy.parameters()).device)
    cache = None  # of keys and values: each step reads only the newest token
    written = torch.full((len(ids), 0), end_token)
    with eval_mode(policy), few_threads(policy):
        for _ in range(max_new_tokens):
            output = policy(input_ids=ids, past_key_values=cache, use_cache=True)
            cache = output.past_key_values
            logits = real_tensor("logits", output.logits[:, -1])  # float32 or finer
            chances = logits.softmax(1).cpu()
            token = chances.multinomial(1, generator=generator)  # (n, 1)
            written = torch.cat([written, token], 1)
            if (written == end_token).any(1).all():
                break
            ids = token.to(ids.device)
    return [_up_to(row, end_token) for row in written.tolist()]


def _check_length(policy: nn.Module, prompts: Tensor, max_new_tokens: int) -> None:
    """Refuse texts that would be longer than the policy can read."""
    most = most_tokens(policy)
    length = prompts.shape[1] + whole_number("max_new_tokens", max_new_tokens)
    require(
        most is None or length <= most,
        f"max_new_tokens must leave texts of at most {most} tokens, the model's "
        f"positions; got {max_new_tokens} after prompts of {prompts.shape[1]}",
    )


def _up_to(row: list[int], end_token: int) -> list[int]:
    """Return the row up to its first end_token, which stays; all of it without one."""
    return row[: row.index(end_token) + 1] if end_token in row else row
