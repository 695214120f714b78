"""Do seeds repeat, and leave the global generator as it was?"""

import pytest
import torch

from smallscale.core.seeds import seeded


def test_seeded_draws_the_same_and_puts_back():
    before = torch.get_rng_state()
    with seeded(5):
        first = torch.rand(3)
    assert torch.equal(torch.get_rng_state(), before)
    with seeded(5):
        assert torch.equal(torch.rand(3), first)


def test_seeded_puts_back_after_an_error() -> None:
    before = torch.get_rng_state()

    def interrupted() -> None:
        with seeded(5):
            torch.rand(3)
            raise KeyError

    with pytest.raises(KeyError):
        interrupted()
    assert torch.equal(torch.get_rng_state(), before)
