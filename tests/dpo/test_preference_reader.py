"""Is a preference file read as it is, and refused with the line where it is not one?"""

import json
from pathlib import Path
from typing import Any

import pytest

from smallscale.dpo.preference_reader import read_preferences


def written(folder: Path, *lines: Any) -> Path:
    path = folder / "pairs.jsonl"
    path.write_text(
        "\n".join(
            line if isinstance(line, str) else json.dumps(line) for line in lines
        ),
        encoding="utf-8",
    )
    return path


def test_pairs_are_read_and_identical_ones_kept_and_counted(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        {"prompt": "Q: ", "chosen": "yes", "rejected": "no"},
        "",
        {"prompt": "Q: ", "chosen": "same", "rejected": "same"},
    )
    found = read_preferences(path)
    assert (found.prompts, found.chosen, found.rejected) == (
        ("Q: ", "Q: "),
        ("yes", "same"),
        ("no", "same"),
    )
    assert found.identical == 1


def test_a_byte_order_mark_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "marked").write_text(
        '{"chosen": "a", "rejected": "b"}', encoding="utf-8-sig"
    )
    assert read_preferences(tmp_path / "marked").chosen == ("a",)


def test_without_a_prompt_it_is_the_common_start(tmp_path: Path) -> None:
    """Up to white space: "he" would be a prompt that cuts a word in two."""
    path = written(
        tmp_path,
        {"chosen": "Say: hello there", "rejected": "Say: hell"},
        {"chosen": "abc", "rejected": "abd"},
        {"chosen": "the same text", "rejected": "the same text"},
    )
    found = read_preferences(path)
    assert found.prompts == ("Say: ", "", "")
    assert found.chosen == ("hello there", "abc", "the same text")
    assert found.rejected == ("hell", "abd", "the same text")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"chosen": "a", "rejected": ', "line 2 is not JSON"),
        ("[1, 2]", "line 2 must be an object"),
        ({"chosen": "a"}, "line 2 has no field 'rejected'; it has 'chosen'"),
        ({}, "line 2 has no field 'chosen'; it has none"),
        ({"chosen": "a", "rejected": 3}, "line 2: rejected must be text"),
        (
            {"chosen": [{"role": "user"}], "rejected": "b"},
            "line 2: chosen must be text.*chat",
        ),
        (
            {"prompt": None, "chosen": "a", "rejected": "b"},
            "line 2: prompt must be text",
        ),
        ("[" * 100_000, "line 2 is not JSON"),
        (
            {"question": "Q", "chosen": "a", "rejected": "b"},
            "line 2 has an unknown field 'question'; a line has chosen, rejected and "
            "perhaps prompt",
        ),
        (
            {"promt": "Q", "chosen": "a", "rejected": "b"},
            r"line 2 has an unknown field 'promt' \(did you mean prompt\?\)",
        ),
        (
            {"Chosen": "a", "rejected": "b"},
            r"line 2 has an unknown field 'Chosen' \(did you mean chosen\?\)",
        ),
        (
            '{"chosen": "a", "rejected": "b", "chosen": "c"}',
            "line 2 has the field 'chosen' twice",
        ),
        (
            {"prompt": "Q: ", "chosen": "Q: yes", "rejected": "Q: no"},
            "line 2: chosen begins with the prompt.*leave out the field prompt",
        ),
        (
            {"prompt": "Why? ", "chosen": "\nWhy?", "rejected": "no"},
            "line 2: chosen begins with the prompt",
        ),
        *(
            (
                {"prompt": "Is it  so, café?", "chosen": chosen, "rejected": "no"},
                "line 2: chosen begins with the prompt",
            )
            for chosen in (
                "Is it so, cafe\u0301? Yes",
                "Is it\xa0so,\ncafé? Yes",
                "\n\nHuman: Is it  so, café?\n\nAssistant: Yes",
                "### Instruction:\nIs it so, café?\n### Response:\nYes",
                "<s>[INST] Is it so, café? [/INST] Yes",
                "<|im_start|>user\nIs it so, café?<|im_end|>\n",
                "<|start|><|user|> Is it so, café? Yes",
            )
        ),
        (
            '{"chosen": "a", "rejected": "so \\ud83d"}',
            r"line 2: rejected holds '\\ud83d', half of a surrogate pair",
        ),
        (
            '{"prompt": "\\ude00", "chosen": "a", "rejected": "b"}',
            "line 2: prompt holds",
        ),
        (
            '{"chosen": ' + "1" * 5000 + ', "rejected": "b"}',
            "line 2: chosen must be text, of type string; got int",
        ),
        ('{"chosen": NaN, "rejected": "b"}', "line 2: chosen must be text.*float"),
        (
            {"chosen": "a", "rejected": "b", "x" * 5000: "c"},
            "line 2 has an unknown field '.{10,200}; a line has",
        ),
    ],
)
def test_a_broken_line_is_named(tmp_path: Path, line: Any, message: str) -> None:
    path = written(tmp_path, {"chosen": "a", "rejected": "b"}, line)
    with pytest.raises(ValueError, match=message) as caught:
        read_preferences(path)
    assert "\n" not in str(caught.value)


def test_files_that_are_none(tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    for path, message in (
        (tmp_path / "missing", "cannot be read"),
        (tmp_path, "cannot be read"),
        (tmp_path / "binary", "line 1 is not UTF-8"),
        ("~nobody-of-this-name/pairs", "cannot be read"),
        (written(tmp_path, "", " "), "holds no preferences"),
    ):
        with pytest.raises(ValueError, match=message):
            read_preferences(path)


def test_a_whole_pair_of_surrogates_is_one_character(tmp_path: Path) -> None:
    path = written(tmp_path, r'{"chosen": "\ud83d\ude00", "rejected": "no"}')
    assert read_preferences(path).chosen == ("\U0001f600",)


def test_the_line_that_is_not_utf8_is_named(tmp_path: Path) -> None:
    path = tmp_path / "pairs"
    path.write_bytes(
        b'{"chosen": "a", "rejected": "b"}\n{"chosen": "caf\xe9", "rejected": "b"}'
    )
    with pytest.raises(ValueError, match="line 2 is not UTF-8"):
        read_preferences(path)


def test_an_answer_may_go_on_with_a_word_of_the_prompt(tmp_path: Path) -> None:
    """Only the prompt as whole words is a repetition, and only in the chosen text: a
    bad answer may well be the question again."""
    path = written(
        tmp_path,
        {"prompt": "def f", "chosen": "def foo", "rejected": "def f"},
        {"prompt": "", "chosen": "a", "rejected": "b"},
        {"prompt": "Why? ", "chosen": "Because.", "rejected": "Why? "},
        {"prompt": "Rome", "chosen": "# Rome\n\nIt was", "rejected": "no"},
        {"prompt": "hi", "chosen": "Well: hi", "rejected": "no"},
    )
    assert len(read_preferences(path).prompts) == 5


def test_a_file_in_the_home_folder_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written(tmp_path, {"chosen": "a", "rejected": "b"})
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert read_preferences("~/pairs.jsonl").chosen == ("a",)
