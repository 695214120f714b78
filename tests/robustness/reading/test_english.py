"""Are verbs put into their forms, and are the lists found by name?"""

import importlib.util
import json
import shutil
from pathlib import Path

import pytest

from smallscale.robustness.reading import english
from smallscale.robustness.reading.english import (
    Verbs,
    is_participle,
    past,
    third_person,
)


@pytest.mark.parametrize(
    ("base", "expected"),
    [
        ("found", "founded"),
        ("carry", "carried"),
        ("take", "took"),
        ("die", "died"),
        ("play", "played"),
    ],
)
def test_the_past(base: str, expected: str) -> None:
    assert past(base) == expected


@pytest.mark.parametrize(
    ("base", "expected"),
    [
        ("lie", "lies"),
        ("carry", "carries"),
        ("teach", "teaches"),
        ("have", "has"),
        ("play", "plays"),
        ("fix", "fixes"),
        ("miss", "misses"),
    ],
)
def test_the_third_person(base: str, expected: str) -> None:
    assert third_person(base) == expected


def test_participles() -> None:
    assert is_participle("taken")
    assert is_participle("founded")
    assert not is_participle("took")
    assert not is_participle("red")


def test_a_word_is_a_verb_where_two_of_its_forms_occur() -> None:
    text = "They sail, sailed and sailing. The port, ported. It teaches; teaching."
    verbs = Verbs([text, "teach"])
    assert "sail" in verbs.bases
    assert "teach" in verbs.bases
    assert "port" not in verbs.bases  # "ported" alone
    assert "take" in verbs.bases  # irregular, in no text
    for word in ("sails", "teaches", "took", "invented"):
        assert verbs.is_finite(word), word
    for word in ("ports", "red", "teachs"):
        assert not verbs.is_finite(word), word


def test_the_lists_are_found_by_name_however_the_file_is_sorted(tmp_path: Path) -> None:
    module = Path(english.__file__)
    shutil.copy(module, tmp_path)
    lists = json.loads(module.with_name("english.json").read_text("utf-8"))
    (tmp_path / "english.json").write_text(json.dumps(lists, sort_keys=True), "utf-8")
    spec = importlib.util.spec_from_file_location(
        "sorted_lists", tmp_path / module.name
    )
    sorted_lists = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sorted_lists)
    names = [name for name in vars(english) if name.isupper()]
    assert len(names) > 15
    for name in names:
        assert getattr(sorted_lists, name) == getattr(english, name), name
