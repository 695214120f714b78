"""Which training points would a nearest-neighbour vote miss? Its Shapley values."""

from typing import Any

import numpy as np
import torch
from scipy.spatial.distance import cdist
from torch import Tensor

from smallscale.attribution.scores.examples import finite_points
from smallscale.core.validation import (
    as_array,
    is_masked,
    require,
    same_length,
    whole_number,
)


def knn_shapley(train_x: Any, train_y: Any, test_x: Any, test_y: Any, k: int) -> Tensor:
    """Return exact Shapley values of the k-nearest-neighbour vote, (n_train, n_test):
        s(n) = hit(n) / k * min(k, n) / n
        s(i) = s(i + 1) + (hit(i) - hit(i + 1)) / k * min(k, i) / i
    for a test point's i-th nearest of n, where hit(i) is 1 if it has the right label.

    Jia et al. 2019, theorem 1. The game of a test point: v(S) is the number of its
    min(k, |S|) nearest in S with its label, divided by k. Each column sums to v(all).

    train_x, test_x: (n, ...), compared by the Euclidean distance of their flattened
    values; of two at the same distance, the one that comes first is nearer. train_y,
    test_y: (n,) labels. Raises ValueError for lengths or widths that differ, values
    that are not finite, and k below 1.

    >>> knn_shapley([[1.0], [2.0]], ["a", "b"], [[0.0]], ["a"], k=1)
    tensor([[1.],
            [0.]], dtype=torch.float64)
    """
    order, hit, k = _checked_votes(train_x, train_y, test_x, test_y, k)  # nearest first
    n = len(order)
    s = np.zeros(hit.shape)  # (n_train, n_test); row i - 1 is the i-th nearest's value
    s[n - 1] = hit[n - 1] / k * min(k, n) / n  # theorem 1, the farthest
    for i in range(n - 1, 0, -1):  # theorem 1, from far to near
        s[i - 1] = s[i] + (hit[i - 1] - hit[i]) / k * min(k, i) / i
    scores = np.empty(s.shape)
    np.put_along_axis(scores, order, s, axis=0)  # from places back to training points
    return torch.from_numpy(scores)


def _checked_votes(
    train_x: Any, train_y: Any, test_x: Any, test_y: Any, k: int
) -> tuple[np.ndarray, np.ndarray, int]:
    """Return who is nearest, and whether its label is right, each (n_train, n_test).

    Returns k as well, as a number of Python's.
    order[i, j]: the training point that is the i-th nearest of test point j. hit[i, j]:
    1.0 where it has the test point's label, else 0.0.
    """
    k = whole_number("k", k)
    train, train_labels = _points("train", train_x, train_y)
    test, test_labels = _points("test", test_x, test_y)
    require(
        train.shape[1] == test.shape[1],
        "train_x and test_x must have the same number of values a point; "
        f"got {train.shape[1]} and {test.shape[1]}",
    )
    distances = cdist(test, train)
    finite_points("train_x", torch.from_numpy(distances.T), what="distance")
    order = distances.argsort(1, kind="stable").T
    hit = (train_labels[order] == test_labels).astype(float)
    return order, hit, k


def _points(name: str, x: Any, y: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return points (n, values) in double precision, and their labels (n,)."""
    points, labels = as_array(f"{name}_x", x), _labels(f"{name}_y", y)
    require(points.ndim, f"{name}_x must be a list of points; got a single value")
    require(points.dtype.kind in "biuf", f"{name}_x must be real; got {points.dtype}")
    same_length(**{f"{name}_x": points, f"{name}_y": labels})
    flat = points.reshape(len(points), -1).astype(float)
    finite_points(f"{name}_x", torch.from_numpy(flat))
    return flat, labels


def _labels(name: str, y: Any) -> np.ndarray:
    """Return labels (n,), which may be words; ValueError for what equals nothing."""
    require(not is_masked(y), f"{name} must not be masked; leave masked points out")
    labels = as_array(name, y) if isinstance(y, Tensor) else np.asarray(y)
    require(
        labels.ndim == 1, f"{name} must be a list of labels; got shape {labels.shape}"
    )
    if labels.dtype.kind in "fc":
        finite_points(name, torch.from_numpy(labels))
    return labels
