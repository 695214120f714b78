"""Which model has its exact optimum in milliseconds? Logistic regression, by Newton."""

import math

import torch
import torch.nn.functional as F
from sklearn.linear_model import LogisticRegression
from torch import Tensor, nn

from smallscale.core.validation import (
    as_float,
    finite,
    require,
    same_length,
    shown,
    type_and_shape,
)


def logistic_loss(outputs: Tensor, targets: Tensor) -> Tensor:
    """Return -log of the probability of targets 0 or 1, (n,), from logits (n, 1):
        loss = softplus(logit) - target * logit

    >>> logistic_loss(torch.tensor([[0.0]]), torch.tensor([1.0]))  # probability 1/2
    tensor([0.6931])
    """
    require(
        outputs.shape == (*targets.shape, 1),
        "outputs must be logits (n, 1) for targets (n,); "
        f"got {tuple(outputs.shape)} and {tuple(targets.shape)}",
    )
    return F.softplus(outputs[..., 0]) - targets * outputs[..., 0]


def fit_logistic(inputs: Tensor, targets: Tensor, *, weight_decay: float) -> nn.Linear:
    """Return the minimum of the penalised mean logistic loss, by Newton's method:
        mean loss + weight_decay/2 * ||theta||^2,    bias included in theta

    inputs: (n, features); it is computed in double precision. targets: (n,) of 0 and 1.
    Raises ValueError where weight_decay is not above 0, since classes that a plane
    separates have no minimum then, and for targets other than 0 and 1, some of each.

    >>> x = torch.tensor([[-1.0], [1.0]], dtype=torch.float64)
    >>> model = fit_logistic(x, torch.tensor([0.0, 1.0]), weight_decay=0.5)
    >>> bool(model.weight > 0)
    True
    """
    require(
        0 < as_float(weight_decay) < math.inf,
        "weight_decay must be above 0 and finite, or separable classes have no "
        f"minimum; got {weight_decay}",
    )
    _check_table(inputs, targets)
    double = inputs.double()
    x = torch.cat([double, torch.ones_like(double[:, :1])], 1)  # (n, features + 1)
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


def _check_table(inputs: Tensor, targets: Tensor) -> None:
    """Refuse what is no table of numbers with targets of 0 and 1."""
    require(
        inputs.dim() == 2 and inputs.is_floating_point(),
        f"inputs must be floating, (n, features); got {type_and_shape(inputs)}",
    )
    same_length(inputs=inputs, targets=targets)
    finite("inputs", inputs)
    finite("targets", targets)
    values = torch.unique(targets).tolist()
    require(
        targets.dim() == 1 and values == [0, 1],
        f"targets must be (n,) of 0 and 1, some of each; got {shown(values)}",
    )
