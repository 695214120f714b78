"""Is every question asked as it says, and is what was recorded the model's own?"""

import json
from typing import Any

import pytest
import torch

from smallscale.foundations.in_context.prompts import (
    CONDITIONS,
    MOST_SHOTS,
    RECORDED,
    SHOTS,
    TOKENS,
    WORDS,
    WRITTEN,
    draw_questions,
    is_right,
    labels_table,
    pairs_of,
    prompt_of,
    relabelled,
    shots_table,
)
from smallscale.models import LanguageModel, ModelMissing, NotRecorded, RecordedModel
from smallscale.models import recorded as recorded_module
from smallscale.models.generation import write
from smallscale.models.language_model import is_here


def no_model(name: object, **_: object) -> LanguageModel:
    raise ModelMissing(f"{name} is not here")


def test_each_task_has_one_answer_for_each_of_forty_inputs_or_more() -> None:
    for task in WORDS:
        pairs = pairs_of(task)
        assert len(pairs) >= 40
        assert len({given for given, _ in pairs}) == len(pairs)
        assert all(given.strip() and answer.strip() for given, answer in pairs)
    assert all(answer == given.upper() for given, answer in pairs_of("upper case"))
    assert ("41", "42") in pairs_of("next number")


def test_a_prompt_by_hand() -> None:
    (question,) = draw_questions("plus seven", 2, 1, seed=3)
    (a, b), (c, d) = question.examples
    plain = f"Input: {a}\nOutput: {b}\n\nInput: {c}\nOutput: {d}\n\nInput: "
    assert prompt_of(question, task="plus seven") == f"{plain}{question.asked}\nOutput:"
    said = prompt_of(question, task="plus seven", style="instruction")
    assert said == f"Add seven to each number.\n\n{plain}{question.asked}\nOutput:"
    arrow = prompt_of(question, task="plus seven", style="arrow")
    assert arrow == f"{a} -> {b}\n{c} -> {d}\n{question.asked} ->"
    assert int(question.answer) == int(question.asked) + 7


def test_more_examples_are_the_fewer_ones_with_others_before_them() -> None:
    for task in WORDS:
        by_shots = {k: draw_questions(task, k, 10, seed=1) for k in SHOTS}
        for k, questions in by_shots.items():
            for few, most in zip(questions, by_shots[MOST_SHOTS], strict=True):
                assert few.asked == most.asked
                assert few.examples == most.examples[MOST_SHOTS - k :]
                assert few.asked not in [given for given, _ in few.examples]
                assert len(set(few.examples)) == k


def test_labels_take_turns_and_are_changed_as_said() -> None:
    questions = draw_questions("sentiment", 8, 20)
    truth = dict(pairs_of("sentiment"))
    changed = {name: relabelled(questions, name) for name in CONDITIONS}
    assert changed["true labels"] == questions
    wrong = 0
    for plain, swapped, random in zip(
        questions, changed["swapped labels"], changed["random labels"], strict=True
    ):
        labels = [label for _, label in plain.examples]
        assert sorted(labels) == ["negative"] * 4 + ["positive"] * 4
        assert all(a != b for a, b in zip(labels[1:], labels[:-1], strict=True))
        assert all(label != truth[given] for given, label in swapped.examples)
        wrong += sum(label != truth[given] for given, label in random.examples)
        assert swapped.answer == random.answer == truth[plain.asked]
    assert 55 < wrong < 105  # of 160, half


@pytest.mark.parametrize("seed", range(5))
def test_half_of_the_words_asked_have_each_label(seed: int) -> None:
    for n in (2, 8, 20, 40):
        answers = [q.answer for q in draw_questions("sentiment", 1, n, seed=seed)]
        assert answers.count("positive") == answers.count("negative") == n // 2


class Leaning:
    """In place of a model: it likes one label word, and yet knows the words."""

    def __init__(self, knows: float) -> None:
        self.knows = knows

    def option_logps(self, prompts: list[str], options: list[str]) -> torch.Tensor:
        assert options == [" negative", " positive"]
        truth = dict(pairs_of("sentiment"))
        asked = [prompt.split("Input: ")[-1].split("\n")[0] for prompt in prompts]
        positive = torch.tensor([float(truth[word] == "positive") for word in asked])
        liking = torch.full_like(positive, 7.0)
        return torch.stack([liking, self.knows * positive], 1).double()


@pytest.mark.parametrize("seed", range(3))
def test_a_liking_for_a_label_word_is_no_answer(seed: int) -> None:
    for knows, share in ((0.5, 1.0), (-0.5, 0.0)):
        model: Any = Leaning(knows)
        table = labels_table(model, n=12, shots=(0, 4), seed=seed)
        assert set(table.accuracy) == {share}
    with pytest.raises(ValueError, match="n must be even"):
        labels_table(model, n=3)


def test_what_counts_as_right() -> None:
    assert is_right(" Addis Ababa", "Addis Ababa", "capital")
    assert is_right("cold.", "cold", "antonym")
    assert not is_right("colder", "cold", "antonym")
    assert not is_right("Garden", "GARDEN", "upper case")
    assert not is_right("", "cold", "antonym")


def test_what_cannot_be_asked_is_refused() -> None:
    with pytest.raises(ValueError, match="task must be one of"):
        draw_questions("poetry", 1, 1)
    with pytest.raises(ValueError, match="shots must be"):
        draw_questions("antonym", 17, 1)
    with pytest.raises(ValueError, match="n must be"):
        draw_questions("antonym", 1, 41)
    (question,) = draw_questions("antonym", 1, 1)
    with pytest.raises(ValueError, match="style must be one of"):
        prompt_of(question, task="antonym", style="poem")
    with pytest.raises(ValueError, match="condition must be one of"):
        relabelled([question], "no labels")


def test_all_that_the_notebook_asks_is_recorded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(recorded_module, "language_model", no_model)
    model = RecordedModel(RECORDED)
    plain = shots_table(model, n=20)
    assert list(plain.columns[:3]) == ["task", "style", "shots"]
    assert len(plain) == len(WRITTEN) * len(SHOTS)
    assert (plain.low <= plain.accuracy).all()
    assert (plain.accuracy <= plain.high).all()
    few = shots_table(model, n=20, shots=(0, 1, 4), styles=("arrow", "instruction"))
    assert len(few) == len(WRITTEN) * 6
    labels = labels_table(model, n=20)
    assert len(labels) == len(CONDITIONS) * len(SHOTS)
    assert model.asked == 0
    # At tiny fewer of the same questions are asked.
    assert len(shots_table(model, n=4, shots=(0, 4))) == 12


def test_without_the_model_other_questions_are_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(recorded_module, "language_model", no_model)
    with pytest.raises(NotRecorded, match="are not recorded"):
        shots_table(RecordedModel(RECORDED), n=2, shots=(3,))


def test_what_was_recorded_is_what_the_model_says() -> None:
    if not is_here():
        pytest.skip("SmolLM2 is not here; `smallscale model` gets it")
    lines = [json.loads(text) for text in RECORDED.read_text("utf-8").splitlines()]
    written = [line for line in lines if "options" not in line["settings"]][::160]
    live = RecordedModel(RECORDED).live
    said = write(
        *live,
        [line["prompt"] for line in written],
        max_new_tokens=TOKENS,
        stop=["\n"],
    )
    assert said == [line["answer"] for line in written]
