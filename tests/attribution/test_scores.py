"""Are the scores what the papers' formulas say? Against closed forms, retraining, and games a reader can check."""

import warnings
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from smallscale.attribution import grad_dot, influence, leave_one_out, tracin, trak
from smallscale.attribution.scores import curvature as curvature_module
from smallscale.attribution.scores.curvature import conjugate_gradients, solve
from smallscale.models.classifiers import small_mlp

cross_entropy = partial(F.cross_entropy, reduction="none")


def half_square(outputs: Tensor, targets: Tensor) -> Tensor:
    return (
        0.5 * (outputs - targets).square().flatten(1).sum(1)
        if outputs.dim() > 1
        else 0.5 * (outputs - targets) ** 2
    )


def randn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(
        *shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64
    )


def linear(weight: Tensor, bias: Tensor) -> nn.Linear:
    model = nn.Linear(weight.shape[1], weight.shape[0], dtype=torch.float64)
    with torch.no_grad():
        model.weight.copy_(weight)
        model.bias.copy_(bias)
    return model


def ridge(weight_decay: float, n: int | None = None) -> Any:
    """A fit of mean(half squares) + weight_decay/2 ||theta||^2 by its normal equations; n: divides the sum, always."""

    def fit(x: Tensor, y: Tensor) -> nn.Linear:
        ones = torch.cat([x, torch.ones(len(x), 1, dtype=x.dtype)], 1)
        size = len(x) if n is None else n
        theta = torch.linalg.solve(
            ones.T @ ones / size
            + weight_decay * torch.eye(ones.shape[1], dtype=x.dtype),
            ones.T @ y / size,
        )
        return linear(theta[:-1].T, theta[-1])

    return fit


def softmax_regression(
    weight_decay: float, n: int | None = None, classes: int = 3
) -> Any:
    def fit(x: Tensor, y: Tensor) -> nn.Linear:
        model = linear(torch.zeros(classes, x.shape[1]), torch.zeros(classes))
        optimizer = torch.optim.LBFGS(
            model.parameters(),
            max_iter=500,
            tolerance_grad=1e-12,
            tolerance_change=1e-16,
            line_search_fn="strong_wolfe",
        )

        def closure() -> Tensor:
            optimizer.zero_grad()
            penalty = sum(p.square().sum() for p in model.parameters())
            value = (
                F.cross_entropy(model(x), y, reduction="sum") / (n or len(x))
                + weight_decay / 2 * penalty
            )
            value.backward()
            return value

        optimizer.step(closure)
        return model

    return fit


@pytest.fixture(scope="module")
def regression() -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    x, x_test = randn(30, 4), randn(7, 4, seed=1)
    truth = randn(4, 1, seed=2)
    return (x, x @ truth + 0.3 * randn(30, 1, seed=3)), (
        x_test,
        x_test @ truth + 0.3 * randn(7, 1, seed=4),
    )


@pytest.fixture(scope="module")
def blobs() -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    y, y_test = torch.arange(60) % 3, torch.arange(9) % 3
    centres = 1.2 * randn(3, 5, seed=5)
    return (centres[y] + randn(60, 5, seed=6), y), (
        centres[y_test] + randn(9, 5, seed=7),
        y_test,
    )


# influence


def test_influence_of_one_number_by_hand() -> None:
    # y = w x + b with b in use but x = 0 never moves w: H = [[0 + d, 0], [0, 1 + d]] with d the weight decay 1.
    # At w = b = 0, targets 2 and -1: gradients to b are -2 and 1; the test point wants 4: gradient -4.
    model = linear(torch.zeros(1, 1), torch.zeros(1))
    train = (torch.zeros(2, 1), torch.tensor([[2.0], [-1.0]]))
    scores = influence(model, half_square, train, ([[0.0]], [[4.0]]), weight_decay=1.0)
    # g_j H^-1 g_i / n = (-4)(1/2)(-2)/2 = 2 and (-4)(1/2)(1)/2 = -1: the first target helps, the second harms.
    torch.testing.assert_close(
        scores, torch.tensor([[2.0], [-1.0]], dtype=torch.float64)
    )


@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
def test_influence_on_ridge_is_the_closed_form(
    regression: Any, weight_decay: float
) -> None:
    train, test = regression
    model = ridge(weight_decay)(*train)
    x, x_test = (
        torch.cat([part[0], torch.ones(len(part[0]), 1)], 1) for part in (train, test)
    )
    residual, residual_test = (model(part[0]) - part[1] for part in (train, test))
    hessian = x.T @ x / 30 + weight_decay * torch.eye(5, dtype=torch.float64)
    expected = (
        (x * residual) @ torch.linalg.inv(hessian) @ (x_test * residual_test).T / 30
    )
    scores = influence(model, half_square, train, test, weight_decay=weight_decay)
    torch.testing.assert_close(scores, expected.detach(), atol=1e-14, rtol=1e-12)


