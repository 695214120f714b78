"""Do the scores predict what retraining does? The linear datamodeling score (LDS).

Train on random subsets of the data. With a score for each training point, the sum over
the points that a subset kept predicts the output of the model trained on it. The LDS is
how well that ranks the subsets (Park et al. 2023). Beside it stand its interval and its
ceiling, which is set by the noise of retraining.
"""

from itertools import combinations
from typing import Any

import numpy as np
import torch
from scipy.stats import rankdata
from torch import Generator, Tensor

from smallscale.attribution.scores.examples import as_positions, finite_points
from smallscale.core.validation import (
    as_array,
    finite,
    require,
    type_and_shape,
    whole_number,
)


def random_subsets(n: int, count: int, keep: float, *, seed: int = 0) -> Tensor:
    """Return random subsets of n positions, (count, round(keep * n)), in random order.

    Raises ValueError unless 0 < keep < 1, and some positions are kept and some are not.

    >>> random_subsets(4, 3, 0.5).shape
    torch.Size([3, 2])
    """
    n = whole_number("n", n)
    count = whole_number("count", count)
    size = round(keep * n) if 0 < keep < 1 else 0
    require(
        0 < size < n,
        f"keep must lie strictly between 0 and 1, and leave some of {n} in and some "
        f"out; got {keep}",
    )
    generator = Generator().manual_seed(seed)
    rows = [torch.randperm(n, generator=generator)[:size] for _ in range(count)]
    return torch.stack(rows)


def as_masks(rows: Tensor, n: int) -> Tensor:
    """Return positions (subsets, k) as masks (subsets, n), True where kept.

    Raises ValueError for what is no position below n.

    >>> as_masks(torch.tensor([[0, 2]]), 3)
    tensor([[ True, False,  True]])
    """
    places = as_positions("rows", rows, n)
    require(places.dim() == 2, f"rows must be (subsets, k); got {tuple(places.shape)}")
    return torch.zeros(len(places), n, dtype=torch.bool).scatter_(1, places, True)


def margins(logits: Tensor, labels: Tensor) -> Tensor:
    """Return log(p / (1 - p)) of the label's probability p, (..., n): the LDS's target.

    logits: (..., n, classes). labels: (n,). Raises ValueError for other shapes, and for
    labels that are no class.

    >>> margins(torch.tensor([[2.0, 0.0]]), torch.tensor([0]))
    tensor([2.])
    """
    n, classes = logits.shape[-2:] if logits.dim() > 1 else (0, 0)
    whole = not (labels.is_floating_point() or labels.dtype == torch.bool)
    require(
        whole and labels.shape == (n,) and classes > 1,
        "labels must be whole numbers (n,), and logits (..., n, classes) of at least 2 "
        f"classes; got {type_and_shape(labels)} and {tuple(logits.shape)}",
    )
    low, high = int(labels.min()), int(labels.max())
    require(
        low >= 0 and high < classes,
        f"labels must lie in 0..{classes - 1}, the classes; got {low} to {high}",
    )
    labels = labels.long().expand(logits.shape[:-1])[..., None]
    others = logits.scatter(-1, labels, -torch.inf).logsumexp(-1)
    return logits.gather(-1, labels).squeeze(-1) - others


def lds(scores: Any, masks: Any, outputs: Any) -> float:
    """Return the linear datamodeling score: 1 is perfect, 0 is chance.
        LDS = mean over test points of Spearman(masks @ scores, outputs)

    Park et al. 2023, definition 2.4: Spearman's correlation is over subsets, of what
    the scores predict and what came out.

    scores: (n_train, n_test). masks: (n_subsets, n_train), True or 1 for what was kept.
    outputs: (n_subsets, n_test), of models trained on the subsets, where higher is
    better: a margin, or minus the loss. Equal values share their mean rank. A test
    point whose prediction does not depend on the subset counts 0. One whose output does
    not is refused, since no score could be right or wrong about it. Raises ValueError
    for it, for shapes that do not fit, and for NaN.

    >>> lds([[1.0], [2.0]], [[1, 0], [0, 1], [1, 1]], [[0.1], [0.2], [0.3]])
    1.0
    """
    return float(correlations(scores, masks, outputs).mean())


def lds_interval(
    scores: Any, masks: Any, outputs: Any, *, draws: int = 200, seed: int = 0
) -> tuple[float, float]:
    """Return a bootstrap interval (low, high) of 95 % for the LDS.

    Test points and subsets are both drawn anew, `draws` times. A subset drawn twice
    ties with itself, and ties lower Spearman's correlation; so the draws are moved
    until their mean is the LDS.
    """
    draws = whole_number("draws", draws)
    predicted, actual = _predicted_and_actual(scores, masks, outputs)
    random = np.random.default_rng(seed)
    subsets, points = actual.shape
    found = []
    for _ in range(draws):
        rows = random.integers(subsets, size=subsets)
        columns = random.integers(points, size=points)
        here = np.ix_(rows, columns)
        found.append(spearman(predicted[here], actual[here]).mean())
    score = spearman(predicted, actual).mean()
    low, high = np.quantile(found, [0.025, 0.975]) + score - np.mean(found)
    return float(low), float(high)


