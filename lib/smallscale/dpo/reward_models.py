"""What reward explains the choices that people made, and what does a policy gain by it?

The two-stage rival of DPO: Bradley and Terry's model (1952) of the same pairs is fitted
first, and its reward, the proxy, is maximised afterwards (Christiano et al. 2017). Gao
et al. 2023 measure the proxy and the true reward by the distance from the reference.
"""

import copy
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from smallscale.core.validation import finite_number, whole_number
from smallscale.dpo.answers import Answers, padded_answers
from smallscale.dpo.frontier import PreferenceData
from smallscale.dpo.optimum import best_of_n, optimal_policy
from smallscale.dpo.policies import END, START
from smallscale.dpo.policy_training import PairOrder, checked_pairs
from smallscale.dpo.reviews import Reviews, measure
from smallscale.models.generation import positions
from smallscale.training.loop import in_single_precision, minimise
from smallscale.training.optimizers import linear_decay, make_optimizer

NEWTON_STEPS = 100  # at most, of L-BFGS
# (rewards of the chosen, of the rejected) -> ()
Rewards = Callable[[Answers], Tensor]  # texts -> a reward of each, (texts,)


def bradley_terry_loss(chosen: Tensor, rejected: Tensor) -> Tensor:
    """Return -log sigmoid(r(y_w) - r(y_l)) of each pair, from the rewards of its two
    answers: how surprised Bradley and Terry (1952) are at what people chose.

    >>> bradley_terry_loss(torch.tensor([2.0]), torch.tensor([2.0]))  # ln 2
    tensor([0.6931])
    """
    return -F.logsigmoid(chosen - rejected)


class WordPairReward(nn.Module):
    """A reward that is a sum: a number for each word and the word before it.

    weights: (vocabulary, vocabulary); weights[a, b] counts each time that b follows a.
    """

    def __init__(self, vocabulary: int) -> None:
        super().__init__()
        size = whole_number("vocabulary", vocabulary)
        self.weights = nn.Parameter(torch.zeros(size, size, dtype=torch.float64))

    def forward(self, texts: Answers) -> Tensor:
        """Return the reward of each text, (texts,)."""
        terms = self.weights[texts.ids[:, :-1], texts.ids[:, 1:]]  # (texts, length - 1)
        both = texts.mask[:, :-1] * texts.mask[:, 1:]  # words, and no padding
        return (terms * both).sum(1)


def fit_word_pairs(
    texts: Answers, pairs: Any, vocabulary: int, *, ridge: float = 1.0
) -> WordPairReward:
    """Return the `WordPairReward` that minimises the sum of `bradley_terry_loss` over
    the pairs plus ridge / 2 times the squared weights.

    texts: each text once. pairs: (n, 2) positions in them, the preferred one first.
    ridge: what a standard normal prior on each weight amounts to at 1. It is above 0,
    so that the minimum is one and finite.
    The problem is convex, and L-BFGS solves it: no rate, no batches, no seed.
    Raises ValueError for a ridge that is not above 0, and for what is no position in
    the texts.
    """
    ridge = finite_number("ridge", ridge, above=0)
    model = WordPairReward(vocabulary)
    order = checked_pairs(pairs, len(texts))
    optimizer = torch.optim.LBFGS(
        model.parameters(), max_iter=NEWTON_STEPS, line_search_fn="strong_wolfe"
    )

    def objective() -> Tensor:
        optimizer.zero_grad()
        rewards = model(texts)
        losses = bradley_terry_loss(rewards[order[:, 0]], rewards[order[:, 1]])
        total = losses.sum() + ridge / 2 * model.weights.square().sum()
        torch.autograd.backward(total)
        return total

    optimizer.step(objective)  # type: ignore[no-untyped-call]
    return model.eval()


class TransformerReward(nn.Module):
    """A reward that a language model's last hidden state gives, by one linear layer.

    body: a transformers model, whose weights are copied, in float32 or finer. The layer
    starts at 0, so before training all texts are worth the same.
    """

    def __init__(self, body: Any) -> None:
        super().__init__()
        self.body = in_single_precision(copy.deepcopy(body.model))
        self.head = nn.Linear(body.config.hidden_size, 1, bias=False)
        nn.init.zeros_(self.head.weight)
        self.head.to(next(self.body.parameters()).device)

    def forward(self, texts: Answers) -> Tensor:
        """Return the reward of each text, (texts,), read at its last token."""
        texts = texts.to(self.head.weight.device)
        output = self.body(
            input_ids=texts.ids,
            attention_mask=texts.mask,
            position_ids=positions(texts.mask),
        )
        last = positions(texts.mask).argmax(1)  # (texts,), wherever padding stands
        hidden = output.last_hidden_state[torch.arange(len(last)), last]
        rewards: Tensor = self.head(hidden)[:, 0]
        return rewards


def fit_transformer_reward(
    reference: nn.Module,
    texts: Answers,
    pairs: Any,
    *,
    steps: int,
    batch_size: int = 32,
    lr: float = 1e-3,
    seed: int = 0,
    progress: str = "",
) -> TransformerReward:
    """Return a `TransformerReward` that starts from the reference and minimises
    `bradley_terry_loss` on the pairs: by the same steps, in the same order, at the same
    rate as `train_preferences` trains a policy. Raises ValueError for what is no
    position in the texts.
    """
    order = checked_pairs(pairs, len(texts))
    visits = PairOrder(len(order), batch_size)
    model = TransformerReward(reference)
    texts = texts.to(model.head.weight.device)

    def batch_loss(generator: Generator) -> Tensor:
        batch = order[visits.next(generator)]  # (b, 2), positions of texts
        read, place = torch.unique(batch, return_inverse=True)
        rewards = model.eval()(texts[read])[place]  # (b, 2)
        return bradley_terry_loss(rewards[:, 0], rewards[:, 1]).mean()

    optimizer = make_optimizer("adamw", model.parameters(), lr=lr)
    rate = linear_decay(optimizer, steps)
    minimise(model, batch_loss, rate, steps=steps, seed=seed, progress=progress)
    return model


