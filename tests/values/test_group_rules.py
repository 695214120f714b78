"""Does each rule weigh groups as it says, and does training end where the arithmetic
says it must?"""

import math

import numpy as np
import pytest
import torch
from scipy.special import expit, logit
from scipy.stats import spearmanr

from smallscale.dpo import (
    Tabular,
    kl_divergence,
    optimal_policy,
    padded_answers,
    train_preferences,
)
from smallscale.values.group_rules import (
    GROUP_RULES,
    GroupLoss,
    frontier,
    gains,
    group_weights,
    learned_reward,
    loss_floors,
    preference_chances,
    preference_losses,
)
from smallscale.values.population import replies

UNIFORM = np.full(64, 1 / 64)
UTILITY = replies().utility
GROUPS = torch.tensor([0, 0, 0, 1])
LOSSES = torch.tensor([1.0, 2.0, 3.0, 6.0])
ALL = torch.arange(4)


def test_pooled_and_equal_by_hand() -> None:
    assert GroupLoss(GROUPS, "pooled")(LOSSES, ALL) == pytest.approx(12 / 4)
    assert GroupLoss(GROUPS, "equal")(LOSSES, ALL) == pytest.approx((2 + 6) / 2)


def test_worst_by_hand_over_two_batches() -> None:
    """Mean losses 2 and 6: q becomes (e^.2, e^.6) / sum = (.401, .599), then again."""
    rule = GroupLoss(GROUPS, "worst", eta=0.1)
    for times in (1, 2):
        q = 1 / (1 + math.exp(0.4 * times))
        assert rule(LOSSES, ALL) == pytest.approx(2 * q + 6 * (1 - q))
        assert rule.weights.tolist() == pytest.approx([q, 1 - q])


def test_regret_counts_what_is_above_the_floor() -> None:
    """Above floors of 1 and 5.5 the first group's loss is 1, the second's .5: the first
    one grows."""
    rule = GroupLoss(GROUPS, "regret", eta=0.1, floors=(1.0, 5.5))
    q = 1 / (1 + math.exp(-0.05))
    assert rule(LOSSES, ALL) == pytest.approx(2 * q + 6 * (1 - q))


def test_a_group_that_is_absent_from_a_batch_keeps_its_weight_and_adds_nothing() -> (
    None
):
    for name in ("equal", "worst"):
        rule = GroupLoss(GROUPS, name, eta=0.1)
        assert rule(LOSSES[:3], ALL[:3]) == pytest.approx(2)
    assert rule.weights[1] == pytest.approx(
        1 / (1 + math.exp(0.2))
    )  # an absent loss counts as 0


def test_an_absent_group_is_not_below_its_floor() -> None:
    """Loss 2 above a floor of 1, and nobody of the second group: weights (e^.1, 1) /
    sum, whatever its floor."""
    rule = GroupLoss(GROUPS, "regret", eta=0.1, floors=(1.0, 5.5))
    rule(LOSSES[:3], ALL[:3])
    assert rule.weights[1] == pytest.approx(1 / (1 + math.exp(0.1)))


def test_positions_pick_the_groups_and_gradients_flow() -> None:
    losses = torch.tensor([6.0, 1.0], requires_grad=True)
    rule = GroupLoss(GROUPS, "equal")
    total = rule(losses, torch.tensor([3, 0]))
    total.backward()
    assert total.item() == pytest.approx(3.5)
    assert losses.grad.tolist() == [0.5, 0.5]


def test_what_cannot_be_right_is_refused() -> None:
    with pytest.raises(
        ValueError, match="rule must be one of pooled, equal, worst, regret; got 'fair'"
    ):
        GroupLoss(GROUPS, "fair")
    with pytest.raises(
        ValueError, match="floors must be one for each of 2 groups; got 1"
    ):
        GroupLoss(GROUPS, "regret", floors=(0.1,))
    with pytest.raises(ValueError, match="rule must be one of"):
        group_weights(UTILITY, "fair", [1, 1], UNIFORM)


