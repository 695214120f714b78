"""How does a policy learn from pairs of answers?

The loop is that of Rafailov et al. 2023, with the reference's log-probabilities
computed once, before the first step.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Generator, Tensor, nn

from smallscale.core.validation import (
    as_array,
    as_tensor,
    finite_number,
    flag,
    require,
    type_and_shape,
    whole_number,
)
from smallscale.dpo.answers import Answers, all_logps, answer_logps
from smallscale.dpo.losses import checked_loss_options, preference_loss
from smallscale.training.loop import in_single_precision, minimise
from smallscale.training.optimizers import linear_decay, make_optimizer

# (losses of a batch, positions of its pairs) -> the number to minimise
Combine = Callable[[Tensor, Tensor], Tensor]
Watch = Callable[[int, nn.Module], None]  # (step, policy)


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
    dropout: bool = False,
    watch: Watch | None = None,
    seed: int = 0,
    progress: str = "",
) -> pd.DataFrame:
    """Train `policy` in place on pairs of texts by `preference_loss`; return a table of
    its steps.

    texts: each text once. pairs: (n, 2) positions in them, the preferred one first.
    beta, loss, label_smoothing: as for `preference_loss`.
    reference: (len(texts),) log-probabilities of the texts; None: those of `policy` as
        it comes.
    steps: of AdamW without weight decay, each on batch_size pairs. lr falls to 0 along
        a line, so that the noise of the last batches does not stay. Every pair is
        visited once, in an order that `seed` sets; then they are shuffled again.
    combine: called as combine(losses (b,), positions of the batch's pairs (b,)) for the
        number to minimise; None: the mean. With weights or groups of pairs it says
        whose preferences count how much. Both come on the CPU, where these weights are,
        wherever the policy runs.
    dropout: whether the policy has its dropout while it trains. Off by default: the
        loss looks at how far the policy is from a reference that has none, and dropout
        alone moves log-probabilities by as much as many steps do. With it a policy that
        is its reference no longer starts at a margin of 0, and the noise of whole texts
        drowns what tells two answers apart.
    watch: called as watch(step, policy) before the first step, as step 0, and after
        each, in eval mode.
    progress: what to call a bar of the steps; empty: no bar.
    The table's columns: step, loss, accuracy (the share of pairs whose chosen reward is
    strictly higher), margin (of the rewards, which is beta times nats), chosen and
    rejected (mean log-probabilities under the policy), all on the step's batch, before
    the step. The policy is in eval mode afterwards, its weights in float32 or finer,
    since the steps of fine-tuning round away in half precision; the texts go to its
    device.
    Raises ValueError as `preference_loss` does, for positions outside `texts`, for
    numbers below 1, and where the policy's log-probabilities are no longer finite.

    >>> from smallscale.dpo import Tabular, padded_answers
    >>> policy = Tabular([[0.5, 0.5]])
    >>> texts = padded_answers([[0], [0]], [[0], [1]])
    >>> settings = {"steps": 20, "batch_size": 1, "lr": 0.1}
    >>> table = train_preferences(policy, texts, [[0, 1]], beta=1.0, **settings)
    >>> bool(policy.probabilities()[0, 0] > 0.8)
    True
    """
    check_training_options(
        beta=beta,
        steps=steps,
        loss=loss,
        label_smoothing=label_smoothing,
        batch_size=batch_size,
        lr=lr,
        dropout=dropout,
    )
    steps, batch_size, lr = int(steps), int(batch_size), float(lr)
    device = next(in_single_precision(policy).parameters()).device
    texts = texts.to(device)
    pairs = checked_pairs(pairs, len(texts)).to(device)
    fixed = _checked_reference(reference, policy, texts).to(device)
    order = PairOrder(len(pairs), batch_size)
    rows: list[dict[str, float]] = []

    def batch_loss(generator: Generator) -> Tensor:
        if watch is not None:
            watch(len(rows), policy.eval())
        policy.train(dropout)
        picked = order.next(generator)  # (b,), positions of pairs
        batch = pairs[picked]  # (b, 2), positions of texts
        logps = _pair_logps(policy, texts, batch)  # (b, 2)
        _check_convergence(logps, step=len(rows), lr=lr)
        reference_logps = fixed[batch]  # (b, 2)
        losses, good, bad = preference_loss(
            logps[:, 0],
            logps[:, 1],
            reference_logps[:, 0],
            reference_logps[:, 1],
            beta=beta,
            loss=loss,
            label_smoothing=label_smoothing,
        )
        total = losses.mean() if combine is None else combine(losses.cpu(), picked)
        rows.append(
            {
                "step": len(rows),
                "loss": total.item(),
                "accuracy": (good > bad).double().mean().item(),
                "margin": (good - bad).mean().item(),
                "chosen": logps[:, 0].mean().item(),
                "rejected": logps[:, 1].mean().item(),
            }
        )
        return total

    optimizer = make_optimizer("adamw", policy.parameters(), lr=lr)
    rate = linear_decay(optimizer, steps)
    minimise(policy, batch_loss, rate, steps=steps, seed=seed, progress=progress)
    if watch is not None:
        watch(steps, policy)
    return pd.DataFrame(rows)


def check_training_options(
    *,
    beta: Any,
    steps: Any,
    loss: Any = "dpo",
    label_smoothing: Any = 0.0,
    batch_size: Any = 1,
    lr: Any = 0.0,
    dropout: Any = False,
    combine: Combine | None = None,
    watch: Watch | None = None,
    seed: int = 0,
) -> None:
    """Refuse options of `train_preferences` that cannot be right, before any work."""
    whole_number("steps", steps)
    whole_number("batch_size", batch_size)
    finite_number("lr", lr, least=0)
    flag("dropout", dropout)
    checked_loss_options(beta=beta, loss=loss, label_smoothing=label_smoothing)


class PairOrder:
    """The order in which pairs are visited: each once before any comes again."""

    def __init__(self, pairs: int, batch_size: int) -> None:
        self.pairs = pairs
        self.batch_size = batch_size
        self.left = torch.empty(0, dtype=torch.long)

    def next(self, generator: Generator) -> Tensor:
        """Return the positions of the next batch's pairs, (batch_size,)."""
        while len(self.left) < self.batch_size:
            shuffled = torch.randperm(self.pairs, generator=generator)
            self.left = torch.cat([self.left, shuffled])
        picked = self.left[: self.batch_size]
        self.left = self.left[self.batch_size :]
        return picked


