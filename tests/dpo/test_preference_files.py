"""Is a preference file read as it is, and refused with the line where it is not one?"""

import json
from pathlib import Path
from typing import Any

import pytest

from smallscale.dpo import all_logps, preference_files, train_preferences
from smallscale.dpo.losses import MASKED
from smallscale.dpo.preference_files import (
    encode_preferences,
    language_model,
    learn,
    read_preferences,
)


def written(folder: Path, *lines: Any) -> Path:
    path = folder / "pairs.jsonl"
    path.write_text(
        "\n".join(
            line if isinstance(line, str) else json.dumps(line) for line in lines
        ),
        encoding="utf-8",
    )
    return path


class Letters:
    """As a transformers tokenizer: a letter is a token."""

    bos_token_id: int | None = None
    eos_token_id = 99

    def encode(self, text: str, add_special_tokens: bool = True) -> list[int]:
        assert not add_special_tokens
        return [ord(letter) - ord("a") for letter in text]


def test_pairs_are_read_and_identical_ones_kept_and_counted(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        {"prompt": "Q: ", "chosen": "yes", "rejected": "no", "source": "ignored"},
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
        (tmp_path / "binary", "not UTF-8"),
        (written(tmp_path, "", " "), "holds no preferences"),
    ):
        with pytest.raises(ValueError, match=message):
            read_preferences(path)


def test_encoding_keeps_the_boundary_ends_each_text_and_counts_what_it_drops(
    tmp_path: Path,
) -> None:
    path = written(
        tmp_path,
        {"prompt": "ab", "chosen": "cde", "rejected": "f"},
        {
            "prompt": "abcdefgh",
            "chosen": "c",
            "rejected": "d",
        },  # its prompt alone is too long
    )
    texts, pairs, dropped = encode_preferences(
        read_preferences(path), Letters(), max_length=5
    )
    assert texts.ids.tolist() == [
        [99, 0, 1, 2, 3],
        [99, 0, 1, 5, 99],
    ]  # cut off: no end was written
    assert texts.labels.tolist() == [[MASKED] * 3 + [2, 3], [MASKED] * 3 + [5, 99]]
    assert (pairs, dropped) == ([[0, 1]], 1)
    _, both, none = encode_preferences(read_preferences(path), Letters())
    assert (both, none) == ([[0, 2], [1, 3]], 0)
    tokenizer = Letters()
    tokenizer.bos_token_id = 98
    texts, *_ = encode_preferences(read_preferences(path), tokenizer)
    assert set(texts.ids[:, 0].tolist()) == {98}  # its own beginning, where it has one
    for length in (
        2,
        3,
    ):  # start and prompt are three tokens: the third leaves no room either
        with pytest.raises(
            ValueError, match=f"max_length={length} leaves nothing of any completion"
        ):
            encode_preferences(read_preferences(path), Letters(), max_length=length)


def test_a_small_model_learns_a_file_and_a_saved_one_comes_back(tmp_path: Path) -> None:
    rows = [{"prompt": f"{a}? ", "chosen": "ja", "rejected": "nö"} for a in "abcdefgh"]
    model, words = language_model(length=16)
    texts, pairs, _ = encode_preferences(
        read_preferences(written(tmp_path, *rows)), words
    )
    before = all_logps(model, texts)
    train_preferences(model, texts, pairs, beta=0.5, steps=15, batch_size=4)
    gain = all_logps(model, texts) - before
    assert (gain[:8] > gain[8:]).all()
    folder = str(tmp_path / "model")
    model.save_pretrained(folder)
    words.save_pretrained(folder)
    again, _ = language_model(folder)
    assert all_logps(again, texts).tolist() == pytest.approx(
        all_logps(model, texts).tolist(), abs=1e-4
    )


def test_learning_from_a_file_shows_on_pairs_it_has_not_seen(tmp_path: Path) -> None:
    letters = "abcdefghijklmnopqrst"
    rows = [{"prompt": f"{a}? ", "chosen": "yes", "rejected": "no"} for a in letters]
    given = read_preferences(written(tmp_path, *rows))
    found = learn(
        given, *language_model(length=16), steps=20, fitting=20, max_length=16
    )
    assert (found["pairs"], found["identical"], found["dropped"], found["held"]) == (
        20,
        0,
        0,
        4,
    )
    assert found["accuracy"] == 1
    assert 0.4 < found["low"] < found["high"] == pytest.approx(1)
    with pytest.raises(ValueError, match="at least 5 pairs"):
        learn(
            read_preferences(written(tmp_path, *rows[:4])),
            *language_model(length=16),
            steps=1,
            max_length=16,
        )


def test_the_last_fifth_is_never_trained_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: dict[str, Any] = {}
    monkeypatch.setattr(
        preference_files,
        "fit_texts",
        lambda model, texts, **_: seen.update(fitted=len(texts)),
    )
    monkeypatch.setattr(
        preference_files,
        "train_preferences",
        lambda model, texts, pairs, **_: seen.update(pairs=pairs),
    )
    rows = [
        {"prompt": f"{a}? ", "chosen": "a", "rejected": "the longer one"}
        for a in "abcdefghij"
    ]
    given = read_preferences(written(tmp_path, *rows))
    found = learn(given, *language_model(length=16), steps=1, fitting=1, max_length=16)
    assert seen == {"fitted": 8, "pairs": [[i, 10 + i] for i in range(8)]}
    assert (found["held"], found["accuracy"]) == (
        2,
        0,
    )  # untrained, no reward is strictly higher
