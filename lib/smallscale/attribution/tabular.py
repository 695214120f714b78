"""Where can every point be left out in turn? Logistic regression on a table, fitted exactly in milliseconds."""

import torch
import torch.nn.functional as F
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from torch import Tensor, nn

from smallscale.attribution.checks import require
from smallscale.attribution.gradients import Examples


def tumours(n_train: int = 400, n_test: int = 100) -> tuple[Examples, Examples]:
    """scikit-learn's table of 569 tumours (Street, Wolberg and Mangasarian 1993), split by class, always the same way.

    Returns train and test: inputs (n, 30), whose columns have mean 0 and standard deviation 1 over the training rows,
    and targets (n,), 1 for benign, else 0.
    """
    table = load_breast_cancer()
    rows, other, labels, other_labels = train_test_split(
        table.data, table.target, train_size=n_train, test_size=n_test, stratify=table.target, random_state=0
    )
    mean, spread = rows.mean(0), rows.std(0)
    x, x_test = (torch.from_numpy((part - mean) / spread) for part in (rows, other))
    return (x, torch.from_numpy(labels).double()), (x_test, torch.from_numpy(other_labels).double())


def logistic_loss(outputs: Tensor, targets: Tensor) -> Tensor:
    """-log of the probability of targets 0 or 1, (n,), from one logit each, (n, 1)."""
    return F.softplus(outputs[..., 0]) - targets * outputs[..., 0]


def fit_logistic(inputs: Tensor, targets: Tensor, *, weight_decay: float) -> nn.Linear:
    """The minimum of mean logistic loss + weight_decay/2 * ||theta||^2, bias included, by Newton's method.

    inputs: (n, features) in double precision; targets: (n,) of 0 and 1. Raises ValueError where weight_decay is not
    above 0, since classes that a plane separates have no minimum then.
    """
    require(weight_decay > 0, f"weight_decay must be above 0, or separable classes have no minimum; got {weight_decay}")
    x = torch.cat([inputs, torch.ones_like(inputs[:, :1])], 1)  # (n, features + 1)
    solver = LogisticRegression(C=1 / (weight_decay * len(x)), fit_intercept=False, solver="newton-cholesky", tol=1e-12)
    theta = torch.from_numpy(solver.fit(x.numpy(), targets.numpy()).coef_)
    model = nn.Linear(inputs.shape[1], 1).to(inputs)
    model.load_state_dict({"weight": theta[:, :-1], "bias": theta[0, -1:]})
    return model
