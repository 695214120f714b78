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
from torch.nn.utils.rnn import pad_sequence
from torch.optim import AdamW
from torch.optim.lr_scheduler import LambdaLR

from smallscale.core.devices import few_threads
from smallscale.dpo.losses import MASKED, preference_loss, sequence_logps
from smallscale.training.evaluation import eval_mode
from smallscale.training.loop import minimise

Tokens = Sequence[Sequence[int]]  # token ids, a list for each text
Combine = Callable[
    [Tensor, Tensor], Tensor
]  # (losses of a batch, positions of its pairs) -> ()
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
        used = mask.any(0).nonzero()
        keep = slice(int(used.min()), int(used.max()) + 1)
        return Answers(
            self.ids[rows][:, keep], self.labels[rows][:, keep], mask[:, keep]
        )

    def to(self, device: Any) -> "Answers":
        return Answers(
            self.ids.to(device), self.labels.to(device), self.mask.to(device)
        )


def padded_answers(
    prompts: Tokens,
    completions: Tokens,
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
        raise ValueError(
            f"prompts and completions must be as many, at least 1; got {len(prompts)}, {len(completions)}"
        )
    if any(len(prompt) == 0 for prompt in prompts):
        raise ValueError(
            "prompts must each hold a token: the first token of a completion is predicted from one"
        )
    texts = [
        torch.tensor([*p, *c][:max_length])
        for p, c in zip(prompts, completions, strict=True)
    ]
    empty = [
        i
        for i, (prompt, text) in enumerate(zip(prompts, texts, strict=True))
        if len(text) <= len(prompt)
    ]
    if empty:
        row = f"row {empty[0]} is ({len(empty)} of {len(prompts)}): raise max_length, or drop these rows"
        raise ValueError(
            f"completions must not be empty within max_length={max_length}; {row}"
        )
    labels = [text.clone() for text in texts]
    for label, prompt in zip(labels, prompts, strict=True):
        label[: len(prompt)] = MASKED
    parts = (
        (texts, pad),
        (labels, MASKED),
        ([torch.ones_like(text) for text in texts], 0),
    )
    return Answers(*(pad_sequence(rows, True, filler, side) for rows, filler in parts))


def answer_logps(policy: nn.Module, batch: Answers) -> Tensor:
    """log policy(answer | prompt) for each row of `batch`, (rows,), with gradient."""
    batch = batch.to(next(policy.parameters()).device)
    if not hasattr(policy, "config"):  # ours
        return sequence_logps(policy(batch.ids), batch.labels)
    # Positions count text, not padding; transformers counts columns, which is wrong where padding is on the left.
    positions = (batch.mask.cumsum(1) - 1).clamp(min=0)
    # The logits of what every row is given are never looked at, so they are not made.
    first = int((batch.labels[:, 1:] != MASKED).any(0).int().argmax())
    given = {
        "input_ids": batch.ids,
        "attention_mask": batch.mask,
        "position_ids": positions,
        "use_cache": False,
    }
    output = policy(**given, logits_to_keep=batch.ids.shape[1] - first)
    return sequence_logps(output.logits, batch.labels[:, first:])


def all_logps(policy: nn.Module, texts: Answers, *, batch_size: int = 512) -> Tensor:
    """`answer_logps` of all rows, in eval mode (a reference has no dropout), without gradient, on the CPU."""
    with eval_mode(policy), torch.no_grad(), few_threads(policy):
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
    steps: of AdamW without weight decay, each on batch_size pairs; lr falls to 0 along a line, so that the noise of
        the last batches does not stay. After every pair has been visited once, in an order that `seed` sets, they are
        shuffled again.
    combine: (losses of the batch (b,), positions of its pairs (b,)) -> the number to minimise; None: the mean.
        With weights or groups of pairs it says whose preferences count how much.
    watch: called as watch(step, policy) before the first step, as step 0, and after each, in eval mode.
    The table: step, loss, accuracy (the share of pairs whose chosen reward is strictly higher), margin (of the
    rewards), chosen and rejected (mean log-probabilities under the policy), all on the step's batch, before it.
    Raises ValueError as `preference_loss`, for positions outside `texts`, and numbers below 1.
    """
    order = (
        pairs.cpu() if isinstance(pairs, Tensor) else torch.from_numpy(np.array(pairs))
    )
    if (
        order.ndim != 2
        or order.shape[1] != 2
        or len(order) == 0
        or order.is_floating_point()
    ):
        raise ValueError(
            f"pairs must be (n, 2) whole numbers, chosen and rejected, n at least 1; got {order.shape}"
        )
    if order.min() < 0 or order.max() >= len(texts):
        got = f"got {int(order.min())} to {int(order.max())}"
        raise ValueError(f"pairs must be positions in the {len(texts)} texts; {got}")
    if steps < 1 or batch_size < 1:
        raise ValueError(
            f"steps and batch_size must be at least 1; got {steps} and {batch_size}"
        )
    fixed = (
        all_logps(policy, texts) if reference is None else torch.as_tensor(reference)
    )
    if fixed.shape != (len(texts),):
        raise ValueError(
            f"reference must be a log-probability of each of {len(texts)} texts; got {[*fixed.shape]}"
        )
    device = next(policy.parameters()).device
    texts, fixed, order = texts.to(device), fixed.to(device), order.long().to(device)
    rows: list[tuple[float, ...]] = []
    left = torch.empty(0, dtype=torch.long)

    def batch_loss(generator: Generator) -> Tensor:
        nonlocal left
        if watch is not None:
            watch(len(rows), policy.eval())
        policy.train()
        while len(left) < batch_size:  # every pair once before any comes again
            left = torch.cat([left, torch.randperm(len(order), generator=generator)])
        picked, left = left[:batch_size].to(device), left[batch_size:]
        # A text that stands in several pairs of the batch is read once.
        read, where = order[picked].unique(return_inverse=True)
        logps = (
            *answer_logps(policy, texts[read])[where].unbind(1),
            *fixed[order[picked]].unbind(1),
        )  # (b,) each
        losses, good, bad = preference_loss(
            *logps, beta=beta, loss=loss, label_smoothing=label_smoothing
        )
        total = losses.mean() if combine is None else combine(losses, picked)
        numbers = (
            total,
            (good > bad).double().mean(),
            (good - bad).mean(),
            logps[0].mean(),
            logps[1].mean(),
        )
        rows.append((len(rows), *(number.item() for number in numbers)))
        return total

    optimizer = AdamW(policy.parameters(), lr=lr, weight_decay=0.0, foreach=True)
    falling = LambdaLR(optimizer, lambda step: 1 - step / steps)
    minimise(policy, batch_loss, falling, steps=steps, seed=seed, progress=progress)
    if watch is not None:
        watch(steps, policy)
    return pd.DataFrame(
        rows, columns=["step", "loss", "accuracy", "margin", "chosen", "rejected"]
    )


class Tabular(nn.Module):
    """The plainest policy: a free logit for each answer to each prompt. As a module: ids (batch, 2) -> logits.

    reference: (prompts, answers) probabilities it starts from. A prompt is one token, an answer too, so that
    `padded_answers([[p], ...], [[a], ...])` are its texts and it trains as a language model does. probabilities(): now.
    """

    def __init__(self, reference: Any) -> None:
        super().__init__()
        start = torch.as_tensor(np.array(reference, dtype=float))
        if start.ndim != 2 or not (
            (start > 0).all()
            and torch.allclose(start.sum(1), torch.ones(len(start)).double())
        ):
            raise ValueError(
                "reference must be (prompts, answers) probabilities above 0, each row's sum 1"
            )
        self.logits = nn.Parameter(start.log())

    def forward(self, ids: Tensor) -> Tensor:
        """(batch, 2) ids of prompt and answer -> (batch, 2, answers); only the prompt's row is ever used."""
        return self.logits[
            ids[:, :1].expand_as(ids)
        ]  # the logits at the prompt predict the answer

    def probabilities(self) -> np.ndarray:
        return self.logits.detach().softmax(1).cpu().numpy()
