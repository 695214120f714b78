"""Is what SmolLM2 makes of a constitution measured rightly, and recorded truly?"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from smallscale.models import (
    LanguageModel,
    ModelMissing,
    NotRecorded,
    RecordedModel,
    small_transformer,
)
from smallscale.models import recorded as recorded_module
from smallscale.models.generation import write
from smallscale.models.language_model import is_here, language_model
from smallscale.models.options import option_logps
from smallscale.values import opinion_groups
from smallscale.values.constitution_prompts import (
    FURTHER_QUESTIONS,
    ON_GARDENS,
    RECORDED,
    TOKENS,
    articles,
    constitution_prompt,
    kept,
    opposites,
    own_words,
    principle_odds,
    statement_effects,
    told_and_controls,
    told_effects,
    train_on_constitution,
)
from smallscale.values.constitutions import constitutions
from smallscale.values.population import (
    PRINCIPLE_NAMES,
    QUESTION,
    STATEMENTS,
    population,
    replies,
)
from tests.models.tokenizers_like import byte_level

MADE = population(seed=0).statements


class Obedient:
    """In place of a model: each statement that it is told moves it by one nat."""

    def option_logps(self, prompts: list[str], options: list[str]) -> Any:
        assert options == [f" {sentence}" for sentence in replies().sentences]
        rows = []
        for prompt in prompts:
            logps = np.zeros(len(options))
            for statement in STATEMENTS:
                if f"- {statement.text}\n" in prompt:
                    k = PRINCIPLE_NAMES.index(statement.principle)
                    logps += statement.direction * replies().follows[:, k]
            rows.append(logps)
        return torch.tensor(np.array(rows))

    def write(self, prompts: list[str], **_: object) -> list[str]:
        return [f" {len(prompt)} " for prompt in prompts]


def no_model(name: object, **_: object) -> LanguageModel:
    raise ModelMissing(f"{name} is not here")


def lists_of(seed: int, people: int = 240) -> dict[tuple[str, int], list[Any]]:
    made = population(people, majority=0.7, seed=seed)
    groups = opinion_groups(made.matrix, seed=seed)
    found = constitutions(made.matrix, groups, seed=seed)
    return {(name, seed): ids for name, ids in found.items()}


def test_the_prompt_ends_where_the_reply_is_due() -> None:
    told = constitution_prompt(["Be short.", "Be kind."], "Why?")
    assert told.endswith(
        "\n\nWhat people want of an assistant:\n- Be short.\n- Be kind.\n\n"
        "User: Why?\nAssistant:"
    )
    assert "What people want" not in constitution_prompt([])
    assert constitution_prompt([]).endswith(f"User: {QUESTION}\nAssistant:")


def test_odds_are_the_mean_of_differences_between_replies_that_differ_in_one_phrase():
    logps = np.random.default_rng(0).normal(size=64)
    follows = replies().follows
    for k in range(6):
        gaps = []
        for i in np.flatnonzero(follows[:, k]):
            other = follows[i].copy()
            other[k] = 0
            (j,) = np.flatnonzero((follows == other).all(1))
            gaps.append(logps[i] - logps[j])
        assert principle_odds(logps)[k] == pytest.approx(np.mean(gaps))
    both = principle_odds(np.stack([logps, logps + 5]))
    np.testing.assert_allclose(both[0], both[1])


def test_who_does_as_told_has_an_effect_of_one_nat_by_each_statement() -> None:
    effects = statement_effects(Obedient())  # type: ignore[arg-type]
    assert len(effects) == len(STATEMENTS)
    # Statements on other principles, the control, leave this one alone.
    np.testing.assert_allclose(effects.effect, 1.0)


def test_a_shared_word_counts_for_the_phrase_that_has_it() -> None:
    word = statement_effects(Obedient()).set_index("text").word  # type: ignore[arg-type]
    assert word["An assistant should keep it short."] == 1
    assert word["A short reply leaves out what matters to me."] == -1
    assert word["I do not want to be told about studies."] == -1
    assert word["An assistant should respect what my faith asks of me."] == 1
    assert word["I do not want jokes from a machine."] == 0


def test_the_opposite_is_on_the_same_principles_and_of_other_statements() -> None:
    ids = [0, 1, 6, 20]
    turned = opposites(MADE, ids)
    assert len(set(turned)) == len(ids)
    assert list(MADE.principle[turned]) == list(MADE.principle[ids])
    assert list(MADE.direction[turned]) == [-d for d in MADE.direction[ids]]
    told = told_and_controls(MADE, ids)
    assert [len(texts) for texts in told.values()] == [4, 4, 4]
    lengths = [sum(map(len, texts)) for texts in told.values()]
    assert max(lengths) < 1.3 * min(lengths)


def test_gardens_are_about_as_long_as_what_is_said_of_assistants() -> None:
    of_assistants = np.mean([len(statement.text) for statement in STATEMENTS])
    assert np.mean(list(map(len, ON_GARDENS))) == pytest.approx(of_assistants, rel=0.15)


def test_a_constitution_moves_who_obeys_its_opposite_moves_it_back() -> None:
    ids = [0, 1, 14]  # two for brevity, one against orders
    lists = {("one", 0): ids, ("none", 0): []}
    effects = told_effects(Obedient(), MADE, lists)  # type: ignore[arg-type]
    assert effects.told.tolist() == ["the constitution", "its opposite", "gardens"]
    expected = (2 + 2 + 1) / 3  # nats, the mean over its statements
    np.testing.assert_allclose(effects.effect, [expected, -expected, 0], atol=1e-9)


def test_kept_is_the_mean_over_statements_in_their_direction() -> None:
    odds = [3.0, 0, 0, -1.0, 0, 0]  # brevity, orders
    assert kept(odds, MADE, [0, 1, 14]) == pytest.approx((3 + 3 + 1) / 3)
    assert articles(MADE, [0, 14]) == [["brevity", 1], ["orders", -1]]


def test_own_words_stand_under_what_was_told() -> None:
    prompts = {"nothing": [], "short": ["Be short."]}
    table = own_words(Obedient(), prompts)  # type: ignore[arg-type]
    assert list(table.columns) == list(prompts)
    assert list(table.index) == [QUESTION, *FURTHER_QUESTIONS]
    for question in table.index:
        length = len(constitution_prompt(["Be short."], question))
        assert table.short[question] == str(length)


@pytest.mark.parametrize(
    ("seed", "people"), [(0, 60), (0, 240), (1, 240), (2, 240), (3, 240)]
)
def test_all_that_the_notebook_asks_is_recorded(
    seed: int, people: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorded_module, "language_model", no_model)
    model = RecordedModel(RECORDED)
    lists = lists_of(seed, people)
    statement_effects(model)
    told_effects(model, MADE, lists)
    told = told_and_controls(MADE, lists["by consensus", seed])
    own_words(model, {"nothing": [], **told})
    assert model.asked == 0


def test_without_the_model_what_was_not_recorded_is_refused_not_made_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorded_module, "language_model", no_model)
    with pytest.raises(NotRecorded, match="24 of 24 prompts are not recorded"):
        statement_effects(RecordedModel(tmp_path / "none.jsonl"))


def recorded_lines() -> list[dict[str, Any]]:
    return [json.loads(text) for text in RECORDED.read_text("utf-8").splitlines()]


def test_what_was_recorded_is_what_the_model_says() -> None:
    if not is_here():
        pytest.skip("SmolLM2 is not here; `smallscale model` gets it")
    live = language_model()
    likely = [line for line in recorded_lines() if "options" in line["settings"]][::20]
    for line in likely:
        options = line["settings"]["options"]
        logps = option_logps(*live, [line["prompt"]], options)[0]
        np.testing.assert_allclose(logps, line["answer"], atol=1e-3)
    said = [line for line in recorded_lines() if "stop" in line["settings"]][::12]
    prompts = [line["prompt"] for line in said]
    texts = write(*live, prompts, max_new_tokens=TOKENS, stop=["\n"])
    assert texts == [line["answer"] for line in said]


def tiny() -> LanguageModel:
    """Return a model that reads letters, with random weights."""
    tokenizer: Any = byte_level()
    tokenizer.pad_token = tokenizer.eos_token
    model = small_transformer(
        len(tokenizer), length=512, width=16, eos_token_id=tokenizer.eos_token_id
    )
    return LanguageModel(model, tokenizer)


def test_a_training_moves_what_it_is_on_and_its_opposite_the_other_way() -> None:
    settings = {"pairs": 60, "steps": 12, "pairs_a_step": 6, "beta": 0.1, "lr": 3e-2}
    moved = {}
    for direction in (1, -1):
        wanted = [["brevity", direction], ["brevity", direction]]
        result = train_on_constitution(
            tiny(), wanted=wanted, rank=4, seed=0, **settings
        )
        moved[direction] = np.subtract(result["after"], result["before"])[0]
    assert moved[1] > 0 > moved[-1]
