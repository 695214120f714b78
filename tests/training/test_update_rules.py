"""Does each rule step as its paper says, and as torch does where torch has it?"""

import math
from collections.abc import Callable
from copy import deepcopy
from decimal import Decimal
from fractions import Fraction
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Generator, Tensor, nn
from torch.optim import Optimizer

from smallscale.training.update_rules import (
    Adam,
    AdamW,
    AMSGrad,
    Muon,
    SophiaG,
    newton_schulz,
)

Make = Callable[..., Optimizer]
TORCHS: list[tuple[Make, Make, dict[str, Any]]] = [
    (Adam, torch.optim.Adam, {}),
    (Adam, torch.optim.Adam, {"lr": 0.02, "weight_decay": 0.1}),
    (Adam, torch.optim.Adam, {"betas": (0.0, 0.9), "eps": 1e-3}),
    (AdamW, torch.optim.AdamW, {}),
    (AdamW, torch.optim.AdamW, {"lr": 0.02, "weight_decay": 0.5, "eps": 1e-12}),
    (AMSGrad, partial(torch.optim.Adam, amsgrad=True), {"betas": (0.5, 0.6)}),
    (AMSGrad, partial(torch.optim.Adam, amsgrad=True), {"weight_decay": 0.1}),
    (Muon, torch.optim.Muon, {}),
    (Muon, torch.optim.Muon, {"lr": 0.1, "nesterov": False, "ns_steps": 3}),
    (Muon, torch.optim.Muon, {"adjust_lr_fn": "match_rms_adamw", "momentum": 0.5}),
]
DTYPES = (torch.float64, torch.float32, torch.bfloat16)
# In bfloat16 torch divides a momentum without nesterov by its norm, in place.
CASES = [
    (*case, dtype)
    for case in TORCHS
    for dtype in DTYPES
    if case[2].get("nesterov", True) or dtype != torch.bfloat16
]


def trained(
    make: Make, settings: dict[str, Any], dtype: torch.dtype, size: float
) -> Tensor:
    """Return the weights after 30 steps on gradients of about this size."""
    generator = Generator().manual_seed(0)
    wide = torch.randn(3, 5, generator=generator).to(dtype).requires_grad_()
    tall = torch.randn(6, 2, generator=generator).to(dtype).requires_grad_()
    still = torch.ones(2, 2, dtype=dtype, requires_grad=True)
    optimizer = make([wide, tall, still], **settings)
    for _ in range(30):
        for weights in (wide, tall):
            noise = torch.randn(weights.shape, generator=generator)
            weights.grad = (size * (weights.detach() + noise)).to(dtype)
        optimizer.step()
    assert torch.equal(still, torch.ones(2, 2, dtype=dtype))  # it has no gradient
    return torch.cat([wide.detach().flatten(), tall.detach().flatten()])


@pytest.mark.parametrize("size", [1.0, 1e-8, 1e8])
@pytest.mark.parametrize(("ours", "theirs", "settings", "dtype"), CASES)
def test_it_gives_torchs_numbers_bit_for_bit(
    ours: Make,
    theirs: Make,
    settings: dict[str, Any],
    dtype: torch.dtype,
    size: float,
) -> None:
    found = trained(ours, settings, dtype, size)
    assert torch.equal(found, trained(theirs, settings, dtype, size))


def test_two_steps_of_adam_by_hand() -> None:
    """g = 1, then g = 3, beta1 = .5, beta2 = .75, lr = .1, eps = .2, from x = 0:

    t = 1: m = .5,  m^ = .5 / .5 = 1;       v = .25, v^ = .25 / .25 = 1
           x = -.1 * 1 / (1 + .2) = -1/12
    t = 2: m = 1.75, m^ = 1.75 / .75 = 7/3;  v = .1875 + 2.25 = 2.4375,
           v^ = 2.4375 / .4375 = 39/7
           x = -1/12 - .1 * (7/3) / (sqrt(39/7) + .2)
    """
    x = torch.zeros(1, dtype=torch.float64, requires_grad=True)
    optimizer = Adam([x], lr=0.1, betas=(0.5, 0.75), eps=0.2)
    x.grad = torch.ones(1, dtype=torch.float64)
    optimizer.step()
    assert x.item() == pytest.approx(-1 / 12, abs=1e-15)
    x.grad = 3 * torch.ones(1, dtype=torch.float64)
    optimizer.step()
    expected = -1 / 12 - 0.1 * (7 / 3) / (math.sqrt(39 / 7) + 0.2)
    assert x.item() == pytest.approx(expected, abs=1e-15)


