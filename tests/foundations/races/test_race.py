"""Do all optimizers run on one track, and is what each spends counted?"""

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Generator, Tensor, nn

from smallscale.foundations.races import race
from smallscale.foundations.races.race import (
    SETTINGS,
    Track,
    optimizers_for,
    passes_needed,
    run,
    see_curvature,
    steps_within,
)
from smallscale.training.update_rules import AdamW, Muon, SophiaG

TOKENS = np.tile(np.arange(7), 60)  # a text that is easy to predict
TRACK = Track(TOKENS, TOKENS[:80], 7, passes=22, batch=4, length=8, width=8, layers=1)


@pytest.mark.parametrize("name", SETTINGS)
def test_every_optimizer_learns_within_the_budget(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    backward_passes = 0
    autograd = torch.autograd.backward

    def counted(*args: Any, **kwargs: Any) -> Any:
        nonlocal backward_passes
        backward_passes += 1
        return autograd(*args, **kwargs)

    monkeypatch.setattr(torch.autograd, "backward", counted)
    found = run(TRACK, name, 0.3 if name == "sgd" else 0.01, seed=0, looks=2)
    assert backward_passes == found["passes"][-1] == TRACK.passes
    assert found["steps"] == steps_within(22, name) == (20 if name == "sophiag" else 22)
    assert found["loss"] == found["losses"][-1] < math.log(7)
    assert found["losses"][1] < found["losses"][0]
    assert found["seconds"] > 0


def test_the_same_seed_starts_alike_and_reads_the_same_batches(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    read: list[Tensor] = []
    draw = race.random_windows

    def noted(*args: Any) -> Tensor:
        read.append(draw(*args))
        return read[-1]

    monkeypatch.setattr(race, "random_windows", noted)
    run(TRACK, "adamw", 0.01, seed=3)
    adamw = read[:20]
    read.clear()
    run(TRACK, "sophiag", 0.01, seed=3)
    assert all(map(torch.equal, adamw, read))
    other = TRACK.new_model(4).state_dict()
    again = TRACK.new_model(3).state_dict()
    for key, value in TRACK.new_model(3).state_dict().items():
        assert torch.equal(value, again[key])
        assert value.ndim < 2 or not torch.equal(value, other[key])
    assert run(TRACK, "muon", 0.01, seed=3)["losses"] == pytest.approx(
        run(TRACK, "muon", 0.01, seed=3)["losses"]
    )


def test_a_run_that_diverges_is_told_and_ends() -> None:
    found = run(TRACK, "sgd", 1e30, seed=0, looks=11)
    assert found["loss"] == math.inf
    assert found["steps"] < 22
    assert all(passes <= found["steps"] for passes in found["passes"])


def test_a_model_that_ends_broken_has_diverged(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(race, "held_out_loss", lambda *_: math.nan)
    assert run(TRACK, "adam", 0.01, seed=0)["loss"] == math.inf


def test_a_rate_of_zero_learns_nothing() -> None:
    found = run(TRACK, "adamw", 0.0, seed=0, looks=2)
    assert found["losses"][0] == found["losses"][1]


def test_long_gradients_are_shortened(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(race, "LONGEST_GRADIENT", 1e-3)
    before = dict(TRACK.new_model(0).named_parameters())
    models: list[nn.Module] = []
    new_model = Track.new_model
    monkeypatch.setattr(
        Track, "new_model", lambda *a: models.append(new_model(*a)) or models[-1]
    )
    run(TRACK, "sgd", 1.0, seed=0)
    moved = sum(
        float((each - before[key]).detach().square().sum())
        for key, each in models[0].named_parameters()
    )
    # 22 gradients of at most 1e-3, each taken up ten times by the momentum.
    assert 0 < math.sqrt(moved) < 22 * 1e-3 * 10


def test_muon_takes_the_matrices_inside_and_adamw_the_rest() -> None:
    model = TRACK.new_model(0)
    muon, adamw = optimizers_for(model, "muon", 0.02, tokens=32)
    assert isinstance(muon, Muon)
    assert isinstance(adamw, AdamW)
    inside = muon.param_groups[0]["params"]
    assert len(inside) == 7  # q, k, v, o and three of the inner layer
    assert all(each.ndim == 2 for each in inside)
    rest = adamw.param_groups[0]["params"]
    assert len(inside) + len(rest) == len(list(model.parameters()))
    embedding = model.get_input_embeddings().weight
    assert any(each is embedding for each in rest)
    rates = [each.param_groups[0]["lr"] for each in (muon, adamw)]
    assert rates == [0.02, 0.02]


def test_sophia_is_told_how_many_tokens_a_batch_has() -> None:
    """A step of the authors' call, step(bs=tokens), is the step of ours."""
    ends = []
    for ours in (True, False):
        x = nn.Linear(2, 1, bias=False)
        nn.init.ones_(x.weight)
        if ours:
            sophia = optimizers_for(x, "sophiag", 0.1, tokens=64, rho=0.02)[0]
        else:
            sophia = SophiaG(x.parameters(), lr=0.1, rho=0.02, weight_decay=0.1)
        x.weight.grad = torch.tensor([[3.0, 0.1]])
        assert isinstance(sophia, SophiaG)
        sophia.update_hessian()
        x.weight.grad = torch.tensor([[0.1, 1e-4]])
        sophia.step() if ours else sophia.step(bs=64)
        ends.append(x.weight.tolist()[0])
    assert ends[0] == pytest.approx(ends[1])


def test_the_labels_for_the_curvature_are_the_models_own() -> None:
    """A model that is sure of its next token draws it, and sees no curvature."""

    class Sure(nn.Module):
        def __init__(self, size: float) -> None:
            super().__init__()
            self.logits = nn.Parameter(size * torch.eye(3)[0])

        def forward(self, tokens: Tensor) -> Any:
            logits = self.logits.expand(*tokens.shape, 3)
            return type("Output", (), {"logits": logits})

    curvature = []
    for size in (30.0, 0.0):
        model = Sure(size)
        sophia = SophiaG(model.parameters(), betas=(0.9, 0.0))
        windows = torch.full((50, 21), 2)  # never what the sure model says
        see_curvature(model, sophia, windows, Generator().manual_seed(0))
        assert model.logits.grad is None
        curvature.append(1000 * sophia.state[model.logits]["hessian"])
    assert curvature[0].max() < 1e-6
    # Of even logits p (1 - p) = 2/9 each; one draw of it varies by its own size.
    assert 0.01 < curvature[1].mean() < 1


@pytest.mark.parametrize(("passes", "steps"), [(11, 10), (12, 10), (13, 11), (2, 1)])
def test_steps_of_sophia_leave_room_for_its_curvature(passes: int, steps: int) -> None:
    assert steps_within(passes, "sophiag") == steps
    spent = steps + -(-steps // race.CURVATURE_EVERY)
    assert spent <= passes < steps + 1 + -(-(steps + 1) // race.CURVATURE_EVERY)


@pytest.mark.parametrize(
    ("losses", "goal", "needed"),
    [
        ([5.0, 4.0, 3.0], 4.0, 20),
        ([5.0, 4.0, 3.0], 3.5, 20 * math.sqrt(2)),
        ([5.0, 4.0, 3.0], 6.0, 10),  # the smallest budget: it may need even less
        ([5.0, 4.0, 3.0], 2.9, math.inf),
        ([5.0, 4.0, 4.5], 4.25, 10 * 2**0.75),  # a longer run that ended higher
        ([math.inf, 4.0, 3.0], 3.5, 20 * math.sqrt(2)),
    ],
)
def test_the_budget_for_a_loss(losses: list[float], goal: float, needed: float) -> None:
    found = race.passes_needed([10, 20, 40], losses, goal)
    assert found == pytest.approx(needed)


def test_bad_input() -> None:
    with pytest.raises(ValueError, match="name must be one of sgd, adam"):
        run(TRACK, "lion", 0.1, seed=0)
    with pytest.raises(ValueError, match=r"lr must be .*at least 0"):
        run(TRACK, "muon", -0.1, seed=0)
    with pytest.raises(ValueError, match="looks must be a whole number"):
        run(TRACK, "adam", 0.1, seed=0, looks=0)
    with pytest.raises(ValueError, match="passes and losses must have the same"):
        race.passes_needed([1, 2], [3.0], 2.0)
    with pytest.raises(ValueError, match=r"passes must be .*at least 2"):
        steps_within(1, "adam")


def test_a_column_of_losses_is_no_list():
    with pytest.raises(ValueError, match=r"losses must be a list of numbers, \(n,\)"):
        passes_needed([100, 200], [[5.0], [4.0]], 4.5)
