"""Is the answer right, and if not, why? What the checks of all exercises share."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from smallscale.core.validation import as_array

NOT_YET = "Not answered yet."


def check_guess(
    guess: float | None, measured: float, *, within: float, low: str, high: str
) -> str:
    """Compare a guess with what was measured in the run, and say what it overlooks.

    guess: None means not answered yet. within: how far the guess may be off.
    low, high: what a guess that is too low, or too high, has overlooked.

    >>> check_guess(0.9, 0.5, within=0.1, low="More.", high="It attacks the defence.")
    'Measured was 0.50, not 0.90. It attacks the defence.'
    """
    if guess is None:
        return NOT_YET
    if abs(guess - measured) <= within:
        return f"Right: measured was {measured:.2f}."
    reason = low if guess < measured else high
    return f"Measured was {measured:.2f}, not {guess:.2f}. {reason}"


def matching_message(
    answer: Any, messages: Mapping[str, Any], *, shape: str, otherwise: str
) -> str:
    """Return the message whose known value matches the answer; the first is correct.

    answer: numbers in an array of any library; None means not answered yet.
    messages: message -> the value (array) that it belongs to.
    shape: the message for an answer whose shape is not the correct one's.
    otherwise: the message for any other value.
    """
    if answer is None:
        return NOT_YET
    found = as_array("answer", answer).astype(float)
    correct = as_array("answer", next(iter(messages.values())))
    if found.shape != correct.shape:
        return shape
    for message, value in messages.items():
        known = as_array("answer", value)
        if found.shape == known.shape and np.allclose(found, known, atol=1e-5):
            return message
    return otherwise
