"""Which table of real numbers is already on the machine? scikit-learn's tumours."""

import torch
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import train_test_split
from torch import Tensor

from smallscale.core.validation import whole_number

Examples = tuple[Tensor, Tensor]  # inputs (n, ...), targets (n, ...)


def tumours(n_train: int = 400, n_test: int = 100) -> tuple[Examples, Examples]:
    """Return scikit-learn's 569 breast tumours, split by class, always the same way.

    Each is described by 30 measurements (Street, Wolberg and Mangasarian 1993).

    Returns train and test, each a pair of inputs (n, 30) and targets (n,), in double
    precision. A column of the inputs has mean 0 and standard deviation 1 over the
    training rows. A target is 1 for a benign tumour and 0 for a malignant one. Raises
    ValueError for fewer than 2 rows of either, and for more than there are.

    >>> train, test = tumours(50, 10)
    >>> train[0].shape, test[1].shape
    (torch.Size([50, 30]), torch.Size([10]))
    """
    table = load_breast_cancer()
    rows = len(table.data)
    n_train = whole_number("n_train", n_train, least=2, most=rows - 2)
    n_test = whole_number("n_test", n_test, least=2, most=rows - n_train)
    train_rows, test_rows, train_labels, test_labels = train_test_split(
        table.data,
        table.target,
        train_size=n_train,
        test_size=n_test,
        stratify=table.target,
        random_state=0,
    )
    mean, deviation = train_rows.mean(0), train_rows.std(0)
    train_inputs = torch.from_numpy((train_rows - mean) / deviation)
    test_inputs = torch.from_numpy((test_rows - mean) / deviation)
    train_targets = torch.from_numpy(train_labels).double()
    test_targets = torch.from_numpy(test_labels).double()
    return (train_inputs, train_targets), (test_inputs, test_targets)
