"""Which model has its exact optimum in milliseconds? Logistic regression, by Newton's method."""

import torch
import torch.nn.functional as F
from sklearn.linear_model import LogisticRegression
from torch import Tensor, nn

from smallscale.core.validation import require


def logistic_loss(outputs: Tensor, targets: Tensor) -> Tensor:
    """-log of the probability of targets 0 or 1, (n,), from one logit each, (n, 1)."""
    return F.softplus(outputs[..., 0]) - targets * outputs[..., 0]


def fit_logistic(inputs: Tensor, targets: Tensor, *, weight_decay: float) -> nn.Linear:
    """The minimum of mean logistic loss + weight_decay/2 * ||theta||^2, bias included, by Newton's method.

    inputs: (n, features) in double precision; targets: (n,) of 0 and 1. Raises ValueError where weight_decay is not
    above 0, since classes that a plane separates have no minimum then.
    """
    require(
        weight_decay > 0,
        f"weight_decay must be above 0, or separable classes have no minimum; got {weight_decay}",
    )
    x = torch.cat([inputs, torch.ones_like(inputs[:, :1])], 1)  # (n, features + 1)
    solver = LogisticRegression(
        C=1 / (weight_decay * len(x)),
        fit_intercept=False,
        solver="newton-cholesky",
        tol=1e-12,
    )
    theta = torch.from_numpy(solver.fit(x.numpy(), targets.numpy()).coef_)
    model = nn.Linear(inputs.shape[1], 1).to(inputs)
    model.load_state_dict({"weight": theta[:, :-1], "bias": theta[0, -1:]})
    return model
