"""Are the scores from gradients what the papers' formulas say?"""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from smallscale.attribution import cross_entropy, grad_dot, influence, tracin, trak
from smallscale.models.classifiers import small_mlp
from tests.attribution.scores.small_problems import half_square, linear, randn


def test_grad_dot_by_hand() -> None:
    # Output w x + b at w = b = 0; gradients are (output - target) * (x, 1).
    model = linear(torch.zeros(1, 1), torch.zeros(1))
    train = ([[1.0], [2.0]], [[1.0], [-1.0]])  # gradients (-1, -1) and (2, 1)
    test = ([[3.0]], [[1.0]])  # gradient (-3, -1)
    scores = grad_dot(model, half_square, train, test)
    assert scores.tolist() == [[4.0], [-7.0]]


def test_tracin_sums_checkpoints_by_their_rates(blobs: Any) -> None:
    train, test = blobs
    models = [small_mlp(5, 3, hidden=4, seed=seed).double() for seed in range(2)]
    each = [grad_dot(model, cross_entropy, train, test) for model in models]
    torch.testing.assert_close(
        tracin(models, cross_entropy, train, test), each[0] + each[1]
    )
    weighted = tracin(models, cross_entropy, train, test, lrs=[0.5, 2])
    torch.testing.assert_close(weighted, 0.5 * each[0] + 2 * each[1])
    torch.testing.assert_close(tracin(models[0], cross_entropy, train, test), each[0])


def test_a_small_step_on_a_point_lowers_a_test_loss_by_their_product(
    blobs: Any,
) -> None:
    train, test = blobs
    model = small_mlp(5, 3, hidden=4).double()
    scores = grad_dot(model, cross_entropy, train, test)
    before = cross_entropy(model(test[0]), test[1]).detach()
    for i in (0, 7):
        stepped = small_mlp(5, 3, hidden=4).double()
        optimizer = torch.optim.SGD(stepped.parameters(), lr=1e-6)
        cross_entropy(
            stepped(train[0][i : i + 1]), train[1][i : i + 1]
        ).sum().backward()
        optimizer.step()
        gain = (before - cross_entropy(stepped(test[0]), test[1]).detach()) / 1e-6
        torch.testing.assert_close(gain, scores[i], atol=1e-4, rtol=1e-3)


def test_trak_without_projection_is_its_formula_on_a_linear_model(blobs: Any) -> None:
    # Two classes as one logit: f = log(p/(1-p)) is the label's logit, its gradient
    # +-(x, 1), and 1 - p = sigmoid(-f).
    (x, y), (x_test, y_test) = blobs
    sign, sign_test = (2.0 * (labels > 0) - 1 for labels in (y, y_test))
    model = linear(randn(1, 5), randn(1, seed=1))

    def logistic(outputs: Tensor, signs: Tensor) -> Tensor:
        return F.softplus(-outputs[:, 0] * signs)

    phi, phi_test = (
        s[:, None] * torch.cat([a, torch.ones(len(a), 1)], 1)
        for a, s in ((x, sign), (x_test, sign_test))
    )
    doubt = torch.sigmoid(-(model(x)[:, 0] * sign))
    expected = doubt[:, None] * (
        phi @ torch.linalg.inv(phi.T @ phi + 0.3 * torch.eye(6)) @ phi_test.T
    )
    scores = trak(model, logistic, (x, sign), (x_test, sign_test), ridge=0.3)
    torch.testing.assert_close(scores, expected.detach())


def test_trak_averages_features_and_doubts_apart(blobs: Any) -> None:
    train, test = blobs
    one, two = (small_mlp(5, 3, hidden=4, seed=seed).double() for seed in range(2))
    p = [
        torch.exp(-cross_entropy(model(train[0]), train[1])).detach()
        for model in (one, two)
    ]
    parts = [
        trak(model, cross_entropy, train, test, ridge=1) / (1 - q)[:, None]
        for model, q in zip((one, two), p, strict=True)
    ]
    expected = (parts[0] + parts[1]) / 2 * (1 - (p[0] + p[1]) / 2)[:, None]
    torch.testing.assert_close(
        trak([one, two], cross_entropy, train, test, ridge=1), expected
    )


def test_trak_is_seeded_and_survives_certainty(blobs: Any) -> None:
    train, test = blobs
    model = small_mlp(5, 3, hidden=8).double()
    state = torch.get_rng_state()
    first, again = (
        trak(model, cross_entropy, train, test, projection=20) for _ in range(2)
    )
    other = trak(model, cross_entropy, train, test, projection=20, seed=1)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(state, torch.get_rng_state())
    with torch.no_grad():
        model[3].weight.mul_(1000)
    with pytest.warns(UserWarning, match=r"training point \d+, are rounding"):
        scores = trak(model, cross_entropy, train, test, projection=20, ridge=1)
    assert scores.isfinite().all()


def test_a_random_projection_keeps_products_on_average(blobs: Any) -> None:
    model, ridge = (
        small_mlp(5, 3, hidden=8).double(),
        1e9,
    )  # so large that scores are products, divided by it
    plain = ridge * trak(model, cross_entropy, *blobs, projection=4096, ridge=ridge)
    thin = [
        ridge * trak(model, cross_entropy, *blobs, projection=50, ridge=ridge, seed=k)
        for k in range(40)
    ]
    assert 0.9 < (torch.stack(thin).mean(0) * plain).sum() / plain.square().sum() < 1.1


@pytest.mark.parametrize("projection", [60, 71, 4096])
def test_trak_whose_matrix_has_no_inverse_is_refused(
    blobs: Any, projection: int
) -> None:
    model = small_mlp(5, 3, hidden=8)  # 75 parameters, 60 examples
    with pytest.raises(
        ValueError,
        match="projection must be below the number of training examples, 60, or ridge",
    ):
        trak(model, cross_entropy, *blobs, projection=projection)
    trak(model, cross_entropy, *blobs, projection=projection, ridge=0.1)


X, Y = torch.zeros(4, 5), torch.zeros(4, dtype=torch.long)


@pytest.mark.parametrize(
    ("method", "arguments", "message"),
    [
        (
            influence,
            {"weight_decay": -1},
            "weight_decay must be a finite number, at least 0; got -1",
        ),
        (influence, {"damping": float("nan")}, "damping must be a finite number"),
        (
            tracin,
            {"lrs": [1, 2]},
            "lrs must have one rate for each of 1 models; got 2",
        ),
        (tracin, {"lrs": [-1]}, "lrs must be a finite number, at least 0; got -1"),
        (
            trak,
            {"projection": 0},
            "projection must be a whole number, at least 1; got 0",
        ),
        (trak, {"ridge": -1}, "ridge must be a finite number, at least 0"),
    ],
)
def test_arguments_that_cannot_be_say_why(
    method: Any, arguments: Any, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        method(small_mlp(5, 3), cross_entropy, (X, Y), (X, Y), **arguments)


def test_cross_entropy_is_torchs_and_survives_large_logits() -> None:
    logits, labels = (
        torch.randn(6, 4, generator=torch.Generator().manual_seed(0)) * 100,
        torch.tensor([0, 1, 2, 3, 0, 1]),
    )
    torch.testing.assert_close(
        cross_entropy(logits, labels),
        torch.nn.functional.cross_entropy(logits, labels, reduction="none"),
    )
