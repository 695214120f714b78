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

from smallscale.attribution.checks import as_array, require, require_finite


def random_subsets(n: int, count: int, keep: float, *, seed: int = 0) -> Tensor:
    """(count, round(keep * n)), the kept positions of each random subset of n, in random order.

    Raises ValueError unless 0 < keep < 1 and the subset is neither empty nor everything.
    """
    size = round(keep * n) if 0 < keep < 1 else 0
    require(
        0 < size < n,
        f"keep must lie strictly between 0 and 1, and leave some of {n} in and some out; got {keep}",
    )
    generator = Generator().manual_seed(seed)
    return torch.stack(
        [torch.randperm(n, generator=generator)[:size] for _ in range(count)]
    )


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
    scores: Any, masks: Any, outputs: Any, *, draws: int = 200, seed: int = 0
) -> tuple[float, float]:
    """A bootstrap interval (low, high) of 95 % for the LDS: test points and subsets are both drawn anew, `draws` times.

    A subset drawn twice ties with itself, and ties lower Spearman's correlation: the draws are moved so that their
    mean is the LDS.
    """
    predicted, outputs = _predicted(scores, masks, outputs)
    random, (subsets, points), found = np.random.default_rng(seed), outputs.shape, []
    for _ in range(draws):
        rows, columns = (
            random.integers(subsets, size=subsets),
            random.integers(points, size=points),
        )
        found.append(
            spearman(predicted[rows][:, columns], outputs[rows][:, columns]).mean()
        )
    here = spearman(predicted, outputs).mean()
    low, high = np.quantile(found, [0.025, 0.975]) + here - np.mean(found)
    return float(low), float(high)


def lds_ceiling(outputs: Any) -> float:
    """The LDS of a method that knew the expected output of every subset, from outputs (n_seeds, n_subsets, n_test).

    Retraining is noisy: the mean of R seeds is not the expected output. From r, the mean correlation of one seed with
    another, the reliability of the mean is R r / (1 + (R - 1) r) (Spearman 1910, Brown 1910); the ceiling is its root.
    """
    (outputs,) = _tables(3, outputs=outputs)
    seeds = len(outputs)
    require(
        seeds > 1,
        f"outputs must come from at least 2 seeds, to see how they differ; got {seeds}",
    )
    r = max(
        0.0,
        float(np.mean([spearman(a, b).mean() for a, b in combinations(outputs, 2)])),
    )
    return (seeds * r / (1 + (seeds - 1) * r)) ** 0.5


def correlations(scores: Any, masks: Any, outputs: Any) -> np.ndarray:
    """Spearman's correlation of prediction and output for each test point, (n_test,); see `lds`."""
    return spearman(*_predicted(scores, masks, outputs))


def spearman(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Spearman's correlation of (n, ...) with (n, ...) column by column, (...); 0 where a column is constant."""
    a, b = (rankdata(part, axis=0) - (len(part) + 1) / 2 for part in (a, b))
    sizes = np.sqrt((a * a).sum(0) * (b * b).sum(0))
    return (a * b).sum(0) / np.where(sizes > 0, sizes, 1)


def _predicted(scores: Any, masks: Any, outputs: Any) -> tuple[np.ndarray, np.ndarray]:
    """What the scores predict of every subset and test point, and what came out, each (n_subsets, n_test)."""
    scores, masks, outputs = _tables(2, scores=scores, masks=masks, outputs=outputs)
    shapes = (
        f"got scores {scores.shape}, masks {masks.shape} and outputs {outputs.shape}"
    )
    fit = masks.shape[1] == len(scores)
    require(
        fit,
        f"masks must be (n_subsets, n_train), a column for each row of scores; {shapes}",
    )
    fit = outputs.shape == (len(masks), scores.shape[1]) and len(masks) > 1
    require(
        fit,
        f"outputs must be (n_subsets, n_test), a row for each mask, at least 2 subsets; {shapes}",
    )
    require(
        np.isin(masks, (0, 1)).all(),
        "masks must hold only True and False, or 1 and 0: what was kept",
    )
    for point in np.flatnonzero(np.ptp(outputs, 0) == 0):
        words = f"outputs must differ between subsets; for test point {point} all are {outputs[0, point]:g}"
        raise ValueError(
            f"{words}: leave it out, or take the margin, which differs where accuracy does not"
        )
    # Sums that are equal on paper differ in the last digit with the order of adding; ranks must not see it.
    scale = np.abs(scores).sum(0)
    return np.round(masks @ (scores / np.where(scale > 0, scale, 1)), 12), outputs


def _tables(dimensions: int, **tables: Any) -> list[np.ndarray]:
    arrays = {name: as_array(table).astype(float) for name, table in tables.items()}
    for name, array in arrays.items():
        fit = array.ndim == dimensions and array.size
        require(
            fit,
            f"{name} must have {dimensions} dimensions, none empty; got {array.shape}",
        )
    require_finite(**arrays)
    return list(arrays.values())
