"""Are repeated sequences what they say, and is the loss of copying theirs?"""

import math

import pytest
import torch
from torch import Generator, Tensor, nn

from smallscale.foundations.in_context.copying import (
    LONGEST,
    SHORTEST,
    copying_gain,
    copying_loss,
    repeated_tokens,
    train_copier,
)
from smallscale.models import small_transformer


class Logits(nn.Module):
    """A language model by rule: it is sure of the token that stood `back` before."""

    def __init__(self, vocabulary: int, periods: Tensor | None) -> None:
        super().__init__()
        self.vocabulary, self.periods = vocabulary, periods

    def forward(self, ids: Tensor) -> "Logits":
        self.logits = torch.zeros(*ids.shape, self.vocabulary)
        if self.periods is not None:
            for row, period in enumerate(self.periods.tolist()):
                for t in range(ids.shape[1]):
                    if t + 1 >= period:
                        self.logits[row, t, ids[row, t + 1 - period]] = 50
        return self


def test_rows_repeat_with_their_own_period() -> None:
    rows, foreseen = repeated_tokens(400, 40, 50, generator=Generator().manual_seed(0))
    periods = 39 - foreseen.sum(1)
    assert int(periods.min()) == SHORTEST
    assert int(periods.max()) == LONGEST
    for row, period in zip(rows[:50], periods[:50].tolist(), strict=True):
        assert torch.equal(row[period:], row[:-period])
    # Nothing before the second showing's second token counts.
    assert not foreseen[:, : SHORTEST + 1].any()


def test_who_copies_loses_nothing_and_who_knows_nothing_the_logarithm() -> None:
    rows, foreseen = repeated_tokens(20, 40, 50, generator=Generator().manual_seed(0))
    periods = 39 - foreseen.sum(1)
    assert copying_loss(Logits(50, periods), rows, foreseen) == pytest.approx(0)
    knows_nothing = copying_loss(Logits(50, None), rows, foreseen)
    assert knows_nothing == pytest.approx(math.log(50), abs=1e-5)
    assert copying_gain(Logits(50, None), rows, foreseen) == pytest.approx(0, abs=1e-5)
    assert copying_gain(Logits(50, periods), rows, foreseen) > 3  # it errs before


def test_every_token_that_can_be_foreseen_counts_and_no_other() -> None:
    rows, foreseen = repeated_tokens(5, 40, 50, generator=Generator().manual_seed(1))
    periods = 39 - foreseen.sum(1)
    model = Logits(50, periods)

    def unsure_of(ids: Tensor) -> Logits:
        """It copies all but the first token that can be foreseen of each row."""
        said = model(ids)
        for row, period in enumerate(periods.tolist()):
            said.logits[row, period] = 0  # of the token behind the period
        return said

    wrapped = nn.Module()
    wrapped.forward = unsure_of  # type: ignore[method-assign]
    expected = len(rows) * math.log(50) / int(foreseen.sum())
    assert copying_loss(wrapped, rows, foreseen) == pytest.approx(expected, rel=1e-5)


def test_training_lowers_it() -> None:
    rows = repeated_tokens(50, 20, 4, generator=Generator().manual_seed(3))
    model = small_transformer(4, length=20, width=16, layers=2, heads=2)
    seen: dict[int, float] = {}
    train_copier(
        model,
        length=20,
        vocabulary=4,
        steps=60,
        every=30,
        watch=lambda step, m: seen.update({step: copying_loss(m, *rows)}),
    )
    assert list(seen) == [0, 30, 60]
    assert seen[60] < seen[0]


def test_a_length_without_a_repetition_is_refused() -> None:
    with pytest.raises(ValueError, match=r"length must be .* at least 18"):
        repeated_tokens(2, 17, 5, generator=Generator())
