"""Does a language model read by prompt, and is what it was recorded to say its own?"""

import json
from pathlib import Path

import pytest

from smallscale.models import LanguageModel, ModelMissing, NotRecorded, RecordedModel
from smallscale.models import recorded as recorded_module
from smallscale.models.generation import write
from smallscale.models.language_model import is_here
from smallscale.robustness.reading.addsent import original_id
from smallscale.robustness.reading.dataset import Dataset, asked
from smallscale.robustness.reading.prompted_reader import (
    RECORDED,
    TOKENS,
    PromptedReader,
    Written,
    prompted_scores,
    prompted_tests,
    reading_prompt,
)
from smallscale.robustness.reading.readings import Pair
from smallscale.robustness.reading.synthetic_squad import passages


class Parrot:
    """In place of a model: it says the first word of the passage last shown."""

    def __init__(self) -> None:
        self.prompts: list[str] = []

    def write(self, prompts: list[str], **_: object) -> list[str]:
        self.prompts += prompts
        return [f" {text.split('Passage: ')[-1].split()[0]} " for text in prompts]


def reader() -> PromptedReader:
    return PromptedReader(Parrot())  # type: ignore[arg-type]


def no_model(name: object, **_: object) -> LanguageModel:
    raise ModelMissing(f"{name} is not here")


def test_the_prompt_ends_where_the_answer_is_due() -> None:
    prompt = reading_prompt("Ada sold\n ropes.", "What did\nAda sell?")
    assert prompt.endswith(
        "\n\nPassage: Ada sold ropes.\nQuestion: What did Ada sell?\nAnswer:"
    )
    assert prompt.count("Answer:") == 3


def test_answers_come_in_order_and_without_spaces_around() -> None:
    pairs = [Pair("Ann ran.", "Who ran?"), Pair("Otto sat.", "Who sat?")]
    assert reader().read(pairs) == [Written("Ann"), Written("Otto")]


def test_nothing_asked_is_nothing_answered(tmp_path: Path) -> None:
    assert PromptedReader(RecordedModel(tmp_path / "none.jsonl")).read([]) == []


def test_scores_of_each_seed_stand_under_that_seed() -> None:
    tests: dict[int, dict[str, Dataset]] = {
        seed: {"clean": passages(3, seed=seed)} for seed in (4, 7)
    }
    table = prompted_scores(reader(), tests, name="parrot")
    assert list(table.seed) == [4, 7]
    assert list(table.reader) == ["parrot", "parrot"]
    assert list(table.columns[:3]) == ["reader", "seed", "test"]


def notebooks_tests(scale: str, seed: int) -> dict[str, Dataset]:
    """Return what the notebook asks at this scale."""
    people, n = {"small": (30, 30), "tiny": (20, 6)}[scale]
    dataset = passages(people, seed=seed + 1000, held_out=True)
    return prompted_tests(dataset, n, seed=seed, generated=True)


def test_the_same_questions_are_asked_of_each_kind_of_passage() -> None:
    tests = notebooks_tests("tiny", 0)
    clean = {qa["id"]: context for context, qa in asked(tests["clean"])}
    assert len(clean) == 6
    changed = ["unrelated sentence", "same fact, other words", "AddOneSent"]
    for name in [*changed, "at the start"]:
        of_test = {original_id(qa["id"]): c for c, qa in asked(tests[name])}
        assert of_test.keys() == clean.keys()
        for id_, context in of_test.items():
            assert len(context) > len(clean[id_])
            first = context.endswith(clean[id_])
            last = context.startswith(clean[id_])
            assert (first, last) == (
                (True, False) if "start" in name else (False, True)
            )
    bare = prompted_tests(passages(3, seed=1), 4, seed=0, generated=False)
    assert "same fact, other words" not in bare
    assert "same fact, other words" in tests


@pytest.mark.parametrize(
    ("scale", "seed"), [("tiny", 0), ("small", 0), ("small", 1), ("small", 2)]
)
def test_all_that_the_notebook_asks_is_recorded(
    scale: str, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorded_module, "language_model", no_model)
    reader = PromptedReader(RecordedModel(RECORDED))
    tests = notebooks_tests(scale, seed)
    table = prompted_scores(reader, {seed: tests}, name="SmolLM2")
    assert list(table.test) == list(tests)
    assert reader.model.asked == 0


def test_without_the_model_what_was_not_recorded_is_refused_not_made_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorded_module, "language_model", no_model)
    model = RecordedModel(tmp_path / "none.jsonl")
    with pytest.raises(NotRecorded, match="1 of 1 prompts are not recorded"):
        PromptedReader(model).read([Pair("Ann ran.", "Who ran?")])


def test_what_was_recorded_is_what_the_model_says() -> None:
    if not is_here():
        pytest.skip("SmolLM2 is not here; `smallscale model` gets it")
    lines = [json.loads(text) for text in RECORDED.read_text("utf-8").splitlines()]
    some = lines[::80]
    live = RecordedModel(RECORDED).live
    prompts = [line["prompt"] for line in some]
    said = write(*live, prompts, max_new_tokens=TOKENS, stop=["\n"])
    assert said == [line["answer"] for line in some]
