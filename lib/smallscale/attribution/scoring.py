"""Do the scores predict what retraining does? The linear datamodeling score (Park et al. 2023), interval and ceiling.

Train on random subsets of the data. A score per training point predicts the output of a model trained on a subset by
the sum over the points that the subset kept; the LDS is how well that ranks the subsets.
"""

from itertools import combinations
from typing import Any

import numpy as np
import torch
from scipy.stats import rankdata
from torch import Generator, Tensor


def random_subsets(n: int, count: int, keep: float, *, seed: int = 0) -> Tensor:
    """(count, round(keep * n)), the kept positions of each random subset of n, in random order.

    Raises ValueError unless 0 < keep < 1 and the subset is neither empty nor everything.
    """
    size = round(keep * n) if 0 < keep < 1 else 0
    if not 0 < size < n:
        raise ValueError(f"keep must lie strictly between 0 and 1, and leave some of {n} in and some out; got {keep}")
    generator = Generator().manual_seed(seed)
    return torch.stack([torch.randperm(n, generator=generator)[:size] for _ in range(count)])


def as_masks(rows: Tensor, n: int) -> Tensor:
    """Positions (subsets, k) as masks (subsets, n), True where kept."""
    return torch.zeros(len(rows), n, dtype=torch.bool).scatter_(1, rows, True)


def margins(logits: Tensor, labels: Tensor) -> Tensor:
    """log(p / (1 - p)) of the label's probability p, (..., n), from logits (..., n, classes): the LDS's target."""
    labels = labels.expand(logits.shape[:-1])[..., None]
    others = logits.scatter(-1, labels, -torch.inf).logsumexp(-1)
    return logits.gather(-1, labels).squeeze(-1) - others


def lds(scores: Any, masks: Any, outputs: Any) -> float:
    """The linear datamodeling score (Park et al. 2023, definition 2.4): 1 is perfect, 0 is chance.

    Per test point, Spearman's correlation over subsets of what the scores predict, masks @ scores, with what came out;
    then the mean over test points.
    scores: (n_train, n_test). masks: (n_subsets, n_train), True or 1 for what was kept. outputs: (n_subsets, n_test),
    of models trained on the subsets, where higher is better: a margin, or minus the loss.
    Equal values share their mean rank. A test point whose prediction does not depend on the subset counts 0; one
    whose output does not is refused, since no score could be right or wrong about it.
    Raises ValueError for it, for shapes that do not fit, and for NaN.
    """
    return float(correlations(scores, masks, outputs).mean())


def lds_interval(
    scores: Any, masks: Any, outputs: Any, *, level: float = 0.95, draws: int = 200, seed: int = 0
) -> tuple[float, float]:
    """A bootstrap interval (low, high) of the LDS: test points and subsets are both drawn anew, `draws` times.

    A subset drawn twice ties with itself, and ties lower Spearman's correlation: the draws are moved so that their
    mean is the LDS.
    """
    scores, masks, outputs = _checked(scores, masks, outputs)
    predicted, random = _predicted(scores, masks), np.random.default_rng(seed)
    subsets, points = outputs.shape
    found = []
    for _ in range(draws):
        rows, columns = random.integers(subsets, size=subsets), random.integers(points, size=points)
        found.append(_spearman(predicted[rows][:, columns], outputs[rows][:, columns]).mean())
    here = _spearman(predicted, outputs).mean()
    low, high = np.quantile(found, [(1 - level) / 2, (1 + level) / 2]) + here - np.mean(found)
    return float(low), float(high)


def lds_ceiling(outputs: Any) -> float:
    """The LDS of a method that knew the expected output of every subset, from outputs (n_seeds, n_subsets, n_test).

    Retraining is noisy: the mean of R seeds is not the expected output. From r, the mean correlation of one seed with
    another, the reliability of the mean is R r / (1 + (R - 1) r) (Spearman 1910, Brown 1910); the ceiling is its root.
    """
    outputs = _array("outputs", outputs, 3)
    if len(outputs) < 2:
        raise ValueError(f"outputs must come from at least 2 seeds, to see how they differ; got {len(outputs)}")
    seeds = len(outputs)
    r = max(0.0, float(np.mean([_spearman(a, b).mean() for a, b in combinations(outputs, 2)])))
    return (seeds * r / (1 + (seeds - 1) * r)) ** 0.5


def correlations(scores: Any, masks: Any, outputs: Any) -> np.ndarray:
    """Spearman's correlation of prediction and output for each test point, (n_test,); see `lds`."""
    scores, masks, outputs = _checked(scores, masks, outputs)
    return _spearman(_predicted(scores, masks), outputs)


def _predicted(scores: np.ndarray, masks: np.ndarray) -> np.ndarray:
    # Sums that are equal on paper differ in the last digit with the order of adding; ranks must not see it.
    scale = np.abs(scores).sum(0)
    return np.round(masks @ (scores / np.where(scale > 0, scale, 1)), 12)


def _spearman(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Column by column; 0 where a column is constant."""
    a, b = (rankdata(part, axis=0) for part in (a, b))
    a, b = (part - part.mean(0) for part in (a, b))
    sizes = np.sqrt((a * a).sum(0) * (b * b).sum(0))
    return (a * b).sum(0) / np.where(sizes > 0, sizes, 1)


def _checked(scores: Any, masks: Any, outputs: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    scores, masks, outputs = (
        _array(name, part, 2) for name, part in (("scores", scores), ("masks", masks), ("outputs", outputs))
    )
    if masks.shape[1] != scores.shape[0]:
        raise ValueError(
            f"masks must be (n_subsets, n_train), a column for each row of scores; got {masks.shape} for {scores.shape}"
        )
    if outputs.shape != (len(masks), scores.shape[1]) or len(masks) < 2:
        raise ValueError(
            "outputs must be (n_subsets, n_test), at least 2 subsets, a row for each mask and a column for each of "
            f"scores; got {outputs.shape} for masks {masks.shape} and scores {scores.shape}"
        )
    if not np.isin(masks, (0, 1)).all():
        raise ValueError("masks must hold only True and False, or 1 and 0: what was kept")
    constant = np.flatnonzero(outputs.max(0) == outputs.min(0))
    if len(constant):
        raise ValueError(
            f"outputs must differ between subsets; for test point {constant[0]} all are {outputs[0, constant[0]]:g}: "
            "leave it out, or take the margin, which differs where accuracy does not"
        )
    return scores, masks, outputs


def _array(name: str, values: Any, dimensions: int) -> np.ndarray:
    array = np.asarray(values.detach().cpu() if isinstance(values, Tensor) else values, dtype=float)
    if array.ndim != dimensions or array.size == 0:
        raise ValueError(f"{name} must have {dimensions} dimensions, none empty; got {array.shape}")
    if not np.isfinite(array).all():
        raise ValueError(f"{name} must be finite; some values are NaN or infinite")
    return array
