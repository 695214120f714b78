"""Guesses and answers, and what is said of them."""

import numpy as np
import pytest

from smallscale.notebook import check_guess
from smallscale.notebook.exercises import NOT_YET, matching_message


@pytest.mark.parametrize(
    ("guess", "said"),
    [
        (None, "Not answered yet."),
        (0.9, "Right: measured was 1.00."),
        (1.1, "Right: measured was 1.00."),
        (0.8, "Measured was 1.00, not 0.80. too low"),
        (1.2, "Measured was 1.00, not 1.20. too high"),
    ],
)
def test_a_guess_is_told_how_close_it_was(guess: float | None, said: str) -> None:
    assert check_guess(guess, 1.0, within=0.11, low="too low", high="too high") == said


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (None, NOT_YET),
        ([1.0, 2.0], "right"),
        (np.array([1, 2]), "right"),
        ([2.0, 1.0], "the other way round"),
        ([2.0], "wrong shape"),
        ([5.0, 5.0], "something else"),
    ],
)
def test_an_answer_gets_the_message_of_the_value_it_matches(
    answer: object, said: str
) -> None:
    messages = {"right": [1, 2], "the other way round": [2, 1]}
    found = matching_message(
        answer, messages, shape="wrong shape", otherwise="something else"
    )
    assert found == said
