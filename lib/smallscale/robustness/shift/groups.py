"""A model that is right on average: whom does it fail? Groups of images, a shortcut, and training for the worst group.

Groups, group DRO and the shortcut follow Sagawa et al. 2020, with a stripe for the background of their birds.
"""

import math
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from smallscale.core.intervals import share_interval
from smallscale.training.evaluation import Model, correct
from smallscale.training.loop import train_classifier

METHODS = ("erm", "reweight", "dro")
GROUP_NAMES = (
    "0 to 4, left",
    "0 to 4, right",
    "5 to 9, left",
    "5 to 9, right",
)  # digits, side of the stripe


class Striped(NamedTuple):
    """Digits with a stripe. images: (n, 1, height, width); labels: (n,) 1 for 5 to 9, else 0; sides: (n,) 1 for right.

    groups: (n,), 2 * label + side, the positions in GROUP_NAMES.
    """

    images: Tensor
    labels: Tensor
    sides: Tensor

    @property
    def groups(self) -> Tensor:
        return 2 * self.labels + self.sides


def striped(images: Any, digits: Any, *, agree: float, seed: int = 0) -> Striped:
    """Real digits (n, 1, height, width), and a white stripe left or right that gives the label away, mostly.

    The label asks whether the digit (0 to 9) is 5 or more. Of each label's images the share `agree`, rounded to a
    whole number, has the stripe on the label's side: left for 0 to 4, right for 5 to 9. seed: which those are.
    The stripe is an eighth of the width. Raises ValueError where agree is not in [0, 1], digits not in 0..9, or
    counts differ.
    """
    images, digits = torch.as_tensor(images).clone(), torch.as_tensor(digits)
    if len(images) != len(digits) or len(images) == 0:
        raise ValueError(
            f"images and digits must be as many, at least 1; got {len(images)} and {len(digits)}"
        )
    if not 0 <= agree <= 1:
        raise ValueError(f"agree must lie in [0, 1]; got {agree}")
    if digits.min() < 0 or digits.max() > 9:
        raise ValueError(
            f"digits must lie in 0..9; got {int(digits.min())} to {int(digits.max())}"
        )
    labels = (digits >= 5).long()
    sides, generator = labels.clone(), Generator().manual_seed(seed)
    for label in (0, 1):
        members = (labels == label).nonzero().flatten()
        shuffled = members[torch.randperm(len(members), generator=generator)]
        sides[shuffled[round(agree * len(members)) :]] = 1 - label
    wide = max(1, round(images.shape[3] / 8))
    images[sides == 0, :, :, :wide] = 1.0
    images[sides == 1, :, :, -wide:] = 1.0
    return Striped(images, labels, sides)


def both_ways(images: Any, digits: Any) -> Striped:
    """Every digit twice, once with each stripe: the fairest test set, whose four groups hold the same handwriting."""
    with_it, against_it = (striped(images, digits, agree=agree) for agree in (1.0, 0.0))
    return Striped(*map(torch.cat, zip(with_it, against_it, strict=True)))


def group_dro_weights(q: Any, group_losses: Any, eta: float) -> Tensor:
    """The next weights of the groups (Sagawa et al. 2020, algorithm 1), (groups,), new, without gradient, sum 1.

        q_g <- q_g exp(eta * loss_g) / sum over h of q_h exp(eta * loss_h)

    q: (groups,) weights so far, not negative, not all 0, of any sum; group_losses: (groups,).
    A group without examples has loss NaN (None in a list). It counts as loss 0: its factor is 1, so it keeps its
    weight up to the normalisation. No loss is too large; an infinite one takes all the weight. A weight of 0 stays 0.
    Raises ValueError for shapes that differ, such q, -inf, or eta < 0.
    """
    old, losses = _vector(q), _vector(group_losses)
    if old.shape != losses.shape or old.ndim != 1 or len(old) == 0:
        raise ValueError(
            f"q and group_losses must be (groups,); got {tuple(old.shape)} and {tuple(losses.shape)}"
        )
    if not (torch.isfinite(old).all() and (old >= 0).all() and old.sum() > 0):
        raise ValueError(
            f"q must be finite, not negative and not all 0; got {old.tolist()}"
        )
    if (losses == -math.inf).any():
        raise ValueError(f"group_losses must not be -inf; got {losses.tolist()}")
    if not 0 <= eta < math.inf:
        raise ValueError(f"eta must be finite and at least 0; got {eta}")
    most = torch.finfo(losses.dtype).max / (1 + eta)  # eta times this is still a number
    exponents = eta * losses.nan_to_num(nan=0.0, posinf=most).clamp(-most, most)
    weights = (old.log() + exponents).softmax(
        0
    )  # softmax takes them relative to the largest
    return weights.to(q) if isinstance(q, Tensor) and q.is_floating_point() else weights