def test_what_a_mask_hides_is_not_brought_back() -> None:
    hidden = np.ma.array(UNIFORM, mask=[True] + [False] * (len(UNIFORM) - 1))
    two = np.ma.array([1.0, 1.0], mask=[True, False])
    refused = "must not be masked, 1 of"
    with pytest.raises(ValueError, match=f"reference {refused}"):
        learned_reward(UTILITY, [1, 1], hidden)
    with pytest.raises(ValueError, match=f"weights {refused}"):
        learned_reward(UTILITY, two, UNIFORM)
    with pytest.raises(ValueError, match=f"reference {refused}"):
        preference_losses(UTILITY, UTILITY[:, 0], hidden)
    with pytest.raises(ValueError, match=f"sizes {refused}"):
        group_weights(UTILITY, "pooled", two, UNIFORM)
    with pytest.raises(ValueError, match=f"policy {refused}"):
        gains(hidden, UTILITY, UNIFORM, 1.0)
    with pytest.raises(ValueError, match=f"reference {refused}"):
        gains(UNIFORM, UTILITY, hidden, 1.0)


def test_of_one_group_the_learned_reward_is_its_utility() -> None:
    centred = UTILITY - UTILITY.mean(0)
    for g in (0, 1):
        np.testing.assert_allclose(
            learned_reward(UTILITY[:, [g]], [1], UNIFORM), centred[:, g], atol=1e-7
        )
        np.testing.assert_allclose(
            learned_reward(UTILITY, np.eye(2)[g], UNIFORM), centred[:, g], atol=1e-7
        )


@pytest.mark.parametrize("share", [0.5, 0.7, 0.9])
def test_of_two_answers_it_is_the_pooled_vote(share: float) -> None:
    """P(a over b) = .7 sigmoid(1) + .3 sigmoid(-4) = .517: the reward's gap is its
    logit, however strong the 4."""
    utility = np.array([[1.0, -4.0], [0.0, 0.0]])
    reward = learned_reward(utility, [share, 1 - share], [0.5, 0.5])
    assert reward[0] - reward[1] == pytest.approx(
        logit(share * expit(1) + (1 - share) * expit(-4)), abs=1e-8
    )


@pytest.mark.parametrize("share", [0.5, 0.7, 0.9])
def test_it_orders_answers_by_their_borda_count(share: float) -> None:
    reward = learned_reward(UTILITY, [share, 1 - share], UNIFORM)
    borda = share * preference_chances(UTILITY[:, 0]).sum(1) + (
        1 - share
    ) * preference_chances(UTILITY[:, 1]).sum(1)
    assert spearmanr(reward.round(8), borda.round(8)).statistic == pytest.approx(1)
    np.testing.assert_allclose(preference_chances(reward).sum(1), borda, atol=1e-7)
    mean = UTILITY @ [share, 1 - share]
    assert spearmanr(mean, borda).statistic < 0.999  # and not by the mean utility


def test_the_learned_reward_is_a_minimum_also_when_answers_are_not_equally_likely() -> (
    None
):
    rng = np.random.default_rng(0)
    reference = rng.dirichlet(np.ones(64))
    weights = np.array([0.7, 0.3])
    reward = learned_reward(UTILITY, weights, reference)
    least = weights @ preference_losses(UTILITY, reward, reference)
    for _ in range(20):
        moved = reward + rng.normal(scale=0.1, size=64)
        assert weights @ preference_losses(UTILITY, moved, reference) > least


def test_floors_are_the_entropy_of_choices() -> None:
    """Two answers a gap of g apart: half of all pairs are one answer twice, at log 2;
    the others cost the entropy."""
    chance = expit(1.5)
    entropy = -chance * math.log(chance) - (1 - chance) * math.log(1 - chance)
    floors = loss_floors(np.array([[1.5, 0.0], [0.0, 0.0]]), [0.5, 0.5])
    assert floors.tolist() == pytest.approx(
        [0.5 * math.log(2) + 0.5 * entropy, math.log(2)]
    )


def test_worst_equalises_losses_and_regret_what_exceeds_the_floors() -> None:
    floors = loss_floors(UTILITY, UNIFORM)
    for rule, base in (("worst", 0 * floors), ("regret", floors)):
        weights = group_weights(UTILITY, rule, None, UNIFORM)
        assert weights.sum() == pytest.approx(1)
        excess = (
            preference_losses(
                UTILITY, learned_reward(UTILITY, weights, UNIFORM), UNIFORM
            )
            - base
        )
        assert excess[0] == pytest.approx(excess[1], abs=1e-3)
    assert group_weights(UTILITY, "pooled", [30, 10], UNIFORM).tolist() == [0.75, 0.25]
    assert group_weights(UTILITY, "equal", [30, 10], UNIFORM).tolist() == [0.5, 0.5]


