"""A model that is right on average: whom does it fail?

Groups of images, a shortcut, and training for the worst group. Groups, group DRO and
the shortcut follow Sagawa et al. 2020, with a stripe for the background of their birds.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from smallscale.core.intervals import share_interval
from smallscale.core.validation import (
    as_array,
    as_tensor,
    finite_number,
    one_of,
    require,
    same_length,
)
from smallscale.training.evaluation import Model, correct
from smallscale.training.group_losses import group_dro_weights, group_means
from smallscale.training.loop import Loss, class_labels, train_classifier

__all__ = [
    "GROUP_NAMES",
    "TRAINING_METHODS",
    "Striped",
    "average_and_worst",
    "both_ways",
    "group_accuracy",
    "group_dro_weights",
    "striped",
    "train_groups",
    "worst_group_accuracy",
]

TRAINING_METHODS = ("erm", "subsample", "reweight", "dro")

# The digits, and the side of the stripe.
GROUP_NAMES = ("0 to 4, left", "0 to 4, right", "5 to 9, left", "5 to 9, right")


class Striped(NamedTuple):
    """Digits with a stripe.

    images: (n, 1, height, width); labels: (n,) 1 for 5 to 9, else 0; sides: (n,) 1 for
    a stripe on the right, 0 on the left.
    """

    images: Tensor
    labels: Tensor
    sides: Tensor

    @property
    def groups(self) -> Tensor:
        """(n,) the positions in GROUP_NAMES: 2 * label + side."""
        return 2 * self.labels + self.sides


def striped(images: Any, digits: Any, *, agree: float, seed: int = 0) -> Striped:
    """Return real digits with a white stripe that gives the label away, mostly.

    The label asks whether the digit is 5 or more. Of each label's images the share
    `agree`, rounded to a whole number, has the stripe on the label's side: left for 0
    to 4, right for 5 to 9. The stripe is an eighth of the width.
    images: (n, 1, height, width); digits: (n,) in 0..9; seed: which images agree.
    Raises ValueError where agree is not in [0, 1], digits not in 0..9, or lengths
    differ.
    """
    agree = finite_number("agree", agree, least=0, most=1)
    images, digits = _checked_digits(images, digits)
    generator = Generator().manual_seed(seed)
    labels = (digits >= 5).long()
    sides = labels.clone()
    for label in (0, 1):
        members = (labels == label).nonzero().flatten()
        shuffled = members[torch.randperm(len(members), generator=generator)]
        against = shuffled[round(agree * len(members)) :]
        sides[against] = 1 - label
    wide = max(1, round(images.shape[3] / 8))
    images[sides == 0, :, :, :wide] = 1.0
    images[sides == 1, :, :, -wide:] = 1.0
    return Striped(images, labels, sides)


def both_ways(images: Any, digits: Any) -> Striped:
    """Return every digit twice, once with each stripe.

    It is the fairest test set: its four groups hold the same handwriting. Arguments and
    errors as for `striped`.
    """
    agreeing = striped(images, digits, agree=1.0)
    opposing = striped(images, digits, agree=0.0)
    return Striped(
        images=torch.cat([agreeing.images, opposing.images]),
        labels=torch.cat([agreeing.labels, opposing.labels]),
        sides=torch.cat([agreeing.sides, opposing.sides]),
    )


def worst_group_accuracy(correct: Any, groups: Any) -> float:
    """Return the accuracy of the group that fares worst.

    correct: (n,) of True and False, or 1 and 0; groups: (n,) labels of any kind,
    numbers, words or tuples.
    Raises ValueError where they are empty, differ in length, or correct holds anything
    else.

    >>> worst_group_accuracy([1, 1, 0, 1], ["a", "a", "b", "b"])
    0.5
    """
    right = as_array("correct", correct, dtype=float)
    names = _hashable_labels(groups)
    good = right.shape == (len(names),) and len(names) > 0
    allowed = "correct and groups must be (n,), at least 1"
    require(good, f"{allowed}; got {right.shape} and {len(names)} groups")
    binary = np.isin(right, (0, 1)).all()
    require(binary, "correct must hold only True and False, or 1 and 0")
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
    adjustment: float = 0.0,
    **settings: Any,
) -> nn.Module:
    """Fit `model` in place for every group's sake, or without regard to groups.

    images: (n, ...); labels: (n,) classes from 0; groups: (n,) whole numbers. method:
        erm: the mean loss over all images.
        subsample: the mean loss over as many images of each group as the smallest has,
            drawn once and gone through again and again (Idrissi et al. 2022).
        reweight: the mean loss over images drawn with the same chance from each group.
        dro: images drawn likewise, and the sum of q_g * (mean loss of group g), with q
            by `group_dro_weights` and `eta`. The losses that move q have
            adjustment / sqrt(n_g) added, n_g the group's images: a small group counts
            as harder than it looks, since it is learnt by heart sooner (Sagawa et al.
            2020, section 3.3).

    settings: epochs, weight_decay, batch_size (128 unless given), lr (0.002), watch,
    seed and progress as for `train_classifier`, but Adam's lr stays as it is, so that
    stopping early and training for fewer epochs are the same thing. An epoch is n
    images drawn for every method, so that the same epochs are the same steps.
    Returns the model in eval mode. Raises ValueError for an unknown method, lengths
    that differ, numbers out of range, and an adjustment of another method than dro.
    """
    one_of("method", method, TRAINING_METHODS)
    same_length(images=images, labels=labels, groups=groups)
    adjustment = finite_number("adjustment", adjustment, least=0)
    only_dro = "adjustment must be 0 for a method other than dro"
    require(method == "dro" or adjustment == 0, f"{only_dro}; got {adjustment!r}")
    groups = as_tensor("groups", groups).cpu()
    require(groups.ndim == 1, f"groups must be (n,); got {tuple(groups.shape)}")
    _, group = torch.unique(groups, return_inverse=True)
    # The loss is told both by the rows of one tensor, (n, 2).
    labels_and_groups = torch.stack([class_labels(labels).cpu(), group], 1)
    added = adjustment / group.bincount().double().sqrt()
    loss = _worst_group_loss(added, eta) if method == "dro" else _mean_loss
    order = _order(method, group)
    settings = {"batch_size": 128, "lr": 2e-3} | settings
    return train_classifier(
        model,
        images,
        labels_and_groups,
        loss=loss,
        order=order,
        settle=False,
        **settings,
    )


def group_accuracy(model: Model, test: Striped) -> pd.DataFrame:
    """Return a row for each group that has images.

    Columns: group, n, accuracy, low, high (the 95 % Wilson interval).
    """
    right = correct(model, test.images, test.labels)
    rows = []
    for group, name in enumerate(GROUP_NAMES):
        members = right[test.groups == group]
        if len(members):
            rows.append((name, len(members), *share_interval(members)))
    return pd.DataFrame(rows, columns=["group", "n", "accuracy", "low", "high"])


def average_and_worst(model: Model, usual: Striped, both: Striped) -> dict[str, float]:
    """Return the average accuracy on `usual`, and the worst group's on `both`.

    Keys: average, average_low, average_high, worst, worst_low, worst_high. worst is the
    lowest accuracy of a group. Intervals are 95 % Wilson's, each for its own n; that of
    the worst group does not know that it was picked for being the lowest.
    """
    right = correct(model, usual.images, usual.labels)
    average, average_low, average_high = share_interval(right)
    table = group_accuracy(model, both)
    worst = table.loc[table.accuracy.idxmin()]
    return {
        "average": average,
        "average_low": average_low,
        "average_high": average_high,
        "worst": float(worst.accuracy),
        "worst_low": float(worst.low),
        "worst_high": float(worst.high),
    }


def _checked_digits(images: Any, digits: Any) -> tuple[Tensor, Tensor]:
    """Return a copy of the images, and the digits."""
    images = as_tensor("images", images).clone()
    digits = as_tensor("digits", digits)
    same_length(images=images, digits=digits)
    require(digits.ndim == 1, f"digits must be (n,); got {tuple(digits.shape)}")
    least, most = int(digits.min()), int(digits.max())
    inside = least >= 0 and most <= 9
    require(inside, f"digits must lie in 0..9; got {least} to {most}")
    return images, digits


def _hashable_labels(groups: Any) -> list[Any]:
    """Return the groups' labels in a list, a row of several numbers as a tuple."""
    labels = groups.tolist() if hasattr(groups, "tolist") else groups
    return [tuple(each) if isinstance(each, list) else each for each in labels]


