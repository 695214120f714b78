"""Do seeds repeat, and leave the global generator as it was?"""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from smallscale.core.seeds import generator_or_new, replicate_seeds, seeded


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


@given(st.integers(-(10**6), 10**6), st.integers(0, 10**6), st.integers(1, 1000))
def test_replicates_of_two_seeds_have_no_run_in_common(one, other, n) -> None:
    first, second = set(replicate_seeds(one, n)), set(replicate_seeds(other, n))
    assert len(first) == len(second) == n
    assert first == second if one == other else not first & second


@given(st.integers(1, 1000))
def test_replicates_of_seed_zero_are_the_first_numbers(n) -> None:
    assert list(replicate_seeds(0, n)) == list(range(n))


def test_replicates_of_nothing_are_refused() -> None:
    with pytest.raises(ValueError, match="n must be a whole number, at least 1"):
        replicate_seeds(0, 0)


def test_a_generator_is_torchs_own_or_a_new_one() -> None:
    own = torch.Generator().manual_seed(7)
    assert generator_or_new(own) is own
    first = torch.rand(3, generator=generator_or_new(None))
    assert torch.equal(torch.rand(3, generator=generator_or_new(None)), first)
    for other in (0, 3, True, np.random.default_rng(0)):
        with pytest.raises(ValueError, match=r"generator must be a torch.Generator"):
            generator_or_new(other)
