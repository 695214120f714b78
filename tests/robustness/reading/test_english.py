"""Are verbs put into their forms, and are the lists found by name?"""

import importlib.util
import json
import shutil
from pathlib import Path

import pytest

from smallscale.robustness.reading import english
from smallscale.robustness.reading.english import (
    Vocabulary,
    is_participle,
    is_plural,
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
        ("stop", "stopped"),
        ("refer", "referred"),
        ("open", "opened"),
        ("fix", "fixed"),
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
    words = Vocabulary([text, "teach"])
    assert "sail" in words.bases
    assert "teach" in words.bases
    assert "port" not in words.bases  # "ported" alone
    assert "take" in words.bases  # irregular, in no text
    for word in ("sails", "teaches", "took", "invented"):
        assert words.is_finite(word), word
    for word in ("ports", "red", "teachs"):
        assert not words.is_finite(word), word


@pytest.mark.parametrize(
    ("phrase", "plural"),
    [
        ("the Huguenots", True),
        ("the leader of the Huguenots", False),
        ("leaders of Rome", True),
        ("salt and silver", True),
        ("the men", True),
        ("the class", False),
        ("a virus", False),
        ("", False),
    ],
)
def test_plurals(phrase: str, plural: bool) -> None:
    assert is_plural(phrase) is plural


def test_nouns_stand_between_a_determiner_and_a_word_of_grammar() -> None:
    words = Vocabulary(
        ["The harbour of Rome has a lantern. Their method used the new."]
    )
    assert {"harbour", "lantern"} <= words.nouns
    assert not {"used", "has", "method", "of"} & words.nouns


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
