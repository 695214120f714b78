"""Is the reward that explains the choices found, and maximised as it is?"""

import copy
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from smallscale.dpo import best_of_n, kl_divergence, optimal_policy, padded_answers
from smallscale.dpo.frontier import PreferenceData, collect_preferences
from smallscale.dpo.policies import END, START, small_policy
from smallscale.dpo.reviews import WORDS, Reviews, measure, review_model
from smallscale.dpo.reward_models import (
    ProxyWorld,
    TransformerReward,
    WordPairReward,
    agreement,
    bradley_terry_loss,
    fit_transformer_reward,
    fit_word_pairs,
    implicit_proxy,
    pair_accuracy,
    proxy_best_of_n,
    proxy_measures,
    proxy_optima,
    proxy_world,
    reward_of_completion,
    rewards_of,
)


@pytest.fixture(scope="module")
def data(world: Reviews, reference: nn.Module) -> PreferenceData:
    return collect_preferences(reference, world, 600, held_out=200)


def test_the_loss_by_hand() -> None:
    losses = bradley_terry_loss(torch.tensor([1.0, 0.0]), torch.tensor([0.0, 2.0]))
    expected = [np.log(1 + np.exp(-1)), np.log(1 + np.exp(2))]
    assert losses.tolist() == pytest.approx(expected)
    assert bradley_terry_loss(torch.tensor(-1e4), torch.tensor(0.0)).item() == 1e4


def test_word_pairs_are_added_up_and_padding_counts_for_nothing() -> None:
    model = WordPairReward(4)
    with torch.no_grad():
        model.weights[0, 1], model.weights[1, 2], model.weights[1, 1] = 1.0, 10.0, 100.0
    texts = padded_answers([[0], [0]], [[1, 1, 2], [1]], pad=1)
    assert model(texts).tolist() == [111.0, 1.0]


@pytest.mark.parametrize("body", ["word pairs", "transformer", "bfloat16"])
def test_padding_on_either_side_leaves_a_reward_as_it_is(body: str) -> None:
    model: Any = WordPairReward(16)
    if body != "word pairs":
        policy: Any = small_policy(16, length=8)
        policy = policy.bfloat16() if body == "bfloat16" else policy
        model = TransformerReward(policy)
        assert model.head.weight.dtype == next(model.body.parameters()).dtype
    for weight in model.parameters():
        torch.nn.init.normal_(weight, generator=torch.Generator().manual_seed(0))
    prompts, answers = [[2], [2, 3, 4]], [[5, 1], [6, 7, 1]]
    alone = [
        model(padded_answers([prompt], [answer])).item()
        for prompt, answer in zip(prompts, answers, strict=True)
    ]
    for side in ("right", "left"):
        texts = padded_answers(prompts, answers, pad=3, side=side)
        assert model(texts).tolist() == pytest.approx(alone, rel=1e-4)


def test_two_words_are_valued_as_bradley_and_terry_say() -> None:
    """Of 100 pairs 75 prefer the first word: without a prior its reward is higher by
    log 3; a prior brings the two together."""
    texts = padded_answers([[0], [0]], [[1], [2]])
    pairs = [[0, 1]] * 75 + [[1, 0]] * 25
    rewards = rewards_of(fit_word_pairs(texts, pairs, 3, ridge=1e-9), texts)
    assert rewards[0] - rewards[1] == pytest.approx(np.log(3), abs=1e-4)
    held = rewards_of(fit_word_pairs(texts, pairs, 3, ridge=100.0), texts)
    assert 0 < held[0] - held[1] < 0.5
    with pytest.raises(ValueError, match="ridge"):
        fit_word_pairs(texts, pairs, 3, ridge=0.0)


def test_word_pairs_are_at_their_minimum(data: PreferenceData) -> None:
    model = fit_word_pairs(data.texts, data.pairs, len(WORDS))
    rewards = model(data.texts)
    pairs = torch.from_numpy(data.pairs)
    loss = bradley_terry_loss(rewards[pairs[:, 0]], rewards[pairs[:, 1]]).sum()
    (loss + model.weights.square().sum() / 2).backward()
    assert model.weights.grad is not None
    assert model.weights.grad.abs().max() < 0.05  # it is 100 at the start


