"""Has the model that reads code seen a question of the test? And its twin?"""

import math
from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from smallscale.evaluation.holistic import code_model
from smallscale.evaluation.holistic.code_model import (
    ASKED,
    CONTEXT,
    CodeModel,
    Readings,
    bits_per_byte,
    every_question,
    held,
    read_more,
    readings,
    right_lines,
    train_code_model,
)
from smallscale.evaluation.holistic.entrants import NgramModel
from smallscale.evaluation.holistic.items import SOURCE, Item, split_items
from smallscale.evaluation.holistic.recording import simple_entrants

N = 8


@pytest.fixture(scope="module")
def read() -> Readings:
    return readings(N, 60_000)


def test_a_question_is_held_by_a_text_with_its_lines_and_answer() -> None:
    item = Item("\ta = 1\n\t\tb = 2", "", "c = 3", "without")
    assert held([item], ["a = 1\nb = 2\nc = 3"]) == [True]
    assert held([item], ["x\n\n  a = 1\n\tb = 2\nc = 3\ny", "z"]) == [True]
    assert held([item], ["a = 1\nb = 2\nc = 30", "a = 1\nx\nb = 2\nc = 3"]) == [False]
    assert held([item, item], []) == [False, False]


def test_no_question_stands_in_what_the_clean_model_reads(read: Readings) -> None:
    everything = every_question()
    assert len(everything) > 100
    assert not any(held(everything, read.clean + read.more))
    assert not set(read.clean) & set(read.more)
    assert sum(map(len, read.clean)) >= 60_000


def test_a_later_module_that_repeats_a_question_is_not_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    other = every_question()[-1]  # asked before the library is another
    test = split_items(ASKED, N).test
    assert other not in test
    first = tuple(f"{item.text}\n{item.answer}" for item in test)
    repeats = f"x = 1\n{other.text}\n{other.answer}\n"
    clean = ("y = 2\n" * 500, "z = 3\n" * 500)

    def library(characters: int) -> tuple[str, ...]:
        return first if characters == SOURCE else (*first, repeats, *clean)

    monkeypatch.setattr(code_model, "stdlib_modules", library)
    assert readings(N, 100) == Readings(clean[1:], clean[:1], first)


def test_the_twin_reads_every_question_of_the_test_and_as_much(read: Readings) -> None:
    assert all(held(split_items(ASKED, N).test, read.test))
    assert not all(held(every_question(), read.test))
    sizes = [sum(map(len, texts)) for texts in (read.more, read.test)]
    assert sizes[0] >= sizes[1]


def test_the_notebooks_ngrams_count_what_they_are_given() -> None:
    entrant, *_ = simple_entrants(["abc", "abd"])
    assert entrant.model.counts["ab"] == {"c": 1, "d": 1}
    assert "c\na" in entrant.model.counts


def test_reading_a_text_makes_it_likelier_and_repeats_itself() -> None:
    text = "for one in many:\n\tuse(one)\n" * 60
    found = train_code_model([text], steps=3, seed=1)
    again = train_code_model([text], steps=3, seed=1)
    assert all(
        torch.equal(found["weights"][name], again["weights"][name])
        for name in found["weights"]
    )
    begun = {name: values.clone() for name, values in found["weights"].items()}
    more = read_more(found, [text], steps=12, seed=1)
    assert all(torch.equal(begun[name], found["weights"][name]) for name in begun)
    item = Item("for one in many:", "", "use(one)", "without")
    before, after = (bits_per_byte(CodeModel(m), [item])[0] for m in (found, more))
    assert after < before - 0.3


def test_a_text_that_is_too_long_is_cut_at_its_front() -> None:
    model = CodeModel(train_code_model(["a = 1\n" * 400], steps=1))
    long = "x = 2\n" * 2 * CONTEXT + "a ="
    (said,) = model.write([long], max_new_tokens=4, stop=["\n"])
    assert "\n" not in said
    options = [[" 1", " 2"]]
    near = model.option_logps(["x = 2\n" * CONTEXT + "a ="], options)
    assert torch.allclose(model.option_logps([long], options), near)


def test_bits_per_byte_by_hand() -> None:
    class Half:
        def option_logps(
            self, prompts: Sequence[str], options: Sequence[Sequence[str]]
        ) -> Tensor:
            (row,) = options
            assert prompts == ["\n"]
            return torch.tensor([[len(row[0]) * math.log(0.5)]], dtype=torch.double)

    item = Item("abc", "", "de", "g")
    assert bits_per_byte(Half(), [item]).tolist() == pytest.approx([1.0])
    ngram = NgramModel("abab", 1)
    logp = sum(
        math.log(ngram.probability(before, after))
        for before, after in zip("\nabc\nd", "abc\nde", strict=True)
    )
    assert bits_per_byte(ngram, [item])[0] == pytest.approx(-logp / math.log(2) / 6)


def test_a_right_line_is_the_likeliest_one() -> None:
    class Last:
        def option_logps(
            self, prompts: Sequence[str], options: Sequence[Sequence[str]]
        ) -> Tensor:
            return torch.arange(4.0).double().expand(len(prompts), 4)

    _, test, _ = split_items(ASKED, 60)
    right = right_lines(Last(), test, [])
    assert right.tolist() == [item.options[3] == item.answer for item in test]
    assert right.any()
