"""Is a model right as often as it says? The expected calibration error."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from smallscale.core.validation import as_array, require, same_length, whole_number

MOST_BINS = 1_000_000


def expected_calibration_error(confidence: Any, correct: Any, bins: int = 15) -> float:
    """Return how far confidence is from accuracy, on average over bins of confidence.

    Bin m of M holds the answers B_m with confidence in ((m - 1)/M, m/M], and 0 is in
    the first. With n answers (Guo et al. 2017, equation 3)

        ECE = sum_m |B_m| / n  |accuracy(B_m) - mean confidence(B_m)|

    confidence: (n,) the probability that each answer's giver put on it, in [0, 1].
    correct: (n,) of bool, or 0 and 1. bins: M, all of width 1/M. An empty bin adds
    nothing. The error lies in [0, 1]; with few answers in a bin it is above 0 by chance
    alone, even for a calibrated model.
    Raises ValueError for confidence outside [0, 1], NaN, `correct` that is neither 0
    nor 1, different lengths, no answers, and bins that are no whole number above 0.

    >>> expected_calibration_error([0.75, 0.75, 0.75, 0.75], [1, 1, 0, 0], bins=10)
    0.25
    """
    sure, right = _checked_answers(confidence, correct)
    bins = whole_number("bins", bins, most=MOST_BINS)
    upper_ends = np.arange(1, bins + 1) / bins
    which = np.searchsorted(upper_ends, sure, side="left")
    gaps = np.bincount(which, weights=right - sure)  # |B_m| (accuracy - confidence)
    return float(np.abs(gaps).sum() / len(sure))


def _checked_answers(
    confidence: Any, correct: Any
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return both as floats of one length, or refuse them."""
    same_length(confidence=confidence, correct=correct)
    sure = as_array("confidence", confidence, dtype=float)
    right = as_array("correct", correct, dtype=float)
    for name, values in (("confidence", sure), ("correct", right)):
        require(
            values.ndim == 1,
            f"{name} must have a number for each answer; its shape is {values.shape}",
        )
    outside = ~((sure >= 0) & (sure <= 1))  # NaN too
    require(
        not outside.any(),
        f"confidence must lie in [0, 1]; got {sure[outside][:1].tolist()}",
    )
    neither = ~np.isin(right, (0, 1))
    require(
        not neither.any(),
        f"correct must be True or False, 1 or 0; got {right[neither][:1].tolist()}",
    )
    return sure, right
