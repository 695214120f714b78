"""Is influence its closed form, and the truth of leaving one out?"""

import copy
import re
import warnings
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.stats import spearmanr
from torch import Tensor

from smallscale.attribution import (
    TrainingConfig,
    influence,
    leave_one_out,
    member,
    retrain,
)
from smallscale.attribution.scores import curvature as curvature_module
from smallscale.attribution.scores.curvature import (
    Curvature,
    conjugate_gradients,
    solve,
)
from smallscale.models.classifiers import small_mlp
from tests.attribution.scores.small_problems import (
    cross_entropy,
    half_square,
    linear,
    randn,
    ridge,
    softmax_regression,
)


def test_influence_of_one_number_by_hand() -> None:
    # y = w x + b with b in use but x = 0 never moves w: H = [[0 + d, 0], [0, 1 + d]]
    # with d the weight decay 1. At w = b = 0, targets 2 and -1: gradients to b are -2
    # and 1; the test point wants 4: gradient -4.
    model = linear(torch.zeros(1, 1), torch.zeros(1))
    train = (torch.zeros(2, 1), torch.tensor([[2.0], [-1.0]]))
    scores = influence(model, half_square, train, ([[0.0]], [[4.0]]), weight_decay=1.0)
    # g_j H^-1 g_i / n = (-4)(1/2)(-2)/2 = 2 and (-4)(1/2)(1)/2 = -1: the first target
    # helps, the second harms.
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
    # A model may answer (n,) as well as (n, 1).
    flat = [(inputs, targets.flatten()) for inputs, targets in regression]
    one_each = torch.nn.Sequential(model, torch.nn.Flatten(0))
    scores = influence(one_each, half_square, *flat, weight_decay=weight_decay)
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
    # A test loss linear in the outputs makes the change of the loss the change of the
    # output itself.
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
    monkeypatch.setattr(curvature_module, "LARGEST_DENSE", 1)
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
    monkeypatch.setattr(curvature_module, "CG_STEPS", 2)
    with pytest.raises(ValueError, match=r"damping must be larger, .* noise; such as"):
        conjugate_gradients(lambda v: v @ matrix, right)
    monkeypatch.setattr(curvature_module, "CG_WORST", 1.0)
    with pytest.warns(
        UserWarning, match="not done after 2 steps: the residual of 3 test points"
    ):
        conjugate_gradients(lambda v: v @ matrix, right)


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
        found = solve(
            Curvature(matrix), torch.tensor([[2.0], [7.0], [2.0]], dtype=torch.float64)
        )
    torch.testing.assert_close(
        found[:, 0], torch.tensor([1.0, 0.0, 0.5], dtype=torch.float64)
    )


def trained(
    n: int = 30, hidden: int = 12, dtype: torch.dtype = torch.float64
) -> tuple[torch.nn.Module, Any, Any]:
    """A network without penalty and more parameters than its training sees."""
    y, y_test = torch.arange(n) % 3, torch.arange(12) % 3
    centres = randn(3, 6, seed=5)
    train = (centres[y] + randn(n, 6, seed=6), y)
    test = (centres[y_test] + randn(12, 6, seed=7), y_test)
    start = small_mlp(6, 3, hidden=hidden).to(dtype)
    run = TrainingConfig(epochs=4, batch_size=8, weight_decay=0)
    return member(start, retrain(start, cross_entropy, train, run)), train, test


def by_pseudo_inverse(model: torch.nn.Module, train: Any, test: Any) -> Tensor:
    """Influence as written: every gradient by backward, torch's pseudo-inverse."""
    model = copy.deepcopy(model).double()
    parameters = list(model.parameters())

    def gradient(value: Tensor) -> Tensor:
        parts = torch.autograd.grad(value, parameters, retain_graph=True)
        return torch.cat([part.flatten() for part in parts])

    def gradients(pair: Any) -> Tensor:
        losses = cross_entropy(model(pair[0]), pair[1])
        return torch.stack([gradient(loss) for loss in losses])

    H = torch.zeros(123, 123, dtype=torch.float64)
    for x in train[0]:
        out = model(x[None])[0]
        J = torch.stack([gradient(value) for value in out])
        p = out.softmax(0).detach()
        H += J.T @ (torch.diag(p) - p[:, None] * p) @ J / len(train[0])
    inverse = torch.linalg.pinv(H, hermitian=True)
    return gradients(train) @ inverse @ gradients(test).T / len(train[0])