def test_the_parameters_of_ridge_without_a_point_are_influences_over_one_minus_leverage(
    regression: Any,
) -> None:
    train, test = regression
    weight_decay = 0.1
    model, fit = ridge(weight_decay)(*train), ridge(weight_decay, n=30)
    x = torch.cat([train[0], torch.ones(30, 1)], 1)
    inverse = torch.linalg.inv(
        x.T @ x / 30 + weight_decay * torch.eye(5, dtype=torch.float64)
    )
    leverage = ((x @ inverse) * x).sum(1) / 30
    here = torch.cat([model.weight[0], model.bias])
    # A test loss linear in the outputs makes the change of the loss the change of the output itself.
    output = influence(
        model, half_square, train, (test[0], test[1]), weight_decay=weight_decay
    )
    residual_test = (model(test[0]) - test[1])[:, 0]
    for i in range(30):
        kept = torch.arange(30) != i
        without = fit(train[0][kept], train[1][kept])
        moved = (torch.cat([without.weight[0], without.bias]) - here) * (
            1 - leverage[i]
        )
        expected = torch.cat([test[0], torch.ones(7, 1)], 1) @ moved * residual_test
        torch.testing.assert_close(output[i], expected.detach(), atol=1e-13, rtol=1e-9)


def test_influence_on_softmax_regression_is_that_of_its_hessian(blobs: Any) -> None:
    train, test = blobs
    model = softmax_regression(0.02)(*train)
    params = dict(model.named_parameters())

    def total(flat: Tensor) -> Tensor:
        weight, bias = flat[:15].view(3, 5), flat[15:]
        value = F.cross_entropy(F.linear(train[0], weight, bias), train[1])
        return value + 0.02 / 2 * flat.square().sum()

    flat = torch.cat([params["weight"].flatten(), params["bias"]]).detach()
    hessian = torch.autograd.functional.hessian(total, flat)

    def gradients(x: Tensor, y: Tensor) -> Tensor:
        rows = []
        for one, label in zip(x, y, strict=True):
            model.zero_grad()
            F.cross_entropy(model(one[None]), label[None]).backward()
            rows.append(torch.cat([model.weight.grad.flatten(), model.bias.grad]))
        return torch.stack(rows)

    expected = gradients(*train) @ torch.linalg.inv(hessian) @ gradients(*test).T / 60
    scores = influence(model, cross_entropy, train, test, weight_decay=0.02)
    torch.testing.assert_close(scores, expected, atol=1e-13, rtol=1e-9)


def test_influence_predicts_leaving_one_out_in_sign_and_size(blobs: Any) -> None:
    train, test = blobs
    weight_decay = 0.1
    fit = softmax_regression(weight_decay, n=60)
    scores = influence(
        fit(*train), cross_entropy, train, test, weight_decay=weight_decay
    ).flatten()
    truth = leave_one_out(fit, cross_entropy, train, test).flatten()
    assert np.corrcoef(scores, truth)[0, 1] > 0.99
    slope = float((scores @ truth) / (scores @ scores))
    assert (
        1 < slope < 1.25
    )  # leverage: a point's absence moves more than its first order


def test_influence_takes_the_mean_whether_the_loss_is_scaled_by_a_list_or_an_array(
    blobs: Any,
) -> None:
    train, test = blobs
    model = softmax_regression(0.02)(*train)
    scores = influence(model, cross_entropy, train, test, weight_decay=0.02)
    lists = influence(
        model,
        cross_entropy,
        (train[0].tolist(), train[1].tolist()),
        test,
        weight_decay=0.02,
    )
    arrays = influence(
        model,
        cross_entropy,
        (train[0].numpy(), train[1].numpy().astype("int32")),
        test,
        weight_decay=0.02,
    )
    torch.testing.assert_close(scores, arrays, atol=0, rtol=0)
    torch.testing.assert_close(
        scores, lists, atol=1e-7, rtol=1e-5
    )  # lists of Python floats become float32


def test_damping_and_weight_decay_are_one_shift_of_the_matrix(blobs: Any) -> None:
    train, test = blobs
    model = small_mlp(5, 3, hidden=4).double()
    one = influence(model, cross_entropy, train, test, weight_decay=0.03)
    for other in ({"damping": 0.03}, {"weight_decay": 0.01, "damping": 0.02}):
        torch.testing.assert_close(
            influence(model, cross_entropy, train, test, **other), one
        )
    assert not torch.allclose(
        influence(model, cross_entropy, train, test, damping=0.3), one
    )


