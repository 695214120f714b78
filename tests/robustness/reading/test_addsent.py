"""Do added sentences mislead without holding the answer? AddSent's rules, by hand."""

import json
import re
from collections import defaultdict
from copy import deepcopy
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smallscale.robustness import add_sentences, load_squad, normalize_answer, worst_of
from smallscale.robustness.reading.addsent import (
    changed_questions,
    is_free_of_answers,
    original_id,
    random_sentences,
)
from smallscale.robustness.reading.dataset import all_text, paragraphs, questions
from smallscale.robustness.reading.english import Vocabulary
from smallscale.robustness.reading.phrases import share_half
from smallscale.robustness.reading.replacements import Pool, fixed_answer, pools
from smallscale.robustness.reading.soundness import (
    READ_BY_HAND,
    checksum_of,
    sentences_to_read,
)
from smallscale.robustness.reading.statements import Statement, as_statement
from smallscale.robustness.reading.synthetic_squad import passages
from tests.conftest import DATA

SQUAD = DATA / "squad" / "dev-v2.0.json"
CONTEXT = "Ada Berg was born in Tarby in 1799. She taught Emil Falk."


def question(id_: str, text: str, *golds: str) -> dict[str, Any]:
    answers = [{"text": gold, "answer_start": CONTEXT.index(gold)} for gold in golds]
    return {"id": id_, "question": text, "answers": answers}


def small(*qas: dict[str, Any]) -> dict[str, Any]:
    return {
        "version": "1.1",
        "data": [
            {"title": "t", "paragraphs": [{"context": CONTEXT, "qas": list(qas)}]}
        ],
    }


WHERE = question("w", "Where was Ada Berg born?", "Tarby")
WHEN = question("y", "In what year was Ada Berg born?", "1799")


def by_original(dataset: dict[str, Any]) -> dict[str, list[str]]:
    found = defaultdict(list)
    for paragraph in paragraphs(dataset):
        (qa,) = paragraph["qas"]
        found[original_id(qa["id"])].append(paragraph["context"])
    return found


def check_rules(
    before: dict[str, Any], after: dict[str, Any], candidates: int, at: str = "end"
) -> None:
    """Everything the face promises."""
    contexts = {qa["id"]: p["context"] for p in paragraphs(before) for qa in p["qas"]}
    golds = {
        qa["id"]: [answer["text"] for answer in qa["answers"]]
        for qa in questions(before)
    }
    seen = by_original(after)
    assert set(seen) | set(after["skipped"]) == set(contexts)
    assert not set(seen) & set(after["skipped"])
    for paragraph in paragraphs(after):
        (qa,) = paragraph["qas"]
        for answer in qa["answers"]:
            start = answer["answer_start"]
            assert (
                paragraph["context"][start : start + len(answer["text"])]
                == answer["text"]
            )
    for id_, texts in seen.items():
        assert len(texts) == candidates
        for text in texts:
            old = contexts[id_]
            assert (
                text.startswith(old + " ") if at == "end" else text.endswith(" " + old)
            )
            sentence = text[len(old) + 1 :] if at == "end" else text[: -len(old) - 1]
            assert sentence.endswith(".")
            assert sentence[0] == sentence[0].upper()
            for gold in golds[id_]:
                assert gold.lower() not in sentence.lower()
                assert (
                    not normalize_answer(gold)
                    or f" {normalize_answer(gold)} "
                    not in f" {normalize_answer(sentence)} "
                )


def test_the_sentence_says_the_same_of_another_name_with_another_answer() -> None:
    attacked = add_sentences(small(WHERE, WHEN), seed=0, candidates=1)
    ((where,), (year,)) = by_original(attacked).values()
    assert re.fullmatch(
        r"(?!Ada Berg)\w+ \w+ was born in (?!Tarby)\w+\.", where[len(CONTEXT) + 1 :]
    )
    assert re.fullmatch(
        r"(?!Ada Berg)\w+ \w+ was born in (?!1799)\d{4}\.", year[len(CONTEXT) + 1 :]
    )
    assert [qa["id"] for qa in questions(attacked)] == ["w-adv0", "y-adv0"]
    check_rules(small(WHERE, WHEN), attacked, 1)


