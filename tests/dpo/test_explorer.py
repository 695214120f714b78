"""Does the widget say what it shows, and move with its sliders?"""

from html import unescape

import numpy as np
import pytest
from torch import nn

from smallscale.dpo import (
    optimal_policy,
)
from smallscale.dpo.explorer import policy_explorer, reward_histogram
from smallscale.dpo.reviews import Reviews, measure, review_distribution
from smallscale.notebook import explore


def test_the_explorer_says_what_it_shows_and_moves(
    world: Reviews, reference: nn.Module
) -> None:
    q = review_distribution(reference, world)
    rewards = np.append(world.reward, world.failure)
    policies = {
        (b, s): (1 - s / 100) * q + s / 100 * optimal_policy(q, rewards, b)
        for b in (1.0, 3.0)
        for s in (0, 50)
    }
    box = explore(*policy_explorer(world, q, policies))
    beta, step, view = box.children
    assert (beta.value, step.value) == (3.0, 50)
    assert [b for _, b in beta.options] == [
        3.0,
        1.0,
    ]  # to the right the policy is freer
    seen = set()
    for b, s in policies:
        beta.value, step.value = b, s
        now = measure(policies[b, s], q, world)
        assert (
            f"At beta {b:g} the policy's mean true reward is {now['reward']:.1f}"
            in unescape(view.value)
        )
        assert f"{now['off']:.0%} of what the policy writes is no review" in view.value
        assert 'role="img" aria-label="At beta' in view.value
        seen.add(view.value)
    assert len(seen) == 4
    assert reward_histogram(world, q).sum() == pytest.approx(1)
    assert len(reward_histogram(world, q)) == 13 + 1
    for wrong in ({}, {(1.0, 0): q, (3.0, 5): q}):
        with pytest.raises(ValueError, match="every pair"):
            policy_explorer(world, q, wrong)
    with pytest.raises(ValueError, match="one of 1, 3"):
        policy_explorer(world, q, policies, beta=2.0)