def spearman_of(one: Tensor, other: Tensor) -> float:
    return float(spearmanr(one.flatten(), other.flatten()).statistic)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("largest", [4096, 100])  # parameters: 123; outputs: 90
def test_influence_on_a_singular_hessian_is_that_of_the_pseudo_inverse(
    monkeypatch: pytest.MonkeyPatch, dtype: torch.dtype, largest: int
) -> None:
    model, train, test = trained(dtype=dtype)
    assert sum(p.numel() for p in model.parameters()) == 123
    monkeypatch.setattr(curvature_module, "LARGEST_DENSE", largest)
    with pytest.warns(
        UserWarning, match=r"the Hessian is singular, of rank \d+ of 123"
    ):
        scores = influence(model, cross_entropy, train, test)
    expected = by_pseudo_inverse(model, train, test)
    assert spearman_of(scores, expected) > 0.999
    torch.testing.assert_close(
        scores.double(), expected, rtol=1e-3, atol=1e-3 * float(expected.abs().max())
    )


def test_what_no_method_can_invert_is_refused_with_a_damping_that_does(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model, train, test = trained()
    monkeypatch.setattr(curvature_module, "LARGEST_DENSE", 1)
    monkeypatch.setattr(curvature_module, "CG_STEPS", 200)
    for damping in (0.0, 1e-13):
        with pytest.raises(
            ValueError, match=r"damping must be larger.*such as [\d.e-]+ would do"
        ) as refused:
            influence(model, cross_entropy, train, test, damping=damping)
    told = re.search(r"such as ([\d.e-]+) would do", str(refused.value))
    assert told is not None
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        scores = influence(
            model, cross_entropy, train, test, damping=float(told.group(1))
        )
        monkeypatch.setattr(curvature_module, "LARGEST_DENSE", 4096)
        dense = influence(
            model, cross_entropy, train, test, damping=float(told.group(1))
        )
    torch.testing.assert_close(scores, dense, rtol=1e-4, atol=1e-7)


def test_too_many_jacobians_to_keep_are_refused_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model, train, test = trained()
    monkeypatch.setattr(curvature_module, "LARGEST_DENSE", 100)
    monkeypatch.setattr(curvature_module, "LARGEST_SEEN", 90 * 123 - 1)
    monkeypatch.setattr(curvature_module, "CG_STEPS", 100)
    with pytest.raises(ValueError, match="damping must be larger"):
        influence(model, cross_entropy, train, test)


def dip(outputs: Tensor, targets: Tensor) -> Tensor:
    """Not convex: far from the target it bends the other way."""
    return -torch.exp(-((outputs[:, 0] - targets) ** 2))


@pytest.mark.parametrize("sign", [1, -1])
def test_a_loss_that_is_not_convex_is_said_to_be(
    monkeypatch: pytest.MonkeyPatch, sign: int
) -> None:
    # d2/do2 of -exp(-o^2) where o - t = 3 or -3 is (2 - 4 * 9) exp(-9) = -0.0042. Each
    # weight is seen by one of two points, with x = 1 or 2: H = -0.0042 diag(1, 4) / 2.
    model = torch.nn.Linear(2, 1, bias=False).double()
    torch.nn.init.zeros_(model.weight)
    x = torch.tensor([[1.0, 0.0], [0.0, 2.0]], dtype=torch.float64)
    train, test = (x, torch.tensor([3.0, sign * 3.0])), (x, torch.tensor([3.0, 3.0]))
    eigenvalue = 4 * (2 - 4 * 9) * np.exp(-9) / 2
    with pytest.warns(UserWarning, match="loss must be convex in the outputs") as said:
        influence(model, dip, train, test)
    words = [str(each.message) for each in said]
    assert len(words) == 1
    assert "singular" not in words[0]
    assert f"the Hessian has a negative eigenvalue, {eigenvalue:.2g}" in words[0]
    monkeypatch.setattr(curvature_module, "LARGEST_DENSE", 1)
    with pytest.raises(ValueError, match=r"loss must be convex .* negative eigenvalue"):
        influence(model, dip, train, test)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        influence(model, dip, train, test, damping=-1.1 * eigenvalue)


@pytest.mark.parametrize("damping", [0.0, 0.005])
@pytest.mark.parametrize("dense", [True, False])
def test_the_negative_eigenvalue_and_a_damping_above_it_are_told(
    monkeypatch: pytest.MonkeyPatch, dense: bool, damping: float
) -> None:
    # d2/do2 of -exp(-z^2) is (2 - 4 z^2) exp(-z^2), z = o - t, where all outputs are 0.
    model = torch.nn.Linear(8, 1, bias=False).double()
    torch.nn.init.zeros_(model.weight)
    train, test = (randn(30, 8), 1 + randn(30, seed=1)), (randn(5, 8, seed=2), ones(5))
    x, z2 = train[0], train[1] ** 2
    H = x.T @ (x * ((2 - 4 * z2) * (-z2).exp())[:, None]) / 30
    least = float(torch.linalg.eigvalsh(H)[0])
    assert least < -0.01
    if not dense:
        monkeypatch.setattr(curvature_module, "LARGEST_DENSE", 1)
        with pytest.raises(ValueError, match="loss must be convex") as refused:
            influence(model, dip, train, test, damping=damping)
        words = str(refused.value)
    else:
        with pytest.warns(UserWarning, match="loss must be convex") as said:
            influence(model, dip, train, test, damping=damping)
        words = str(said[0].message)
    assert f"a negative eigenvalue, {least:.2g}, so" in words
    told = re.search(r"damping above ([\d.e-]+):", words)
    assert told is not None
    assert -least < float(told.group(1)) < -1.02 * least
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        scores = influence(model, dip, train, test, damping=float(told.group(1)))
    assert scores.shape == (30, 5)


def ones(n: int) -> Tensor:
    return torch.ones(n, dtype=torch.float64)


def test_influence_of_a_half_precision_model_is_computed_in_double() -> None:
    model, train, test = trained()
    half = copy.deepcopy(model).bfloat16()
    scores = influence(half, cross_entropy, train, test, damping=0.1)
    same_weights = copy.deepcopy(half).double()
    expected = influence(same_weights, cross_entropy, train, test, damping=0.1)
    assert scores.dtype == torch.float32
    torch.testing.assert_close(scores.double(), expected, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("dense", [True, False])
@pytest.mark.parametrize("scale", [1, 3, 5, 10, 20, 40, 80])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_nearly_certain_softmax_is_convex_and_right_or_refused(
    monkeypatch: pytest.MonkeyPatch, seed: int, scale: float, dense: bool
) -> None:
    # Of two classes it is logistic regression on w1 - w0, where nothing cancels:
    # g = -s sigmoid(-s d x) x, H = mean of sigmoid(d x) sigmoid(-d x) x x^T.
    if not dense:
        monkeypatch.setattr(curvature_module, "LARGEST_DENSE", 1)
        monkeypatch.setattr(curvature_module, "seen_is_small", lambda flat: True)
    x, x_test = randn(20, 2, seed=seed).sign(), randn(4, 2, seed=seed + 9)
    y, y_test = (x[:, 0] > 0).long(), torch.tensor([0, 1, 0, 1])
    weight = scale * torch.tensor([[-1.0, 0.0], [1.0, 0.0]], dtype=torch.float64)
    model = linear(weight, torch.zeros(2)).requires_grad_(True)
    model.bias.requires_grad_(False)
    d = weight[1] - weight[0]

    def gradients(x: Tensor, y: Tensor) -> Tensor:
        s = 2 * y - 1
        return (-s * torch.sigmoid(-s * (x @ d)))[:, None] * x

    z = x @ d
    H = (x.T * (z.sigmoid() * (-z).sigmoid())) @ x / 20
    right = gradients(x_test, y_test).T
    truth = gradients(x, y) @ torch.linalg.solve(H, right) / 20
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        if scale >= 20:
            with pytest.raises(ValueError, match="model must be less certain"):
                influence(model, cross_entropy, (x, y), (x_test, y_test))
            return
        found = influence(model, cross_entropy, (x, y), (x_test, y_test))
    words = [str(each.message) for each in said]
    assert not [line for line in words if "convex" in line]
    assert [line for line in words if "singular, of rank 2 of 4" in line]
    largest = float(truth.abs().max())
    torch.testing.assert_close(found, truth, rtol=0, atol=1e-4 * largest)


PATHS = ["dense", "seen", "products"]


def take(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let `influence` go one of its ways, whatever the size."""
    if path != "dense":
        monkeypatch.setattr(curvature_module, "LARGEST_DENSE", 1)
        monkeypatch.setattr(curvature_module, "seen_is_small", lambda _: path == "seen")


@pytest.mark.parametrize("path", PATHS)
def test_a_model_that_answers_a_number_has_one_influence_by_every_way(
    regression: Any, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    train, test = regression
    model = ridge(0.0)(*train)
    expected = influence(model, half_square, train, test)
    take(path, monkeypatch)
    one_each = torch.nn.Sequential(model, torch.nn.Flatten(0))  # (n,), not (n, 1)
    flat = [(inputs, targets.flatten()) for inputs, targets in (train, test)]
    torch.testing.assert_close(influence(one_each, half_square, *flat), expected)


class PartlyCertain:
    """Two classes, of which the model is certain where the first feature is on.

    Those points see this feature and no others, so H has two blocks. Each is a logistic
    regression on d = w1 - w0, in which nothing cancels.
    """

    def __init__(self, seed: int, margin: float, asked: float, wrong: bool) -> None:
        x, x_test = randn(16, 4, seed=seed), randn(4, 4, seed=seed + 100)
        certain = torch.arange(16) < 5
        x[certain, 1:] = 0
        x[certain, 0] = x[certain, 0].sign()
        x[~certain, 0] = 0
        x_test[:, 0] *= asked
        weight = randn(2, 4, seed=seed + 200)
        weight[:, 0] = torch.tensor([-margin / 2, margin / 2])
        self.d = weight[1] - weight[0]
        y = (x @ self.d > 0).long()
        y[5::3] = 1 - y[5::3]
        y[0] = 1 - y[0] if wrong else y[0]
        # A test point of which the model is certain would itself be rounding.
        self.train, self.test = (x, y), (x_test, (x_test @ self.d < 0).long())
        self.model = torch.nn.Linear(4, 2, bias=False).double()
        self.model.weight.data.copy_(weight)

    def gradients(self, x: Tensor, y: Tensor) -> Tensor:
        s = 2 * y - 1
        return (-s * torch.sigmoid(-s * (x @ self.d)))[:, None] * x

    def truth(self) -> Tensor:
        x, z = self.train[0], self.train[0] @ self.d
        H = (x.T * (z.sigmoid() * (-z).sigmoid())) @ x / 16
        inverse = torch.zeros(4, 4, dtype=torch.float64)
        inverse[0, 0] = 1 / H[0, 0] if self.test[0][:, 0].any() else 0.0
        inverse[1:, 1:] = torch.linalg.inv(H[1:, 1:])
        right = self.gradients(*self.test).T
        return self.gradients(*self.train) @ inverse @ right / 16

    def scores(self, damping: float = 0.0) -> Tensor:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            return influence(
                self.model, cross_entropy, self.train, self.test, damping=damping
            )


MARGINS = [2.0, 16.0, 22.0, 28.0, 33.0, 36.0, 80.0, 900.0]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("wrong", [False, True])
@pytest.mark.parametrize("margin", MARGINS)
def test_partly_saturated_data_is_right_or_refused_with_a_damping_that_does(
    monkeypatch: pytest.MonkeyPatch, margin: float, wrong: bool, path: str
) -> None:
    take(path, monkeypatch)
    refused = 0
    for seed in range(3):
        problem = PartlyCertain(seed, margin, asked=1.0, wrong=wrong)
        try:
            found = problem.scores()
        except ValueError as error:
            refused += 1
            told = re.search(
                r"^damping must be larger, .* such as ([\d.e-]+) would do$", str(error)
            )
            assert told is not None
            damping = float(told.group(1))
            here = problem.scores(damping)
            with monkeypatch.context() as patch:
                patch.setattr(curvature_module, "LARGEST_DENSE", 4096)
                there = problem.scores(damping)
            torch.testing.assert_close(here, there, rtol=1e-6, atol=1e-10)
        else:
            truth = problem.truth()
            wrong_by = (found - truth).abs().amax(0) / truth.abs().amax(0)
            assert float(wrong_by.max()) < 1e-3
    if margin < 20:
        assert refused == 0  # a curvature of 1e-7 is far above rounding
    if margin > 33:
        assert refused == 3  # one of 1e-15 is not


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("margin", MARGINS)
def test_what_rounding_hides_is_no_matter_where_no_test_point_asks_for_it(
    monkeypatch: pytest.MonkeyPatch, margin: float, path: str
) -> None:
    take(path, monkeypatch)
    for seed in range(3):
        problem = PartlyCertain(seed, margin, asked=0.0, wrong=False)
        truth = problem.truth()
        largest = float(truth.abs().max())
        torch.testing.assert_close(problem.scores(), truth, rtol=0, atol=1e-6 * largest)


@pytest.mark.parametrize("path", PATHS)
def test_a_point_beyond_a_hinge_loses_nothing_to_rounding(
    monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    # Half the squared hinge is flat beyond 1: the first weight is seen by such points
    # alone, and as those have no gradient either, nothing depends on who is there.
    def hinge(outputs: Tensor, targets: Tensor) -> Tensor:
        return 0.5 * (1 - targets * outputs[:, 0]).clamp_min(0).square()

    take(path, monkeypatch)
    x = torch.tensor([[5.0, 0.0], [7.0, 0.0], [0.0, 0.5]], dtype=torch.float64)
    model = linear(torch.ones(1, 2), torch.zeros(1))
    model.bias.requires_grad_(False)
    test = (torch.tensor([[0.2, 0.2]], dtype=torch.float64), ones(1))
    if path == "products":
        with pytest.raises(ValueError, match="damping must be larger"):
            influence(model, hinge, (x, ones(3)), test)
        return
    with pytest.warns(UserWarning, match="singular, of rank 1 of 2"):
        scores = influence(model, hinge, (x, ones(3)), test)
    # g_i = -(1 - .5) .5 = -.25; H = .5^2 / 3; g_j = -(1 - .4) .2 = -.12; over n = 3.
    expected = torch.tensor([[0.0], [0.0], [0.25 * 0.12 / 0.25]], dtype=torch.float64)
    torch.testing.assert_close(scores, expected)


@pytest.mark.parametrize("scale", [10.0, 20.0, 40.0, 80.0])
@pytest.mark.parametrize("seed", range(5))
def test_products_of_a_nearly_certain_softmax_are_no_negative_curvature(
    monkeypatch: pytest.MonkeyPatch, seed: int, scale: float
) -> None:
    take("products", monkeypatch)
    x, x_test = randn(20, 3, seed=seed).sign(), randn(4, 3, seed=seed + 9)
    weight = scale * randn(3, 3, seed=seed + 20)
    model = linear(weight, torch.zeros(3))
    train, test = (x, model(x).argmax(1)), (x_test, torch.arange(4) % 3)
    refusal = ""
    try:
        scores = influence(model, cross_entropy, train, test)
    except ValueError as error:
        refusal = str(error)
    if refusal:
        assert refusal.startswith("damping must be larger")
    else:
        monkeypatch.setattr(curvature_module, "LARGEST_DENSE", 4096)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            dense = influence(model, cross_entropy, train, test)
        assert spearman_of(scores, dense) > 0.999


def test_a_direction_without_curvature_is_refused_when_it_is_met() -> None:
    # Of rank 30: conjugate gradients would go on for all their steps.
    root = randn(30, 400)
    products = 0

    def product(vectors: Tensor) -> Tensor:
        nonlocal products
        products += 1
        return vectors @ root.T @ root

    right = randn(3, 400, seed=1)
    with pytest.raises(ValueError, match=r"damping must be larger.*singular"):
        conjugate_gradients(product, right)
    assert products < 100
    products = 0
    seen = right @ root.T @ root
    found = conjugate_gradients(product, seen)
    torch.testing.assert_close(found @ root.T @ root, seen)
    assert products < 100


def test_conjugate_gradients_are_right_where_the_last_curvatures_are_small() -> None:
    # A residual of 1e-6 in a direction of curvature 1e-6 is all of an answer.
    matrix = torch.diag(torch.tensor([1.0, 0.5, 1e-6], dtype=torch.float64))
    right = torch.tensor([[1.0, 1.0, 1e-7]], dtype=torch.float64)
    found = conjugate_gradients(lambda v: v @ matrix, right)
    expected = torch.tensor([[1.0, 2.0, 0.1]], dtype=torch.float64)
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=0)