def _order(method: str, group: Tensor) -> Callable[[int], Tensor]:
    """Return what draws an epoch's images for a method, called with their number."""
    if method == "erm":
        return torch.randperm
    if method == "subsample":
        return _as_many_of_each_group(group)
    return _every_group_as_often(group)


def _as_many_of_each_group(group: Tensor) -> Callable[[int], Tensor]:
    """Return an order that goes through one balanced choice of images, repeatedly.

    group: (n,) the group of each image, counted from 0. The choice is made at the first
    call: as many images of each group as the smallest has.
    """
    smallest = int(group.bincount().min())
    chosen: list[Tensor] = []

    def order(n: int) -> Tensor:
        if not chosen:
            for each in range(int(group.max()) + 1):
                members = (group == each).nonzero().flatten()
                chosen.append(members[torch.randperm(len(members))[:smallest]])
        balanced = torch.cat(chosen)
        rounds = -(-n // len(balanced))
        passes = [balanced[torch.randperm(len(balanced))] for _ in range(rounds)]
        return torch.cat(passes)[:n]

    return order


def _every_group_as_often(group: Tensor) -> Callable[[int], Tensor]:
    """Return an order of images in which a member of a small group comes more often.

    group: (n,) the group of each image, counted from 0.
    """
    chance = 1 / group.bincount()[group]
    return lambda n: chance.multinomial(n, replacement=True)


def _losses_and_groups(
    model: nn.Module, x: Tensor, labels_and_groups: Tensor
) -> tuple[Tensor, Tensor]:
    labels, groups = labels_and_groups.T
    return F.cross_entropy(model(x), labels, reduction="none"), groups


def _mean_loss(
    model: nn.Module, x: Tensor, labels_and_groups: Tensor, done: float
) -> Tensor:
    losses, _ = _losses_and_groups(model, x, labels_and_groups)
    return losses.mean()


def _worst_group_loss(added: Tensor, eta: float) -> Loss:
    """Return group DRO's loss: weighted means of groups, the weights equal at first.

    added: (groups,) what each group's loss gains before it moves the weights.
    """
    count = len(added)
    q = torch.full((count,), 1 / count, dtype=torch.float64)

    def loss(
        model: nn.Module, x: Tensor, labels_and_groups: Tensor, done: float
    ) -> Tensor:
        nonlocal q
        losses, groups = _losses_and_groups(model, x, labels_and_groups)
        means, present = group_means(losses, groups, count)
        adjusted = means.detach().cpu().double() + added
        q = group_dro_weights(q, adjusted.where(present.cpu(), math.nan), eta)
        return q.to(losses) @ means

    return loss