def test_conjugate_gradients_agree_with_the_matrix(
    blobs: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    train, test = blobs
    model = small_mlp(5, 3, hidden=4).double()
    both = partial(
        influence, model, cross_entropy, train, test, weight_decay=0.02, damping=0.01
    )
    dense = both()
    monkeypatch.setattr(curvature_module, "DENSE", 1)
    torch.testing.assert_close(both(), dense, atol=1e-6, rtol=1e-4)


def test_conjugate_gradients_solve_and_say_when_they_do_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    root = randn(6, 6)
    matrix = root @ root.T + torch.eye(6)
    right = torch.cat([randn(3, 6, seed=1), torch.zeros(1, 6)])
    found = conjugate_gradients(lambda v: v @ matrix, right)
    torch.testing.assert_close(
        found, right @ torch.linalg.inv(matrix), atol=1e-6, rtol=1e-5
    )
    monkeypatch.setattr(curvature_module, "ITERATIONS", 2)
    with pytest.warns(
        UserWarning, match="not done after 2 steps: the residual of 3 test points"
    ):
        conjugate_gradients(lambda v: v @ matrix, right)


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
        "smallscale.attribution.scores.gradients.AT_ONCE", 500
    )  # 39 parameters: 12 examples, or 1
    for before, f in zip(
        whole, (grad_dot, partial(influence, damping=0.01)), strict=True
    ):
        torch.testing.assert_close(f(model, cross_entropy, train, test), before)


def test_a_singular_hessian_is_said_and_inverted_where_it_can_be(blobs: Any) -> None:
    train, test = blobs
    model = softmax_regression(0.02)(
        *train
    )  # logits moved alike change nothing: 6 of 18 directions are unseen
    with pytest.warns(UserWarning, match="the Hessian is singular, of rank 12 of 18"):
        scores = influence(model, cross_entropy, train, test)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        nearly = influence(model, cross_entropy, train, test, damping=1e-9)
    torch.testing.assert_close(scores, nearly, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize(
    "nothing", [0.0, 1e-30]
)  # of which Cholesky's factor would be built, and mean nothing
def test_solve_of_a_singular_matrix_is_the_smallest_solution(nothing: float) -> None:
    matrix = torch.diag(torch.tensor([2.0, nothing, 4.0], dtype=torch.float64))
    with pytest.warns(UserWarning, match="rank 2 of 3"):
        found = solve(matrix, torch.tensor([[2.0], [7.0], [2.0]], dtype=torch.float64))
    torch.testing.assert_close(
        found[:, 0], torch.tensor([1.0, 0.0, 0.5], dtype=torch.float64)
    )


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


# gradient products


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


# TRAK


def test_trak_without_projection_is_its_formula_on_a_linear_model(blobs: Any) -> None:
    # Two classes as one logit: f = log(p/(1-p)) is the label's logit, its gradient +-(x, 1), and 1 - p = sigmoid(-f).
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
    assert (
        trak(model.float(), cross_entropy, train, test, projection=20, ridge=1)
        .isfinite()
        .all()
    )


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
        match="projection must be below the number of training examples, 60, or ridge abov",
    ):
        trak(model, cross_entropy, *blobs, projection=projection)
    trak(model, cross_entropy, *blobs, projection=projection, ridge=0.1)


# what cannot be


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
            "train must hold as many inputs as targets, at least 1; got 4 and 3",
        ),
        (
            cross_entropy,
            (X, Y),
            (X[:0], Y[:0]),
            "test must hold as many inputs as targets, at least 1; got 0 and 0",
        ),
        (cross_entropy, (X * torch.nan, Y), (X, Y), "train inputs must be finite"),
        (
            mean_loss,
            (X, Y),
            (X, Y),
            "loss must return a value per example, .*use reduction='none'",
        ),
        (mean_loss, (X, Y), (X[:1], Y[:1]), "loss must return a value per example"),
        (
            lambda o, t: mean_loss(o, t)[None],
            (X, Y),
            (X[:1], Y[:1]),
            "loss must return a value per example",
        ),
        (lambda o, t: o[:, 0] * torch.nan, (X, Y), (X, Y), "loss must be finite"),
    ],
)
def test_examples_and_losses_that_cannot_be_say_why(
    method: Any, loss: Any, train: Any, test: Any, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        method(small_mlp(5, 3), loss, train, test)


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
            "lrs must be a number of at least 0 for each of 1 models",
        ),
        (tracin, {"lrs": [-1]}, "lrs must be"),
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


def test_no_models_and_nothing_trained_say_why() -> None:
    with pytest.raises(ValueError, match="models must hold at least one"):
        tracin([], cross_entropy, (X, Y), (X, Y))
    frozen = small_mlp(5, 3).requires_grad_(False)
    with pytest.raises(
        ValueError, match="model must have parameters that require a gradient"
    ):
        influence(frozen, cross_entropy, (X, Y), (X, Y))
