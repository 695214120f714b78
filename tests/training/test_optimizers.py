"""Does each name give that optimizer, and does each rate move as its formula?"""

import math
from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from smallscale.training.optimizers import (
    OPTIMIZERS,
    late_decay,
    linear_decay,
    make_optimizer,
    warmup_cosine,
)


def weights() -> Tensor:
    return torch.linspace(-1, 1, 6).reshape(2, 3).requires_grad_()


def after_steps(optimizer: Optimizer, x: Tensor, steps: int = 5) -> Tensor:
    for _ in range(steps):
        optimizer.zero_grad()
        (x**4 + x).sum().backward()
        optimizer.step()
    return x.detach()


@pytest.mark.parametrize(
    ("name", "torchs", "options"),
    [
        ("sgd", torch.optim.SGD, {"momentum": 0.9}),
        ("adam", torch.optim.Adam, {"betas": (0.8, 0.9)}),
        ("adamw", torch.optim.AdamW, {"eps": 1e-3}),
        ("amsgrad", partial(torch.optim.Adam, amsgrad=True), {"betas": (0.5, 0.6)}),
        ("muon", torch.optim.Muon, {"momentum": 0.5}),
    ],
)
def test_it_moves_as_torchs_optimizer_does_with_these_settings(
    name: str, torchs: Callable[..., Optimizer], options: dict[str, object]
) -> None:
    ours, theirs = weights(), weights()
    settings = {"lr": 0.1, "weight_decay": 0.2, **options}
    made = make_optimizer(name, iter([ours]), **settings)  # type: ignore[arg-type]
    assert isinstance(made, OPTIMIZERS[name])
    found = after_steps(made, ours)
    expected = after_steps(torchs([theirs], **settings), theirs)
    assert torch.equal(found, expected)
    assert not torch.equal(found, weights())


def test_weights_do_not_decay_unless_asked() -> None:
    for name in OPTIMIZERS:
        made = make_optimizer(name, [weights()], lr=0.1)
        assert made.defaults["weight_decay"] == 0
        assert made.defaults["lr"] == 0.1


@pytest.mark.parametrize("wrong", ["Adam", "lion", None])
def test_an_unknown_optimizer_is_refused(wrong: object) -> None:
    known = "sgd, adam, adamw, amsgrad, sophiag, muon"
    words = f"optimizer must be one of {known}; got {wrong!r}"
    with pytest.raises(ValueError, match=f"^{words}$"):
        make_optimizer(wrong, [weights()], lr=0.1)  # type: ignore[arg-type]


def rates(schedule: LambdaLR, steps: int) -> list[float]:
    """Return the rate of each step, and the one after the last."""
    found = []
    for _ in range(steps + 1):
        found.append(schedule.get_last_lr()[0])
        schedule.optimizer.step()
        schedule.step()
    return found


def test_linear_decay_by_hand() -> None:
    optimizer = make_optimizer("sgd", [weights()], lr=8.0)
    assert rates(linear_decay(optimizer, 4), 4) == pytest.approx([8, 6, 4, 2, 0])


def test_late_decay_by_hand() -> None:
    optimizer = make_optimizer("sgd", [weights()], lr=8.0)
    assert rates(late_decay(optimizer, 4), 4) == pytest.approx([8, 8, 8, 4, 0])


def test_warmup_cosine_by_hand() -> None:
    """Steps 0 and 1 of 4 rise, to a half and to all; the cosine is 1 at 0, 0 at 4."""
    optimizer = make_optimizer("sgd", [weights()], lr=8.0)
    found = rates(warmup_cosine(optimizer, 4, warmup=0.5), 4)
    cosine = [0.5 + 0.5 * math.cos(math.pi * step / 4) for step in range(5)]
    assert cosine[2] == pytest.approx(0.5)
    expected = [4, 8 * cosine[1], 8 * cosine[2], 8 * cosine[3], 0]
    assert found == pytest.approx(expected)


def test_warmup_is_a_tenth_unless_said() -> None:
    optimizer = make_optimizer("sgd", [weights()], lr=1.0)
    found = rates(warmup_cosine(optimizer, 20), 20)
    assert found[0] == pytest.approx(0.5)
    assert found[1] == pytest.approx(0.5 + 0.5 * math.cos(math.pi / 20))
