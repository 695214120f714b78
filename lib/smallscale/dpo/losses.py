"""Which of two answers do people prefer, and how does a model learn it?

The log-probability of an answer, and the losses on pairs of answers. DPO and its reward
are Rafailov et al. 2023 (eq. 7), the conservative form is Mitchell's note of 2023,
robust DPO is Chowdhury et al. 2024 (eq. 12), IPO is Azar et al. 2024 (eq. 17), and the
hinge is SLiC's (Zhao et al. 2023) on DPO's margin.
"""

from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from smallscale.core.validation import (
    as_array,
    as_float,
    as_tensor,
    finite,
    finite_number,
    one_of,
    require,
    shown,
    type_and_shape,
)

LOSSES = ("dpo", "ipo", "hinge", "robust")
SMOOTHED = ("dpo", "robust")  # the losses that have a place for flipped labels
MASKED = -100  # the label of prompt and padding, which nobody is asked to predict


def sequence_logps(logits: Any, labels: Any) -> Tensor:
    """Return the log-probability of each row's answer, the sum over its tokens:
    log p(y | x) = sum over t of log softmax(logits[t])[labels[t + 1]], where labels of
    -100, prompt and padding, are left out.

    logits: (batch, length, vocabulary). The logits at position t predict the label at
    t + 1, so the last logits and the first label are not used.
    labels: (batch, length), token ids, or -100 where nothing is asked.
    Returns (batch,), in float32 or finer. It is a sum and not a mean, because the
    probability of a whole answer is a product over its tokens, the end of text
    included.
    Raises ValueError for other shapes, for a label outside the vocabulary, and for a
    row that has no label left after the shift.

    >>> uniform = torch.zeros(1, 4, 10)  # each of ten tokens is as likely as another
    >>> sequence_logps(uniform, [[-100, 7, 2, -100]])  # 2 log(1/10)
    tensor([-4.6052])
    """
    scores, targets = _checked_logits_and_labels(logits, labels)
    scores = scores[:, :-1]  # (batch, length - 1, vocabulary), what stands at t
    targets = targets[:, 1:]  # (batch, length - 1), the token at t + 1
    asked = targets != MASKED
    # Only the labels that are asked for, (asked,), so that a long prompt costs nothing.
    logps = -F.cross_entropy(scores[asked], targets[asked], reduction="none")
    row = asked.nonzero()[:, 0]  # (asked,), the row of each
    return logps.new_zeros(len(scores)).index_add(0, row, logps)


def _checked_logits_and_labels(logits: Any, labels: Any) -> tuple[Tensor, Tensor]:
    """Return logits as floating numbers and labels as whole ones, on one device."""
    scores = real_tensor("logits", logits)
    targets = as_tensor("labels", labels)
    shaped = scores.ndim == 3 and targets.shape == scores.shape[:2]
    require(
        shaped and 0 not in scores.shape,
        "logits must be (batch, length, vocabulary) and labels (batch, length), none "
        f"of them 0; got {tuple(scores.shape)} and {tuple(targets.shape)}",
    )
    fractions = targets.is_floating_point() or targets.is_complex()
    require(
        not fractions and targets.dtype != torch.bool,
        f"labels must be whole numbers, token ids or {MASKED}; got {targets.dtype}",
    )
    targets = targets.to(scores.device).long()
    used = targets[:, 1:]  # the first label is never predicted
    asked = used != MASKED
    vocabulary = scores.shape[2]
    known = (used >= 0) & (used < vocabulary)
    if not (known | ~asked).all():
        least, most = used[asked].min().item(), used[asked].max().item()
        raise ValueError(
            f"labels must be {MASKED} or lie in [0, {vocabulary}), the vocabulary; "
            f"got {least} to {most}"
        )
    empty = (~asked.any(1)).nonzero().flatten().tolist()
    if empty:
        raise ValueError(
            f"labels of row {empty[0]} ({len(empty)} of {len(asked)} rows) leave "
            f"nothing to predict: after the first position all are {MASKED}; drop the "
            "row, or cut its text off later"
        )
    return scores, targets


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
    """Return each pair's loss, and the rewards of its two answers. DPO's loss is
    -log sigmoid(beta h), where the margin h says how much further the policy has moved
    from the reference on the chosen answer than on the rejected one:
        h = (policy_chosen - reference_chosen) - (policy_rejected - reference_rejected)

    The four arguments are log-probabilities of whole answers, all of one shape. With e
    for label_smoothing, the share of labels that are believed to be flipped:
        dpo     -(1 - e) log sigmoid(beta h) - e log sigmoid(-beta h)
        robust  (-(1 - e) log sigmoid(beta h) + e log sigmoid(-beta h)) / (1 - 2 e)
        ipo     (h - 1 / (2 beta))^2
        hinge   max(0, 1 - beta h)
    With e > 0 dpo is conservative DPO. It must be that 0 <= e < 1/2; ipo and hinge have
    no place for it.
    Returns (losses, chosen rewards, rejected rewards), each of the arguments' shape.
    The rewards are beta (policy - reference), without gradient; no gradient reaches the
    reference either. All is computed on policy_chosen's device.
    Raises ValueError for an unknown loss, for beta or label_smoothing out of range, for
    shapes that differ, and for values that are not finite.

    >>> losses, chosen, rejected = preference_loss([-8], [-14], [-10], [-10], beta=0.5)
    >>> chosen.item(), rejected.item()  # 0.5 * 2 and 0.5 * -4
    (1.0, -2.0)
    >>> round(losses.item(), 4)  # log(1 + exp(-3))
    0.0486
    """
    beta, e = checked_loss_options(
        beta=beta, loss=loss, label_smoothing=label_smoothing
    )
    logps = _checked_pairs(
        (policy_chosen, policy_rejected, reference_chosen, reference_rejected)
    )
    chosen = logps.policy_chosen - logps.reference_chosen  # log pi(y_w) / pi_ref(y_w)
    rejected = logps.policy_rejected - logps.reference_rejected  # the same of y_l
    margin = chosen - rejected
    right = -F.logsigmoid(beta * margin)  # the chosen answer is preferred
    flipped = -F.logsigmoid(-beta * margin)  # the label is turned around
    if loss == "dpo":
        losses = (1 - e) * right + e * flipped  # Rafailov et al., eq. 7, where e = 0
    elif loss == "robust":
        unbiased = (1 - e) * right - e * flipped
        losses = unbiased / (1 - 2 * e)  # Chowdhury et al., eq. 12
    elif loss == "ipo":
        losses = (margin - 1 / (2 * beta)) ** 2  # Azar et al., eq. 17
    else:
        losses = torch.relu(1 - beta * margin)  # the hinge of Zhao et al.
    # The rewards are those of Rafailov et al., eq. 5, without Z, which a pair shares.
    return losses, beta * chosen.detach(), beta * rejected.detach()


