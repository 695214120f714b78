"""Is the table split and standardised, always the same way?"""

import numpy as np
import pytest
import torch

from smallscale.datasets.tabular import tumours


def test_the_table_is_split_standardised_and_always_the_same() -> None:
    train, test = tumours()
    assert [part[0].shape for part in (train, test)] == [(400, 30), (100, 30)]
    torch.testing.assert_close(
        train[0].mean(0), torch.zeros(30, dtype=torch.float64), atol=1e-12, rtol=0
    )
    torch.testing.assert_close(
        train[0].std(0, correction=0), torch.ones(30, dtype=torch.float64)
    )
    assert set(train[1].tolist()) == {0.0, 1.0}
    assert [part[1].mean().item() for part in (train, test)] == pytest.approx(
        [357 / 569] * 2, abs=0.004
    )
    assert torch.equal(tumours(50, 10)[0][1], tumours(50, 10)[0][1])


def test_numpys_small_numbers_are_numbers() -> None:
    """50 and 10 of 569 rows: their products do not fit into a byte."""
    train, test = tumours(np.uint8(50), np.uint8(10))
    assert torch.equal(train[0], tumours(50, 10)[0][0])
    assert len(test[1]) == 10
