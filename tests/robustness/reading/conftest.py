"""What the tests on reading share: a reader that has learnt something."""

import pytest

from smallscale.robustness.reading.reader import Reader, train_reader
from smallscale.robustness.reading.synthetic_squad import passages


@pytest.fixture(scope="session")
def reader() -> Reader:
    """Return a reader after one epoch on thirty passages: far from good."""
    return train_reader(passages(30, seed=0), epochs=1, seed=0)
