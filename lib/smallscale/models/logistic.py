"""Which model has its exact optimum in milliseconds? Logistic regression, by Newton."""

import torch
import torch.nn.functional as F
from sklearn.linear_model import LogisticRegression
from torch import Tensor, nn

from smallscale.core.validation import as_float, require


def logistic_loss(outputs: Tensor, targets: Tensor) -> Tensor:
    """Return -log of the probability of targets 0 or 1, (n,), from logits (n, 1):
        loss = softplus(logit) - target * logit

    >>> logistic_loss(torch.tensor([[0.0]]), torch.tensor([1.0]))  # probability 1/2
    tensor([0.6931])
    """
    return F.softplus(outputs[..., 0]) - targets * outputs[..., 0]


def fit_logistic(inputs: Tensor, targets: Tensor, *, weight_decay: float) -> nn.Linear:
    """Return the minimum of the penalised mean logistic loss, by Newton's method:
        mean loss + weight_decay/2 * ||theta||^2,    bias included in theta

    inputs: (n, features) in double precision. targets: (n,) of 0 and 1.
    Raises ValueError where weight_decay is not above 0, since classes that a plane
    separates have no minimum then.

    >>> x = torch.tensor([[-1.0], [1.0]], dtype=torch.float64)
    >>> model = fit_logistic(x, torch.tensor([0.0, 1.0]), weight_decay=0.5)
    >>> bool(model.weight > 0)
    True
    """
    require(
        as_float(weight_decay) > 0,
        "weight_decay must be above 0, or separable classes have no minimum; "
        f"got {weight_decay}",
    )
    ones = torch.ones_like(inputs[:, :1])
    x = torch.cat([inputs, ones], 1)  # (n, features + 1)
    solver = LogisticRegression(
        C=1 / (weight_decay * len(x)),
        fit_intercept=False,  # scikit-learn would leave a bias of its own unpenalised
        solver="newton-cholesky",
        tol=1e-12,
    )
    theta = torch.from_numpy(solver.fit(x.numpy(), targets.numpy()).coef_)
    model = nn.Linear(inputs.shape[1], 1).to(inputs)
    model.load_state_dict({"weight": theta[:, :-1], "bias": theta[0, -1:]})
    return model