@given(st.floats(1e-6, 1e6), st.floats(1e-4, 1.0), st.floats(0, 0.99))
def test_adams_first_step_is_lr_long_whatever_the_gradient(
    gradient: float, lr: float, beta: float
) -> None:
    x = torch.zeros(1, dtype=torch.float64, requires_grad=True)
    x.grad = torch.tensor([gradient], dtype=torch.float64)
    Adam([x], lr=lr, betas=(beta, beta), eps=0.0).step()
    assert x.item() == pytest.approx(-lr, rel=1e-9)


def test_only_decoupled_decay_leaves_the_step_alone() -> None:
    """From x = 4 with gradient 1, lr = .1, decay = .5: AdamW's step is one of .1 after
    x shrank to 3.8; Adam's is .1 long with the decay inside, so decay shows nowhere."""
    ends = []
    for kind in (AdamW, Adam):
        x = torch.full((1,), 4.0, dtype=torch.float64, requires_grad=True)
        x.grad = torch.ones(1, dtype=torch.float64)
        kind([x], lr=0.1, weight_decay=0.5, eps=0.0).step()
        ends.append(x.item())
    assert ends == pytest.approx([3.7, 3.9], abs=1e-12)


@pytest.mark.parametrize(("kind", "end"), [(Adam, 1.0), (AMSGrad, -1.0)])
def test_the_counterexample_of_amsgrads_paper(kind: type[Adam], end: float) -> None:
    """Gradients 3, -1, -1 in turn on [-1, 1]: -1 is the best x, as they sum to 1.

    With beta1 = 0 and beta2 = 1/10 Adam has forgotten the 3 when it meets the -1s.
    """
    x = torch.zeros(1, dtype=torch.float64, requires_grad=True)
    optimizer = kind([x], betas=(0.0, 0.1), eps=0.0)
    for t in range(1, 3001):
        optimizer.param_groups[0]["lr"] = 0.5 / math.sqrt(t)
        x.grad = torch.tensor([3.0 if t % 3 == 1 else -1.0], dtype=torch.float64)
        optimizer.step()
        x.data.clamp_(-1, 1)
    assert x.item() == pytest.approx(end, abs=0.05)


def test_sophia_by_hand() -> None:
    """x = (0, 0), g = (2, -1e-3), h from gradients (4, .1), beta1 = .5, beta2 = .75:

    m = (1, -5e-4);  h = .25 * (16, .01) = (4, .0025);  rho bs = .5 * 2 = 1
    |m| / h = (.25, .2): neither is clipped; with h = 0 both would be.
    """
    x = torch.zeros(2, dtype=torch.float64, requires_grad=True)
    optimizer = SophiaG([x], lr=0.1, betas=(0.5, 0.75), rho=0.5, weight_decay=0.0)
    x.grad = torch.tensor([4.0, 0.1], dtype=torch.float64)
    optimizer.update_hessian()
    assert x.tolist() == [0, 0]
    x.grad = torch.tensor([2.0, -1e-3], dtype=torch.float64)
    optimizer.step(bs=2)
    assert x.tolist() == pytest.approx([-0.025, 0.02], abs=1e-12)


def test_sophia_takes_steps_of_lr_before_it_knows_curvature() -> None:
    x = torch.ones(3, dtype=torch.float64, requires_grad=True)
    optimizer = SophiaG([x], lr=0.1, weight_decay=0.5)
    x.grad = torch.tensor([1e6, -1e-6, 0.0], dtype=torch.float64)
    optimizer.step()
    # Decay first: .95 of each; then signs.
    assert x.tolist() == pytest.approx([0.85, 1.05, 0.95], abs=1e-12)


@given(st.floats(-1e3, 1e3), st.floats(-1e3, 1e3), st.integers(1, 10_000))
def test_sophia_never_steps_further_than_lr(g: float, seen: float, bs: int) -> None:
    x = torch.zeros(1, dtype=torch.float64, requires_grad=True)
    optimizer = SophiaG([x], lr=0.25, weight_decay=0.0)
    x.grad = torch.tensor([seen], dtype=torch.float64)
    optimizer.update_hessian()
    x.grad = torch.tensor([g], dtype=torch.float64)
    optimizer.step(bs=bs)
    assert abs(x.item()) <= 0.25


