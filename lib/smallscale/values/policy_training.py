"""What does training do to the one who writes? A small language model, its pairs of
replies, and what it writes afterwards.

The model first learns to write all 64 replies about equally often. It is the reference
that DPO starts from, and the writer of the pairs that the camps compare.
"""

import copy
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn

from smallscale.core.validation import as_array
from smallscale.dpo import (
    Answers,
    all_logps,
    answer_logps,
    padded_answers,
    train_preferences,
)
from smallscale.dpo.answers import check_readable
from smallscale.dpo.policies import small_policy
from smallscale.dpo.reviews import draw_preferences
from smallscale.models.encoding import encode_answers
from smallscale.models.language_model import language_model
from smallscale.training.loop import in_single_precision, minimise
from smallscale.training.optimizers import linear_decay, make_optimizer
from smallscale.values.group_rules import GroupLoss, loss_floors
from smallscale.values.population import QUESTION, WORDS, replies

WIDTH = 32  # of the small model
WEIGHT_DECAY = 0.01  # of AdamW, when the model learns the replies


def reply_model(
    name: str = "", *, steps: int = 300, lr: float = 1e-2, seed: int = 0
) -> tuple[nn.Module, Answers]:
    """Return a language model that writes the 64 replies about equally often, and the
    replies in its tokens: `untrained_reply_model`, then `fit_replies`.
    """
    model, texts = untrained_reply_model(name, seed=seed)
    return fit_replies(model, texts, steps=steps, lr=lr), texts


def untrained_reply_model(
    name: str = "", *, seed: int = 0
) -> tuple[nn.Module, Answers]:
    """Return a language model as it comes, and the 64 replies in its tokens.

    name: "smollm2", a folder or a name of the Hugging Face hub, as
    `smallscale.models.language_model` takes it. Empty: a small model with random
    weights whose tokens are phrases.
    Raises ValueError for a model that cannot be loaded, or cannot read the replies.
    """
    if name:
        model, tokenizer = language_model(name)
        texts = _encoded_replies(tokenizer)
    else:
        texts = replies().texts
        length = texts.ids.shape[1]
        model = small_policy(len(WORDS), length=length, width=WIDTH, seed=seed)
    check_readable(model, texts)
    return model, texts


def fit_replies(
    model: nn.Module, texts: Answers, *, steps: int = 300, lr: float = 1e-2
) -> nn.Module:
    """Train `model` in place to write all of `texts` about equally often; return it.

    lr: about 1e-5 for a model that can write already.
    """
    optimizer = make_optimizer(
        "adamw", model.parameters(), lr=lr, weight_decay=WEIGHT_DECAY
    )
    return minimise(
        model,
        lambda _: -answer_logps(model, texts).mean(),  # of all texts, at every step
        linear_decay(optimizer, steps),
        steps=steps,
    )


def _encoded_replies(tokenizer: Any) -> Answers:
    """Return the replies in a transformers tokenizer's tokens.

    All of them continue the same tokens, so their probabilities sum to 1 at most.
    """
    sentences = [f" {sentence}" for sentence in replies().sentences]
    prompt, written = encode_answers(tokenizer, QUESTION, sentences)
    return padded_answers([prompt] * len(written), written, pad=tokenizer.eos_token_id)


def reply_distribution(policy: nn.Module, texts: Answers) -> np.ndarray:
    """Return the probability of each reply, (64,).

    What is left of 1 is anything else that the model may write.
    """
    chances: np.ndarray = all_logps(policy, texts).double().exp().numpy()
    return chances


class CampPairs(NamedTuple):
    """pairs: (n, 2) positions of replies, the preferred one first. camps: (n,) which
    camp compared them, 0 or 1."""

    pairs: np.ndarray
    camps: np.ndarray


def camp_pairs(
    reference: Any, n: int, majority: float, *, utility: Any = None, seed: int = 0
) -> CampPairs:
    """Draw n pairs of replies from `reference` (64,), and let the camps choose.

    The majority compares its share of the pairs, rounded. People choose as Bradley and
    Terry say, by the sigmoid of the difference in utility (64, 2); None: the camps'
    own.
    """
    chances = as_array("reference", reference, dtype=float)
    chances = chances / chances.sum()
    if utility is None:
        utility = replies().utility
    wishes = as_array("utility", utility, dtype=float)
    of_majority = round(n * majority)
    camps = np.repeat([0, 1], (of_majority, n - of_majority))
    random = np.random.default_rng(seed)
    # One reply twice now and then: that is what the model wrote.
    pairs = random.choice(len(chances), size=(n, 2), p=chances)
    # The camps' utilities one after the other, (128,), and a camp's place in them.
    both = wishes.T.ravel()
    place = len(chances) * camps[:, None]
    chosen_first = draw_preferences(pairs + place, both, seed=random) - place
    return CampPairs(chosen_first, camps)


def train_by_rule(
    model: nn.Module,
    texts: Answers,
    pairs: Any,
    groups: Any,
    rule: str = "pooled",
    **options: Any,
) -> np.ndarray:
    """Return what a copy of `model` writes after DPO on pairs of groups by one of
    GROUP_RULES, (64,), as from `reply_distribution`. `model` is left as it was.

    options: what `train_preferences` takes, beta among it; 150 steps of 64 pairs at lr
    4e-4 unless they are given.
    The floors of the rule "regret" are those of the camps' own utilities, known here
    because they are made up. Where they are not, the loss that training on one group
    alone reaches stands in for them.
    """
    policy = in_single_precision(copy.deepcopy(model))
    before = all_logps(policy, texts)
    floors: list[float] = []
    if rule == "regret":
        start = before.double().exp().numpy()
        floors = loss_floors(replies().utility, start / start.sum()).tolist()
    settings = {"steps": 150, "batch_size": 64, "lr": 4e-4} | options
    train_preferences(
        policy,
        texts,
        torch.as_tensor(pairs),
        reference=before,
        combine=GroupLoss(groups, rule, floors=floors),
        **settings,
    )
    return reply_distribution(policy, texts)
