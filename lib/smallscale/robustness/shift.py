"""A model that is right on average: whom does it fail? Groups of images, a shortcut, and training for the worst group.

Groups, group DRO and the shortcut follow Sagawa et al. 2020, with a stripe for the background of their birds.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn
from tqdm import tqdm

from smallscale.models import seeded
from smallscale.training import Model, binomial_interval, fitting_threads, predict_logits

METHODS = ("erm", "reweight", "dro")
FIELDS = ("images", "labels", "sides")
GROUP_NAMES = ("0 to 4, left", "0 to 4, right", "5 to 9, left", "5 to 9, right")  # digits, side of the stripe


@dataclass(frozen=True)
class Striped:
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
        raise ValueError(f"images and digits must be as many, at least 1; got {len(images)} and {len(digits)}")
    if not 0 <= agree <= 1:
        raise ValueError(f"agree must lie in [0, 1]; got {agree}")
    if digits.min() < 0 or digits.max() > 9:
        raise ValueError(f"digits must lie in 0..9; got {int(digits.min())} to {int(digits.max())}")
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
    return Striped(*(torch.cat([getattr(part, name) for part in (with_it, against_it)]) for name in FIELDS))


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
        raise ValueError(f"q and group_losses must be (groups,); got {tuple(old.shape)} and {tuple(losses.shape)}")
    if not (torch.isfinite(old).all() and (old >= 0).all() and old.sum() > 0):
        raise ValueError(f"q must be finite, not negative and not all 0; got {old.tolist()}")
    if (losses == -math.inf).any():
        raise ValueError(f"group_losses must not be -inf; got {losses.tolist()}")
    if not 0 <= eta < math.inf:
        raise ValueError(f"eta must be finite and at least 0; got {eta}")
    most = torch.finfo(losses.dtype).max / (1 + eta)  # eta times this is still a number
    exponents = eta * losses.nan_to_num(nan=0.0, posinf=most).clamp(-most, most)
    weights = (old.log() + exponents).softmax(0)  # softmax takes them relative to the largest
    return weights.to(q) if isinstance(q, Tensor) and q.is_floating_point() else weights


def _vector(values: Any) -> Tensor:
    """In double precision, on the CPU, a copy; None becomes NaN."""
    if isinstance(values, Tensor):
        return values.detach().cpu().double().clone()
    return torch.from_numpy(np.array(values, dtype=float))


def worst_group_accuracy(correct: Any, groups: Any) -> float:
    """The accuracy of the group that fares worst.

    correct: (n,) of True and False, or 1 and 0; groups: (n,) labels of any kind, numbers, words or tuples.
    Raises ValueError where they are empty, not as many, or correct holds anything else.
    """
    right = np.asarray(correct.detach().cpu() if isinstance(correct, Tensor) else correct, dtype=float)
    names = [tuple(g) if isinstance(g, list) else g for g in (groups.tolist() if hasattr(groups, "tolist") else groups)]
    if right.shape != (len(names),) or len(names) == 0:
        raise ValueError(f"correct and groups must be (n,), at least 1; got {right.shape} and {len(names)} groups")
    if not np.isin(right, (0, 1)).all():
        raise ValueError("correct must hold only True and False, or 1 and 0")
    codes, _ = pd.factorize(pd.Series(names, dtype=object), use_na_sentinel=False)
    return float((np.bincount(codes, weights=right) / np.bincount(codes)).min())


def train_groups(
    model: nn.Module,
    images: Any,
    labels: Any,
    groups: Any,
    *,
    method: str = "erm",
    epochs: int,
    weight_decay: float = 0.0,
    batch_size: int = 128,
    lr: float = 2e-3,
    eta: float = 0.01,
    watch: Callable[[int, nn.Module], None] | None = None,
    seed: int = 0,
    progress: str = "",
) -> nn.Module:
    """Fit `model` in place for every group's sake, or without regard to groups; returned in eval mode.

    images: (n, ...); labels: (n,) classes from 0; groups: (n,) whole numbers. method:
        erm: the mean loss over all images.
        reweight: the mean loss over images drawn with the same chance from each group.
        dro: images drawn likewise, and the sum of q_g * (group g's mean loss), q by `group_dro_weights` with `eta`.
    weight_decay: adds weight_decay/2 * ||parameters||^2 to the loss, as in `train_classifier`.
    epochs: an epoch is n images drawn. Adam's lr stays as it is, so stopping early and training for fewer epochs
        are the same thing: watch(epoch, model) is called after each, with the model in eval mode.
    seed: of the order of batches and dropout; no global state is touched.
    Raises ValueError for an unknown method, counts that differ, and numbers out of range.
    """
    images, labels = torch.as_tensor(images), torch.as_tensor(labels).long()
    _check(method, len(images), len(labels), len(groups), epochs=epochs, batch_size=batch_size)
    names, group = torch.as_tensor(groups).unique(return_inverse=True)
    member = F.one_hot(group, len(names)).float()  # (n, groups)
    chance = member @ (1 / member.sum(0))  # a member of a small group is drawn more often
    q = torch.full((len(names),), 1 / len(names), dtype=torch.float64)
    like = next(model.parameters())
    # foreach: one call for all parameters, which on networks this small is a third of the time.
    optimizer = torch.optim.Adam(model.parameters(), lr=lr, weight_decay=weight_decay, foreach=True)
    with seeded(seed, like.device), fitting_threads(images):
        for epoch in tqdm(range(1, epochs + 1), desc=progress, unit="epoch", leave=False, disable=not progress):
            model.train()
            order = torch.randperm(len(images)) if method == "erm" else chance.multinomial(len(images), True)
            for batch in order.split(batch_size):
                losses = F.cross_entropy(model(images[batch].to(like)), labels[batch].to(like.device), reduction="none")
                loss = losses.mean()
                if method == "dro":
                    counts = member[batch].sum(0)
                    means = losses @ member[batch].to(like) / counts.clamp(min=1).to(like)  # (groups,); empty: 0
                    q = group_dro_weights(q, means.detach().cpu().where(counts > 0, math.nan), eta)
                    loss = q.to(like) @ means
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
            if watch is not None:
                watch(epoch, model.eval())
    return model.eval()


def _check(method: str, images: int, labels: int, groups: int, **at_least_one: int) -> None:
    if method not in METHODS:
        raise ValueError(f"method must be one of {', '.join(METHODS)}; got {method!r}")
    if not images == labels == groups or images == 0:
        raise ValueError(f"images, labels and groups must be as many, at least 1; got {images}, {labels}, {groups}")
    for name, value in at_least_one.items():
        if value < 1:
            raise ValueError(f"{name} must be at least 1; got {value}")


def group_accuracy(model: Model, test: Striped) -> pd.DataFrame:
    """A row for each group that has images: group, n, accuracy, low, high (95 % Wilson interval)."""
    right, rows = predict_logits(model, test.images).argmax(1) == test.labels, []
    for g, name in enumerate(GROUP_NAMES):
        hits = right[test.groups == g]
        if len(hits):
            rows.append((name, len(hits), float(hits.double().mean()), *binomial_interval(int(hits.sum()), len(hits))))
    return pd.DataFrame(rows, columns=["group", "n", "accuracy", "low", "high"])


def average_and_worst(model: Model, usual: Striped, both: Striped) -> dict[str, float]:
    """average, average_low, average_high over the images of `usual`; worst, worst_low, worst_high in `both`.

    worst is the lowest accuracy of a group. Intervals are 95 % Wilson's, each for its own n; that of the worst group
    does not know that it was picked for being the lowest.
    """
    right = int((predict_logits(model, usual.images).argmax(1) == usual.labels).sum())
    table = group_accuracy(model, both)
    lowest = table.iloc[int(table.accuracy.argmin())]
    return {
        "average": right / len(usual.labels),
        **dict(zip(("average_low", "average_high"), binomial_interval(right, len(usual.labels)), strict=True)),
        **{f"worst{end}": float(lowest[key]) for end, key in (("", "accuracy"), ("_low", "low"), ("_high", "high"))},
    }
