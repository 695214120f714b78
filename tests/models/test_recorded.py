"""Is what a model said kept, found again, and never taken for another's answer?"""

import functools
import json
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

from smallscale.models import (
    LanguageModel,
    ModelMissing,
    NotRecorded,
    RecordedModel,
    recorded,
)

PROMPTS = ["Say: hello", "def f(", "Say: hello"]


@pytest.fixture
def folder(tiny: LanguageModel, tmp_path: Path) -> Path:
    """Where the tiny model is saved."""
    path = tmp_path / "tiny"
    tiny.model.float().save_pretrained(path)
    tiny.model.double()
    tiny.tokenizer.save_pretrained(path)
    return path


def gone(name: object, **_: object) -> LanguageModel:
    raise ModelMissing(f"{name} is not here")


def test_an_answer_is_asked_once_and_found_again_without_the_model(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = tmp_path / "answers.jsonl"
    first = RecordedModel(store, folder, record=True)
    texts = first.write(PROMPTS, max_new_tokens=5, stop=["\n"])
    logps = first.option_logps(PROMPTS, [" there", "x)"])
    assert first.asked == 4  # two prompts, twice: equal questions are one
    assert texts[0] == texts[2]
    identity = first.identity
    monkeypatch.setattr(recorded, "language_model", gone)
    again = RecordedModel(store, folder)
    monkeypatch.setattr(RecordedModel, "identity", identity)
    assert again.write(PROMPTS, max_new_tokens=5, stop=["\n"]) == texts
    assert torch.equal(again.option_logps(PROMPTS, [" there", "x)"]), logps)
    assert again.asked == 0


def test_each_prompt_may_have_options_of_its_own(folder: Path, tmp_path: Path) -> None:
    prompts = ["Say: hello", "def f(", "Say: hello"]
    options = [[" there", "x)"], ["y)", " z"], [" you", " all"]]
    model = RecordedModel(tmp_path / "a.jsonl", folder, record=True)
    rows = model.option_logps(prompts, options)
    assert model.asked == 3  # the same prompt with other options is another question
    for prompt, row, found in zip(prompts, options, rows, strict=True):
        alone = RecordedModel(tmp_path / "none.jsonl", folder)
        assert torch.allclose(alone.option_logps([prompt], row)[0], found, atol=1e-5)
    shared = model.option_logps(prompts[:1], options[0])
    assert torch.equal(shared[0], rows[0])
    assert model.asked == 3


@pytest.mark.parametrize(
    "change",
    [
        {"max_new_tokens": 6},
        {"stop": ["x"]},
        {"temperature": 1.0},
        {"prompts": ["Say: hello "]},
    ],
)
def test_a_changed_question_is_another(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: dict
) -> None:
    store = tmp_path / "answers.jsonl"
    model = RecordedModel(store, folder, record=True)
    question = {"prompts": PROMPTS[:1], "max_new_tokens": 5}
    model.write(**question)
    monkeypatch.setattr(recorded, "language_model", gone)
    del model.live
    with pytest.raises(NotRecorded, match="1 of 1 prompts are not recorded") as raised:
        model.write(**(question | change))
    assert "is not here" in str(raised.value)
    model.write(**question)


def test_draws_are_those_of_the_seed_and_the_prompt_alone(
    folder: Path, tmp_path: Path
) -> None:
    together = RecordedModel(tmp_path / "a.jsonl", folder)
    texts = together.write(PROMPTS, max_new_tokens=8, temperature=1.0, seed=1)
    alone = RecordedModel(tmp_path / "b.jsonl", folder)
    assert alone.write(PROMPTS[1:2], max_new_tokens=8, temperature=1.0, seed=1) == [
        texts[1]
    ]
    assert texts != together.write(PROMPTS, max_new_tokens=8, temperature=1.0, seed=2)


def test_nothing_is_written_unless_asked(folder: Path, tmp_path: Path) -> None:
    store = tmp_path / "answers.jsonl"
    RecordedModel(store, folder).write(PROMPTS, max_new_tokens=2)
    assert not store.exists()


def test_two_models_do_not_answer_for_one_another(
    folder: Path, tiny: LanguageModel, tmp_path: Path
) -> None:
    other = tmp_path / "other" / "tiny"  # of one name
    tiny.model.float().save_pretrained(other)
    tiny.model.double()
    tiny.tokenizer.save_pretrained(other)
    weights = RecordedModel(tmp_path / "a.jsonl", other).live.model
    weights.model.embed_tokens.weight.data *= -1
    weights.save_pretrained(other)
    store = tmp_path / "answers.jsonl"
    RecordedModel(store, folder, record=True).write(PROMPTS, max_new_tokens=4)
    second = RecordedModel(store, other)
    second.write(PROMPTS, max_new_tokens=4)
    assert second.asked == 2


@pytest.mark.parametrize(
    "line", ["", "{", "[]", '{"key": "1"}', "null", "edited answer's key"]
)
def test_a_damaged_line_is_refused_by_its_number(
    folder: Path, tmp_path: Path, line: str
) -> None:
    store = tmp_path / "answers.jsonl"
    RecordedModel(store, folder, record=True).write(PROMPTS, max_new_tokens=2)
    lines = store.read_text(encoding="utf-8").splitlines()
    if line.startswith("edited"):
        line = json.dumps(json.loads(lines[0]) | {"prompt": "Say: goodbye"})
    store.write_text("\n".join([lines[0], line, lines[1]]), encoding="utf-8")
    with pytest.raises(ValueError, match="line 2"):
        RecordedModel(store, folder)


def test_an_answer_with_a_line_end_of_its_own_is_one_line(tmp_path: Path) -> None:
    """JSON leaves U+2028 and U+0085 as they are, and Python ends a line there."""
    store = tmp_path / "answers.jsonl"
    answer = "one\u2028two\u0085three"
    line = {"model": "m", "prompt": "p", "settings": {}, "answer": answer}
    key = recorded.question_key("m", "p", {})
    recorded.append(store, [{"key": key, **line}])
    assert recorded.read_store(store) == {key: answer}


def test_a_store_that_is_no_text_is_refused_by_its_line(tmp_path: Path) -> None:
    store = tmp_path / "answers.jsonl"
    store.write_bytes(b'{"key": "\xff"}')
    with pytest.raises(ValueError, match="line 1: not a recorded answer"):
        recorded.read_store(store)


def test_one_string_is_no_list(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="list of strings"):
        RecordedModel(tmp_path / "a.jsonl", folder).write("Say")  # type: ignore


def test_smollm2_is_known_without_being_loaded(tmp_path: Path) -> None:
    model = RecordedModel(tmp_path / "a.jsonl")
    assert model.identity == "smollm2 b179c9523d0e6a0f"
    assert "live" not in vars(model)


def longest_word(model: LanguageModel, *, words: list[str], shift: float) -> dict:
    """A work of some minutes: it changes the model it is given."""
    with torch.no_grad():
        model.model.lm_head.weight += shift
    return {"word": max(words, key=len), "sizes": (1, 2)}


WORK = {"words": ["a", "bcd"], "shift": 1.0}


def test_a_work_is_done_once_and_its_result_found_again(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = tmp_path / "answers.jsonl"
    first = RecordedModel(store, folder, record=True)
    found = first.result_of(longest_word, **WORK)
    assert found == {"word": "bcd", "sizes": [1, 2]}  # as JSON has it
    assert first.asked == 1
    identity = first.identity
    monkeypatch.setattr(recorded, "language_model", gone)
    monkeypatch.setattr(RecordedModel, "identity", identity)
    again = RecordedModel(store)
    for ask in ("never", "if new"):
        assert again.result_of(longest_word, ask=ask, **WORK) == found
    assert again.asked == 0
    with pytest.raises(NotRecorded, match=r"longest_word.* is not recorded"):
        again.result_of(longest_word, ask="never", **WORK | {"shift": 2.0})
    with pytest.raises(NotRecorded, match="is not here"):
        again.result_of(longest_word, **WORK | {"shift": 2.0})
    with pytest.raises(NotRecorded, match=r"longest_word.* cannot be done"):
        again.result_of(longest_word, ask="always", **WORK)
    with pytest.raises(ValueError, match="ask must be one of"):
        again.result_of(longest_word, ask="maybe", **WORK)


def test_a_work_has_a_model_of_its_own(folder: Path, tmp_path: Path) -> None:
    store = tmp_path / "answers.jsonl"
    model = RecordedModel(store, folder, record=True)
    before = model.live.model.lm_head.weight.clone()
    identity = model.identity
    model.result_of(longest_word, ask="always", **WORK)
    assert not store.exists()
    model.result_of(longest_word, **WORK)
    assert len(store.read_text("utf-8").splitlines()) == 1
    assert torch.equal(model.live.model.lm_head.weight, before)
    assert RecordedModel(store, folder).identity == identity


def longest_of(model: LanguageModel, *, words: list[str]) -> str:
    return max(words, key=len)


def twice(model: LanguageModel, *, max_new_tokens: int) -> str:
    """A work whose settings may be those of a prompt."""
    return "not a continuation"


def test_another_work_or_prompt_is_not_given_a_works_result(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = RecordedModel(tmp_path / "a.jsonl", folder, record=True)
    assert model.result_of(longest_of, words=["a", "bcd"]) == "bcd"

    def shortest_of(model: LanguageModel, *, words: list[str]) -> str:
        return min(words, key=len)

    for other in (
        shortest_of,
        lambda model, words: "",
        functools.partial(longest_of),
        [].append,
    ):
        with pytest.raises(ValueError, match="work must be a function that its module"):
            model.result_of(other, words=["a", "bcd"])
    # A function of another module that has the same name is another work.
    shortest_of.__module__ = "made_works"
    shortest_of.__qualname__ = shortest_of.__name__ = "longest_of"
    module = ModuleType("made_works")
    module.longest_of = shortest_of  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "made_works", module)
    assert model.result_of(shortest_of, words=["a", "bcd"]) == "a"
    # So is a prompt, even one that is the work's name.
    assert model.result_of(twice, max_new_tokens=3) == "not a continuation"
    for prompt in ("twice", f"{__name__}.twice"):
        assert model.write([prompt], max_new_tokens=3) != ["not a continuation"]


@pytest.mark.parametrize("words", [{1: "one"}, [{1, 2}], object(), np.ones(2)])
def test_settings_that_json_would_change_are_refused(
    words: object, folder: Path, tmp_path: Path
) -> None:
    model = RecordedModel(tmp_path / "a.jsonl", folder)
    with pytest.raises(ValueError, match=r"words must be what JSON can hold: .* text"):
        model.result_of(longest_of, words=words)
    assert model.result_of(longest_of, words=("a", "bc")) == "bc"


def test_a_store_may_lie_in_the_home_folder(folder: Path, home: Path) -> None:
    model = RecordedModel("~/answers.jsonl", folder, record=True)
    model.write(PROMPTS, max_new_tokens=1)
    assert (home / "answers.jsonl").is_file()
    assert not Path("~").exists()