def _check_convergence(logps: Tensor, *, step: int, lr: float) -> None:
    """Refuse log-probabilities that are NaN or infinite, and say since when."""
    cure = f"lower lr={lr:g}" if step else "no step was taken yet, so it came like that"
    require(
        logps.isfinite().all(),
        f"policy must give finite log-probabilities; at step {step} some are NaN or "
        f"infinite: {cure}",
    )


def _pair_logps(policy: nn.Module, texts: Answers, pairs: Tensor) -> Tensor:
    """Return the log-probabilities (b, 2) of pairs (b, 2) of positions in texts.

    A text that stands in several of these pairs is read once.
    """
    read, place = torch.unique(pairs, return_inverse=True)
    return answer_logps(policy, texts[read])[place]


def checked_pairs(pairs: Any, texts: int) -> Tensor:
    """Return pairs as (n, 2) of int64, all of them positions in this many texts."""
    order = torch.from_numpy(np.array(as_array("pairs", pairs)))  # a copy
    require(
        order.ndim == 2
        and order.shape[1] == 2
        and len(order) > 0
        and not order.is_floating_point()
        and not order.is_complex()
        and order.dtype != torch.bool,
        "pairs must be (n, 2) whole numbers, chosen and rejected, n at least 1; got "
        f"{type_and_shape(order)}",
    )
    least, most = int(order.min()), int(order.max())
    require(
        least >= 0 and most < texts,
        f"pairs must be positions in the {texts} texts; got {least} to {most}",
    )
    return order.long()


def _checked_reference(reference: Any, policy: nn.Module, texts: Answers) -> Tensor:
    """Return the reference's log-probabilities (n,); None: those of the policy now."""
    if reference is None:
        return all_logps(policy, texts)
    logps = as_tensor("reference", reference)
    require(
        logps.shape == (len(texts),),
        f"reference must be a log-probability of each of {len(texts)} texts; got shape "
        f"{tuple(logps.shape)}",
    )
    return logps