def gradient_weight(margin: Any, beta: float) -> Tensor:
    """Return how hard the gradient of DPO's loss pulls at each pair: the weight is
    sigmoid(-beta h), where h is the pair's margin (Rafailov et al. 2023, section 4):
        gradient of the loss = -beta sigmoid(-beta h) gradient of h

    margin: (pairs,), in nats, of any shape. Returns the same shape, in (0, 1): 1/2 for
    a pair that has not moved, near 0 where the chosen answer is far ahead, and near 1
    where the rejected one is.
    Raises ValueError unless beta is finite and above 0.

    >>> gradient_weight([0.0, 3.0, -3.0], beta=1.0)
    tensor([0.5000, 0.0474, 0.9526], dtype=torch.float64)
    """
    beta = finite_number("beta", beta, above=0)
    return torch.sigmoid(-beta * real_tensor("margin", margin))


class _PairLogps(NamedTuple):
    """Log-probabilities of the two answers of each pair, all of one shape."""

    policy_chosen: Tensor
    policy_rejected: Tensor
    reference_chosen: Tensor
    reference_rejected: Tensor


def _checked_pairs(logps: tuple[Any, ...]) -> _PairLogps:
    """Return four log-probabilities as tensors, the reference's without gradient.

    Refuses them where they cannot be right.
    """
    named = {
        name: real_tensor(name, values)
        for name, values in zip(_PairLogps._fields, logps, strict=True)
    }
    shapes = {name: tuple(values.shape) for name, values in named.items()}
    got = ", ".join(f"{name} {shape}" for name, shape in shapes.items())
    require(
        len(set(shapes.values())) == 1,
        "the four log-probabilities must have one shape, a value for each pair; "
        f"got {got}",
    )
    for name, values in named.items():
        finite(name, values)
    device = named["policy_chosen"].device
    named = {name: values.to(device) for name, values in named.items()}
    for name in ("reference_chosen", "reference_rejected"):
        named[name] = named[name].detach()
    return _PairLogps(**named)


def checked_loss_options(
    *, beta: Any, loss: Any, label_smoothing: Any
) -> tuple[float, float]:
    """Return beta and label_smoothing as floats.

    Refuses the options of `preference_loss` where they cannot be right.
    """
    one_of("loss", loss, LOSSES)
    strength = finite_number("beta", beta, above=0)
    smoothing = as_float(label_smoothing)
    require(
        0 <= smoothing < 0.5,
        "label_smoothing must lie in [0, 0.5), since at one half the labels say "
        f"nothing; got {shown(label_smoothing)}",
    )
    require(
        smoothing == 0 or loss in SMOOTHED,
        f"label_smoothing has no meaning with {loss}; leave it at 0, or use "
        f"{' or '.join(SMOOTHED)}",
    )
    return strength, smoothing


def real_tensor(name: str, values: Any) -> Tensor:
    """Return real numbers as a tensor of float32 or finer; lists in double precision.

    A half-precision sum over a long answer would lose whole units.
    Raises ValueError for what is not real numbers.
    """
    if isinstance(values, Tensor):
        tensor = values
    else:
        array = as_array(name, values)
        require(array.dtype != bool, f"{name} must be real numbers; got True and False")
        tensor = torch.from_numpy(np.array(as_array(name, values, dtype=float)))
    real = not tensor.is_complex() and tensor.dtype != torch.bool
    require(real, f"{name} must be real numbers; got {type_and_shape(tensor)}")
    fine = tensor.dtype in (torch.float32, torch.float64)
    return tensor if fine else tensor.float()