def test_cleft_puts_the_answer_first_and_start_moves_the_answers() -> None:
    attacked = add_sentences(
        small(WHERE), seed=0, candidates=1, wording="cleft", at="start"
    )
    ((text,),) = by_original(attacked).values()
    assert re.fullmatch(
        r"It was in \w+ that \w+ \w+ was born\.", text[: -len(CONTEXT) - 1]
    )
    check_rules(small(WHERE), attacked, 1, "start")


def test_fixed_answers_do_not_depend_on_the_file_and_drawn_ones_do() -> None:
    def fakes(seed: int, **how: str) -> set[str]:
        made = add_sentences(
            passages(60, seed=seed, held_out=True), seed=seed, candidates=1, **how
        )
        texts = [
            p["context"]
            for p in paragraphs(made)
            if p["qas"][0]["question"].startswith("Who founded")
        ]
        return {re.split(r"(?<=\.) ", text)[-1].split(" founded")[0] for text in texts}

    assert len(fakes(1, fakes="fixed") | fakes(2, fakes="fixed")) <= 2
    assert len(fakes(1) | fakes(2)) > 4
    assert fixed_answer(WHERE, np.random.default_rng(0)) != "Tarby"


def test_what_cannot_be_turned_is_named() -> None:
    no_rule = question("n", "Tarby?", "Tarby")
    empty = {
        "id": "e",
        "question": "Where was Emil Falk born?",
        "answers": [],
        "is_impossible": True,
    }
    attacked = add_sentences(small(WHERE, no_rule, empty), seed=0, candidates=2)
    assert attacked["skipped"] == ["n", "e"]
    assert [qa["id"] for qa in questions(attacked)] == ["w-adv0", "w-adv1"]


def test_the_input_stays_and_the_seed_says_what_is_drawn() -> None:
    data = passages(20, seed=3)
    before = deepcopy(data)
    all_of_them = by_original(add_sentences(data, seed=5, candidates=2))
    assert data == before
    for article in data["data"]:
        article["paragraphs"][0]["qas"] = article["paragraphs"][0]["qas"][1:]
    fewer = by_original(add_sentences(data, seed=5, candidates=2))
    same = [all_of_them[id_] == texts for id_, texts in fewer.items()]
    # The pools that they draw from lost entries, so a draw may name another.
    assert sum(same) / len(same) > 0.5
    assert by_original(add_sentences(before, seed=5, candidates=2)) == all_of_them
    assert by_original(add_sentences(before, seed=6, candidates=2)) != all_of_them


@given(
    seed=st.integers(0, 10**6),
    candidates=st.integers(1, 4),
    at=st.sampled_from(["end", "start"]),
)
def test_the_rules_hold_on_any_made_up_passages(
    seed: int, candidates: int, at: str
) -> None:
    data = passages(4, seed=seed, neighbours=0.5)
    attacked = add_sentences(data, seed=seed, candidates=candidates, at=at)
    check_rules(data, attacked, candidates, at)
    assert not attacked["skipped"]


needs_squad = pytest.mark.skipif(
    not SQUAD.exists(), reason="the real SQuAD file is not beside the project"
)


@needs_squad
def test_the_rules_hold_on_squad(tmp_path) -> None:
    data = load_squad(SQUAD)
    attacked = add_sentences(data, seed=0, candidates=2)
    check_rules(data, attacked, 2)
    answerable = sum(bool(qa["answers"]) for qa in questions(data))
    # Soundness comes before number; the rules that did not skip turned .89.
    assert len(by_original(attacked)) / answerable > 0.38
    assert len(by_original(attacked)) + len(attacked["skipped"]) == 6078
    (tmp_path / "attacked.json").write_text(json.dumps(attacked))
    load_squad(tmp_path / "attacked.json")


