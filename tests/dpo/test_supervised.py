"""Does a model come to write the texts it is shown, as often as it is shown them?"""

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from smallscale.dpo import (
    all_logps,
    kl_divergence,
)
from smallscale.dpo.reviews import Reviews, review_distribution, review_model
from smallscale.dpo.supervised import fit_texts


def test_supervision_brings_the_model_to_the_corpus(
    world: Reviews, reference: nn.Module
) -> None:
    people = np.append(world.frequency, 0.0)
    before, after = (
        kl_divergence(people, review_distribution(model, world))
        for model in (review_model(), reference)
    )
    assert before > 10
    assert after < 0.3


def test_fitting_follows_its_seed(world: Reviews) -> None:
    first, same, other = (
        fit_texts(review_model(), world.texts, steps=3, seed=seed) for seed in (0, 0, 1)
    )
    logps = [all_logps(policy, world.texts[:50]) for policy in (first, same, other)]
    assert torch.equal(logps[0], logps[1])
    assert not torch.allclose(logps[0], logps[2], atol=1e-3)


def test_fitting_slows_down_over_its_last_half(
    world: Reviews, monkeypatch: pytest.MonkeyPatch
) -> None:
    rates: list[Any] = []
    monkeypatch.setattr(
        "smallscale.dpo.supervised.minimise",
        lambda policy, loss, *falling, **_: rates.extend(falling),
    )
    fit_texts(review_model(), world.texts, steps=40)
    assert len(rates) == 2  # Muon's and AdamW's
    for rate in rates:
        assert [rate.lr_lambdas[0](step) for step in (0, 20, 30, 40)] == [
            1.0,
            1.0,
            0.5,
            0.0,
        ]
