"""Is one sentence told from two, and is what SmolLM2 wrote recorded truly?"""

import copy
from typing import Any

import numpy as np
import pytest
import torch

from smallscale.dpo.answers import all_logps
from smallscale.dpo.sentence_rewards import (
    MOST_TOKENS,
    QUESTIONS,
    RECORDED,
    RECORDED_SEEDS,
    SHORT_TRAINING,
    TRAINING,
    answer_prompt,
    is_one_sentence,
    measure_answers,
    train_sentences,
    write_answers,
)
from smallscale.models import (
    LanguageModel,
    ModelMissing,
    NotRecorded,
    RecordedModel,
    small_transformer,
)
from smallscale.models import recorded as recorded_module
from smallscale.models.adapters import adapters, add_adapters
from smallscale.models.language_model import is_here
from tests.models.tokenizers_like import byte_level


def tiny() -> LanguageModel:
    """Return a model that reads letters, with random weights."""
    tokenizer: Any = byte_level()
    tokenizer.pad_token = tokenizer.eos_token
    model = small_transformer(
        len(tokenizer), length=512, width=16, eos_token_id=tokenizer.eos_token_id
    )
    return LanguageModel(model, tokenizer)


@pytest.mark.parametrize(
    ("text", "right"),
    [
        ("Bees make it from nectar.", True),
        ("Is it not so?", True),
        ("Run, run, run!", True),
        ("Bees make it. They do.", False),
        ("Bees make it", False),
        ("Boil it...", False),
        ("It weighs 3.5 grams.", False),
        ("It. is one", False),
        ("Make it.", False),
        ("...", False),
        ("", False),
    ],
)
def test_one_sentence(text: str, right: bool) -> None:
    assert is_one_sentence(text) is right


def test_questions_are_different_and_none_is_learnt_from_and_asked() -> None:
    learnt, asked = QUESTIONS["to_learn_from"], QUESTIONS["held_out"]
    shown = [example["question"] for example in QUESTIONS["examples"]]
    everything = [*learnt, *asked, *shown]
    assert len(set(everything)) == len(everything)
    assert (len(learnt), len(asked)) == (TRAINING["learnt"], TRAINING["asked"])


def test_the_example_itself_is_not_what_the_reward_asks_for() -> None:
    assert not any(is_one_sentence(e["answer"]) for e in QUESTIONS["examples"])
    prompt = answer_prompt("Why?")
    assert prompt.endswith("\n\nQuestion: Why?\nAnswer:")


def test_what_is_written_is_counted_as_it_was_drawn() -> None:
    model = tiny()
    written = write_answers(model, ["Why?", "What is it?"], tries=3, seed=0)
    assert len(written.text) == len(written.answers) == 6
    counted = (written.answers.labels >= 0).sum(1).tolist()
    assert counted == written.lengths.tolist()
    assert max(counted) <= MOST_TOKENS
    assert not any("\n" in text for text in written.text)
    again = write_answers(model, ["Why?", "What is it?"], tries=3, seed=0)
    assert again.text == written.text
    other = write_answers(model, ["Why?", "What is it?"], tries=3, seed=1)
    assert other.text != written.text


def test_an_answer_that_never_ended_is_not_right(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = tiny()
    sentence = model.tokenizer.encode("so it is now.", add_special_tokens=False)
    newline = model.tokenizer.encode("\n", add_special_tokens=False)
    rows = [sentence, [*sentence, *newline], [*sentence, model.tokenizer.eos_token_id]]

    def three(*_: Any, **__: Any) -> list[list[int]]:
        return rows

    monkeypatch.setattr("smallscale.dpo.sentence_rewards.continue_tokens", three)
    written = write_answers(model, ["Why?"], tries=3, seed=0)
    assert written.text == ("so it is now.",) * 3
    assert written.right.tolist() == [False, True, True]
    assert written.lengths.tolist() == [len(sentence), *[len(sentence) + 1] * 2]


def test_the_reference_is_the_model_without_its_adapters() -> None:
    model = tiny()
    bare = copy.deepcopy(model.model)
    add_adapters(model.model, rank=2)
    written = write_answers(model, ["Why?"], tries=8, seed=0)
    assert measure_answers(model, written)["kl"] == 0
    for adapter in adapters(model.model):
        torch.nn.init.normal_(adapter.B, std=0.1)
    written = write_answers(model, ["Why?"], tries=8, seed=0)
    found = measure_answers(model, written)
    ratio = all_logps(model.model, written.answers) - all_logps(bare, written.answers)
    assert found["kl"] == pytest.approx(ratio.mean().item(), abs=1e-5)
    assert found["kl"] != 0
    assert found["right"] == written.right.mean()


def no_model(name: object, **_: object) -> LanguageModel:
    raise ModelMissing(f"{name} is not here")


@pytest.mark.parametrize("seed", RECORDED_SEEDS)
def test_the_trainings_that_the_notebook_shows_are_recorded(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorded_module, "language_model", no_model)
    model = RecordedModel(RECORDED)
    report = model.result_of(train_sentences, ask="never", seed=seed, **TRAINING)
    answers = TRAINING["asked"] * TRAINING["retries"]
    for when in ("before", "after"):
        told = report[when]
        assert len(told["text"]) == len(told["is_right"]) == answers
        assert told["right"] == pytest.approx(np.mean(told["is_right"]))
        # Whether an answer ended cannot be seen from its text; the rest can.
        for text, right in zip(told["text"], told["is_right"], strict=True):
            assert is_one_sentence(text) or not right
    assert report["before"]["kl"] == 0
    assert len(report["steps"]["loss"]) == TRAINING["steps"]
    assert report["steps"]["loss"][0] == pytest.approx(np.log(2), abs=1e-5)


def test_a_training_that_was_not_recorded_is_not_done_at_once() -> None:
    settings = TRAINING | {"steps": 31}
    with pytest.raises(NotRecorded, match="too long a work"):
        RecordedModel(RECORDED).result_of(
            train_sentences, ask="never", seed=0, **settings
        )


def test_the_short_training_that_was_recorded_is_what_the_code_does() -> None:
    """The long ones take minutes; this is the same code for two steps."""
    if not is_here():
        pytest.skip("SmolLM2 is not here; `smallscale model` gets it")
    settings = {"seed": 0, **SHORT_TRAINING}
    model = RecordedModel(RECORDED)
    kept = model.result_of(train_sentences, ask="never", **settings)
    done = model.result_of(train_sentences, ask="always", **settings)
    assert done["before"]["text"] == kept["before"]["text"]
    assert done["pairs"] == kept["pairs"]
    for column, values in kept["steps"].items():
        np.testing.assert_allclose(done["steps"][column], values, atol=1e-2)
