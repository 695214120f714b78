"""How divided are people, and how apart is what they read? Measures, each with what it
misses."""

from typing import Any

import numpy as np

from smallscale.core.validation import as_array, finite, finite_number, require

FEWEST = 4  # people for whom Sarle's coefficient is defined
SMALLEST_CAMP = 0.1  # share of the people; fewer are stragglers
PLACES = 400  # on the line of opinions at which the density is looked at


def bimodality(opinions: Any) -> float:
    """Return Sarle's bimodality coefficient, from skewness g and excess kurtosis k:
        (g^2 + 1) / (k + 3 (n - 1)^2 / ((n - 2) (n - 3)))

    Two camps at two points give 1, a uniform spread 5/9, a normal one 1/3. g and k are
    the sample's, with their corrections for small n (Pfister et al. 2013). It is fooled
    by skewness: one camp with a long tail can exceed 5/9, while a few people far out on
    both sides hide two camps.
    opinions: (n,), n at least 4. People who all agree have 0, as there are no two
    camps. Raises ValueError for other opinions.

    >>> two_camps, flat = [0] * 5000 + [1] * 5000, range(10_000)
    >>> round(bimodality(two_camps), 2), round(bimodality(flat), 2)
    (1.0, 0.56)
    """
    x = _checked(opinions)
    n = len(x)
    z = x - x.mean()
    second = (z**2).mean()
    if second <= 1e-18 * max(1.0, float(np.abs(x).max()) ** 2):
        return 0.0
    skew = (z**3).mean() / second**1.5
    skew *= np.sqrt(n * (n - 1)) / (n - 2)
    excess = (z**4).mean() / second**2 - 3
    excess = (n - 1) / ((n - 2) * (n - 3)) * ((n + 1) * excess + 6)
    return float((skew**2 + 1) / (excess + 3 * (n - 1) ** 2 / ((n - 2) * (n - 3))))


def valley(opinions: Any, width: float) -> float:
    """Return how deep the valley between two camps is, in [0, 1]: with f the density
    of opinions, smoothed by a normal curve of this width,
        max over v of 1 - f(v) / min(highest f left of v, highest f right of v)

    0: one camp. 1: two camps with nobody between them. A camp is at least a tenth of
    the people, so stragglers make none. It is fooled by its width: a wide curve fills
    a narrow valley, and a narrow one makes valleys of chance, so that a few people
    drawn from one camp do not have 0.
    opinions: (n,), n at least 4, in any unit. width: in the same unit. Raises
    ValueError for other opinions, and a width that is not above 0.

    >>> round(valley([0] * 50 + [9] * 50, width=1), 3), valley([0, 0, 0, 9], width=5)
    (1.0, 0.0)
    """
    x = np.sort(_checked(opinions))
    width = finite_number("width", width, above=0)
    low, high = np.quantile(x, [SMALLEST_CAMP, 1 - SMALLEST_CAMP], method="nearest")
    places = np.linspace(x[0] - width, x[-1] + width, PLACES)
    f = np.exp(-(((places[:, None] - x) / width) ** 2) / 2).mean(1)
    left = np.maximum.accumulate(f)
    right = np.maximum.accumulate(f[::-1])[::-1]
    inside = (places > low) & (places < high)  # a tenth of the people on either side
    depth = 1 - f / np.minimum(left, right)
    return float(depth[inside].max(initial=0.0))


def exposure_overlap(shown: np.ndarray, items: int) -> float:
    """Return how much of what one person was shown another was shown too, in [0, 1], on
    average over pairs of people.

    shown: (people, places), the item in each place, no item twice for one person.
    items: how many there were. Chosen by chance it is places / items.

    >>> exposure_overlap(np.array([[0, 1], [1, 2]]), items=4)
    0.5
    """
    people, places = shown.shape
    seen_by = np.bincount(shown.ravel(), minlength=items)
    pairs = seen_by * (seen_by - 1)
    return float(pairs.sum() / (places * people * (people - 1)))


def _checked(opinions: Any) -> np.ndarray:
    x = as_array("opinions", opinions, dtype=float)
    given = f"opinions must be (n,), n at least {FEWEST}; got shape {x.shape}"
    require(x.ndim == 1 and len(x) >= FEWEST, given)
    finite("opinions", x)
    return x
