"""What would the perfect policy write? Film reviews from a grammar so small that all of them can be listed.

Every review has a true reward, known by construction: the sum of its words' scores. So a policy is an array of
probabilities, and its reward and its distance from the reference are sums with nothing sampled.
"""

import json
from collections.abc import Sequence
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from scipy.special import entr, expit
from torch import Generator, nn
from transformers import LlamaConfig, LlamaForCausalLM

from smallscale.core.seeds import seeded
from smallscale.dpo.optimum import kl_divergence
from smallscale.dpo.policy_training import Answers, all_logps, padded_answers
from smallscale.dpo.sampling import draw

START, END = 0, 1  # token ids of the prompt, and of the end of text
# The grammar's words; of adverbs and adjectives how often people write them, and what they do to the reward.
NOUNS, JOINTS, ADVERBS, ADJECTIVES = json.loads(
    Path(__file__).with_name("reviews.json").read_text("utf-8")
).values()
ONE_CLAUSE = 0.5  # of all reviews; the others have two
WORDS = (
    "<start>",
    "<end>",
    "the",
    *NOUNS,
    "was",
    *filter(None, ADVERBS),
    *ADJECTIVES,
    *JOINTS,
)


class Reviews(NamedTuple):
    """All n reviews of the grammar.

    sentences: their texts; texts: as tokens, each after the prompt <start> and with its <end>;
    frequency: (n,) how often people write each, sum 1; reward: (n,) the true one; words: (n,) how long they are.
    failure: the reward of anything else, which is that of the worst review: text off the grammar, or without an end.
    place: tokens, with their <end>, -> position.
    """

    sentences: tuple[str, ...]
    texts: Answers
    frequency: np.ndarray
    reward: np.ndarray
    words: np.ndarray
    failure: float
    place: dict[tuple[int, ...], int]

    def reward_of(self, tokens: Sequence[int]) -> float:
        """The true reward of a completion, which may be anything."""
        place = self.place.get(tuple(tokens))
        return self.failure if place is None else float(self.reward[place])


@cache
def reviews() -> Reviews:
    """The 2,628 reviews of one clause ("the plot was very dull") or two, joined by and or but."""
    clauses = [
        (
            " ".join(filter(None, ("the", noun, "was", adverb, adjective))),
            often * some / len(NOUNS),
            sign * score,
        )
        for noun in NOUNS
        for adverb, (often, sign) in ADVERBS.items()
        for adjective, (some, score) in ADJECTIVES.items()
    ]
    one = [(text, ONE_CLAUSE * p, reward) for text, p, reward in clauses]
    half = (1 - ONE_CLAUSE) / len(JOINTS)
    triples = product(clauses, JOINTS, clauses)
    two = [
        (f"{a} {joint} {b}", half * p * q, r + s)
        for (a, p, r), joint, (b, q, s) in triples
    ]
    sentences, frequency, reward = zip(*one, *two, strict=True)
    tokens = [[*map(WORDS.index, sentence.split()), END] for sentence in sentences]
    texts = padded_answers([[START]] * len(tokens), tokens, pad=END)
    words = np.array([len(row) - 1 for row in tokens])
    place = {tuple(row): i for i, row in enumerate(tokens)}
    return Reviews(
        sentences,
        texts,
        np.array(frequency),
        np.array(reward),
        words,
        min(reward),
        place,
    )


def small_llama(
    vocabulary: int = len(WORDS), *, length: int = 16, width: int = 64, seed: int = 0
) -> nn.Module:
    """A transformers Llama of two layers, 85,000 parameters at its defaults, freshly initialised, in eval mode.

    length: the most tokens of a text. It has no dropout. No global state is touched.
    """
    sizes: dict[str, Any] = {
        "hidden_size": width,
        "intermediate_size": 2 * width,
        "max_position_embeddings": length,
    }
    # Started wide, as the model is narrow.
    sizes |= {
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "initializer_range": 0.1,
    }
    config = LlamaConfig(
        vocab_size=vocabulary, **sizes, bos_token_id=START, eos_token_id=END
    )
    with seeded(seed):
        return LlamaForCausalLM(config).eval()


def distribution(policy: nn.Module, world: Reviews) -> np.ndarray:
    """(n + 1,) the probability of each review; the last place is everything else that `policy` may write."""
    p = all_logps(policy, world.texts).double().exp().numpy()
    return np.append(p, 0.0) / p.sum() if p.sum() > 1 else np.append(p, 1 - p.sum())


def measure(policy: Any, reference: Any, world: Reviews) -> dict[str, float]:
    """What a policy (n + 1,) is like: reward (exact), kl from the reference, off (grammar), words, entropy.

    kl counts everything off the grammar as one answer: exact but for how it differs within, so a lower bound.
    words: the mean length of its reviews; entropy: in nats, of the same n + 1 answers.
    """
    p = np.asarray(policy, dtype=float)
    words = p[:-1] @ world.words / max(p[:-1].sum(), 1e-12)
    found = {
        "reward": p @ np.append(world.reward, world.failure),
        "kl": kl_divergence(p, reference),
    }
    found |= {"off": p[-1], "words": words, "entropy": entr(p).sum()}
    return {name: float(value) for name, value in found.items()}


def prefer(
    pairs: Any, reward: Any, *, seed: int | np.random.Generator = 0
) -> np.ndarray:
    """(n, 2) the same pairs of positions, the preferred answer first, as Bradley and Terry's people choose (1952).

    a is preferred to b with probability sigmoid(reward[a] - reward[b]). A pair that holds one answer twice stays one.
    pairs: (n, 2) positions in reward (m,). Raises ValueError for other shapes.
    """
    order, r = np.asarray(pairs), np.asarray(reward, dtype=float)
    if order.ndim != 2 or order.shape[1] != 2 or r.ndim != 1:
        raise ValueError(
            f"pairs must be (n, 2) and reward (m,); got {order.shape} and {r.shape}"
        )
    turned = np.random.default_rng(seed).random(len(order)) >= expit(
        r[order[:, 0]] - r[order[:, 1]]
    )
    return np.where(turned[:, None], order[:, ::-1], order)


def judged_pairs(
    policy: nn.Module, world: Reviews, n: int, *, seed: int = 0
) -> tuple[Answers, np.ndarray]:
    """What people are shown, and what they prefer: texts that `policy` wrote, each once, and (n, 2) positions.

    2n texts are drawn from the policy as they come, off the grammar too, and paired in that order; labels as `prefer`.
    """
    generator, prompts = Generator().manual_seed(seed), torch.full((2 * n, 1), START)
    rows = draw(
        policy, prompts, most=world.texts.ids.shape[1], end=END, generator=generator
    )
    place = {text: i for i, text in enumerate(sorted(set(map(tuple, rows))))}
    pairs = np.array([place[tuple(row)] for row in rows]).reshape(-1, 2)
    reward = [world.reward_of(text) for text in place]
    return padded_answers([[START]] * len(place), list(place), pad=END), prefer(
        pairs, reward, seed=seed
    )