def test_a_transformer_reward_starts_at_nothing_and_learns_from_pairs_alone(
    reference: nn.Module, data: PreferenceData
) -> None:
    before = copy.deepcopy(reference.state_dict())
    rest = {"batch_size": 32, "lr": 2e-3}
    model = fit_transformer_reward(reference, data.texts, data.pairs, steps=25, **rest)
    assert all(torch.equal(before[k], v) for k, v in reference.state_dict().items())
    assert pair_accuracy(model, data) > 0.6
    turned = fit_transformer_reward(
        reference, data.texts, data.pairs[:, ::-1].copy(), steps=25, **rest
    )
    assert pair_accuracy(turned, data) < 0.4
    # Padding beside a longer text changes nothing.
    text = data.texts[[0]]
    longer = data.texts[[0, int(data.texts.mask.sum(1).argmax())]]
    alone = rewards_of(model, text)[0]
    assert rewards_of(model, longer)[0] == pytest.approx(alone, abs=1e-4)
    words = data.texts.ids[0][data.texts.mask[0].bool()].tolist()[1:]
    assert reward_of_completion(model)(words) == pytest.approx(alone, abs=1e-4)
    with torch.no_grad():
        model.head.weight.zero_()
    assert (rewards_of(model, data.texts) == 0).all()


def true_reward(world: Reviews) -> nn.Module:
    class Truth(nn.Module):
        def forward(self, texts: object) -> torch.Tensor:
            rows = [
                world.reward_of(ids[mask.bool()].tolist()[1:])
                for ids, mask in zip(texts.ids, texts.mask, strict=True)  # type: ignore[attr-defined]
            ]
            return torch.tensor(rows)

    return Truth()


def test_with_the_truth_as_proxy_both_rewards_and_all_policies_agree(
    world: Reviews, data: PreferenceData
) -> None:
    proxy = proxy_world(true_reward(world), data, world)
    assert agreement(proxy, world) == pytest.approx(1)
    assert proxy.reference.sum() == pytest.approx(1)
    assert proxy.lump(proxy.reference) == pytest.approx(data.reference)
    assert proxy.shift == pytest.approx(0, abs=1e-6)
    rewards = np.append(world.reward, world.failure)
    drawn = proxy_best_of_n(proxy, world, (1, 8))
    exact = proxy_optima(proxy, world, (2.0,))
    for row, policy in (
        (drawn.iloc[0], data.reference),
        (drawn.iloc[1], best_of_n(data.reference, rewards, 8)),
        (exact.iloc[0], optimal_policy(data.reference, rewards, 2.0)),
    ):
        expected = measure(policy, data.reference, world)
        assert row.reward == pytest.approx(expected["reward"], abs=1e-6)
        assert row.kl == pytest.approx(expected["kl"], abs=1e-6)
        assert row.proxy == pytest.approx(row.reward, abs=1e-6)


def test_a_proxy_that_likes_failures_is_followed_there(
    world: Reviews, data: PreferenceData
) -> None:
    texts = {tuple(t) for t in world.place}

    class LikesFailures(nn.Module):
        def forward(self, answers: object) -> torch.Tensor:
            rows = zip(answers.ids, answers.mask, strict=True)  # type: ignore[attr-defined]
            return torch.tensor(
                [float(tuple(i[m.bool()].tolist()[1:]) not in texts) for i, m in rows]
            )

    proxy = proxy_world(LikesFailures(), data, world)
    assert len(proxy.reference) > proxy.reviews
    found = proxy_best_of_n(proxy, world, (1, 64)).iloc
    assert found[1].proxy > found[0].proxy
    assert found[1].reward < found[0].reward
    assert found[1].off > 0.3


def test_the_implicit_reward_is_that_of_which_the_policy_is_the_optimum(
    world: Reviews, data: PreferenceData
) -> None:
    rewards = np.append(world.reward, world.failure)
    policy = optimal_policy(data.reference, rewards, 3.0)
    proxy = implicit_proxy(policy, data, world, 3.0)
    assert proxy.proxy == pytest.approx(rewards, abs=1e-6)  # the shift finds log Z
    back = optimal_policy(proxy.reference, proxy.proxy, 3.0)
    assert kl_divergence(back, policy) == pytest.approx(0, abs=1e-9)
    assert proxy_measures(back, proxy, world)["proxy"] == pytest.approx(
        policy @ rewards
    )


def test_what_is_no_review_is_counted_as_it_was_written(
    world: Reviews, data: PreferenceData
) -> None:
    """A text without end among the pairs: three times one, once another."""
    odd = padded_answers([[START]] * 2, [[2, 2, END], [2, 2, 2, END]])
    given = data._replace(texts=odd, pairs=np.array([[0, 0], [0, 1]]))
    proxy = proxy_world(true_reward(world), given, world)
    assert isinstance(proxy, ProxyWorld)
    off = proxy.reference[proxy.reviews :] / data.reference[-1]
    assert off.tolist() == pytest.approx([0.75, 0.25])
    assert review_model().config.vocab_size == len(WORDS)


@pytest.mark.parametrize("pairs", [[[0.9, -1]], [[0, -1]], [[0, 2]], [[True, False]]])
def test_pairs_are_positions_of_texts(pairs: Any) -> None:
    """0.9 was cut to 0, and -1 the last text."""
    texts = padded_answers([[0], [0]], [[0], [1]])
    with pytest.raises(ValueError, match="pairs must be"):
        fit_word_pairs(texts, pairs, 2)
