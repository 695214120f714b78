"""What does leaving one training point out change? Fit without it, and compare."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from smallscale.attribution.scores.examples import (
    Examples,
    as_examples,
    as_positions,
    as_type_of,
    positions_wanted,
)
from smallscale.attribution.scores.loss_checks import Loss, check_losses, finite_losses
from smallscale.attribution.scores.model_checks import Answer, check_precision
from smallscale.core.modes import eval_mode
from smallscale.core.validation import require
from smallscale.training.evaluation import Model


def leave_one_out(
    fit: Callable[[Tensor, Tensor], Model],
    loss: Loss,
    train: Any,
    test: Any,
    points: Any = None,
) -> Tensor:
    """Return the change in each test loss when a training point is left out:
        scores[i, j] = loss_j of fit(train without i) - loss_j of fit(train).

    This is the truth that the other methods predict, by calling `fit` again.

    fit(inputs, targets) -> a model, the same for the same arguments; it is given
    tensors. points: positions of training points, one row of scores for each; None:
    all. Returns (len(points), n_test). With fits that differ by chance, in their order
    of batches for instance, a single point's effect drowns: average many. Raises
    ValueError for points that are no positions, no point left to train on, and a loss
    that is not one finite value per test example.

    >>> mean = lambda x, y: lambda inputs: y.mean().expand(len(inputs))
    >>> square = lambda outputs, targets: (outputs - targets) ** 2
    >>> train, test = ([[0.0]] * 2, [1.0, 3.0]), ([[0.0]], [2.0])
    >>> leave_one_out(mean, square, train, test)  # the mean is 2, then 3, then 1
    tensor([[1.],
            [1.]])
    """
    inputs, targets = as_examples("train", train)
    held_out = as_examples("test", test)
    n = len(inputs)
    chosen = _checked_points(points, n)
    model = fit(inputs.clone(), targets.clone())  # which a fit may write into
    check_losses("test", *_asked(model, loss, held_out), slopes=False)
    full = _test_losses(model, loss, held_out, "with all training points")
    scores = full.new_zeros(len(chosen), len(full))
    for row, point in enumerate(chosen):
        kept = torch.arange(n) != point
        without = fit(inputs[kept], targets[kept])
        words = f"without training point {int(point)}"
        scores[row] = _test_losses(without, loss, held_out, words) - full
    return scores


def _checked_points(points: Any, n: int) -> Tensor:
    """Return positions of the training points to leave out; None: of all n."""
    require(
        n > 1, "train must hold at least 2 examples, so that one can be left out; got 1"
    )
    chosen = torch.arange(n) if points is None else as_positions("points", points, n)
    require(chosen.dim() == 1, positions_wanted("points"))
    return chosen


def _asked(
    model: Model, loss: Loss, held_out: Examples
) -> tuple[Answer, Loss, Examples]:
    """Return the model as a function in eval mode, and test examples of its type."""
    require(
        callable(model),
        f"fit must return a model that can be called; got {type(model).__name__}",
    )
    found = None
    if isinstance(model, nn.Module):
        check_precision(model)
        found = next(model.parameters(), None)
    examples = as_type_of(held_out[0], found), as_type_of(held_out[1], found)

    def answer(inputs: Tensor) -> Any:
        with eval_mode(model):
            return model(inputs)

    return answer, loss, examples


def _test_losses(model: Model, loss: Loss, held_out: Examples, words: str) -> Tensor:
    """Return the model's loss on each test example, (n_test,).

    words: what the model was fitted without, for a message.
    """
    try:
        losses = finite_losses("test", *_asked(model, loss, held_out))
    except ValueError as error:
        raise ValueError(
            f"fit {words} gives a model that will not do: {error}"
        ) from error
    return losses if losses.is_floating_point() else losses.float()
