"""What does training do to the one who writes? A small language model, its pairs of replies, and what it writes after.

The model first learns to write all 64 replies about equally often; it is the reference that DPO starts from, and the
writer of the pairs that the camps compare.
"""

import copy
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.optim import AdamW
from torch.optim.lr_scheduler import LambdaLR

from smallscale.dpo import (
    Answers,
    all_logps,
    answer_logps,
    padded_answers,
    train_preferences,
)
from smallscale.dpo.preference_files import language_model
from smallscale.dpo.reviews import prefer, small_llama
from smallscale.training.loop import minimise
from smallscale.values.group_rules import GroupLoss, loss_floors
from smallscale.values.population import QUESTION, WORDS, replies

WIDTH = 32  # of the small model


def writer(
    name: str = "", *, steps: int = 300, lr: float = 1e-2, seed: int = 0
) -> tuple[nn.Module, Answers]:
    """A language model that writes the 64 replies about equally often, and the replies in its tokens.

    name: of a transformers causal language model, or its folder; empty: a small Llama whose tokens are phrases. A
    model with a name is loaded (and downloaded, where it is not a folder) and then fitted like the small one, with
    the lr given: about 1e-5 for one that can write already.
    """
    texts = replies().texts
    if name:
        model, tokenizer = language_model(name)
        question, end = tokenizer(QUESTION)["input_ids"], tokenizer.eos_token_id
        written = [
            [*tokenizer(" " + sentence)["input_ids"], end]
            for sentence in replies().sentences
        ]
        texts = padded_answers([question] * len(written), written, pad=end)
    else:
        model = small_llama(
            len(WORDS), length=texts.ids.shape[1], width=WIDTH, seed=seed
        )
    # All texts at every step; lr falls to zero along a line.
    falling = LambdaLR(
        AdamW(model.parameters(), lr=lr, foreach=True), lambda step: 1 - step / steps
    )
    return minimise(
        model, lambda _: -answer_logps(model, texts).mean(), falling, steps=steps
    ), texts


def distribution(policy: nn.Module, texts: Answers) -> np.ndarray:
    """(64,) the probability of each reply; what is left of 1 is anything else that the model may write."""
    return all_logps(policy, texts).double().exp().numpy()


def camp_pairs(
    reference: Any, n: int, majority: float, *, utility: Any = None, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """(n, 2) pairs of replies, the preferred one first, and (n,) which camp compared them, 0 or 1.

    The majority compares its share of them, rounded. Both replies are drawn from `reference` (64,), and people choose
    as Bradley and Terry say, by the sigmoid of the difference in utility (64, 2); None: the camps' own.
    """
    drawn = np.asarray(reference, dtype=float) / np.sum(reference)
    wishes = replies().utility if utility is None else np.asarray(utility, dtype=float)
    camps = np.repeat([0, 1], (round(n * majority), n - round(n * majority)))
    random = np.random.default_rng(seed)
    pairs = random.choice(
        len(drawn), size=(n, 2), p=drawn
    )  # one reply twice now and then: that is what was written
    place = len(drawn) * camps[:, None]  # of a camp's utilities among all
    return prefer(pairs + place, wishes.T.ravel(), seed=random) - place, camps


def aligned(
    model: nn.Module,
    texts: Answers,
    pairs: Any,
    groups: Any,
    rule: str = "pooled",
    **options: Any,
) -> np.ndarray:
    """(64,) what a copy of `model` writes after DPO on pairs of groups, by one of RULES; model is left as it was.

    options: what `train_preferences` takes, beta among it; 150 steps of 64 pairs at lr 4e-4 unless they are given.
    The floors of the rule "regret" are those of the camps' own utilities, known here because they are made up; where
    they are not, the loss that training on one group alone reaches stands in for them.
    """
    policy, before = copy.deepcopy(model), all_logps(model, texts)
    start = before.double().exp().numpy()
    floors = (
        loss_floors(replies().utility, start / start.sum()).tolist()
        if rule == "regret"
        else ()
    )
    settings = {"steps": 150, "batch_size": 64, "lr": 4e-4} | options
    combine = GroupLoss(groups, rule, floors=floors)
    train_preferences(
        policy,
        texts,
        torch.as_tensor(pairs),
        reference=before,
        combine=combine,
        **settings,
    )
    return distribution(policy, texts)
