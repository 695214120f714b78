"""Does a model learn from a file of preferences, and is it judged on what it has not
seen?"""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import ByT5Tokenizer

from smallscale.dpo import all_logps, preference_files, train_preferences
from smallscale.dpo.losses import MASKED
from smallscale.dpo.policies import small_policy
from smallscale.dpo.preference_files import (
    Preferences,
    encode_preferences,
    learn,
    read_preferences,
    split_preferences,
    starting_policy,
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
        start = add_special_tokens and self.bos_token_id is not None
        letters = [ord(letter) - ord("a") for letter in text]
        return [self.bos_token_id, *letters] if start else letters  # type: ignore[list-item]


def test_encoding_keeps_the_boundary_ends_each_text_and_counts_what_it_drops(
    tmp_path: Path,
) -> None:
    path = written(
        tmp_path,
        {"prompt": "ab", "chosen": "cde", "rejected": "f"},
        # The prompt alone is too long.
        {"prompt": "abcdefgh", "chosen": "c", "rejected": "d"},
    )
    texts, pairs, dropped = encode_preferences(
        read_preferences(path), Letters(), max_length=5
    )
    # The second is cut off: no end was written.
    assert texts.ids.tolist() == [[0, 1, 2, 3, 4], [0, 1, 5, 99, 99]]
    assert texts.mask.tolist()[1] == [1, 1, 1, 1, 0]
    assert texts.labels.tolist() == [
        [MASKED, MASKED, 2, 3, 4],
        [MASKED, MASKED, 5, 99, MASKED],
    ]
    assert (pairs, dropped) == ([[0, 1]], 1)
    _, both, none = encode_preferences(read_preferences(path), Letters())
    assert (both, none) == ([[0, 2], [1, 3]], 0)
    tokenizer = Letters()
    tokenizer.bos_token_id = 98
    texts, *_ = encode_preferences(read_preferences(path), tokenizer)
    assert set(texts.ids[:, 0].tolist()) == {98}  # its own beginning, where it has one
    for length in (1, 2):  # the prompt is two tokens: the second leaves no room either
        with pytest.raises(
            ValueError, match=f"max_length={length} leaves nothing of any completion"
        ):
            encode_preferences(read_preferences(path), Letters(), max_length=length)
    with pytest.raises(ValueError, match="max_length must be a whole number"):
        encode_preferences(read_preferences(path), Letters(), max_length=0)


def test_a_small_model_learns_a_file_and_a_saved_one_comes_back(tmp_path: Path) -> None:
    rows = [{"prompt": f"{a}? ", "chosen": "ja", "rejected": "nö"} for a in "abcdefgh"]
    model, words = starting_policy(length=16)
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
    again, _ = starting_policy(folder)
    assert all_logps(again, texts).tolist() == pytest.approx(
        all_logps(model, texts).tolist(), abs=1e-4
    )


def test_learning_from_a_file_shows_on_pairs_it_has_not_seen(tmp_path: Path) -> None:
    letters = "abcdefghijklmnopqrst"
    rows = [{"prompt": f"{a}? ", "chosen": "yes", "rejected": "no"} for a in letters]
    given = read_preferences(written(tmp_path, *rows))
    found = learn(
        given, *starting_policy(length=16), steps=20, fitting=20, max_length=16
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
            *starting_policy(length=16),
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
        {"prompt": f"{a}? ", "chosen": "z", "rejected": "the longer one"}
        for a in "abcdefghij"
    ]
    given = read_preferences(written(tmp_path, *rows))
    found = learn(given, *starting_policy(length=16), steps=1, fitting=1, max_length=16)
    assert seen == {"fitted": 8, "pairs": [[i, 10 + i] for i in range(8)]}
    assert (found["held"], found["accuracy"]) == (
        2,
        0,
    )  # untrained, no reward is strictly higher


HALVES = (torch.bfloat16, torch.float16)


def questions(letters: str) -> Preferences:
    n = len(letters)
    prompts = tuple(f"{letter}? " for letter in letters)
    return Preferences(prompts, ("yes",) * n, ("no",) * n, identical=0)


@pytest.mark.parametrize("stored", HALVES)
def test_a_checkpoint_in_half_precision_trains_in_single(
    tmp_path: Path, stored: torch.dtype
) -> None:
    """At a rate of 1e-6 no bfloat16 weight moves, and float16 divides by 0. The margin
    is that of the same weights in float32, but for the rounding of what is not saved.
    """
    small, words = starting_policy(length=16)
    small.to(stored).save_pretrained(tmp_path)
    words.save_pretrained(tmp_path)
    settings: dict[str, Any] = {"steps": 10, "lr": 1e-6, "max_length": 16}
    given = questions("abcdefghij")
    expected = learn(given, small.float(), words, **settings)
    loaded, tokenizer = starting_policy(str(tmp_path))
    assert {p.dtype for p in loaded.parameters()} == {torch.float32}
    found = learn(given, loaded, tokenizer, **settings)
    assert found == pytest.approx(expected, rel=1e-3)
    assert expected["margin"] > 0.01
    half = loaded.to(stored)  # and not only where it is loaded
    moved = learn(given, half, tokenizer, **settings)
    assert moved["margin"] > 0.01
    assert {p.dtype for p in half.parameters()} == {torch.float32}


def test_the_margin_shows_what_accuracy_hides() -> None:
    """In nats, by hand: how much more the chosen text rose than the rejected one."""
    given = questions("abcdefghij")
    settings: dict[str, Any] = {"steps": 5, "max_length": 16, "beta": 0.3}
    model, words = starting_policy(length=16)
    before, _ = starting_policy(length=16)
    found = learn(given, model, words, **settings)
    texts, *_ = encode_preferences(given, words)
    rise = all_logps(model, texts) - all_logps(before, texts)
    by_hand = (rise[8:10] - rise[18:20]).mean()  # the last two pairs
    assert found["margin"] == pytest.approx(by_hand.item(), rel=1e-4)
    model, _ = starting_policy(length=16)
    hardly = learn(given, model, words, **settings, lr=1e-9)
    assert hardly["margin"] < 1e-3 < found["margin"]


def test_the_same_pair_is_in_one_part_of_the_split() -> None:
    """The last pair three times, once with another opinion; and one text twice."""
    model, words = starting_policy(length=32)
    given = Preferences(
        ("a? ", "b? ", "c? ", "d? ", "e? ", "f? ", "e? ", "e? ", "g? "),
        ("yes",) * 6 + ("yes", "no", "same"),
        ("no",) * 6 + ("no", "yes", "same"),
        identical=1,
    )
    split = split_preferences(given, model, words, max_length=32)
    assert split.held_out == [[5, 14]]
    assert split.repeated == 2
    given = Preferences(*(column[-4:] + column[:5] for column in given[:3]), 1)
    split = split_preferences(given, model, words, max_length=32)  # f, e, e, g, a to e
    assert split.held_out == [[7, 16]]
    pairs = {(i, i + 9) for i in range(9)} - {(7, 16)}
    assert set(map(tuple, split.pairs)) == pairs


def ranked(prompts: list[str]) -> Preferences:
    """As many different pairs as prompts, which may repeat."""
    chosen = tuple(f"yes {i}" for i in range(len(prompts)))
    rejected = tuple(f"no {i}" for i in range(len(prompts)))
    return Preferences(tuple(prompts), chosen, rejected, identical=0)


@pytest.mark.parametrize(
    ("prompts", "held_out"),
    [
        (["a? "] * 4 + ["b? "] * 4 + ["c? ", "c?", " c?  ", "d? "], [11]),  # 1 of 2.4
        (["a? ", "b? ", "c? ", "d? ", "e? "] * 2, [4, 9]),  # scattered
        (["a? "] * 5 + ["b? "] * 5, [5, 6, 7, 8, 9]),  # nothing is nearer to 2
        (["a? "] * 2 + ["b? "] * 8, [0, 1]),  # and not the last 8
        (["a? "] * 7 + ["b? "] * 3, [7, 8, 9]),  # 3 are nearer to 2 than none
        (["a? "] * 10, [8, 9]),  # one prompt for all tells nothing apart
        (["", " "] * 5, [8, 9]),  # nor does none
        (list("abcdefghij"), [8, 9]),
    ],
)
def test_all_pairs_of_a_prompt_are_in_one_part(
    prompts: list[str], held_out: list[int]
) -> None:
    """By hand: from the last prompt on, each where it leads nearer to a fifth."""
    model, words = starting_policy(length=32)
    split = split_preferences(ranked(prompts), model, words, max_length=32)
    assert [chosen for chosen, _ in split.held_out] == held_out
    learnt_from = [i for i in range(len(prompts)) if i not in held_out]
    assert [chosen for chosen, _ in split.pairs] == learnt_from


def test_a_pair_of_one_text_is_not_learnt_from_where_its_prompt_is_held_out() -> None:
    given = ranked([*"abcde", "e", "toolong" * 5, "e"])
    same = (*given.rejected[:5], given.chosen[5], *given.rejected[6:])
    model, words = starting_policy(length=32)
    given = given._replace(rejected=same, identical=1)
    split = split_preferences(given, model, words, max_length=32)
    assert (split.dropped, split.held_out) == (1, [[3, 10]])  # 1 of 6, and e has two
    given = given._replace(prompts=(*"eabcd", "d", "toolong" * 5, "e"))
    split = split_preferences(given, model, words, max_length=32)
    assert split.held_out == [[4, 11]]
    assert [chosen for chosen, _ in split.pairs] == [0, 1, 2, 3, 6]


def test_texts_are_the_same_where_what_is_read_of_them_is() -> None:
    """They differ after max_length: the model cannot tell them apart."""
    model, words = starting_policy(length=32)
    given = questions("abcde")
    longer = Preferences(
        (*given.prompts, "a? "),
        (*given.chosen, "yes it is"),
        (*given.rejected, "no it is not"),
        identical=0,
    )
    split = split_preferences(longer, model, words, max_length=5)
    assert split.repeated == 1
    assert split.held_out == [[4, 10]]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"max_length": 17},
            "max_length must be at most 16, the positions of the model",
        ),
        ({"beta": -1.0}, "beta"),
        ({"loss": "sigmoid"}, "loss must be one of"),
        ({"steps": 0}, "steps"),
        ({"lr": float("nan")}, "lr"),
        ({"label_smoothing": 0.5}, "label_smoothing"),
    ],
)
def test_what_cannot_be_learnt_is_refused_before_any_work(
    options: dict[str, Any], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def work(*_: Any, **__: Any) -> None:
        raise AssertionError("it began to work")

    monkeypatch.setattr(preference_files, "fit_texts", work)
    monkeypatch.setattr(preference_files, "all_logps", work)
    settings = {"steps": 1, "max_length": 16, "fitting": 1, **options}
    with pytest.raises(ValueError, match=message):
        learn(questions("abcde"), *starting_policy(length=16), **settings)


def test_a_tokenizer_of_another_model_is_refused() -> None:
    other = small_policy(100, length=16)
    with pytest.raises(ValueError, match="below 100, the model's vocabulary"):
        learn(
            questions("xyzxy"),
            other,
            ByT5Tokenizer(extra_ids=0),
            steps=1,
            max_length=16,
        )


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("./no-such-folder", "there is no folder './no-such-folder'"),
        ("~/no-such-folder", "there is no folder '~/no-such-folder'"),
        ("no such model!", "there is no folder 'no such model!'"),
        ("smollm", "did you mean 'smollm2'?"),
    ],
)
def test_a_model_that_is_none_is_refused_in_one_line(name: str, message: str) -> None:
    with pytest.raises(ValueError, match='name must be "smollm2", a folder') as caught:
        starting_policy(name)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_damaged_model_is_refused_in_one_line(tmp_path: Path) -> None:
    model, words = starting_policy(length=16)
    model.save_pretrained(tmp_path)
    words.save_pretrained(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"not tensors")
    with pytest.raises(ValueError, match="cannot be loaded") as caught:
        starting_policy(str(tmp_path))
    assert "\n" not in str(caught.value)


def test_a_model_in_the_home_folder_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, words = starting_policy(length=16, seed=3)
    model.save_pretrained(tmp_path / "mine")
    words.save_pretrained(tmp_path / "mine")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    found, _ = starting_policy("~/mine")
    assert torch.equal(found.lm_head.weight, model.lm_head.weight)
