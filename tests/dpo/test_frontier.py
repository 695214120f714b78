"""Is a run measured as it is, and is what is held out never trained on?"""

import math

import numpy as np
import pytest
import torch
from torch import nn

from smallscale.dpo import (
    all_logps,
    optimal_policy,
)
from smallscale.dpo.frontier import (
    collect_preferences,
    flip_labels,
    logp_change,
    pair_weights,
    text_places,
    track_training,
)
from smallscale.dpo.reviews import Reviews, measure, review_distribution


def test_a_followed_run_starts_at_the_reference_and_says_what_it_is(
    world: Reviews, reference: nn.Module
) -> None:
    data = collect_preferences(reference, world, 300, held_out=100)
    assert len(data.pairs) == 300
    assert 90 < len(data.held_out) <= 100
    assert data.identical == (data.pairs[:, 0] == data.pairs[:, 1]).sum()
    before = all_logps(reference, world.texts)
    table, seen = track_training(
        reference, world, data, beta=1.0, steps=6, measure_at=(0, 3), lr=5e-4
    )
    assert torch.equal(all_logps(reference, world.texts), before)  # a copy was trained
    assert list(table.step) == list(seen) == [0, 3, 6]
    q = review_distribution(reference, world)
    first = table.iloc[0]
    last = table.iloc[-1]
    assert (first.kl, first.accuracy) == (0, 0)  # equal rewards are no win
    assert last.accuracy > 0.5
    assert last.reward == pytest.approx(measure(seen[6], q, world)["reward"])
    assert last.on * (1 - last.off) + last.off * world.failure == pytest.approx(
        last.reward
    )
    assert first.chosen == pytest.approx(
        float(data.logps[data.held_out[:, 0]].mean()), abs=1e-4
    )
    assert first.rejected == pytest.approx(
        float(data.logps[data.held_out[:, 1]].mean()), abs=1e-4
    )


def test_held_out_pairs_are_of_two_texts(
    world: Reviews, reference: nn.Module, monkeypatch: pytest.MonkeyPatch
) -> None:
    pairs = np.array([[0, 0], [1, 2], [3, 3], [2, 0]])
    monkeypatch.setattr(
        "smallscale.dpo.frontier.preference_pairs",
        lambda *_, **__: (world.texts[:4], pairs),
    )
    data = collect_preferences(reference, world, 2, held_out=2)
    assert data.held_out.tolist() == [[1, 2]]
    assert data.pairs.tolist() == [[3, 3], [2, 0]]
    assert data.identical == 1


def test_flipped_labels_are_those_of_training_only(
    world: Reviews, reference: nn.Module
) -> None:
    data = collect_preferences(reference, world, 2000, held_out=50)
    noisy = flip_labels(data, 0.2)
    same = (noisy.pairs == data.pairs).all(1)
    turned = (noisy.pairs == data.pairs[:, ::-1]).all(1)
    assert (same | turned).all()
    assert (~same).mean() == pytest.approx(0.2, abs=4 * math.sqrt(0.16 / 2000))
    assert (noisy.held_out == data.held_out).all()
    assert (flip_labels(data, 1.0).pairs == data.pairs[:, ::-1]).all()
    assert (flip_labels(data, 0.0).pairs == data.pairs).all()
    assert not (
        flip_labels(data, 0.5, seed=1).pairs == flip_labels(data, 0.5, seed=2).pairs
    ).all()


def test_the_optimum_moves_answers_by_their_reward(
    world: Reviews, reference: nn.Module
) -> None:
    """log optimum - log reference is reward / beta - log Z: most answers that won a
    pair lose under it."""
    data = collect_preferences(reference, world, 100, held_out=300)
    q = data.reference
    rewards = np.append(world.reward, world.failure)
    texts = zip(data.texts.ids, data.texts.mask, strict=True)
    reward = np.array(
        [world.reward_of(ids[mask.bool()].tolist()[1:]) for ids, mask in texts]
    )
    expected = reward[data.held_out].mean(0) / 2 - math.log(q @ np.exp(rewards / 2))
    assert logp_change(data, world, optimal_policy(q, rewards, 2.0)) == pytest.approx(
        tuple(expected)
    )
    assert expected[1] < expected[0] < 0
    assert logp_change(data, world, q) == (0, 0)


def test_at_the_optimum_the_weight_is_the_chance_that_people_choose_otherwise(
    world: Reviews, reference: nn.Module
) -> None:
    data = collect_preferences(reference, world, 200, held_out=10)
    rewards = np.append(world.reward, world.failure)
    policy = optimal_policy(data.reference, rewards, 0.7)
    found = pair_weights(data, world, policy, 0.7)
    assert len(found) == 200
    expected = 1 / (1 + np.exp(found.gap))
    assert found.weight.to_numpy() == pytest.approx(expected.to_numpy(), abs=1e-6)
    assert (pair_weights(data, world, data.reference, 0.7).weight == 0.5).all()
    places = text_places(data, world)[data.pairs]
    assert found.gap.to_numpy() == pytest.approx(
        rewards[places[:, 0]] - rewards[places[:, 1]]
    )