@needs_squad
@pytest.mark.parametrize("fakes", ["drawn", "fixed"])
def test_on_squad_no_sentence_answers_the_question_or_nearly(
    monkeypatch: pytest.MonkeyPatch, fakes: str
) -> None:
    """4 % of the statements were the question's own, 8 % of the fakes half a gold."""
    fake_of: dict[str, str] = {}
    worded = Statement.worded

    def watched(statement: Statement, answer: str, wording: str) -> str:
        sentence = worded(statement, answer, wording)
        fake_of[sentence] = answer
        return sentence

    monkeypatch.setattr(Statement, "worded", watched)
    data = load_squad(SQUAD)
    attacked = add_sentences(data, seed=0, candidates=1, fakes=fakes)
    monkeypatch.undo()
    words = Vocabulary(all_text(data))
    contexts = {qa["id"]: p["context"] for p in paragraphs(data) for qa in p["qas"]}
    for paragraph in paragraphs(attacked):
        (qa,) = paragraph["qas"]
        sentence = paragraph["context"][len(contexts[original_id(qa["id"])]) + 1 :]
        fake = fake_of[sentence]
        original = as_statement(qa["question"], words)
        assert original is not None
        assert normalize_answer(original.plain(fake)) != normalize_answer(sentence)
        golds = [answer["text"] for answer in qa["answers"]]
        assert not share_half(fake, golds), (sentence, golds)


def test_a_change_that_the_rule_drops_is_no_change() -> None:
    """What stands behind "what" is dropped: "Plants lack what kind of cells?"."""
    context = "Plants lack phagocytes. " + " ".join(
        f"The {noun} of the {noun}s of {noun} stood in the {noun}."
        for noun in ("harbour", "lantern", "anchor", "captain", "cargo", "cannon")
    )
    golds = [{"text": "phagocytes", "answer_start": 12}]
    qas = [
        {"id": "q", "question": "Plants lack what kind of harbour?", "answers": golds}
    ]
    data = {
        "version": "1.1",
        "data": [{"paragraphs": [{"context": context, "qas": qas}]}],
    }
    pool = pools(data)[0]
    words = Vocabulary(all_text(data))
    rng = np.random.default_rng(0)
    changed = {pool.changed_question(qas[0]["question"], rng) for _ in range(20)}
    statements = [as_statement(each, words) for each in changed if each]
    texts = {statement.plain("salt") for statement in statements if statement}
    assert texts <= {"Plants lack salt."}  # whatever is changed, the rule drops it
    attacked = add_sentences(data, seed=0, candidates=1)
    assert attacked["skipped"] == ["q"]


