"""What these tests share: the world of reviews, and a small model that writes them."""

import pytest
from torch import nn

from smallscale.dpo.reviews import Reviews, review_model, reviews
from smallscale.dpo.supervised import fit_texts


@pytest.fixture(scope="session")
def world() -> Reviews:
    return reviews()


@pytest.fixture(scope="session")
def reference(world: Reviews) -> nn.Module:
    """A model of reviews; a test that trains it trains a copy."""
    return fit_texts(review_model(), world.texts, steps=100, frequency=world.frequency)
