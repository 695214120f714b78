"""On another device than the CPU, do a model and its batches meet, with one result?"""

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from smallscale.dpo import (
    Tabular,
    all_logps,
    answer_logps,
    padded_answers,
    preference_loss,
    train_preferences,
)
from smallscale.dpo.code_rewards import measure_lines, write_lines
from smallscale.dpo.frontier import collect_preferences, track_training
from smallscale.dpo.policies import small_policy
from smallscale.dpo.preference_files import learn, starting_policy
from smallscale.dpo.preference_reader import Preferences
from smallscale.dpo.reinforce import train_on_policy
from smallscale.dpo.reviews import END, START, Reviews, review_model
from smallscale.dpo.sampling import sample_completions
from smallscale.dpo.supervised import fit_texts
from tests.dpo.models import COMPLETIONS, PROMPTS, tiny_gpt2
from tests.fake_device import fake_device

TEXTS = padded_answers(PROMPTS, COMPLETIONS)
PAIRS = [[0, 3], [1, 2], [3, 1]]
LETTERS = "abcdefghij"


def on(device: str, model: nn.Module) -> nn.Module:
    return copy.deepcopy(model).to(device)


def device_of(model: nn.Module) -> str:
    return str(next(model.parameters()).device)


@pytest.mark.parametrize("at", ["batch on the CPU", "batch on the device"])
def test_log_probabilities_and_training_are_those_of_the_cpu(at: str) -> None:
    here = tiny_gpt2()
    expected = all_logps(here, TEXTS)
    settings: dict[str, Any] = {"beta": 0.2, "steps": 4, "batch_size": 2}
    table = train_preferences(copy.deepcopy(here), TEXTS, PAIRS, **settings)
    with fake_device() as device:
        policy = on(device, here)
        texts = TEXTS.to(device) if at == "batch on the device" else TEXTS
        assert str(answer_logps(policy, texts).device) == device
        logps = all_logps(policy, texts)
        assert str(logps.device) == "cpu"
        assert logps.tolist() == pytest.approx(expected.tolist(), abs=1e-5)
        there = train_preferences(policy, texts, torch.tensor(PAIRS), **settings)
        given = train_preferences(
            on(device, here), texts, PAIRS, reference=expected, **settings
        )
        assert device_of(policy) == device
    assert there.loss.tolist() == pytest.approx(table.loss.tolist(), abs=1e-5)
    assert given.loss.tolist() == pytest.approx(table.loss.tolist(), abs=1e-5)
    assert there.loss[0] > there.loss.min()


def test_weights_of_pairs_on_the_cpu_meet_their_losses() -> None:
    """What `combine` is given lies where the caller's weights are."""
    texts = padded_answers([[0]] * 2, [[0], [1]])
    weights = torch.tensor([0.0, 2.0])
    with fake_device() as device:
        policy = Tabular([[0.5, 0.5]]).to(device)
        train_preferences(
            policy,
            texts,
            [[0, 1], [1, 0]],
            beta=1.0,
            steps=50,
            batch_size=2,
            lr=0.1,
            combine=lambda losses, picked: (weights[picked] * losses).mean(),
        )
        assert policy.probabilities()[0, 1] > 0.9
        prompts = torch.tensor([[0, 1]])  # on the CPU
        assert str(policy(prompts).device) == device


def test_a_loss_is_computed_where_the_policy_is() -> None:
    """`all_logps` returns the reference's on the CPU."""
    with fake_device() as device:
        logps = torch.tensor([-8.0]).to(device)
        losses, chosen, rejected = preference_loss(
            logps,
            torch.tensor([-14.0]).to(device),
            [-10.0],
            np.array([-10.0]),
            beta=0.5,
        )
        assert {str(each.device) for each in (losses, chosen, rejected)} == {device}
        assert losses.item() == pytest.approx(np.log1p(np.exp(-3)))


def test_what_is_drawn_is_what_the_cpu_draws(world: Reviews) -> None:
    here = review_model(seed=1)
    prompts = torch.full((20, 1), START)
    drawing: dict[str, Any] = {"max_new_tokens": 6, "end_token": END}
    expected = sample_completions(here, prompts, **drawing)
    with fake_device() as device:
        there = on(device, here)
        assert sample_completions(there, prompts, **drawing) == expected
        assert sample_completions(there, prompts.to(device), **drawing) == expected


def test_every_way_of_training_runs_on_a_device(world: Reviews) -> None:
    with fake_device() as device:
        policy = on(device, review_model())
        fit_texts(policy, world.texts, steps=2, frequency=world.frequency)
        drawing = {"max_new_tokens": 13, "end_token": END}
        data = collect_preferences(policy, world, 40, held_out=20)
        tracked = track_training(policy, world, data, steps=2, beta=1.0)
        assert np.isfinite(tracked.table.to_numpy()).all()
        train_on_policy(policy, [START], world.reward_of, beta=1.0, steps=2, **drawing)
        assert device_of(policy) == device


class Letters:
    """As a byte-pair encoding: a letter is a token, the newline is 0."""

    def decode(self, row: list[int]) -> str:
        return "".join(chr(ord("a") + token) for token in row)


def test_lines_of_code_are_written_and_measured_on_a_device() -> None:
    with fake_device() as device:
        writer = on(device, small_policy(20, length=16))
        prompts = np.ones((4, 3), dtype=int)
        lines = write_lines(writer, prompts, Letters(), max_new_tokens=5)  # type: ignore[arg-type]
        assert measure_lines(lines, writer, writer)["kl"] == 0


def test_models_are_made_and_loaded_where_the_environment_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And a file of preferences is learnt there, from loading to the last number."""
    given = Preferences(
        tuple(f"{letter}? " for letter in LETTERS), ("ja",) * 10, ("nö",) * 10, 0
    )
    made, words = starting_policy(length=16)
    settings: dict[str, Any] = {"steps": 4, "fitting": 2, "max_length": 16}
    made.save_pretrained(tmp_path)
    words.save_pretrained(tmp_path)
    expected = learn(given, made, words, **settings)
    with fake_device() as device:
        monkeypatch.setenv("SMALLSCALE_DEVICE", device)
        for model in (
            small_policy(16, length=8),
            review_model(),
            starting_policy(length=16)[0],
        ):
            assert device_of(model) == device
        model, tokenizer = starting_policy(str(tmp_path))
        assert device_of(model) == device
        found = learn(given, model, tokenizer, **settings)
    assert found == pytest.approx(expected, rel=1e-3)
