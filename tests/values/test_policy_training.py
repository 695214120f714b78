"""Does the model write replies, do the camps choose as they wish, and does training
move the model towards them?"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.special import expit
from torch import nn
from transformers import LlamaConfig, LlamaForCausalLM

from smallscale.dpo import Answers, all_logps
from smallscale.values.group_rules import GROUP_RULES, GroupLoss, gains
from smallscale.values.policy_training import (
    camp_pairs,
    reply_distribution,
    reply_model,
    train_by_rule,
    untrained_reply_model,
)
from smallscale.values.population import QUESTION, WORDS, replies
from tests.fake_device import fake_device
from tests.models.tokenizers_like import byte_level, sentencepiece_like

FLAT = np.full(64, 1 / 64)


@pytest.fixture(scope="module")
def written() -> tuple[nn.Module, Answers]:
    return reply_model(steps=250)


def test_the_reference_writes_replies_about_equally_often(
    written: tuple[nn.Module, Answers],
) -> None:
    chance = reply_distribution(*written)
    assert chance.sum() > 0.97
    assert chance.min() > 0.6 / 64
    assert chance.max() < 1.4 / 64


def test_the_majority_compares_its_share_and_chooses_by_its_utility() -> None:
    pairs, groups = camp_pairs(FLAT, 20_000, 0.7, seed=3)
    assert pairs.shape == (20_000, 2)
    assert (groups == 0).sum() == 14_000
    for camp in (0, 1):
        chosen, rejected = pairs[groups == camp].T
        utility = replies().utility[:, camp]
        # Of the pairs that differ, the share in which the better reply was chosen is
        # the mean of sigmoid |difference|.
        differ = utility[chosen] != utility[rejected]
        expected = expit(np.abs(utility[:, None] - utility[None]))[
            ~np.isclose(utility[:, None], utility[None])
        ].mean()
        assert (utility[chosen] > utility[rejected])[differ].mean() == pytest.approx(
            expected, abs=0.012
        )
    assert not np.array_equal(pairs, camp_pairs(FLAT, 20_000, 0.7, seed=4)[0])
    np.testing.assert_array_equal(pairs, camp_pairs(FLAT, 20_000, 0.7, seed=3)[0])


def test_pairs_come_from_the_reference_and_may_follow_another_utility() -> None:
    only = np.zeros(64)
    only[[5, 9]] = 0.5
    wish = np.zeros((64, 2))
    wish[5] = 100
    pairs, _ = camp_pairs(only, 200, 0.5, utility=wish)
    assert set(pairs.flat) == {5, 9}
    assert (pairs[pairs[:, 0] != pairs[:, 1], 0] == 5).all()


def test_training_moves_towards_the_camp_that_compares_and_leaves_the_model(
    written: tuple[nn.Module, Answers],
) -> None:
    model, texts = written
    before = {name: value.clone() for name, value in model.state_dict().items()}
    start = reply_distribution(model, texts)
    start = start / start.sum()
    gained = []
    for majority in (1.0, 0.0):
        pairs, groups = camp_pairs(start, 4000, majority)
        after = train_by_rule(model, texts, pairs, groups, beta=0.5, steps=80)
        gained.append(gains(after, replies().utility, start, 0.5))
    assert gained[0][0] > 0.5 > gained[0][1]
    assert gained[1][1] > 0.5 > gained[1][0]
    assert all(
        torch.equal(value, before[name]) for name, value in model.state_dict().items()
    )


@pytest.mark.parametrize("rule", ["equal", "worst", "regret"])
def test_every_rule_trains(written: tuple[nn.Module, Answers], rule: str) -> None:
    model, texts = written
    pairs, groups = camp_pairs(FLAT, 500, 0.7)
    first, again = (
        train_by_rule(model, texts, pairs, groups, rule, beta=0.5, steps=3)
        for _ in range(2)
    )
    np.testing.assert_array_equal(first, again)
    assert not np.allclose(first, reply_distribution(model, texts), atol=1e-6)


def test_another_causal_language_model_can_write(tmp_path: Path) -> None:
    """One step of what `full` does: a model and a tokenizer in a folder, as
    transformers saves them."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    known = sorted(
        {word for phrase in WORDS for word in phrase.split()}
        | set("IamwornoutWhatshalldo?.,")
    )
    tokenizer = Tokenizer(
        models.WordLevel(
            {w: i for i, w in enumerate(["<unk>", "<s>", *known])}, unk_token="<unk>"
        )
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token="<s>", unk_token="<unk>"
    ).save_pretrained(tmp_path)
    config = LlamaConfig(
        vocab_size=len(known) + 2,
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
    )
    LlamaForCausalLM(config).save_pretrained(tmp_path)
    model, texts = reply_model(str(tmp_path), steps=1, lr=1e-5)
    assert len(texts) == 64
    assert texts.ids.shape[1] > 15  # words, no longer phrases
    chance = reply_distribution(model, texts)
    assert 0 < chance.sum() < 1e-6  # it has learnt nothing yet
    pairs, groups = camp_pairs(chance, 64, 0.7)
    assert np.isfinite(
        train_by_rule(model, texts, pairs, groups, beta=0.1, steps=1)
    ).all()


