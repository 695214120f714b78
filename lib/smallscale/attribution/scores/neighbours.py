"""Which training points would a nearest-neighbour vote miss? Its Shapley values, in closed form."""

from typing import Any

import numpy as np
import torch
from scipy.spatial.distance import cdist
from torch import Tensor

from smallscale.attribution.checks import (
    as_array,
    require,
    require_counts,
    require_finite,
)


def knn_shapley(train_x: Any, train_y: Any, test_x: Any, test_y: Any, k: int) -> Tensor:
    """Exact Shapley values for the k-nearest-neighbour vote (Jia et al. 2019, theorem 1), scores (n_train, n_test).

    The game of a test point: v(S) = the number of its min(k, |S|) nearest in S with its label, divided by k. From the
    farthest of n points to the nearest, with hit(i) = 1 where the i-th nearest has the label:

        s(n) = hit(n) min(k, n) / (n k),   s(i) = s(i+1) + (hit(i) - hit(i+1)) / k * min(k, i) / i

    Each column sums to v(all). train_x, test_x: (n, ...), compared by Euclidean distance of their flattened values;
    of two at the same distance, the one that comes first is nearer. train_y, test_y: (n,) labels.
    Raises ValueError for counts or widths that differ, values that are not finite, and k below 1.
    """
    require_counts(k=k)
    train, here = _points("train", train_x, train_y)
    test, wanted = _points("test", test_x, test_y)
    (n, width), wide = train.shape, test.shape[1]
    require(
        width == wide,
        f"train_x and test_x must have as many values a point; got {width}, {wide}",
    )
    order = cdist(test, train).argsort(
        1, kind="stable"
    )  # (n_test, n_train), nearest first
    hit = (here[order] == wanted[:, None]).astype(float)
    place = np.arange(1, n + 1)
    gains = (
        -np.diff(hit, axis=1, append=0) / k * np.minimum(k, place) / place
    )  # beyond the farthest all is 0
    by_place = gains[:, ::-1].cumsum(1)[:, ::-1]
    scores = np.empty_like(by_place)
    np.put_along_axis(scores, order, by_place, 1)
    return torch.from_numpy(np.ascontiguousarray(scores.T))


def _points(name: str, x: Any, y: Any) -> tuple[np.ndarray, np.ndarray]:
    """(n, values) in double precision, and labels (n,)."""
    x, y = as_array(x), as_array(y)
    fit = x.ndim and y.shape == x.shape[:1] and len(x)
    require(
        fit,
        f"{name}_x and {name}_y must be as many, at least 1; got {x.shape} and {y.shape}",
    )
    flat = x.reshape(len(x), -1).astype(float)
    require_finite(**{f"{name}_x": flat})
    return flat, y