def lds_ceiling(outputs: Any) -> float:
    """Return the LDS of a method that knew the expected output of every subset:
        ceiling = sqrt(R r / (1 + (R - 1) r))
    from outputs (R, n_subsets, n_test) of R seeds.

    Retraining is noisy: the mean of R seeds is not the expected output. r is the mean
    correlation of one seed with another, and under the root stands the reliability of
    their mean (Spearman 1910, Brown 1910). Raises ValueError for fewer than two seeds.
    """
    seeds = _table("outputs", outputs, 3)
    R = len(seeds)
    require(
        R > 1,
        f"outputs must come from at least 2 seeds, to see how they differ; got {R}",
    )
    pairs = [spearman(one, other).mean() for one, other in combinations(seeds, 2)]
    r = max(0.0, float(np.mean(pairs)))
    return float((R * r / (1 + (R - 1) * r)) ** 0.5)


def correlations(scores: Any, masks: Any, outputs: Any) -> np.ndarray:
    """Return Spearman's correlation of prediction and output for each test point.

    Arguments as for `lds`; (n_test,).
    """
    return spearman(*_predicted_and_actual(scores, masks, outputs))


def spearman(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return Spearman's correlation of (n, ...) with (n, ...), column by column, (...).

    It is 0 where a column is constant.
    """
    centre = (len(a) + 1) / 2
    ranks_a = rankdata(a, axis=0) - centre
    ranks_b = rankdata(b, axis=0) - centre
    sizes = np.sqrt((ranks_a * ranks_a).sum(0) * (ranks_b * ranks_b).sum(0))
    rho: np.ndarray = (ranks_a * ranks_b).sum(0) / np.where(sizes > 0, sizes, 1)
    return rho


def column_slopes(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return the slope of y on x by least squares, column by column, (columns,).

    x, y: (n, columns), n at least 2, and no column of x constant.

    >>> column_slopes(np.array([[0.0], [1.0], [2.0]]), np.array([[1.0], [3.0], [5.0]]))
    array([2.])
    """
    from_mean = x - x.mean(0)
    slopes: np.ndarray = (from_mean * y).sum(0) / (from_mean * from_mean).sum(0)
    return slopes


def _predicted_and_actual(
    scores: Any, masks: Any, outputs: Any
) -> tuple[np.ndarray, np.ndarray]:
    """Return what the scores predict, and what came out, each (n_subsets, n_test)."""
    score_table = _table("scores", scores, 2)
    mask_table = _table("masks", masks, 2)
    actual = _table("outputs", outputs, 2)
    _check_shapes(score_table, mask_table, actual)
    # Sums that are equal on paper differ in the last digit with the order of adding;
    # the ranks must not see it.
    largest = np.abs(score_table).max(0)  # first, as a sum may overflow
    shares = score_table / np.where(largest > 0, largest, 1)
    scale = np.abs(shares).sum(0)
    shares /= np.where(scale > 0, scale, 1)
    return np.round(mask_table @ shares, 12), actual


def _check_shapes(scores: np.ndarray, masks: np.ndarray, outputs: np.ndarray) -> None:
    got = f"got scores {scores.shape}, masks {masks.shape} and outputs {outputs.shape}"
    require(
        masks.shape[1] == len(scores),
        "masks must be (n_subsets, n_train), with one column for each row of scores; "
        f"{got}",
    )
    require(
        outputs.shape == (len(masks), scores.shape[1]) and len(masks) > 1,
        "outputs must be (n_subsets, n_test), with one row for each mask and at least "
        f"2 subsets; {got}",
    )
    require(
        np.isin(masks, (0, 1)).all(),
        "masks must hold only True and False, or 1 and 0, for what was kept",
    )
    for point in np.flatnonzero(np.ptp(outputs, 0) == 0):
        raise ValueError(
            f"outputs must differ between subsets; for test point {point} all are "
            f"{outputs[0, point]:g}: leave it out, or take the margin, which differs "
            "where accuracy does not"
        )


def _table(name: str, values: Any, dimensions: int) -> np.ndarray:
    """Return numbers as an array of that many dimensions, none empty, all finite."""
    given = as_array(name, values)
    require(given.dtype.kind in "biuf", f"{name} must be real; got {given.dtype}")
    array = given.astype(float)
    require(
        array.ndim == dimensions and array.size,
        f"{name} must have {dimensions} dimensions, none empty; got {array.shape}",
    )
    if name == "scores":
        finite_points(name, torch.from_numpy(array))  # of which training point
    finite(name, array)
    return array
