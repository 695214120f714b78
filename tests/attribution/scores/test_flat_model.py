"""Does the flat model see the model as it is, and refuse what cannot be?"""

from functools import partial
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from smallscale.attribution import grad_dot, influence, tracin, trak
from smallscale.models.classifiers import small_mlp
from tests.attribution.scores.small_problems import cross_entropy


def test_blocks_of_examples_change_nothing(
    blobs: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    train, test = blobs
    model = small_mlp(5, 3, hidden=4).double()
    whole = [
        f(model, cross_entropy, train, test)
        for f in (grad_dot, partial(influence, damping=0.01))
    ]
    monkeypatch.setattr(
        "smallscale.attribution.scores.flat_model.BLOCK_NUMBERS", 500
    )  # 39 parameters: 12 examples, or 1
    for before, f in zip(
        whole, (grad_dot, partial(influence, damping=0.01)), strict=True
    ):
        torch.testing.assert_close(f(model, cross_entropy, train, test), before)


def test_a_model_in_training_mode_is_read_in_eval_mode_and_put_back(blobs: Any) -> None:
    train, test = blobs
    model = (
        nn.Sequential(nn.Linear(5, 4), nn.Dropout(0.5), nn.Linear(4, 3))
        .double()
        .train()
    )
    before = [p.clone() for p in model.parameters()]
    scores = [
        influence(model, cross_entropy, train, test, damping=0.01) for _ in range(2)
    ]
    assert torch.equal(*scores)
    assert all(part.training for part in model.modules())
    assert all(
        p.grad is None and torch.equal(p, q)
        for p, q in zip(model.parameters(), before, strict=True)
    )


def test_frozen_parameters_were_not_trained_and_do_not_count(blobs: Any) -> None:
    train, test = blobs
    model = nn.Sequential(nn.Linear(5, 5), nn.Linear(5, 3)).double()
    model[0].requires_grad_(False)
    features = [model[0](part[0]).detach() for part in (train, test)]
    alone = influence(
        model[1],
        cross_entropy,
        (features[0], train[1]),
        (features[1], test[1]),
        damping=0.1,
    )
    torch.testing.assert_close(
        influence(model, cross_entropy, train, test, damping=0.1), alone
    )


def mean_loss(outputs: Tensor, targets: Tensor) -> Tensor:
    return F.cross_entropy(outputs, targets)


X, Y = torch.zeros(4, 5), torch.zeros(4, dtype=torch.long)


@pytest.mark.parametrize("method", [influence, grad_dot, tracin, trak])
@pytest.mark.parametrize(
    ("loss", "train", "test", "message"),
    [
        (
            cross_entropy,
            X,
            (X, Y),
            "train must be a pair \\(inputs, targets\\); got Tensor",
        ),
        (
            cross_entropy,
            (X, Y[:3]),
            (X, Y),
            "train inputs and train targets must have the same length, at least 1; "
            "got 4 and 3",
        ),
        (
            cross_entropy,
            (X, Y),
            (X[:0], Y[:0]),
            "test inputs and test targets must have the same length, at least 1; "
            "got 0 and 0",
        ),
        (cross_entropy, (X * torch.nan, Y), (X, Y), "train inputs must be finite"),
        (
            mean_loss,
            (X, Y),
            (X, Y),
            "loss must return one value per example, .*use reduction='none'",
        ),
        (mean_loss, (X, Y), (X[:1], Y[:1]), "loss must return one value per example"),
        (
            lambda o, t: mean_loss(o, t)[None],
            (X, Y),
            (X[:1], Y[:1]),
            "loss must return one value per example",
        ),
        (lambda o, t: o[:, 0] * torch.nan, (X, Y), (X, Y), "loss must be finite"),
    ],
)
def test_examples_and_losses_that_cannot_be_say_why(
    method: Any, loss: Any, train: Any, test: Any, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        method(small_mlp(5, 3), loss, train, test)


def test_no_models_and_nothing_trained_say_why() -> None:
    with pytest.raises(ValueError, match="models must hold at least one"):
        tracin([], cross_entropy, (X, Y), (X, Y))
    frozen = small_mlp(5, 3).requires_grad_(False)
    with pytest.raises(
        ValueError, match="model must have parameters that require a gradient"
    ):
        influence(frozen, cross_entropy, (X, Y), (X, Y))
