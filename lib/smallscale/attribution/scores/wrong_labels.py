"""Which labels are wrong? Labels spoilt on purpose, so that the answer is known.

Uniform mistakes are easy to find; people err between classes that look alike.
"""

from typing import Any

import torch
from torch import Generator, Tensor

from smallscale.core.validation import as_tensor, finite_number, require, whole_number


def wrong_labels(
    labels: Any, share: float, classes: int, *, logits: Any = None, seed: int = 0
) -> Tensor:
    """Return the labels (n,), a share of them exchanged for another class.

    logits: (n, classes) of a model trained on right labels: the wrong label is its
    likeliest class after the right one. None: any other class, with the same chance.
    share: in [0, 1]; int(share * n) labels are exchanged. seed: of which, and of the
    classes drawn. Raises ValueError for other numbers.

    >>> labels = torch.tensor([0, 1, 2, 0])
    >>> (wrong_labels(labels, 0.5, 3) != labels).sum()
    tensor(2)
    """
    labels = as_tensor("labels", labels)
    require(labels.ndim == 1, f"labels must be (n,); got {tuple(labels.shape)}")
    share = finite_number("share", share, least=0, most=1)
    classes = whole_number("classes", classes, least=2)
    generator = Generator().manual_seed(seed)
    n = len(labels)
    flipped = torch.randperm(n, generator=generator)[: int(share * n)]
    spoilt: Tensor = labels.clone()
    other = torch.randint(1, classes, (len(flipped),), generator=generator)
    spoilt[flipped] = (spoilt[flipped] + other) % classes
    if logits is not None:
        but_right = as_tensor("logits", logits).scatter(1, labels[:, None], -torch.inf)
        spoilt[flipped] = but_right.argmax(1)[flipped]
    return spoilt
