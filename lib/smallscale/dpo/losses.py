"""Which of two answers do people prefer, and how does a model learn it? The log-probabilities, and five losses.

DPO and its reward are Rafailov et al. 2023 (eq. 7), the conservative form Mitchell's note of 2023, robust DPO
Chowdhury et al. 2024 (eq. 12), IPO Azar et al. 2024 (eq. 17), the hinge SLiC's (Zhao et al. 2023) on DPO's margin.
"""

import math
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

LOSSES = ("dpo", "ipo", "hinge", "robust")
SMOOTHED = ("dpo", "robust")  # in the others a flipped label has no place
MASKED = -100  # the label of what is given or padded: nobody is asked to predict it


def sequence_logps(logits: Any, labels: Any) -> Tensor:
    """The log-probability of each row's labelled tokens, summed: (batch,), in float32 or finer.

    logits: (batch, length, vocabulary); what stands at position t predicts the label at t + 1, so the last logits
    and the first label go unused. labels: (batch, length), -100 where nothing is asked: prompt and padding.
    A sum and no mean: the probability of a whole answer is a product over its tokens, the end of text among them.
    Raises ValueError for other shapes, a label outside the vocabulary, and a row with no label left after the shift.
    """
    scores, targets = floats("logits", logits), torch.as_tensor(labels)
    if scores.ndim != 3 or targets.shape != scores.shape[:2] or 0 in scores.shape:
        got = f"got {tuple(scores.shape)} and {tuple(targets.shape)}"
        raise ValueError(
            f"logits must be (batch, length, vocabulary) and labels (batch, length), none of them 0; {got}"
        )
    if (
        targets.is_floating_point()
        or targets.is_complex()
        or targets.dtype == torch.bool
    ):
        raise ValueError(
            f"labels must be whole numbers, token ids or {MASKED}; got {targets.dtype}"
        )
    scores, targets = (
        scores[:, :-1],
        targets[:, 1:].to(scores.device).long(),
    )  # (batch, length - 1, ...)
    asked = targets != MASKED
    if ((targets < 0) & asked).any() or (targets >= scores.shape[2]).any():
        got = f"got {targets[asked].min().item()} to {targets[asked].max().item()}"
        raise ValueError(
            f"labels must be {MASKED} or lie in [0, {scores.shape[2]}), the vocabulary; {got}"
        )
    empty = (~asked.any(1)).nonzero().flatten().tolist()
    if empty:
        rows = f"row {empty[0]} ({len(empty)} of {len(asked)} rows)"
        why = f"after the first position all are {MASKED}; drop the row, or cut its text off later"
        raise ValueError(f"labels of {rows} leave nothing to predict: {why}")
    # Only positions that are asked for: a long prompt costs nothing here.
    logps = -F.cross_entropy(
        scores[asked], targets[asked], reduction="none"
    )  # (labels left,)
    return logps.new_zeros(len(scores)).index_add(0, asked.nonzero()[:, 0], logps)


def preference_loss(
    policy_chosen: Any,
    policy_rejected: Any,
    reference_chosen: Any,
    reference_rejected: Any,
    *,
    beta: float,
    loss: str = "dpo",
    label_smoothing: float = 0.0,
) -> tuple[Tensor, Tensor, Tensor]:
    """(losses, chosen rewards, rejected rewards), a value for each pair, of the margin h between the two answers.

        h = (policy_chosen - reference_chosen) - (policy_rejected - reference_rejected)

    The four arguments are log-probabilities of whole answers, of one shape. With e for label_smoothing:
        dpo     -(1 - e) log sigmoid(beta h) - e log sigmoid(-beta h)             e > 0: conservative DPO
        robust  (-(1 - e) log sigmoid(beta h) + e log sigmoid(-beta h)) / (1 - 2e)
        ipo     (h - 1 / (2 beta))^2
        hinge   max(0, 1 - beta h)
    e: how many labels are believed to be flipped, 0 <= e < 1/2; ipo and hinge have no place for it.
    Rewards are beta * (policy - reference), without gradient; no gradient reaches the reference either.
    Raises ValueError for an unknown loss, beta or e out of range, shapes that differ, values that are not finite.
    """
    if loss not in LOSSES:
        raise ValueError(f"loss must be one of {', '.join(LOSSES)}; got {loss!r}")
    if not 0 < beta < math.inf:
        raise ValueError(f"beta must be finite and above 0; got {beta}")
    e = label_smoothing
    if not 0 <= e < 0.5:
        raise ValueError(
            f"label_smoothing must lie in [0, 0.5): at one half the labels say nothing; got {e}"
        )
    if e > 0 and loss not in SMOOTHED:
        raise ValueError(
            f"label_smoothing has no meaning with {loss}; leave it at 0, or use {' or '.join(SMOOTHED)}"
        )
    names = (
        "policy_chosen",
        "policy_rejected",
        "reference_chosen",
        "reference_rejected",
    )
    given = (policy_chosen, policy_rejected, reference_chosen, reference_rejected)
    logps = {
        name: floats(name, values) for name, values in zip(names, given, strict=True)
    }
    if len({value.shape for value in logps.values()}) > 1:
        shapes = ", ".join(
            f"{name} {tuple(value.shape)}" for name, value in logps.items()
        )
        raise ValueError(
            f"the four log-probabilities must have one shape, a value for each pair; got {shapes}"
        )
    for name, value in logps.items():
        if not torch.isfinite(value).all():
            raise ValueError(
                f"{name} must be finite; a log-probability of -inf leaves no margin to speak of"
            )
    chosen = logps["policy_chosen"] - logps["reference_chosen"].detach()
    rejected = logps["policy_rejected"] - logps["reference_rejected"].detach()
    margin = chosen - rejected
    right, flipped = (
        -F.logsigmoid(beta * margin),
        -F.logsigmoid(-beta * margin),
    )  # stable at any margin
    losses = {
        "dpo": (1 - e) * right + e * flipped,
        "robust": ((1 - e) * right - e * flipped) / (1 - 2 * e),
        "ipo": (margin - 1 / (2 * beta)) ** 2,
        "hinge": torch.relu(1 - beta * margin),
    }
    return losses[loss], beta * chosen.detach(), beta * rejected.detach()


def floats(name: str, values: Any) -> Tensor:
    """As a tensor of float32 or finer; lists in double precision. A bfloat16 sum over an answer loses whole units."""
    try:
        tensor = (
            values
            if isinstance(values, Tensor)
            else torch.from_numpy(np.array(values, dtype=float))
        )
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"{name} must be numbers, as a tensor, an array or lists of one length"
        ) from error
    if tensor.is_complex() or tensor.dtype == torch.bool:
        raise ValueError(f"{name} must be real numbers; got {tensor.dtype}")
    return tensor if tensor.dtype in (torch.float32, torch.float64) else tensor.float()