def test_the_statement_of_the_changed_question_must_differ(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(
        Pool, "changed_question", lambda self, question, rng: question + "?"
    )
    attacked = add_sentences(small(WHERE, WHEN), seed=0, candidates=1)
    assert attacked["skipped"] == ["w", "y"]


def test_a_fake_answer_that_shares_half_with_a_gold_is_not_used() -> None:
    qa = question("m", "Who taught Emil Falk?", "Ada Berg")
    pool = pools(small(qa))[0]
    rng = np.random.default_rng(0)
    for _ in range(300):
        fake = pool.fake_answer(qa, rng)
        assert not {"Ada", "Berg"} & set(fake.split())
    # Of a time and an amount no word is left either, not even the month or the unit.
    for text, asks in (
        ("August 1944", "When did it end?"),
        ("$159 million", "What did it cost?"),
        ("10th century", "When did it end?"),
        ("two million", "How many people came?"),
    ):
        answers = [{"text": text, "answer_start": 0}]
        asked_for = {"id": "n", "question": asks, "answers": answers}
        for make in (pool.fake_answer, fixed_answer):
            fake = make(asked_for, rng)
            assert fake
            assert not share_half(fake, [text]), (fake, text)


@needs_squad
def test_what_was_read_by_hand_is_what_the_rules_make() -> None:
    """If this fails the rules have changed: read a fresh sample and count again."""
    data = load_squad(SQUAD)
    attacked = add_sentences(data, seed=READ_BY_HAND.seed, candidates=1)
    sample = sentences_to_read(
        data, attacked, READ_BY_HAND.read, seed=READ_BY_HAND.seed
    )
    assert checksum_of(sample) == READ_BY_HAND.checksum
    assert len(list(questions(attacked))) == READ_BY_HAND.turned
    answerable = sum(bool(qa["answers"]) for qa in questions(data))
    assert answerable == READ_BY_HAND.answerable
    assert READ_BY_HAND.sound / READ_BY_HAND.read >= 0.85


@pytest.mark.parametrize("attack", [add_sentences, random_sentences, changed_questions])
@pytest.mark.parametrize(
    ("broken", "message"),
    [
        ({"data": [{"paragraphs": [{"context": "x"}]}]}, "has no 'qas'"),
        ({"data": [{}]}, "article 0 has no 'paragraphs'"),
        ({"data": [{"paragraphs": [{"context": 3, "qas": []}]}]}, "must be text"),
        ({"data": None}, "dataset must be a dict"),
    ],
)
def test_what_is_no_dataset_is_refused_in_one_line(
    attack: Any, broken: Any, message: str
) -> None:
    more = {"candidates": 1} if attack is add_sentences else {}
    with pytest.raises(ValueError, match=message) as refusal:
        attack(broken, seed=0, **more)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("seed", [None, 1.5, "0", True])
def test_a_seed_is_a_whole_number(seed: Any) -> None:
    with pytest.raises(ValueError, match="seed must be a whole number"):
        add_sentences(small(WHERE), seed=seed, candidates=1)


def test_odd_ids_and_empty_golds_do_no_harm() -> None:
    odd = [
        {**WHERE, "id": "w"},
        {**WHERE, "id": "w-adv1"},
        {**WHERE, "id": "w-adv0\n"},
        {**WHERE, "id": "e", "answers": [{"text": "", "answer_start": 0}]},
    ]
    attacked = add_sentences(small(*odd), seed=0, candidates=1)
    made = [qa["id"] for qa in questions(attacked)]
    assert made == ["w-adv0", "w-adv1-adv0", "w-adv0\n-adv0"]
    assert [original_id(id_) for id_ in made] == [qa["id"] for qa in odd[:3]]
    assert original_id("w-adv0\n") == "w-adv0\n"
    assert attacked["skipped"] == ["e"]  # every sentence holds ""


def test_an_id_with_half_a_character_is_refused() -> None:
    """JSON may hold it; no file in UTF-8 can, so what came out could not be saved."""
    with pytest.raises(ValueError, match="question 0: 'id' holds half of a surrogate"):
        add_sentences(small({**WHERE, "id": "w\ud800"}), seed=0, candidates=1)


def test_worst_of_refuses_a_question_without_answers_predicted_or_not() -> None:
    data = small({"id": "e", "question": "Who?", "answers": [], "is_impossible": True})
    for predictions in ({}, {"e": ""}):
        with pytest.raises(ValueError, match="question 'e' has no answer"):
            worst_of(data, predictions)


def test_among_candidates_of_equal_f1_the_worse_exact_match_counts() -> None:
    qas = [{**WHERE, "id": f"w-adv{k}"} for k in range(2)]
    # Both have an F1 of 0, for v1.1 gives two empty answers none; one is exact.
    for qa in qas:
        qa["answers"] = [{"text": "the", "answer_start": 0}]
    data = {"data": [{"paragraphs": [{"context": CONTEXT, "qas": qas}]}]}
    for first, second in (("a", "salt"), ("salt", "a")):
        worst = worst_of(data, {"w-adv0": first, "w-adv1": second})
        assert worst == {"exact_match": 0, "f1": 0, "total": 1}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"candidates": 0}, "candidates must be a whole number, at least 1; got 0"),
        ({"candidates": 1.5}, "candidates must be a whole number"),
        ({"candidates": True}, "candidates must be a whole number"),
        ({"wording": "loud"}, "wording must be one of plain, cleft; got 'loud'"),
        ({"at": "middle"}, "at must be one of end, start; got 'middle'"),
        ({"fakes": "bad"}, "fakes must be one of drawn, fixed; got 'bad'"),
    ],
)
def test_bad_arguments(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        add_sentences(small(WHERE), **{"seed": 0, "candidates": 1, **change})
    with pytest.raises(ValueError, match="dataset must be a dict"):
        add_sentences([], seed=0, candidates=1)


def test_worst_of_takes_the_candidate_with_the_worst_f1_and_its_exact_match() -> None:
    attacked = add_sentences(
        small(question("a", "Who taught Emil Falk?", "Ada Berg"), WHERE),
        seed=0,
        candidates=2,
    )
    ids = [qa["id"] for qa in questions(attacked)]
    assert ids == ["a-adv0", "a-adv1", "w-adv0", "w-adv1"]
    # a: 1 and 2/3 ("Ada" of "Ada Berg") -> 2/3, exact match 0; w: 1 and 1 -> 1
    scores = worst_of(
        attacked,
        {"a-adv0": "Ada Berg", "a-adv1": "Ada", "w-adv0": "Tarby", "w-adv1": "Tarby!"},
    )
    assert scores == {
        "exact_match": 50,
        "f1": pytest.approx(100 * (2 / 3 + 1) / 2),
        "total": 2,
    }
    # a missing prediction scores 0
    assert (
        worst_of(
            attacked, {"a-adv0": "Ada Berg", "w-adv0": "Tarby", "w-adv1": "Tarby"}
        )["f1"]
        == 50
    )
    # the original question is a candidate too, where it is there
    both = {
        "data": [
            *small(WHERE)["data"],
            *add_sentences(small(WHERE), seed=0, candidates=1)["data"],
        ]
    }
    assert worst_of(both, {"w": "salt", "w-adv0": "Tarby"})["f1"] == 0


def test_a_sentence_may_hold_no_gold_answer_as_it_stands_or_normalised() -> None:
    golds = {"answers": [{"text": "The Ada-Berg"}, {"text": "1799"}]}
    for sentence in (
        "It was adaberg.",
        "He met THE ADA-BERG there.",
        "In 17990 it fell.",
    ):
        assert not is_free_of_answers(sentence, golds), sentence
    assert is_free_of_answers("Ada met Berg in 1798.", golds)


def test_candidates_differ_where_the_file_offers_enough() -> None:
    attacked = by_original(add_sentences(passages(30, seed=0), seed=0, candidates=4))
    assert all(len(set(texts)) == 4 for texts in attacked.values())


def test_what_belongs_to_unanswerable_questions_is_left_behind() -> None:
    attacked = add_sentences(
        small({**WHERE, "plausible_answers": WHERE["answers"]}), seed=0, candidates=1
    )
    assert set(next(questions(attacked))) == {"id", "question", "answers"}


def test_worst_of_refuses_nothing_to_score_and_what_is_not_text() -> None:
    with pytest.raises(ValueError, match="no question"):
        worst_of(small(), {})
    with pytest.raises(ValueError, match="the prediction for 'w' must be text; got 7"):
        worst_of(small(WHERE), {"w": 7})


def test_the_control_speaks_of_something_else() -> None:
    data = passages(60, seed=0)
    control = random_sentences(data, seed=0)
    check_rules(data, control, 1)
    homes = [{p["context"] for p in article["paragraphs"]} for article in data["data"]]
    for home, article in zip(homes, control["data"], strict=True):
        for paragraph in article["paragraphs"]:
            sentence = re.split(r"(?<=\.) ", paragraph["context"])[-1]
            assert not any(
                sentence in text
                for text in home
                if not paragraph["context"].startswith(text)
            )
            asked = {
                w
                for w in re.findall(r"\w+", paragraph["qas"][0]["question"].lower())
                if len(w) > 3
            }
            assert not asked & set(re.findall(r"\w+", sentence.lower()))


def test_a_changed_question_keeps_passage_and_answers_and_asks_of_another() -> None:
    data = passages(30, seed=0)
    changed = changed_questions(data, seed=0)
    assert not changed["skipped"]
    for old, new in zip(questions(data), questions(changed), strict=True):
        assert (old["id"], old["answers"]) == (new["id"], new["answers"])
        assert old["question"] != new["question"]
        assert old["question"].split()[0] == new["question"].split()[0]
