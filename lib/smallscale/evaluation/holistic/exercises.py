"""Is the answer right, and if not, why? The exercises on holistic evaluation.

Each check takes an answer and returns a sentence.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from smallscale.core.intervals import binomial_interval
from smallscale.core.validation import as_float
from smallscale.notebook.exercises import NOT_YET

EXPECTED_GAIN = (
    0.172  # sd .1118 of 20 fair coins, times 1.539, ten normals' mean maximum
)
MODELS = 400
ITEMS = 200
SEEN = 0.3
FALSE_ALARMS = 0.08
FOUND = 0.8


def check_differences(count: float | None) -> str:
    """Check the smallest number of items that one entrant must have right and the other
    wrong, and none the other way round, for McNemar's exact chance to be below .05."""
    if count is None:
        return NOT_YET
    answers = {
        6.0: "Right: 6. Six heads of six, or six tails, has the chance 2 / 2⁶ = .031. "
        "How many items both have right, or both wrong, does not matter.",
        5.0: "Almost: five of five has the chance 1 / 2⁵ = .031, but the test has two "
        "sides, and the other could have won: .0625.",
        4.0: "Four of four, on both sides, has the chance 2 / 2⁴ = .125.",
        7.0: "Seven is enough, and a smaller number is too: compute 2 / 2^d for d = 6.",
    }
    number = as_float(count)
    return answers.get(
        number,
        "If neither is better, each item on which they differ is a fair coin. Look for "
        "the smallest d with 2 / 2^d below .05.",
    )


def check_best_of_ten(gain: float | None) -> str:
    """Check the mean gain of choosing the best of ten equally good prompts on 20 items,
    where each answer is right with probability one half, independently."""
    if gain is None:
        return NOT_YET
    number = as_float(gain)
    if abs(number - EXPECTED_GAIN) <= 0.012:
        return (
            f"Right: about {EXPECTED_GAIN:.2f}. A mean of 20 coins has the standard "
            "deviation .112, and the best of ten lies 1.54 of them up. Held out: 0."
        )
    if abs(number) <= 0.005:
        return "That is what is gained on other items. On these the luckiest is chosen."
    if abs(number - 0.112) <= 0.006:
        return (
            "That is one standard deviation of a mean. The best of ten is farther up."
        )
    if abs(number - 1.539) <= 0.02:
        return "That counts standard deviations. One of them is sqrt(.25 / 20)."
    if abs(number - 0.054) <= 0.004:
        return "Ten prompts are not averaged: the largest of ten means is taken."
    return (
        "Draw ten means of 20 coins many times, and average the largest minus one half."
    )


def check_detector(detect: Callable[[np.ndarray, np.ndarray], Any]) -> str:
    """Check detect(on_test, on_new) -> whether the model has seen test items.

    Both are (200,) of 0 and 1: its answers on the published test, and on new items of
    the same kind. Half of 400 models have seen three tenths of the test. Skill and
    order are drawn anew. Wanted: at most 8 % false alarms, at least 80 % found.
    """
    random = np.random.default_rng(5)
    verdicts: list[bool] = []
    truth: list[bool] = []
    for number in range(MODELS):
        seen = bool(number % 2)
        skill = random.uniform(0.2, 0.8)
        on_new = (random.random(ITEMS) < skill).astype(float)
        on_test = (random.random(ITEMS) < skill).astype(float)
        if seen:
            on_test[random.random(ITEMS) < SEEN] = 1.0
        said = detect(on_test.copy(), on_new.copy())
        if said is None:
            return NOT_YET
        if not isinstance(said, (bool, np.bool_)):
            return f"Return True or False; got {said!r:.60}."
        verdicts.append(bool(said))
        truth.append(seen)
    return _judged(np.array(verdicts), np.array(truth))


def _judged(said: np.ndarray, seen: np.ndarray) -> str:
    alarms, found = int(said[~seen].sum()), int(said[seen].sum())
    n = int(seen.sum())
    low, high = binomial_interval(found, n)
    told = (
        f"{alarms / (len(said) - n):.0%} false alarms, and {found / n:.0%} found "
        f"({low:.0%} to {high:.0%})"
    )
    if alarms / (len(said) - n) <= FALSE_ALARMS and found / n >= FOUND:
        return f"Right: {told}."
    if len(set(said.tolist())) == 1:
        return f"The same verdict on every model: {told}. Compare the two arguments."
    if alarms / (len(said) - n) > FALSE_ALARMS:
        return (
            f"Too ready: {told}. Two means of 200 answers differ by chance, with a "
            "standard error of up to .05: ask by how many of these."
        )
    return (
        f"Too cautious: {told}. Whoever has seen it is better there, never worse: "
        "one side is enough."
    )
