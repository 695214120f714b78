"""Is logistic regression fitted to its exact minimum?"""

import pytest
import torch

from smallscale.datasets.tabular import tumours
from smallscale.models.logistic import fit_logistic, logistic_loss


def test_logistic_regression_is_at_its_minimum_bias_included() -> None:
    x, y = tumours(100, 10)[0]
    model = fit_logistic(x, y, weight_decay=0.01)
    penalty = sum(p.square().sum() for p in model.parameters())
    (logistic_loss(model(x), y).mean() + 0.01 / 2 * penalty).backward()
    assert all(p.grad.abs().max() < 1e-12 for p in model.parameters())  # type: ignore[union-attr]
    with pytest.raises(ValueError, match="weight_decay must be above 0"):
        fit_logistic(x, y, weight_decay=0)


def test_logistic_loss_by_hand() -> None:
    # Logit ln 3: probability 3/4.
    losses = logistic_loss(torch.tensor([[3.0], [3.0]]).log(), torch.tensor([1.0, 0.0]))
    torch.testing.assert_close(losses, -torch.tensor([0.75, 0.25]).log())