def test_sophias_curvature_is_that_of_a_gaussian_loss() -> None:
    """For loss (x - y)^2 / 2 the Hessian is 1; with y drawn from the model N(x, 1) the
    gradient of the mean over bs labels has variance 1/bs: bs g^2 is 1 on average."""
    generator = Generator().manual_seed(0)
    x = torch.zeros(1, dtype=torch.float64, requires_grad=True)
    optimizer = SophiaG([x], betas=(0.9, 0.999))
    bs = 8
    for _ in range(8000):
        labels = torch.randn(bs, dtype=torch.float64, generator=generator)
        x.grad = (x.detach() - labels).mean().reshape(1)
        optimizer.update_hessian()
    assert bs * optimizer.state[x]["hessian"].item() == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize("shape", [(4, 9), (9, 4), (5, 5), (1, 3)])
def test_newton_schulz_levels_the_singular_values(shape: tuple[int, int]) -> None:
    matrix = torch.randn(shape, generator=Generator().manual_seed(0))
    u, _, v = torch.linalg.svd(matrix, full_matrices=False)
    found = newton_schulz(matrix).float()
    levels = torch.linalg.svdvals(found)
    assert 0.65 < levels.min() <= levels.max() < 1.25
    # The directions are the matrix's own.
    cosine = (found * (u @ v)).sum() / (found.norm() * (u @ v).norm())
    assert cosine > 0.97


def test_more_steps_of_another_polynomial_give_uv_itself() -> None:
    """1.5 s - .5 s^3 is Newton's own polynomial: it converges to 1."""
    matrix = torch.randn(3, 4, generator=Generator().manual_seed(0))
    u, _, v = torch.linalg.svd(matrix, full_matrices=False)
    found = newton_schulz(matrix, (1.5, -0.5, 0.0), steps=30)
    torch.testing.assert_close(found.float(), u @ v, atol=0.02, rtol=0)


@pytest.mark.parametrize("nesterov", [True, False])
def test_muons_momentum_is_the_mean_gradient_in_half_precision_too(
    nesterov: bool,
) -> None:
    """.95 * 0 + .05 * g, where g is 1 and 4: torch 2.13 leaves .05 g / ||.05 g||."""
    x = torch.zeros(1, 2, dtype=torch.bfloat16, requires_grad=True)
    optimizer = Muon([x], nesterov=nesterov)
    x.grad = torch.tensor([[1.0, 4.0]], dtype=torch.bfloat16)
    optimizer.step()
    kept = optimizer.state[x]["momentum_buffer"].flatten().tolist()
    assert kept == pytest.approx([0.05, 0.2], rel=0.01)


def test_a_matrix_of_zeros_stays_zeros() -> None:
    assert newton_schulz(torch.zeros(2, 3)).tolist() == [[0, 0, 0], [0, 0, 0]]


def test_a_closure_is_called_once_with_gradients_on() -> None:
    for kind in (Adam, AdamW, AMSGrad, SophiaG):
        x = torch.ones(2, requires_grad=True)
        optimizer = kind([x], lr=0.1)
        losses: list[Tensor] = []

        def closure(
            x: Tensor = x,
            optimizer: Optimizer = optimizer,
            losses: list[Tensor] = losses,
        ) -> Tensor:
            optimizer.zero_grad()
            losses.append((x**2).sum())
            losses[-1].backward()
            return losses[-1]

        assert optimizer.step(closure) is losses[0]
        assert len(losses) == 1
        assert (x < 1).all()


def test_a_group_keeps_settings_of_its_own() -> None:
    fast, slow = (torch.zeros(1, requires_grad=True) for _ in range(2))
    optimizer = Adam([{"params": [fast], "lr": 0.5}, {"params": [slow]}], lr=0.1)
    for x in (fast, slow):
        x.grad = torch.ones(1)
    optimizer.step()
    assert [fast.item(), slow.item()] == pytest.approx([-0.5, -0.1], abs=1e-6)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [(Adam, torch.optim.Adam), (AMSGrad, partial(torch.optim.Adam, amsgrad=True))],
)
def test_it_goes_on_from_a_state_that_torch_saved(ours: Make, theirs: Make) -> None:
    def steps(optimizer: Optimizer, x: Tensor, start: int) -> None:
        for t in range(start, start + 5):
            x.grad = torch.tensor([math.sin(t)], dtype=torch.float64)
            optimizer.step()

    x = torch.zeros(1, dtype=torch.float64, requires_grad=True)
    one = theirs([x], lr=0.1)
    steps(one, x, 0)
    y = x.detach().clone().requires_grad_()
    other = ours([y], lr=0.1)
    other.load_state_dict(deepcopy(one.state_dict()))
    steps(one, x, 5)
    steps(other, y, 5)
    assert torch.equal(x, y)


