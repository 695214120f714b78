"""Is a language model's loss the mean over each token once?"""

import math

import numpy as np
import pytest
import torch
from torch import Generator, nn

from smallscale.models import small_transformer
from smallscale.training.language import (
    bits_per_byte,
    held_out_loss,
    next_token_loss,
    random_windows,
)


class Bigram(nn.Module):
    """Logits that depend on the last token alone, so that a loss is a sum by hand."""

    def __init__(self, logits: torch.Tensor) -> None:
        super().__init__()
        self.logits = nn.Parameter(logits)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        return self.logits[ids]


def test_the_loss_by_hand() -> None:
    model = Bigram(torch.tensor([[0.0, 1.0], [2.0, 0.0]]))
    after_0 = [1 / (1 + math.e), math.e / (1 + math.e)]
    after_1 = [math.exp(2) / (1 + math.exp(2)), 1 / (1 + math.exp(2))]
    # 0 0 1 1: 0 after 0, 1 after 0, 1 after 1.
    expected = -(math.log(after_0[0]) + math.log(after_0[1]) + math.log(after_1[1])) / 3
    loss = next_token_loss(model, torch.tensor([[0, 0, 1, 1]]))
    assert loss.item() == pytest.approx(expected, abs=1e-6)


def test_each_token_is_predicted_once() -> None:
    random = torch.Generator().manual_seed(0)
    model = Bigram(torch.randn(5, 5, generator=random))
    tokens = torch.randint(5, (41,), generator=random)  # 40 predictions, 10 of 4
    whole = next_token_loss(model, tokens[None]).item()
    for length in (2, 5, 11, 41):
        assert held_out_loss(model, tokens, length) == pytest.approx(whole, abs=1e-6)
    # 8 fit once into 41 - 1 = 40 in strides of 7: five stretches, 35 predictions.
    first = next_token_loss(model, tokens[None, :36]).item()
    assert held_out_loss(model, tokens.numpy(), 8) == pytest.approx(first, abs=1e-6)


def test_batches_of_another_size_count_by_their_size(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = small_transformer(vocabulary=7, length=8, width=8, layers=1, heads=2)
    tokens = np.random.default_rng(0).integers(7, size=200)
    at_once = held_out_loss(model, tokens, 8)
    monkeypatch.setattr("smallscale.training.language.SCORED_AT_ONCE", 8 * 5)
    assert held_out_loss(model, tokens, 8) == pytest.approx(at_once, abs=1e-6)
    assert not model.training


def test_windows_are_stretches_of_the_text() -> None:
    tokens = np.arange(100)
    windows = random_windows(tokens, 500, 10, Generator().manual_seed(1))
    assert windows.shape == (500, 10)
    assert (windows[:, 1:] - windows[:, :-1] == 1).all()
    assert windows[:, 0].min() == 0  # the first place and the last are drawn
    assert windows[:, -1].max() == 99
    again = random_windows(tokens, 500, 10, Generator().manual_seed(1))
    assert torch.equal(windows, again)


def test_bits_per_byte() -> None:
    # 2.77 nats a token are 4 bits a token, at 2 bytes a token 2 bits a byte.
    assert bits_per_byte(4 * math.log(2), 2.0) == pytest.approx(2.0)


def test_refusals() -> None:
    model = Bigram(torch.zeros(2, 2))
    with pytest.raises(ValueError, match="tokens must hold at least length = 5"):
        random_windows([0, 1], 1, 5, Generator())
    with pytest.raises(ValueError, match="tokens must hold at least length = 5"):
        held_out_loss(model, [0, 1], 5)
    with pytest.raises(ValueError, match=r"length must be .* at least 2"):
        held_out_loss(model, [0, 1], 1)
