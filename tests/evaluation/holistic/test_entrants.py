"""Do entrants answer as they say, and are simple ones as simple as they look?"""

import math
from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from smallscale.evaluation.holistic.entrants import (
    Echo,
    MostCommon,
    Nearest,
    NgramModel,
    Prompted,
)
from smallscale.evaluation.holistic.items import Item, split_items
from smallscale.evaluation.holistic.scenarios import (
    FORMATS,
    SCENARIOS,
    SCENARIOS_BY_NAME,
    prompt,
    score,
    specification,
)

SUMS = SCENARIOS_BY_NAME["sums"]
REVIEWS = SCENARIOS_BY_NAME["reviews"]


class Parrot:
    """Says the same, and finds the last option likeliest. It keeps its prompts."""

    def __init__(self) -> None:
        self.prompts: list[str] = []

    def write(
        self, prompts: Sequence[str], *, max_new_tokens: int, stop: Sequence[str]
    ) -> list[str]:
        self.prompts += prompts
        return [" 12"] * len(prompts)

    def option_logps(
        self, prompts: Sequence[str], options: Sequence[Sequence[str]]
    ) -> Tensor:
        chances = torch.arange(1.0, len(options[0]) + 1).double()
        return (chances / 4).log().expand(len(prompts), -1)


def test_a_prompt_has_instruction_examples_and_question() -> None:
    training = [Item("1 + 1", "", "2", "g"), Item("2 + 2", "", "4", "g")]
    assert prompt(SUMS, "3 + 3", training) == (
        "Add the two numbers.\n\nSum: 1 + 1\nResult: 2\n\nSum: 2 + 2\nResult: 4\n\n"
        "Sum: 3 + 3\nResult:"
    )
    arrow = next(form for form in FORMATS if form.name == "equals")
    assert prompt(SUMS, "3 + 3", training[:1], arrow) == "1 + 1 = 2\n3 + 3 ="


@pytest.mark.parametrize("form", FORMATS, ids=lambda form: form.name)
def test_no_prompt_ends_in_a_space_or_gives_the_answer_away(form) -> None:
    for scenario in SCENARIOS:
        text = prompt(scenario, "THE TEXT", [], form)
        assert text == text.rstrip()
        assert text.count("THE TEXT") == 1


def test_the_specification_is_whole() -> None:
    table = specification()
    assert len(table) >= 8
    assert (table[["skill", "paper", "instruction", "groups"]] != "").all().all()
    assert set(table.metric) == {"f1", "exact match", "choice"}


def test_scores() -> None:
    assert score(SUMS, "12.", "12") == 1
    assert score(SUMS, "112", "12") == 0
    assert score(SCENARIOS_BY_NAME["passages"], "a red car", "car") == pytest.approx(
        2 / 3
    )
    assert score(REVIEWS, "Positive", "positive") == 0


def test_a_language_model_is_shown_as_many_examples_as_the_scenario_says() -> None:
    training, test, _ = split_items("sums", 2)
    parrot = Parrot()
    answers = Prompted("p", parrot).answers(SUMS, test, training)
    assert parrot.prompts[0].count("Result:") == SUMS.examples + 1
    assert [answer.text for answer in answers] == ["12", "12"]
    assert answers[0].confidence == pytest.approx(0.25)
    assert answers[0].characters == len(parrot.prompts[0]) + 3
    bare = Prompted("p", parrot, examples=False)
    bare.answers(SUMS, test, training)
    assert parrot.prompts[-1].count("Result:") == 1


def test_a_choice_is_the_likeliest_option_and_as_sure_as_its_share() -> None:
    training, test, _ = split_items("reviews", 3)
    for answer in Prompted("p", Parrot()).answers(REVIEWS, test, training):
        assert answer.text == "negative"
        assert answer.confidence == pytest.approx(2 / 3)


def test_without_likelihoods_a_choice_is_written_and_no_confidence_known() -> None:
    class Writes:
        def write(self, prompts, *, max_new_tokens, stop):
            return [" Positive, I think"] * len(prompts)

    training, test, _ = split_items("reviews", 2)
    for answer in Prompted("w", Writes()).answers(REVIEWS, test, training):
        assert answer.text == "positive"
        assert math.isnan(answer.confidence)


def test_rules() -> None:
    training = [
        Item("a b", "", "x", "g"),
        Item("c d", "", "y", "g"),
        Item("c e", "", "y", "g"),
    ]
    items = [Item("a q", "", "x", "g"), Item("c d", "", "y", "g", ("z", "y"))]
    common = MostCommon().answers(SUMS, items, training)
    assert [answer.text for answer in common] == ["y", "y"]
    assert common[0].confidence == pytest.approx(2 / 3)
    nearest = Nearest().answers(SUMS, items, training)
    assert [answer.text for answer in nearest] == ["x", "y"]
    assert [answer.confidence for answer in nearest] == [pytest.approx(1 / 3), 1]
    assert Echo().answers(SUMS, items, training)[0].text == "a q"


def test_one_who_has_seen_the_test_knows_it() -> None:
    training, test, _ = split_items("sums", 10)
    seen = Nearest("seen", {"sums": test}).answers(SUMS, test, training)
    assert [answer.text for answer in seen] == [item.answer for item in test]
    blind = Nearest().answers(SUMS, test, training)
    assert sum(a.text == i.answer for a, i in zip(blind, test, strict=True)) < 5


def test_the_ngram_models_probabilities_are_those_of_the_formula() -> None:
    model = NgramModel("aab", 1)
    # three characters, two kinds, and one kind that was never seen
    p0 = (2 + 2 / 3) / (3 + 2)
    assert model.probability("", "a") == pytest.approx(p0)
    # after a: a once, b once
    assert model.probability("xa", "a") == pytest.approx((1 + 2 * p0) / (2 + 2))
    total = sum(model.probability("a", c) for c in "ab?")
    assert total == pytest.approx(1)
    (row,) = model.option_logps(["xa"], [["a", "ab"]])
    assert row[0] == pytest.approx(math.log(model.probability("a", "a")))
    assert row[1] == pytest.approx(row[0] + math.log(model.probability("a", "b")))


def test_the_ngram_model_stops_where_it_is_told() -> None:
    model = NgramModel("one two.one two.", 3)
    assert model.write(["one"], max_new_tokens=9, stop=["."]) == [" two"]
    assert model.write(["one"], max_new_tokens=9, stop=["two."]) == [" "]
    assert model.write(["one t"], max_new_tokens=9, stop=["two"]) == ["wo.one "]
    assert len(model.write(["one"], max_new_tokens=2, stop=[])[0]) == 8
