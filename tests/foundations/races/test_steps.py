"""Are the steps those of the optimizers, and of the papers' formulas?"""

import math
from functools import partial

import numpy as np
import pytest
import torch

from smallscale.foundations.races.steps import adam_steps, follow, in_turn
from smallscale.training.update_rules import Adam, AMSGrad


def test_the_written_out_adam_is_the_optimizer() -> None:
    gradients = np.random.default_rng(0).normal(size=40) * 1e-7
    path = follow(partial(Adam, lr=1.0, betas=(0.8, 0.95)), gradients)
    found = adam_steps(gradients, betas=(0.8, 0.95))
    assert np.allclose(found, -np.diff(path.numpy()), rtol=1e-9, atol=0)


def test_without_correction_the_first_steps_are_too_long() -> None:
    """Gradients 1: m = 1 - .9^t, v = 1 - .999^t, and the step is m / sqrt(v)."""
    t = np.arange(1, 200)
    found = adam_steps(np.ones(199), eps=0.0, corrected=False)
    assert np.allclose(found, (1 - 0.9**t) / np.sqrt(1 - 0.999**t))
    assert found[0] == pytest.approx(0.1 / math.sqrt(0.001))
    assert np.allclose(adam_steps(np.ones(199), eps=0.0), 1)


def test_where_eps_stands_by_hand() -> None:
    """A first gradient of 1e-8, eps 1e-8: m^ = 1e-8, v^ = 1e-16, v = 1e-19."""
    steps = {
        place: adam_steps([1e-8], eps_place=place)[0]
        for place in ("outside", "before correction", "inside")
    }
    assert steps["outside"] == pytest.approx(1e-8 / (1e-8 + 1e-8))
    below = (math.sqrt(1e-19) + 1e-8) / math.sqrt(0.001)
    assert steps["before correction"] == pytest.approx(1e-8 / below)
    assert steps["inside"] == pytest.approx(1e-8 / math.sqrt(1e-16 + 1e-8))


def test_follow_keeps_rates_bounds_and_several_weights() -> None:
    path = follow(
        partial(torch.optim.SGD, lr=9.0),
        [[1.0, -1.0], [1.0, -1.0]],
        start=[0.5, -0.25],
        rate=lambda t: 1 / t,
        bounds=(-0.75, 1.0),
    )
    assert path.tolist() == [[0.5, -0.25], [-0.5, 0.75], [-0.75, 1.0]]


@pytest.mark.parametrize(
    ("rule", "beta2", "end"), [(Adam, 0.1, 1), (AMSGrad, 0.1, -1), (Adam, 0.9, -1)]
)
def test_the_counterexample(rule: type[Adam], beta2: float, end: float) -> None:
    path = follow(
        partial(rule, betas=(0.0, beta2)),
        in_turn(1500),
        rate=lambda t: 0.5 / math.sqrt(t),
        bounds=(-1.0, 1.0),
    )
    assert float(path[-1]) == pytest.approx(end, abs=0.05)


def test_bad_input() -> None:
    with pytest.raises(ValueError, match="eps_place must be one of"):
        adam_steps([1.0], eps_place="below")
    with pytest.raises(ValueError, match=r"c must be .*above 2"):
        in_turn(3, c=2)
    with pytest.raises(ValueError, match="steps must be a whole number"):
        in_turn(0)


def test_gradients_are_numbers_and_none_is_hidden() -> None:
    hidden = np.ma.array([1.0, 2.0], mask=[False, True])
    with pytest.raises(ValueError, match="gradients must not be masked, 1 of 2"):
        adam_steps(hidden)
    with pytest.raises(ValueError, match="gradients must not be masked, 1 of 2"):
        follow(lambda x: torch.optim.SGD(x, lr=1.0), hidden)
