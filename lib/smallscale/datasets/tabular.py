"""Which table of real numbers is already on the machine? scikit-learn's tumours."""

import torch
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import train_test_split
from torch import Tensor

Examples = tuple[Tensor, Tensor]  # inputs (n, ...), targets (n, ...)


def tumours(n_train: int = 400, n_test: int = 100) -> tuple[Examples, Examples]:
    """scikit-learn's table of 569 tumours (Street, Wolberg and Mangasarian 1993), split by class, always the same way.

    Returns train and test: inputs (n, 30), whose columns have mean 0 and standard deviation 1 over the training rows,
    and targets (n,), 1 for benign, else 0.
    """
    table = load_breast_cancer()
    rows, other, labels, other_labels = train_test_split(
        table.data,
        table.target,
        train_size=n_train,
        test_size=n_test,
        stratify=table.target,
        random_state=0,
    )
    mean, spread = rows.mean(0), rows.std(0)
    x, x_test = (torch.from_numpy((part - mean) / spread) for part in (rows, other))
    return (x, torch.from_numpy(labels).double()), (
        x_test,
        torch.from_numpy(other_labels).double(),
    )
