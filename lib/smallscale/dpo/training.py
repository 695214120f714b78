"""How does a policy learn from pairs of answers? Answers as padded tokens, their log-probabilities, and the loop.

The loop is Rafailov et al. 2023 with the reference's log-probabilities computed once, before the first step. A policy
is any module from token ids (batch, length) to logits (batch, length, vocabulary), or a transformers model.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Generator, Tensor, nn
from tqdm import tqdm

from smallscale.dpo.losses import MASKED, preference_loss, sequence_logps
from smallscale.models import seeded
from smallscale.training import eval_mode

Combine = Callable[[Tensor, Tensor], Tensor]  # (losses of a batch, positions of its pairs) -> ()
Watch = Callable[[int, nn.Module], None]


@dataclass(frozen=True)
class Answers:
    """Prompts with their answers, padded to one length. All (n, length), int64.

    ids: token ids; labels: the same, -100 at prompt and padding; mask: 1 where there is text, 0 at padding.
    """

    ids: Tensor
    labels: Tensor
    mask: Tensor

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, rows: Any) -> "Answers":
        """These rows, without the columns that are padding in all of them."""
        mask = self.mask[rows]
        used = mask.any(0).nonzero().flatten()
        keep = slice(int(used[0]), int(used[-1]) + 1)
        return Answers(self.ids[rows][:, keep], self.labels[rows][:, keep], mask[:, keep])

    def to(self, device: Any) -> "Answers":
        return Answers(*(part.to(device) for part in (self.ids, self.labels, self.mask)))


def padded_answers(
    prompts: Sequence[Sequence[int]],
    completions: Sequence[Sequence[int]],
    *,
    pad: int = 0,
    side: str = "right",
    max_length: int | None = None,
) -> Answers:
    """Token ids as `Answers`. A completion holds its end-of-text token: that a text ends there is part of it.

    prompts, completions: n lists of token ids, each prompt at least one token. pad: the id that fills up; what it is
    does not matter. side: where padding goes, right or left. max_length: longer texts lose their last tokens.
    Raises ValueError where counts differ, and for completions that are empty, or would be once truncated.
    """
    if side not in ("right", "left"):
        raise ValueError(f"side must be right or left; got {side!r}")
    if len(prompts) != len(completions) or len(prompts) == 0:
        raise ValueError(f"prompts and completions must be as many, at least 1; got {len(prompts)}, {len(completions)}")
    if any(len(prompt) == 0 for prompt in prompts):
        raise ValueError("prompts must each hold a token: the first token of a completion is predicted from one")
    empty = [i for i, (p, c) in enumerate(zip(prompts, completions, strict=True)) if not [*p, *c][len(p) : max_length]]
    if empty:
        raise ValueError(
            f"completions must not be empty within max_length={max_length}; row {empty[0]} is ({len(empty)} of "
            f"{len(prompts)}): raise max_length, or drop these rows"
        )
    texts = [[*p, *c][:max_length] for p, c in zip(prompts, completions, strict=True)]
    length = max(map(len, texts))
    ids, labels = torch.full((len(texts), length), pad), torch.full((len(texts), length), MASKED)
    mask = torch.zeros(len(texts), length, dtype=torch.long)
    for i, (prompt, text) in enumerate(zip(prompts, texts, strict=True)):
        start = 0 if side == "right" else length - len(text)
        ids[i, start : start + len(text)] = torch.tensor(text)
        labels[i, start + len(prompt) : start + len(text)] = torch.tensor(text[len(prompt) :])
        mask[i, start : start + len(text)] = 1
    return Answers(ids, labels, mask)


def answer_logps(policy: nn.Module, batch: Answers) -> Tensor:
    """log policy(answer | prompt) for each row of `batch`, (rows,), with gradient."""
    batch = batch.to(next(policy.parameters()).device)
    if not hasattr(policy, "config"):  # ours
        return sequence_logps(policy(batch.ids), batch.labels)
    # Positions count text, not padding; transformers counts columns, which is wrong where padding is on the left.
    positions = (batch.mask.cumsum(1) - 1).clamp(min=0)
    output = policy(input_ids=batch.ids, attention_mask=batch.mask, position_ids=positions, use_cache=False)
    return sequence_logps(output.logits, batch.labels)


def all_logps(policy: nn.Module, texts: Answers, *, batch_size: int = 512) -> Tensor:
    """`answer_logps` of all rows, in eval mode (a reference has no dropout), without gradient, on the CPU."""
    with eval_mode(policy), torch.no_grad():
        parts = torch.arange(len(texts)).split(batch_size)
        return torch.cat([answer_logps(policy, texts[rows]).cpu() for rows in parts])


def train_preferences(
    policy: nn.Module,
    texts: Answers,
    pairs: Any,
    *,
    beta: float,
    steps: int,
    loss: str = "dpo",
    label_smoothing: float = 0.0,
    reference: Any = None,
    batch_size: int = 32,
    lr: float = 1e-3,
    combine: Combine | None = None,
    watch: Watch | None = None,
    seed: int = 0,
    progress: str = "",
) -> pd.DataFrame:
    """Fit `policy` in place to `preference_loss` on pairs of texts; left in eval mode. Returns a row for each step.

    pairs: (n, 2) positions in `texts`, the chosen one first. A pair may be repeated, or hold one text twice.
    reference: (len(texts),) log-probabilities of the texts; None: those of `policy` as it comes.
    steps: of AdamW without weight decay, at a constant lr, each on batch_size pairs; after every pair has been
        visited once, in an order that `seed` sets, they are shuffled again.
    combine: (losses of the batch (b,), positions of its pairs (b,)) -> the number to minimise; None: the mean.
        With weights or groups of pairs it says whose preferences count how much.
    watch: called as watch(step, policy) before the first step, as step 0, and after each, in eval mode.
    The table: step, loss, accuracy (the share of pairs whose chosen reward is strictly higher), margin (of the
    rewards), chosen and rejected (mean log-probabilities under the policy), all on the step's batch, before it.
    Raises ValueError as `preference_loss`, for positions outside `texts`, and numbers below 1.
    """
    order = _checked_pairs(pairs, len(texts), steps=steps, batch_size=batch_size)
    fixed = all_logps(policy, texts) if reference is None else torch.as_tensor(reference)
    if fixed.shape != (len(texts),):
        raise ValueError(
            f"reference must be a log-probability for each of {len(texts)} texts; got {tuple(fixed.shape)}"
        )
    device = next(policy.parameters()).device
    texts, fixed, order = texts.to(device), fixed.to(device), order.to(device)
    optimizer = torch.optim.AdamW(policy.parameters(), lr=lr, weight_decay=0.0, foreach=True)
    rows, batches = [], _batches(len(order), batch_size, seed)
    if watch is not None:
        watch(0, policy.eval())
    with seeded(seed, device):  # for dropout
        for step in tqdm(range(steps), desc=progress, unit="step", leave=False, disable=not progress):
            picked = next(batches).to(device)
            # A text that stands in several pairs of the batch is read once.
            read, where = order[picked].unique(return_inverse=True)
            policy.train()
            chosen, rejected = answer_logps(policy, texts[read])[where].unbind(1)  # (b,) each
            losses, good, bad = preference_loss(
                chosen, rejected, *fixed[order[picked]].unbind(1), beta=beta, loss=loss, label_smoothing=label_smoothing
            )
            total = losses.mean() if combine is None else combine(losses, picked)
            optimizer.zero_grad()
            total.backward()
            optimizer.step()
            wins, gap = (good > bad).double().mean(), (good - bad).mean()
            rows.append(
                (step, *map(float, (total.detach(), wins, gap, *(part.detach().mean() for part in (chosen, rejected)))))
            )
            if watch is not None:
                watch(step + 1, policy.eval())
    policy.eval()
    return pd.DataFrame(rows, columns=["step", "loss", "accuracy", "margin", "chosen", "rejected"])


def _checked_pairs(pairs: Any, texts: int, **at_least_one: int) -> Tensor:
    order = pairs.cpu() if isinstance(pairs, Tensor) else torch.from_numpy(np.array(pairs))
    if order.ndim != 2 or order.shape[1] != 2 or len(order) == 0 or order.is_floating_point():
        raise ValueError(f"pairs must be (n, 2) whole numbers, chosen and rejected, n at least 1; got {order.shape}")
    if order.min() < 0 or order.max() >= texts:
        raise ValueError(f"pairs must be positions in the {texts} texts; got {int(order.min())} to {int(order.max())}")
    for name, value in at_least_one.items():
        if value < 1:
            raise ValueError(f"{name} must be at least 1; got {value}")
    return order.long()


def _batches(n: int, size: int, seed: int) -> Any:
    """Positions of pairs, `size` at a time and every pair once before any comes again."""
    generator, left = Generator().manual_seed(seed), torch.empty(0, dtype=torch.long)
    while True:
        while len(left) < size:
            left = torch.cat([left, torch.randperm(n, generator=generator)])
        yield left[:size]
        left = left[size:]


class Tabular(nn.Module):
    """The plainest policy: a free logit for each answer to each prompt. As a module: ids (batch, 2) -> logits.

    reference: (prompts, answers) probabilities it starts from. A prompt is one token, an answer too, so that
    `padded_answers([[p], ...], [[a], ...])` are its texts and it trains as a language model does. probabilities(): now.
    """

    def __init__(self, reference: Any) -> None:
        super().__init__()
        start = torch.as_tensor(np.array(reference, dtype=float))
        if start.ndim != 2 or not ((start > 0).all() and torch.allclose(start.sum(1), torch.ones(len(start)).double())):
            raise ValueError("reference must be (prompts, answers) probabilities above 0, each row's sum 1")
        self.logits = nn.Parameter(start.log())

    def forward(self, ids: Tensor) -> Tensor:
        """(batch, 2) ids of prompt and answer -> (batch, 2, answers); only the prompt's row is ever used."""
        return self.logits[ids[:, :1].expand_as(ids)]  # the logits at the prompt predict the answer

    def probabilities(self) -> np.ndarray:
        return self.logits.detach().softmax(1).cpu().numpy()