def test_it_works_under_torchs_schedules_and_saves_its_state() -> None:
    model = nn.Linear(2, 1)
    optimizer = Adam(model.parameters(), lr=1.0)
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, 1, gamma=0.1)
    model(torch.ones(1, 2)).sum().backward()
    optimizer.step()
    schedule.step()
    saved = optimizer.state_dict()
    assert saved["param_groups"][0]["lr"] == pytest.approx(0.1)
    assert saved["state"][0]["step"] == 1


@pytest.mark.parametrize(
    ("kind", "settings", "words"),
    [
        (Adam, {"lr": -0.1}, r"lr must be a finite number, at least 0; got -0\.1"),
        (Adam, {"lr": math.nan}, "lr must be a finite number, at least 0"),
        (Adam, {"betas": (1.0, 0.9)}, r"betas\[0\] must be .* below 1; got 1\.0"),
        (Adam, {"betas": (0.9, -0.1)}, r"betas\[1\] must be .* at least 0"),
        (Adam, {"betas": 0.9}, r"betas must be two numbers, each in \[0, 1\)"),
        (AdamW, {"eps": -1e-8}, "eps must be a finite number, at least 0"),
        (AMSGrad, {"weight_decay": -1.0}, "weight_decay must be .* at least 0"),
        (SophiaG, {"rho": 0.0}, "rho must be a finite number, above 0"),
        (SophiaG, {"betas": (0.9, 1.0)}, r"betas\[1\] must be .* below 1"),
        (Muon, {"momentum": 1.0}, "momentum must be .* below 1"),
        (Muon, {"ns_steps": 100}, "ns_steps must be a whole number"),
        (Muon, {"ns_coefficients": (1.0, 2.0)}, "ns_coefficients must be three"),
        (Muon, {"adjust_lr_fn": "no"}, "adjust_lr_fn must be one of original"),
    ],
)
def test_a_setting_out_of_range_is_refused(
    kind: Make, settings: dict[str, Any], words: str
) -> None:
    x = torch.zeros(2, 2, requires_grad=True)
    with pytest.raises(ValueError, match=words):
        kind([x], **settings)
    # In a group of its own as well, and then the optimizer is as it was.
    optimizer = kind([x])
    with pytest.raises(ValueError, match=words):
        optimizer.add_param_group({"params": [torch.zeros(2, 2)], **settings})
    assert len(optimizer.param_groups) == 1


def test_muon_refuses_what_is_no_matrix_and_keeps_the_rest() -> None:
    bias = torch.zeros(3, requires_grad=True)
    with pytest.raises(ValueError, match=r"matrices for Muon.*got a .* shape \(3,\)"):
        Muon([bias])
    optimizer = Muon([torch.zeros(2, 2, requires_grad=True)])
    with pytest.raises(ValueError, match="matrices for Muon"):
        optimizer.add_param_group({"params": [bias]})
    assert len(optimizer.param_groups) == 1


def test_complex_parameters_and_sparse_gradients_are_refused() -> None:
    with pytest.raises(ValueError, match=r"real numbers; .*complex64"):
        Adam([torch.zeros(2, dtype=torch.complex64, requires_grad=True)])
    table = nn.Embedding(4, 2, sparse=True)
    optimizer = AdamW(table.parameters())
    table(torch.tensor([1])).sum().backward()
    with pytest.raises(ValueError, match=r"dense gradients; .*sparse=False"):
        optimizer.step()
    with pytest.raises(ValueError, match=r"dense gradients; .*sparse=False"):
        SophiaG(table.parameters()).update_hessian()


def test_bs_is_a_count() -> None:
    x = torch.zeros(1, requires_grad=True)
    with pytest.raises(ValueError, match="bs must be a whole number, at least 1"):
        SophiaG([x]).step(bs=0)


@pytest.mark.parametrize("coefficients", [("a", 1, 1), (1.0, math.nan, 1.0)])
def test_muons_coefficients_are_numbers(coefficients):
    matrix = torch.eye(2, requires_grad=True)
    with pytest.raises(ValueError, match=r"ns_coefficients\[.\] must be a finite"):
        Muon([matrix], ns_coefficients=coefficients)