def rewards_of(model: Rewards, texts: Answers, *, batch_size: int = 512) -> np.ndarray:
    """Return a reward model's rewards of texts, (texts,), without gradient."""
    parts = torch.split(torch.arange(len(texts)), batch_size)
    with torch.no_grad():
        found = [model(texts[rows]).double().cpu() for rows in parts]
    rewards: np.ndarray = torch.cat(found).numpy()
    return rewards


class ProxyWorld(NamedTuple):
    """All reviews, and the other texts that the reference wrote, with a proxy reward.

    reference: (n + m,) probabilities. What is no review shares the probability of
    everything off the grammar as it was counted among the pairs' texts; texts that
    never came up there have none.
    proxy: (n + m,) the reward model's rewards plus `shift`, a constant that makes their
    mean under the reference the true one; a constant changes no preference.
    reviews: n.
    """

    reference: np.ndarray
    proxy: np.ndarray
    shift: float
    reviews: int

    def lump(self, policy: Any) -> np.ndarray:
        """Return the policy as `measure` takes it, (n + 1,): the last place is
        everything that is no review."""
        p = np.asarray(policy)
        return np.append(p[: self.reviews], p[self.reviews :].sum())


def proxy_world(model: Rewards, data: PreferenceData, world: Reviews) -> ProxyWorld:
    """Return what a reward model says of all that the reference writes."""
    off: dict[tuple[int, ...], int] = {}
    for shown in data.pairs.flatten():
        text = tuple(data.texts.ids[shown][data.texts.mask[shown].bool()].tolist()[1:])
        if text not in world.place:
            off[text] = off.get(text, 0) + 1
    on_grammar = data.reference[:-1]
    rewards = rewards_of(model, world.texts)
    if off:
        others = padded_answers([[START]] * len(off), list(off), pad=END)
        rewards = np.append(rewards, rewards_of(model, others))
        counts = np.array(list(off.values()))
        reference = np.append(on_grammar, data.reference[-1] * counts / counts.sum())
    else:
        reference = on_grammar / on_grammar.sum()
    return _centred(reference, rewards, data, world)


def implicit_proxy(
    policy: Any, data: PreferenceData, world: Reviews, beta: float
) -> ProxyWorld:
    """Return the reward that a policy of DPO implies, beta (log policy - log
    reference), as a proxy. Everything that is no review counts as one text.

    policy: (reviews + 1,), as from `review_distribution`.
    """
    rewards = beta * np.log(np.asarray(policy) / data.reference)
    return _centred(data.reference, rewards, data, world)


def _centred(
    reference: np.ndarray, rewards: np.ndarray, data: PreferenceData, world: Reviews
) -> ProxyWorld:
    """Return the proxy whose mean under the reference is the true reward's."""
    true_mean = measure(data.reference, data.reference, world)["reward"]
    shift = float(true_mean - reference @ rewards)
    return ProxyWorld(reference, rewards + shift, shift, len(world.reward))


def reward_of_completion(model: Rewards) -> Callable[[list[int]], float]:
    """Return the reward model as `train_on_policy` asks for it: completion -> number,
    after the prompt START. A completion is read once, however often it is asked for."""
    known: dict[tuple[int, ...], float] = {}

    def reward(completion: list[int]) -> float:
        words = tuple(completion)
        if words not in known:
            text = padded_answers([[START]], [completion], pad=END)
            known[words] = float(rewards_of(model, text)[0])
        return known[words]

    return reward


def pair_accuracy(model: Rewards, data: PreferenceData) -> float:
    """Return the share of held-out pairs whose chosen answer has the higher reward."""
    rewards = rewards_of(model, data.texts)[data.held_out]  # (m, 2)
    return float((rewards[:, 0] > rewards[:, 1]).mean())


def agreement(proxy: ProxyWorld, world: Reviews) -> float:
    """Return the correlation of proxy and true reward over all reviews, each counted
    once: the likely and the unlikely alike."""
    return float(np.corrcoef(proxy.proxy[: proxy.reviews], world.reward)[0, 1])


def proxy_measures(policy: Any, proxy: ProxyWorld, world: Reviews) -> dict[str, float]:
    """Return what `measure` says of a policy (n + m,), and its mean proxy reward."""
    lumped = proxy.lump(policy)
    found = measure(lumped, proxy.lump(proxy.reference), world)
    return {**found, "proxy": float(np.asarray(policy) @ proxy.proxy)}


def proxy_optima(
    proxy: ProxyWorld, world: Reviews, betas: Iterable[float]
) -> pd.DataFrame:
    """Return `proxy_measures` of the proxy's exact optimum for each beta."""
    rows = []
    for beta in betas:
        policy = optimal_policy(proxy.reference, proxy.proxy, beta)
        rows.append({"beta": beta, **proxy_measures(policy, proxy, world)})
    return pd.DataFrame(rows)


def proxy_best_of_n(
    proxy: ProxyWorld, world: Reviews, draws: Iterable[int]
) -> pd.DataFrame:
    """Return `proxy_measures` of the best of n under the proxy, for each n, exactly."""
    rows = []
    for n in draws:
        policy = best_of_n(proxy.reference, proxy.proxy, n)
        rows.append({"n": n, **proxy_measures(policy, proxy, world)})
    return pd.DataFrame(rows)