def saved(folder: Path, tokenizer: Any, **config: Any) -> str:
    """A small Llama and this tokenizer, as transformers saves them."""
    sizes = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1}
    heads = {"num_attention_heads": 2, "vocab_size": len(tokenizer), **config}
    LlamaForCausalLM(LlamaConfig(**sizes, **heads)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


@pytest.mark.parametrize(
    "make", [byte_level, lambda: byte_level(start=True), sentencepiece_like]
)
def test_replies_are_the_tokens_of_their_text_begun_and_ended_once(
    tmp_path: Path, make: Callable[[], Any]
) -> None:
    """A beginning of text before every reply would be trained on, and so written."""
    tokenizer = make()
    _, texts = untrained_reply_model(saved(tmp_path, tokenizer))
    prompts = set()
    for i, sentence in enumerate(replies().sentences):
        ids = texts.ids[i][texts.mask[i].bool()].tolist()
        assert ids == [*tokenizer.encode(f"{QUESTION} {sentence}"), 2]
        written = texts.labels[i][texts.labels[i] >= 0].tolist()
        assert tokenizer.bos_token_id not in written
        assert written.count(tokenizer.eos_token_id) == 1
        prompts.add(tuple(ids[: len(ids) - len(written)]))
    assert len(prompts) == 1


def test_a_model_that_cannot_read_the_replies_is_refused_before_training(
    tmp_path: Path,
) -> None:
    short = saved(tmp_path, byte_level(), max_position_embeddings=8)
    with pytest.raises(ValueError, match="at most 8 tokens, the model's positions"):
        untrained_reply_model(short)
    with pytest.raises(ValueError, match="there is no folder"):
        reply_model("./no-such-model", steps=1)


def test_a_checkpoint_in_half_precision_trains_in_single(tmp_path: Path) -> None:
    folder = saved(tmp_path, byte_level())
    half = LlamaForCausalLM.from_pretrained(folder).to(torch.bfloat16)
    half.save_pretrained(folder)
    model, texts = reply_model(folder, steps=1, lr=1e-6)
    assert {p.dtype for p in model.parameters()} == {torch.float32}
    half, _ = untrained_reply_model(folder)
    half.to(torch.bfloat16)
    pairs, groups = camp_pairs(FLAT, 64, 0.7)
    before = all_logps(half.float(), texts)
    after = train_by_rule(
        half.to(torch.bfloat16), texts, pairs, groups, beta=0.5, steps=5, lr=1e-5
    )
    rise = np.log(after) - before.double().numpy()
    assert 1e-4 < abs(rise).max() < 1


def test_it_all_runs_on_another_device(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the results of the CPU, by every rule."""
    pairs, groups = camp_pairs(FLAT, 200, 0.7)
    settings: dict[str, Any] = {"beta": 0.5, "steps": 2}
    model, texts = reply_model(steps=3)
    expected = train_by_rule(model, texts, pairs, groups, "worst", **settings)
    with fake_device() as device:
        monkeypatch.setenv("SMALLSCALE_DEVICE", device)
        model, texts = reply_model(steps=3)
        assert {str(p.device) for p in model.parameters()} == {device}
        for rule in GROUP_RULES:
            after = train_by_rule(model, texts, pairs, groups, rule, **settings)
            if rule == "worst":
                np.testing.assert_allclose(after, expected, rtol=1e-3)
        loss = GroupLoss(groups, "worst")
        losses = torch.ones(3).to(device)
        assert str(loss(losses, torch.arange(3)).device) == device
