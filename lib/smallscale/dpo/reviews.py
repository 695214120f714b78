"""What would the perfect policy write? Film reviews from a grammar so small that all of
them can be listed.

Every review has a true reward, known by construction: the sum of its words' scores. So
a policy is an array of probabilities, and its reward and its distance from the
reference are sums with nothing sampled.
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
from transformers import LlamaForCausalLM

from smallscale.core.validation import as_array, require
from smallscale.dpo.answers import Answers, all_logps, padded_answers
from smallscale.dpo.optimum import kl_divergence
from smallscale.dpo.policies import END, START, small_policy
from smallscale.dpo.sampling import sample_completions

GRAMMAR_FILE = Path(__file__).with_name("reviews.json")
ONE_CLAUSE = 0.5  # the share of reviews with one clause; the others have two


class Adverb(NamedTuple):
    """word: may be empty. frequency: how often people use it. factor: on the score."""

    word: str
    frequency: float
    factor: float


class Adjective(NamedTuple):
    """frequency: how often people use the word. score: what it adds to the reward."""

    word: str
    frequency: float
    score: float


class Grammar(NamedTuple):
    """The words that reviews are made of."""

    nouns: tuple[str, ...]
    joints: tuple[str, ...]
    adverbs: tuple[Adverb, ...]
    adjectives: tuple[Adjective, ...]


def read_grammar(path: Path) -> Grammar:
    """Return the grammar in a JSON file, whose keys may stand in any order."""
    words = json.loads(path.read_text("utf-8"))
    return Grammar(
        nouns=tuple(words["nouns"]),
        joints=tuple(words["joints"]),
        adverbs=tuple(Adverb(**entry) for entry in words["adverbs"]),
        adjectives=tuple(Adjective(**entry) for entry in words["adjectives"]),
    )


GRAMMAR = read_grammar(GRAMMAR_FILE)
WORDS = (
    "<start>",
    "<end>",
    "the",
    *GRAMMAR.nouns,
    "was",
    *(adverb.word for adverb in GRAMMAR.adverbs if adverb.word),
    *(adjective.word for adjective in GRAMMAR.adjectives),
    *GRAMMAR.joints,
)  # a word's position is its token id


class Clause(NamedTuple):
    """text: as in "the plot was very dull". frequency: among clauses."""

    text: str
    frequency: float
    reward: float


class Reviews(NamedTuple):
    """All n reviews of the grammar.

    sentences: their texts. texts: the same as tokens, each after the prompt <start> and
    with its <end>. frequency: (n,) how often people write each, sum 1.
    reward: (n,) the true one. words: (n,) how long each is.
    failure: the reward of anything else, text off the grammar or without an end. It is
    that of the worst review.
    place: from tokens, with their <end>, to the review's position.
    """

    sentences: tuple[str, ...]
    texts: Answers
    frequency: np.ndarray
    reward: np.ndarray
    words: np.ndarray
    failure: float
    place: dict[tuple[int, ...], int]

    def reward_of(self, tokens: Sequence[int]) -> float:
        """Return the true reward of a completion, which may be anything."""
        place = self.place.get(tuple(tokens))
        return self.failure if place is None else float(self.reward[place])


@cache
def reviews() -> Reviews:
    """Return the 2,628 reviews of one clause ("the plot was very dull"), or of two that
    are joined by and or but. A clause's reward is its adjective's score times its
    adverb's factor, and a review's is the sum over its clauses.
    """
    clauses = _clauses()
    found = [
        Clause(text, ONE_CLAUSE * frequency, reward)
        for text, frequency, reward in clauses
    ]
    each_joint = (1 - ONE_CLAUSE) / len(GRAMMAR.joints)
    for first, joint, second in product(clauses, GRAMMAR.joints, clauses):
        found.append(
            Clause(
                f"{first.text} {joint} {second.text}",
                each_joint * first.frequency * second.frequency,
                first.reward + second.reward,
            )
        )
    tokens = [[*map(WORDS.index, review.text.split()), END] for review in found]
    rewards = [review.reward for review in found]
    return Reviews(
        sentences=tuple(review.text for review in found),
        texts=padded_answers([[START]] * len(tokens), tokens, pad=END),
        frequency=np.array([review.frequency for review in found]),
        reward=np.array(rewards),
        words=np.array([len(row) - 1 for row in tokens]),
        failure=min(rewards),
        place={tuple(row): i for i, row in enumerate(tokens)},
    )


def _clauses() -> list[Clause]:
    """Return every clause: the NOUN was [ADVERB] ADJECTIVE."""
    clauses = []
    for noun, adverb, adjective in product(
        GRAMMAR.nouns, GRAMMAR.adverbs, GRAMMAR.adjectives
    ):
        words = ("the", noun, "was", adverb.word, adjective.word)
        frequency = adverb.frequency * adjective.frequency / len(GRAMMAR.nouns)
        reward = adverb.factor * adjective.score
        clauses.append(Clause(" ".join(filter(None, words)), frequency, reward))
    return clauses


def review_model(*, seed: int = 0) -> LlamaForCausalLM:
    """Return a `small_policy` with random weights, whose tokens are WORDS."""
    return small_policy(len(WORDS), length=16, seed=seed)


def review_distribution(policy: nn.Module, world: Reviews) -> np.ndarray:
    """Return the probability of each review under `policy`, (n + 1,).

    The last place is everything else that the policy may write.
    """
    p = all_logps(policy, world.texts).double().exp().numpy()
    if p.sum() > 1:  # by rounding
        normalised: np.ndarray = np.append(p, 0.0) / p.sum()
        return normalised
    return np.append(p, 1 - p.sum())


def measure(policy: Any, reference: Any, world: Reviews) -> dict[str, float]:
    """Return what a policy is like: reward, kl, off, words and entropy.

    policy, reference: (n + 1,) as from `review_distribution`.
    reward: the mean true reward, exact. kl: KL(policy || reference) in nats. It counts
    everything off the grammar as one answer, so it is a lower bound, and exact but for
    how policies differ there. off: the probability of text off the grammar.
    words: the mean length of its reviews. entropy: in nats, of the n + 1 answers.
    """
    p = as_array("policy", policy, dtype=float)
    on_grammar = max(p[:-1].sum(), 1e-12)
    measures = {
        "reward": p @ np.append(world.reward, world.failure),
        "kl": kl_divergence(p, reference),
        "off": p[-1],
        "words": p[:-1] @ world.words / on_grammar,
        "entropy": entr(p).sum(),
    }
    return {name: float(value) for name, value in measures.items()}


def draw_preferences(
    pairs: Any, reward: Any, *, seed: int | np.random.Generator = 0
) -> np.ndarray:
    """Return the same pairs, the preferred answer first, as Bradley and Terry's people
    choose (1952): they prefer a to b with probability sigmoid(reward[a] - reward[b]).

    pairs: (n, 2) positions in reward (m,). A pair of one answer stays as it is.
    Raises ValueError for other shapes.
    """
    order = as_array("pairs", pairs)
    r = as_array("reward", reward, dtype=float)
    require(
        order.ndim == 2 and order.shape[1] == 2 and r.ndim == 1,
        f"pairs must be (n, 2) and reward (m,); got {order.shape} and {r.shape}",
    )
    first_wins = expit(r[order[:, 0]] - r[order[:, 1]])
    turned = np.random.default_rng(seed).random(len(order)) >= first_wins
    return np.where(turned[:, None], order[:, ::-1], order)


def preference_pairs(
    policy: nn.Module, world: Reviews, n: int, *, seed: int = 0
) -> tuple[Answers, np.ndarray]:
    """Return the texts that people are shown, and (n, 2) pairs of positions in them,
    the preferred text first.

    2 n texts are drawn from `policy` as they come, off the grammar too, and paired in
    that order; each text is returned once. People choose as in `draw_preferences`.
    """
    generator = Generator().manual_seed(seed)
    prompts = torch.full((2 * n, 1), START)
    longest = world.texts.ids.shape[1]
    rows = sample_completions(
        policy, prompts, max_new_tokens=longest, end_token=END, generator=generator
    )
    written = sorted(set(map(tuple, rows)))
    place = {text: i for i, text in enumerate(written)}
    pairs = np.array([place[tuple(row)] for row in rows]).reshape(-1, 2)
    reward = [world.reward_of(text) for text in written]
    texts = padded_answers([[START]] * len(written), written, pad=END)
    return texts, draw_preferences(pairs, reward, seed=seed)