def test_gains_by_hand() -> None:
    """Utilities 1 and 0; the reference is worth 1/2, alone asked 1/(1 + e^-1) at beta
    1."""
    utility = np.array([[1.0], [0.0]])
    reference = [0.5, 0.5]
    own = expit(1)
    assert gains(reference, utility, reference, 1.0)[0] == pytest.approx(0)
    assert gains([own, 1 - own], utility, reference, 1.0)[0] == pytest.approx(1)
    assert gains([0.0, 1.0], utility, reference, 1.0)[0] == pytest.approx(
        -0.5 / (own - 0.5)
    )
    assert gains([0.5, 0.0], utility, reference, 1.0)[0] == pytest.approx(
        0
    )  # the other half counts as the worst


@pytest.mark.parametrize("rule", GROUP_RULES)
def test_dpo_ends_where_the_arithmetic_says(rule: str) -> None:
    """Four answers, two groups, pairs in exact proportions: a tabular policy reaches
    the rule's optimum."""
    utility = np.array([[2.0, -1.0], [1.0, 1.0], [0.0, 0.5], [0.5, 0.0]])
    sizes = (3, 1)
    beta = 0.5
    reference = np.array([0.4, 0.3, 0.2, 0.1])
    seen = np.outer(reference, reference)
    pairs = []
    groups = []
    for g, size in enumerate(sizes):
        counts = np.rint(4000 * size * seen * preference_chances(utility[:, g])).astype(
            int
        )
        pairs += [
            (i, j) for i in range(4) for j in range(4) for _ in range(counts[i, j])
        ]
        groups += [g] * int(counts.sum())
    policy = Tabular(reference[None])
    texts = padded_answers([[0]] * 4, [[i] for i in range(4)])
    combine = GroupLoss(
        groups, rule, eta=0.05, floors=loss_floors(utility, reference).tolist()
    )
    train_preferences(
        policy,
        texts,
        np.array(pairs),
        beta=beta,
        steps=600,
        batch_size=2048,
        lr=0.03,
        combine=combine,
    )
    weights = group_weights(utility, rule, sizes, reference)
    expected = optimal_policy(
        reference, learned_reward(utility, weights, reference), beta
    )
    np.testing.assert_allclose(policy.probabilities()[0], expected, atol=0.02)


@pytest.mark.parametrize("kl", [0.3, 1.8])
def test_no_policy_goes_beyond_the_frontier(kl: float) -> None:
    """Random tilts of the reference, drawn near the distance and nearer."""
    line = frontier(UTILITY, UNIFORM, 0.5, kl, points=81)
    assert (np.diff(line[:, 0]) > 0).all()
    assert (np.diff(line[:, 1]) < 0).all()
    rng = np.random.default_rng(0)
    seen = 0
    for _ in range(300):
        reward = UTILITY @ rng.random(2) + rng.normal(scale=0.3, size=64)
        policy = optimal_policy(UNIFORM, reward, rng.uniform(0.3, 2))
        if float(kl_divergence(policy, UNIFORM)) <= kl:
            one, other = gains(policy, UTILITY, UNIFORM, 0.5)
            assert other <= np.interp(one, *line.T) + 1e-3
            seen += 1
    assert seen > 50


def test_the_ends_of_the_frontier_serve_one_group_alone() -> None:
    """Asked alone, a group gains 1, at the distance of its own optimum."""
    alone = optimal_policy(UNIFORM, UTILITY[:, 0], 0.5)
    line = frontier(UTILITY, UNIFORM, 0.5, float(kl_divergence(alone, UNIFORM)))
    assert line[-1, 0] == pytest.approx(1, abs=1e-9)
    assert line.shape == (41, 2)


@pytest.mark.parametrize("kl", [0.0, -1.0, 4.2, math.nan])
def test_a_distance_out_of_reach_is_refused(kl: float) -> None:
    with pytest.raises(ValueError, match="kl must be above 0 and within reach"):
        frontier(UTILITY, UNIFORM, 0.5, kl)
