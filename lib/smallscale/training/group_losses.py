"""How does training attend to the group that fares worst? Losses by group, and weights.

Group DRO (Sagawa et al. 2020) minimises the largest of the groups' mean losses: a step
of the model goes down in a weighted loss, a step of the weights goes up where the loss
is large.
"""

import math
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from smallscale.core.validation import as_array, finite_number, require


def group_dro_weights(q: Any, group_losses: Any, eta: float) -> Tensor:
    """Return the groups' next weights, which grow with the groups' losses and sum to 1.
        q_g <- q_g exp(eta * loss_g) / sum over h of q_h exp(eta * loss_h)
    (Sagawa et al. 2020, algorithm 1).

    q: (groups,) weights so far, not negative, not all 0, of any sum; group_losses:
    (groups,). Returns (groups,), new and without gradient, in q's type where q is a
    tensor. A group without examples has loss NaN (None in a list). It counts as loss 0:
    its factor is 1, so it keeps its weight up to the normalisation. No loss is too
    large; an infinite one takes all the weight. A weight of 0 stays 0.
    Raises ValueError for shapes that differ, such q, -inf, or eta < 0.

    >>> group_dro_weights([0.5, 0.5], [0.0, math.log(3)], eta=1.0)  # factors 1 and 3
    tensor([0.2500, 0.7500], dtype=torch.float64)
    """
    old, losses = _checked_weights_and_losses(q, group_losses, eta)
    # The log of q_g exp(eta * loss_g), algorithm 1.
    log_grown = old.log() + float(eta) * losses
    new = log_grown.softmax(0)  # exp, relative to the largest, and divided by the sum
    return new.to(q) if isinstance(q, Tensor) and q.is_floating_point() else new


class GroupMeans(NamedTuple):
    """The mean loss of each group, and which groups there are, (groups,) each.

    means: 0 for a group without examples, with gradient; present: of bool.
    """

    means: Tensor
    present: Tensor


def group_means(losses: Tensor, groups: Tensor, count: int) -> GroupMeans:
    """Average the losses of a batch by group.

    losses: (batch,), with gradient; groups: (batch,) whole numbers from 0 to count - 1.
    """
    member = F.one_hot(groups, count).to(losses)  # (batch, groups)
    sizes = member.sum(0)
    return GroupMeans(losses @ member / sizes.clamp(min=1), sizes > 0)


def _checked_weights_and_losses(
    q: Any, group_losses: Any, eta: Any
) -> tuple[Tensor, Tensor]:
    """Return weights and losses in double precision, on the CPU, all finite.

    A missing loss becomes 0, and one that is too large the largest that can be weighed.
    """
    old = torch.as_tensor(as_array("q", q, dtype=float))
    losses = torch.as_tensor(as_array("group_losses", group_losses, dtype=float))
    shapes = f"{tuple(old.shape)} and {tuple(losses.shape)}"
    vectors = old.shape == losses.shape and old.ndim == 1 and len(old) > 0
    require(vectors, f"q and group_losses must be (groups,); got {shapes}")
    weights = old.isfinite().all() and (old >= 0).all() and old.sum() > 0
    require(
        weights, f"q must be finite, not negative and not all 0; got {old.tolist()}"
    )
    message = f"group_losses must not be -inf; got {losses.tolist()}"
    require(not (losses == -math.inf).any(), message)
    rate = finite_number("eta", eta, least=0)
    largest = torch.finfo(losses.dtype).max / (1 + rate)  # times eta it is still finite
    return old, losses.nan_to_num(nan=0.0, posinf=largest).clamp(-largest, largest)
