"""Is a rung what it says: so many tokens, each read so often, judged on others?"""

import math

import pytest
import torch

from smallscale.foundations.scaling.ladder import (
    CONTEXT,
    STEP,
    best_rate,
    passes,
    rung,
    sizes,
)
from smallscale.models.transformer import small_transformer

TEXT = torch.arange(40 * CONTEXT + 1) % 30  # repeats itself, so it can be learnt
HOW = {"vocabulary": 30, "width": 8, "rate": 0.03}


def test_fresh_windows_share_one_token_and_none_is_read_twice() -> None:
    text = torch.arange(40 * CONTEXT + 1)
    windows = passes(text, tokens=2 * STEP, seed=3)
    assert windows.shape == (2, 16, CONTEXT + 1)
    assert (windows[..., 0] % CONTEXT == 0).all()
    assert (windows.diff(dim=-1) == 1).all()
    starts = windows[..., 0].flatten()
    assert len(set(starts.tolist())) == 32
    assert not torch.equal(windows, passes(text, tokens=2 * STEP, seed=4))


def test_repeats_read_everything_once_before_anything_again() -> None:
    text = torch.arange(80 * CONTEXT + 1)
    read = passes(text, tokens=4 * STEP + 100, repeats=2)[..., 0].flatten()
    first, second = read.tolist()[:32], read.tolist()[32:]
    assert len(set(first)) == 32
    assert sorted(first) == sorted(second)
    assert first != second
    # The order of fresh text decides what is drawn, not how often it is read.
    assert len(read) == len(passes(text, tokens=4 * STEP)[..., 0].flatten())


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ({"tokens": 3 * STEP}, "text must hold 1,537 tokens to read 1,536 in 1 passes"),
        (
            {"tokens": STEP, "repeats": 2},
            "tokens must be a whole number, at least 1024",
        ),
        ({"tokens": STEP, "repeats": 0}, "repeats must be a whole number, at least 1"),
    ],
)
def test_text_that_is_too_short_is_refused(how: dict[str, int], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        passes(TEXT, **how)


def test_a_rung_learns_and_says_what_it_was() -> None:
    row = rung(TEXT, TEXT, tokens=2 * STEP, seed=1, **HOW)
    assert row["loss"] < math.log(30)
    assert {k: row[k] for k in ("width", "tokens", "repeats", "seed", "rate")} == {
        "width": 8,
        "tokens": 2 * STEP,
        "repeats": 1,
        "seed": 1,
        "rate": 0.03,
    }
    assert row["total"] - row["inner"] == 8 * 30
    assert row == rung(TEXT, TEXT, tokens=2 * STEP, seed=1, **HOW)
    other = rung(TEXT, TEXT, tokens=2 * STEP, seed=2, **HOW)
    assert other["loss"] != row["loss"]


def test_more_passes_are_as_many_steps_on_less_text() -> None:
    often = rung(TEXT, TEXT, tokens=8 * STEP, repeats=4, **HOW)
    assert often["tokens"] == 8 * STEP
    assert often["loss"] < rung(TEXT, TEXT, tokens=2 * STEP, **HOW)["loss"]


def test_the_loss_is_of_the_held_out_text() -> None:
    strange = torch.full((5 * CONTEXT + 1,), 7)
    row = rung(TEXT, strange, tokens=2 * STEP, **HOW)
    assert row["loss"] != rung(TEXT, TEXT, tokens=2 * STEP, **HOW)["loss"]


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ({"rate": 0.0}, "rate must be a finite number, above 0"),
        ({"width": 10}, "width must be a multiple of 4"),
        ({"width": 0}, "width must be a whole number"),
    ],
)
def test_a_rung_that_cannot_be_is_refused(how: dict[str, float], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        rung(TEXT, TEXT, tokens=STEP, **{**HOW, **how})


def test_sizes_count_the_embedding_once_and_only_in_the_total() -> None:
    tied = small_transformer(30, length=16, width=8, tie_word_embeddings=True)
    inner, total = sizes(tied)
    assert (inner, total) == (20 * 8**2 + 5 * 8, tied.num_parameters())
    assert total - inner == 240


def test_the_best_rate_is_between_those_tried_or_at_their_end() -> None:
    rates = [0.01, 0.03, 0.09, 0.27]
    losses = [(math.log(rate) - math.log(0.05)) ** 2 for rate in rates]
    assert best_rate(rates, losses) == pytest.approx(0.05)
    assert best_rate(rates[::-1], losses[::-1]) == pytest.approx(0.05)
    assert best_rate(rates, [4, 3, 2, 1]) == pytest.approx(0.27)
    assert best_rate(rates, [1, 2, 3, 4]) == pytest.approx(0.01)
    # Far away from the lowest the loss is no parabola: it has no say.
    assert best_rate(rates, [99, *losses[1:]]) != pytest.approx(0.05)
    assert best_rate([0.001, *rates], [99, *losses]) == pytest.approx(0.05)


@pytest.mark.parametrize(
    ("rates", "losses", "says"),
    [
        ([0.1, 0.2], [1, 2], "with n at least 3"),
        ([0.1, 0.2, 0.3], [1, 2], "with n at least 3"),
        ([0.1, -0.2, 0.3], [1, 2, 3], "rates must be positive; got -0.2"),
    ],
)
def test_rates_that_say_nothing_are_refused(
    rates: list[float], losses: list[float], says: str
) -> None:
    with pytest.raises(ValueError, match=says):
        best_rate(rates, losses)
