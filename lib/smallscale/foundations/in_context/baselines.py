"""What would a statistician answer? Learners that fit each prompt from nothing.

All take x (n, points, dimensions) and the answers shown (n, points), and return
predictions (n, points): the i-th from the i - 1 examples before it, so the first knows
nothing and is 0.
"""

import warnings
from collections.abc import Callable

import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import Lasso
from torch import Tensor

Learner = Callable[[Tensor, Tensor], Tensor]
NEIGHBOURS = 3  # as in the paper
PENALTY = 0.1  # of the Lasso, for answers whose own size is about 1


def least_squares(x: Tensor, y: Tensor) -> Tensor:
    """Predict with the smallest w that fits the examples:
        w = pinv(X) y,    the minimum-norm solution of least squares

    While there are fewer examples than dimensions, its expected error for w and x
    standard normal is 1 - i / dimensions of that of answering 0; then it is 0.
    """
    predictions = torch.zeros_like(y)
    for i in range(1, y.shape[1]):
        w = torch.linalg.pinv(x[:, :i]) @ y[:, :i, None]
        predictions[:, i] = (x[:, i, None] @ w)[:, 0, 0]
    return predictions


def nearest_neighbours(x: Tensor, y: Tensor) -> Tensor:
    """Predict the mean answer of the three nearest examples, or of all if fewer."""
    predictions = torch.zeros_like(y)
    for i in range(1, y.shape[1]):
        distance = (x[:, :i] - x[:, i, None]).norm(dim=2)
        nearest = distance.topk(min(NEIGHBOURS, i), dim=1, largest=False).indices
        predictions[:, i] = y[:, :i].gather(1, nearest).mean(1)
    return predictions


def averaging(x: Tensor, y: Tensor) -> Tensor:
    """Predict with w = mean of y_j x_j, which is right on average for normal inputs."""
    predictions = torch.zeros_like(y)
    for i in range(1, y.shape[1]):
        w = (y[:, :i, None] * x[:, :i]).mean(1)
        predictions[:, i] = (x[:, i] * w).sum(1)
    return predictions


def lasso(x: Tensor, y: Tensor) -> Tensor:
    """Predict with a w that is made sparse by a penalty on its absolute values
    (Tibshirani 1996), scikit-learn's.

    The penalty is 0.1, for answers whose own size is about 1.
    """
    predictions = np.zeros(y.shape)
    fit = Lasso(alpha=PENALTY, fit_intercept=False)
    inputs, answers = x.double().numpy(), y.double().numpy()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        for row in range(len(answers)):
            for i in range(1, answers.shape[1]):
                fit.fit(inputs[row, :i], answers[row, :i])
                predictions[row, i] = fit.predict(inputs[row, i : i + 1])[0]
    return torch.from_numpy(predictions).to(y)


LEARNERS: dict[str, Learner] = {
    "least squares": least_squares,
    "3 nearest neighbours": nearest_neighbours,
    "averaging": averaging,
}
