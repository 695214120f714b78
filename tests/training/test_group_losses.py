"""Do the groups' weights follow the paper's line, whatever the losses are?"""

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from smallscale.training.group_losses import group_dro_weights, group_means

LOSSES = st.lists(
    st.one_of(st.floats(0, 1e9), st.just(math.nan)), min_size=1, max_size=6
)


def test_weights_by_hand() -> None:
    # ln 2 doubles: (1/2, 1/4 * 2, 1/4) / (5/4) = (.4, .4, .2)
    q = torch.tensor([0.5, 0.25, 0.25])
    new = group_dro_weights(q, torch.tensor([0.0, math.log(2), 0.0]), 1.0)
    assert torch.allclose(new, torch.tensor([0.4, 0.4, 0.2]))
    assert new.dtype == q.dtype
    # eta 2 squares the factor: (1, 4) / 5
    assert group_dro_weights([1, 1], [0, math.log(2)], 2).tolist() == pytest.approx(
        [0.2, 0.8]
    )
    assert group_dro_weights(
        np.array([3, 1]), np.array([7.0, 7.0]), 1
    ).tolist() == pytest.approx([0.75, 0.25])


@pytest.mark.parametrize("empty", [math.nan, None])
def test_an_empty_group_keeps_its_weight_up_to_normalisation(
    empty: float | None,
) -> None:
    # factors 1 and 3: (1/2, 3/2) / 2
    assert group_dro_weights(
        [0.5, 0.5], [empty, math.log(3)], 1
    ).tolist() == pytest.approx([0.25, 0.75])
    assert group_dro_weights([0.2, 0.8], [empty, empty], 1).tolist() == pytest.approx(
        [0.2, 0.8]
    )


def test_large_losses_are_safe() -> None:
    assert group_dro_weights([0.5, 0.5], [1e6, 1e6], 10).tolist() == [0.5, 0.5]
    assert group_dro_weights([0.5, 0.5], [1e308, 0], 1e3).tolist() == [1, 0]
    assert group_dro_weights([0.9, 0.1], [0, math.inf], 0.01).tolist() == [0, 1]
    assert group_dro_weights([0.0, 1.0], [math.inf, 1], 1).tolist() == [
        0,
        1,
    ]  # weight 0 stays 0
    assert group_dro_weights([0.5, 0.5], [math.inf, 0], 0).tolist() == [0.5, 0.5]


@given(LOSSES, st.floats(0, 100), st.randoms(use_true_random=False))
def test_weights_are_a_distribution_and_follow_the_losses(
    losses: list[float], eta: float, random: Any
) -> None:
    q = torch.tensor([random.random() + 0.01 for _ in losses], dtype=torch.float64)
    given_losses = torch.tensor(losses, dtype=torch.float64, requires_grad=True)
    before = q.clone(), given_losses.detach().clone()
    new = group_dro_weights(q, given_losses, eta)
    assert not new.requires_grad
    assert new.sum() == pytest.approx(1)
    assert (new >= 0).all()
    assert torch.equal(q, before[0])
    assert torch.equal(given_losses.detach().nan_to_num(-1), before[1].nan_to_num(-1))
    for a in range(len(losses)):
        for b in range(len(losses)):
            if losses[a] > losses[b]:  # the ratio to another group moves with the loss
                assert new[a] * q[b] >= new[b] * q[a] * (1 - 1e-9)


@pytest.mark.parametrize(
    ("q", "losses", "eta", "message"),
    [
        ([1, 1], [1], 1, "q and group_losses must be \\(groups,\\)"),
        ([], [], 1, "q and group_losses must be"),
        (1.0, 1.0, 1, "q and group_losses must be"),
        ([-1, 2], [1, 1], 1, "q must be finite, not negative"),
        ([0, 0], [1, 1], 1, "not all 0"),
        ([math.nan, 1], [1, 1], 1, "q must be finite"),
        ([1, 1], [-math.inf, 1], 1, "group_losses must not be -inf"),
        ([1, 1], [1, 1], -1, "eta must be a finite number, at least 0; got -1"),
        ([1, 1], [1, 1], math.nan, "eta must be a finite number"),
        ([1, 1], [1, 1], math.inf, "eta must be a finite number"),
    ],
)
def test_weights_that_cannot_be_say_why(
    q: Any, losses: Any, eta: float, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        group_dro_weights(q, losses, eta)


def test_means_by_group_by_hand() -> None:
    """Groups 0 and 2 have losses 1, 3 and 5; group 1 has none, and counts as 0."""
    losses = torch.tensor([1.0, 5.0, 3.0], requires_grad=True)
    means, present = group_means(losses, torch.tensor([0, 2, 0]), 3)
    assert means.tolist() == [2, 0, 5]
    assert present.tolist() == [True, False, True]
    means.sum().backward()
    assert losses.grad is not None
    assert losses.grad.tolist() == [0.5, 1, 0.5]
