"""Values by scale."""

import pytest

from smallscale.notebook import at_scale


@pytest.mark.parametrize(
    ("scale", "value"), [("tiny", 1), ("small", 10), ("medium", 10), ("full", 1000)]
)
def test_the_nearest_smaller_scale_given(scale: str, value: int) -> None:
    assert at_scale(scale, tiny=1, small=10, full=1000) == value


def test_zero_and_false_are_values() -> None:
    assert at_scale("medium", tiny=3, small=2, medium=0) == 0
    assert at_scale("small", tiny=True, small=False) is False


def test_an_unknown_scale_is_refused() -> None:
    message = "scale must be one of tiny, small, medium, full; got 'big'"
    with pytest.raises(ValueError, match=message):
        at_scale("big", tiny=1, small=2)