def _vector(values: Any) -> Tensor:
    """In double precision, on the CPU; None becomes NaN."""
    plain = (
        values.detach().cpu()
        if isinstance(values, Tensor)
        else np.array(values, dtype=float)
    )
    return torch.as_tensor(plain, dtype=torch.float64)


def worst_group_accuracy(correct: Any, groups: Any) -> float:
    """The accuracy of the group that fares worst.

    correct: (n,) of True and False, or 1 and 0; groups: (n,) labels of any kind, numbers, words or tuples.
    Raises ValueError where they are empty, not as many, or correct holds anything else.
    """
    right = _vector(correct).numpy()
    names = [
        tuple(g) if isinstance(g, list) else g
        for g in (groups.tolist() if hasattr(groups, "tolist") else groups)
    ]
    if right.shape != (len(names),) or len(names) == 0:
        raise ValueError(
            f"correct and groups must be (n,), at least 1; got {right.shape} and {len(names)} groups"
        )
    if not np.isin(right, (0, 1)).all():
        raise ValueError("correct must hold only True and False, or 1 and 0")
    codes, _ = pd.factorize(pd.Series(names, dtype=object), use_na_sentinel=False)
    return float(pd.Series(right).groupby(codes).mean().min())


def train_groups(
    model: nn.Module,
    images: Any,
    labels: Any,
    groups: Any,
    *,
    method: str = "erm",
    eta: float = 0.01,
    **settings: Any,
) -> nn.Module:
    """Fit `model` in place for every group's sake, or without regard to groups; returned in eval mode.

    images: (n, ...); labels: (n,) classes from 0; groups: (n,) whole numbers. method:
        erm: the mean loss over all images.
        reweight: the mean loss over images drawn with the same chance from each group.
        dro: images drawn likewise, and the sum of q_g * (group g's mean loss), q by `group_dro_weights` with `eta`.
    settings: epochs, weight_decay, batch_size (128 unless given), lr (0.002), watch, seed and progress as for
        `train_classifier`, but Adam's lr stays as it is, so that stopping early and training for fewer epochs are the
        same thing. An epoch is n images drawn.
    Raises ValueError for an unknown method, counts that differ, and numbers out of range.
    """
    if method not in METHODS:
        raise ValueError(f"method must be one of {', '.join(METHODS)}; got {method!r}")
    counts = len(images), len(labels), len(groups)
    if len(set(counts)) > 1:
        raise ValueError(
            f"images, labels and groups must be as many; got {', '.join(map(str, counts))}"
        )
    names, group = torch.as_tensor(groups).cpu().unique(return_inverse=True)
    chance = (
        1 / group.bincount()[group]
    )  # a member of a small group is drawn more often
    q = torch.full((len(names),), 1 / len(names), dtype=torch.float64)

    def order(n: int) -> Tensor:
        return (
            torch.randperm(n)
            if method == "erm"
            else chance.multinomial(n, replacement=True)
        )

    def loss(
        model: nn.Module, x: Tensor, labels_and_groups: Tensor, done: float
    ) -> Tensor:
        nonlocal q
        y, g = labels_and_groups.T
        losses = F.cross_entropy(model(x), y, reduction="none")
        if method != "dro":
            return losses.mean()
        member = F.one_hot(g, len(names)).to(losses)  # (batch, groups)
        means = losses @ member / member.sum(0).clamp(min=1)  # (groups,); empty: 0
        q = group_dro_weights(q, means.where(member.any(0), math.nan), eta)
        return q.to(losses) @ means

    both = torch.stack([torch.as_tensor(labels).cpu(), group], 1)
    settings = {"batch_size": 128, "lr": 2e-3} | settings
    return train_classifier(
        model, images, both, loss=loss, order=order, settle=False, **settings
    )


def group_accuracy(model: Model, test: Striped) -> pd.DataFrame:
    """A row for each group that has images: group, n, accuracy, low, high (95 % Wilson interval)."""
    right = correct(model, test.images, test.labels)
    hits = {name: right[test.groups == g] for g, name in enumerate(GROUP_NAMES)}
    rows = [
        (name, len(each), *share_interval(each))
        for name, each in hits.items()
        if len(each)
    ]
    return pd.DataFrame(rows, columns=["group", "n", "accuracy", "low", "high"])


def average_and_worst(model: Model, usual: Striped, both: Striped) -> dict[str, float]:
    """average, average_low, average_high over the images of `usual`; worst, worst_low, worst_high in `both`.

    worst is the lowest accuracy of a group. Intervals are 95 % Wilson's, each for its own n; that of the worst group
    does not know that it was picked for being the lowest.
    """
    table = group_accuracy(model, both)
    worst = table.loc[table.accuracy.idxmin(), ["accuracy", "low", "high"]]
    names = [
        part + end for part in ("average", "worst") for end in ("", "_low", "_high")
    ]
    values = *share_interval(correct(model, usual.images, usual.labels)), *worst
    return dict(zip(names, map(float, values), strict=True))