@pytest.mark.parametrize(
    ("kind", "settings", "words"),
    [
        (Adam, {"maximize": True}, "maximize must be False for Adam.*got True"),
        (Adam, {"amsgrad": True}, "amsgrad must be False for Adam"),
        (
            Adam,
            {"decoupled_weight_decay": True},
            "decoupled_weight_decay must be False",
        ),
        (AMSGrad, {"amsgrad": False}, "amsgrad must be True for AMSGrad"),
        (AdamW, {"decoupled_weight_decay": False}, "decay must be True for AdamW"),
        (Muon, {"maximize": True}, "maximize must be False for Muon"),
        (SophiaG, {"eps": 1e-8}, "'eps' is no setting of SophiaG; its settings are"),
        (Adam, {"wight_decay": 0.0}, "'wight_decay' is no setting of Adam"),
    ],
)
def test_a_setting_that_would_not_be_heeded_is_refused(
    kind: Make, settings: dict[str, Any], words: str
) -> None:
    x = torch.zeros(2, 2, requires_grad=True)
    with pytest.raises(ValueError, match=words):
        kind([{"params": [x], **settings}])
    # In a loaded state as well, and then the optimizer is as it was.
    optimizer = kind([x], lr=0.5)
    saved = kind([x], lr=0.25).state_dict()
    saved["param_groups"][0].update(settings)
    with pytest.raises(ValueError, match=words):
        optimizer.load_state_dict(saved)
    assert optimizer.param_groups[0]["lr"] == 0.5
    assert not settings.keys() & optimizer.param_groups[0].keys() - {"eps"}


@pytest.mark.parametrize("lr", [math.nan, -1.0, "fast"])
def test_a_loaded_setting_out_of_range_is_refused(lr: Any) -> None:
    optimizer = Adam([torch.zeros(1, requires_grad=True)], lr=0.5)
    saved = optimizer.state_dict()
    saved["param_groups"][0]["lr"] = lr
    with pytest.raises(ValueError, match="lr must be a finite number, at least 0"):
        optimizer.load_state_dict(saved)
    assert optimizer.param_groups[0]["lr"] == 0.5


def test_a_state_of_another_rule_is_refused() -> None:
    x = torch.zeros(1, requires_grad=True)
    sgd = torch.optim.SGD([x], lr=0.1)
    with pytest.raises(ValueError, match="'momentum' is no setting of Adam"):
        Adam([x]).load_state_dict(sgd.state_dict())
    saved = Adam([x]).state_dict()
    del saved["param_groups"][0]["betas"]
    with pytest.raises(ValueError, match="betas missing"):
        Adam([x]).load_state_dict(saved)


def test_what_changes_no_step_may_stand_in_a_group() -> None:
    """1 - .1 each: the first step of Adam is lr long, however it is computed."""
    x = torch.ones(1, dtype=torch.float64, requires_grad=True)
    x.grad = torch.ones_like(x)
    group = {"params": [x], "name": "all", "foreach": True, "maximize": None}
    optimizer = Adam([group], lr=0.1, eps=0.0)
    torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.1, total_steps=9, div_factor=1)
    copied = deepcopy(optimizer)
    copied.load_state_dict(optimizer.state_dict())
    optimizer.step()
    assert x.item() == pytest.approx(0.9)


@pytest.mark.parametrize("kind", [Adam, AdamW, AMSGrad, SophiaG, Muon])
@pytest.mark.parametrize("number", [Decimal, Fraction, np.array])
def test_a_setting_may_be_any_number(kind: Make, number: Callable[..., Any]) -> None:
    ends = []
    for kind_of_number in (float, number):
        x = torch.ones(2, 2, requires_grad=True)
        x.grad = torch.ones(2, 2)
        kind([x], lr=kind_of_number(0.125), weight_decay=kind_of_number(0.5)).step()
        ends.append(x.detach())
    assert torch.equal(*ends)


def test_a_learning_rate_in_a_tensor_may_be_changed_in_place() -> None:
    """The steps of Adam with betas of 0 are lr long: 1/2, then 1/4."""
    x = torch.ones(1, requires_grad=True)
    lr = torch.tensor(0.5)
    optimizer = Adam([x], lr=lr, betas=(0.0, 0.0), eps=0.0)
    for length in (0.5, 0.25):
        lr.fill_(length)
        x.grad = torch.ones(1)
        optimizer.step()
    assert x.item() == 0.25
