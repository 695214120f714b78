"""Is an answer right? The rules of SQuAD's two scripts, on cases checked by hand."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smallscale.datasets.squad_scores import exact_match, f1, normalize_answer
from smallscale.robustness.reading.dataset import questions
from smallscale.robustness.reading.squad import load_squad, score_squad
from tests.conftest import DATA

CONTEXT = "The tower in Paris was built by Gustave Eiffel in 1889."


def question(id_: str, *texts: str, **more: Any) -> dict[str, Any]:
    answers = [{"text": text, "answer_start": CONTEXT.index(text)} for text in texts]
    return {"id": id_, "question": f"What of {id_}?", "answers": answers, **more}


def dataset(*qas: dict[str, Any], version: str = "1.1") -> dict[str, Any]:
    return {
        "version": version,
        "data": [
            {"title": "t", "paragraphs": [{"context": CONTEXT, "qas": list(qas)}]}
        ],
    }


def v2(*qas: dict[str, Any]) -> dict[str, Any]:
    for qa in qas:
        qa["is_impossible"] = not qa["answers"]
    return dataset(*qas, version="v2.0")


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("The  Eiffel Tower!", "eiffel tower"),
        ("a an the", ""),
        ("theatre an-other", "theatre another"),
        ("“the” café – 1,889", "“ ” café – 1889"),
        ("U.S.A.", "usa"),
        ("A\tb\nc", "b c"),
    ],
)
def test_normalisation(text: str, normal: str) -> None:
    assert normalize_answer(text) == normal


@given(st.text())
def test_normalising_twice_changes_nothing_more_but_articles_set_free(
    text: str,
) -> None:
    normal = normalize_answer(text)
    assert normal == " ".join(normal.split())
    assert normalize_answer(text.upper().lower()) == normalize_answer(text.upper())


def test_exact_match_and_f1_take_the_best_gold_answer() -> None:
    assert exact_match("the Eiffel", ["Gustave Eiffel", "Eiffel"]) == 1
    assert exact_match("Gustave", ["Gustave Eiffel", "Eiffel"]) == 0
    # Gustave, Eiffel, himself: two of three are shared, which are both of two:
    # 2 * 2/3 * 1 / (2/3 + 1) = 4/5
    assert f1("Gustave Eiffel himself", ["1889", "Gustave Eiffel"]) == pytest.approx(
        0.8
    )
    # counted with repeats: one of two, one of one
    assert f1("Paris Paris", ["Paris"]) == pytest.approx(2 / 3)
    assert f1("", ["Paris"]) == 0
    assert f1("the", ["a"]) == 0  # v1.1: empty against empty shares no word
    assert exact_match("the", ["a"]) == 1


@given(st.text(), st.text())
def test_f1_is_symmetric_bounded_and_1_for_the_same_words(a: str, b: str) -> None:
    assert 0 <= f1(a, [b]) <= 1
    assert f1(a, [b]) == pytest.approx(f1(b, [a]))
    if normalize_answer(a):
        assert f1(a, [a]) == 1


@pytest.mark.parametrize("golds", [[], "Paris", None, ["Paris", 3], [None]])
def test_golds_must_be_a_list_of_texts(golds: Any) -> None:
    for score in (exact_match, f1):
        with pytest.raises(
            ValueError, match="golds must be a list of at least one text"
        ):
            score("x", golds)
        with pytest.raises(ValueError, match="prediction must be text; got None"):
            score(None, ["x"])  # type: ignore[arg-type]


def test_v1_a_missing_prediction_scores_0_and_stays_in_the_denominator() -> None:
    data = dataset(
        question("a", "Paris"), question("b", "1889"), question("c", "Gustave Eiffel")
    )
    assert score_squad(data, {"a": "paris.", "c": "Eiffel"}) == {
        "exact_match": pytest.approx(100 / 3),
        "f1": pytest.approx(100 * (1 + 2 / 3) / 3),
    }


def test_v2_counts_answerable_and_unanswerable_and_leaves_out_the_missing() -> None:
    data = v2(
        question("a", "Paris"), question("b", "1889"), question("n"), question("m")
    )
    scores = score_squad(data, {"a": "Paris", "n": "", "m": "Paris"})
    assert scores == {
        "exact": pytest.approx(200 / 3),
        "f1": pytest.approx(200 / 3),
        "total": 3,
        "HasAns_exact": 100,
        "HasAns_f1": 100,
        "HasAns_total": 1,
        "NoAns_exact": 50,
        "NoAns_f1": 50,
        "NoAns_total": 2,
    }


def test_v2_empty_golds_are_dropped_and_empty_answers_are_equal() -> None:
    data = v2(question("a", "The", "Paris"), question("b", "The"))
    scores = score_squad(data, {"a": "the", "b": "a"})
    # a: "the" against Paris; b: no gold is left, and "a" normalises to nothing.
    assert scores["exact"] == 50
    assert scores["f1"] == 50


def test_v2_the_threshold_is_strict_and_empties_the_prediction() -> None:
    data = v2(question("a", "Paris"), question("n"))
    predictions, doubt = {"a": "Paris", "n": "Paris"}, {"a": 0.5, "n": 0.5}
    at = score_squad(data, predictions, doubt, threshold=0.5)
    # At the threshold both still count as answered.
    assert at["HasAns_exact"] == 100
    assert at["NoAns_exact"] == 0
    assert score_squad(data, predictions, doubt, threshold=0.4)["exact"] == 50
    assert (
        score_squad(data, predictions, {"a": 0.3, "n": 0.6}, threshold=0.5)["exact"]
        == 100
    )


def test_v2_the_best_threshold_is_swept_from_all_unanswered() -> None:
    data = v2(question("a", "Paris"), question("b", "1889"), question("n"))
    predictions = {"a": "Paris", "b": "1889", "n": "Paris"}
    scores = score_squad(data, predictions, {"a": 0.1, "b": 0.3, "n": 0.8})
    # nothing answered: 1 of 3; up to .1: 2; up to .3: 3; up to .8: 2
    assert (scores["best_exact"], scores["best_exact_thresh"]) == (100, 0.3)
    assert (scores["best_f1"], scores["best_f1_thresh"]) == (100, 0.3)
    assert "best_exact" not in score_squad(data, predictions)
    # of those predicted: b is not, so at .1 it is 2 of 2 (nothing answered: 1)
    assert (
        score_squad(data, {"a": "Paris", "n": ""}, {"a": 0.1, "n": 0.0})["best_exact"]
        == 100
    )
    # an empty answer to a question without one costs nothing, at any threshold
    scores = score_squad(data, predictions | {"n": ""}, {"a": 0.1, "b": 0.3, "n": 0.0})
    assert (scores["best_exact"], scores["best_exact_thresh"]) == (100, 0.3)


def test_ids_that_are_not_in_the_dataset_are_ignored_with_one_warning() -> None:
    data = dataset(question("a", "Paris"))
    with pytest.warns(UserWarning, match="2 of the ids .* the first is 'x'"):
        assert score_squad(data, {"a": "Paris", "x": "", "y": ""})["f1"] == 100


@pytest.mark.parametrize(
    ("predictions", "na_prob", "complaint"),
    [
        ([], None, "predictions must be a dict"),
        ({"a": 3}, None, "the prediction for 'a' must be text"),
        ({"a": ""}, {"a": float("nan")}, "na_prob of 'a' must be a number"),
        ({"a": ""}, {"a": "0.5"}, "na_prob of 'a' must be a number"),
        ({"a": ""}, {"a": [0.5, 1]}, "na_prob of 'a' must be a number"),
        ({"a": ""}, {"a": None}, "na_prob of 'a' must be a number"),
        ({"a": ""}, {}, "na_prob has no value for 'a'"),
        ({}, None, "nothing to score"),
    ],
)
def test_what_cannot_be_scored_is_refused(
    predictions: Any, na_prob: Any, complaint: str
) -> None:
    with pytest.raises(ValueError, match=complaint):
        score_squad(v2(question("a", "Paris")), predictions, na_prob)


@pytest.mark.parametrize("threshold", ["0.5", None, float("nan"), [0.5]])
def test_a_threshold_is_a_number(threshold: Any) -> None:
    data = v2(question("a", "Paris"))
    with pytest.raises(ValueError, match="threshold must be a number"):
        score_squad(data, {"a": "Paris"}, {"a": 0.0}, threshold)


def test_v2_the_sweep_passes_over_what_is_not_predicted_and_keeps_the_first_best() -> (
    None
):
    data = v2(question("a", "Paris"), question("b", "1889"), question("n"))
    # b has a probability and no prediction; a and n are equal, in na_prob's order.
    doubt = {"n": 0.2, "b": 0.1, "a": 0.2}
    scores = score_squad(data, {"a": "Paris", "n": "Paris"}, doubt)
    # nothing answered: 1; n: 0; then a: 1, which is no more than the first
    assert (scores["best_exact"], scores["best_exact_thresh"]) == (50, 0.0)
    # infinity never counts as answered, and its threshold is kept as it stands
    doubt = {"a": float("inf"), "n": 0.0}
    scores = score_squad(data, {"a": "Paris", "n": ""}, doubt, threshold=1.0)
    assert (scores["HasAns_exact"], scores["NoAns_exact"]) == (0, 100)
    assert (scores["best_exact"], scores["best_exact_thresh"]) == (100, float("inf"))


def test_v2_a_space_is_an_answer_to_the_sweep_and_none_to_the_score() -> None:
    data = v2(question("n"))
    scores = score_squad(data, {"n": " "}, {"n": 0.5})
    assert scores["exact"] == 100  # it normalises to nothing
    assert scores["best_exact"] == 100
    assert scores["best_exact_thresh"] == 0.0


def test_accents_are_compared_as_they_are_written() -> None:
    assert exact_match("cafe\u0301", ["caf\u00e9"]) == 0  # the scripts do not compose
    assert exact_match("\u2003Paris\u00a0", ["paris"]) == 1  # every space is a space
    assert exact_match("the\u2019", ["\u2019"]) == 1
    assert normalize_answer("A\u0130") == "ai\u0307"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_a_byte_order_mark_and_other_line_ends_change_nothing(
    tmp_path: Path, encoding: str, newline: str
) -> None:
    data = dataset(question("a", "Paris"))
    data["data"][0]["paragraphs"][0]["context"] = CONTEXT + "\r\n\ufeffEnd \U0001f5fc."
    path = tmp_path / "file.json"
    path.write_bytes(
        json.dumps(data, indent=1, ensure_ascii=False)
        .replace("\n", newline)
        .encode(encoding)
    )
    assert load_squad(path) == data


def test_answers_behind_a_sign_of_two_halves_are_where_python_counts(
    tmp_path: Path,
) -> None:
    context = "\U0001f5fc stands in Paris."
    qas = [question("a")]
    qas[0]["answers"] = [{"text": "Paris", "answer_start": context.index("Paris")}]
    data = {"version": "1.1", "data": [{"paragraphs": [{"context": context}]}]}
    data["data"][0]["paragraphs"][0]["qas"] = qas  # type: ignore[index]
    path = tmp_path / "file.json"
    path.write_text(json.dumps(data))
    assert load_squad(path) == data
    path.write_text(json.dumps(data), encoding="utf-16")
    with pytest.raises(ValueError, match="is not JSON in UTF-8"):
        load_squad(path)


def broken(change: Any) -> dict[str, Any]:
    data = dataset(question("q1", "Paris"), question("q2", "1889"))
    change(data["data"][0]["paragraphs"][0]["qas"])
    return data


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("{", "is not JSON"),
        ("[]", "must be an object with 'data'"),
        ('{"data": 3}', "'data' must be a list"),
        ('{"data": [{}]}', "article 0 has no 'paragraphs'"),
        ('{"data": [{"paragraphs": [{"qas": []}]}]}', "paragraph 0 has no 'context'"),
        (broken(lambda qas: qas[1].update(id="q1")), "id 'q1' comes twice"),
        (
            broken(lambda qas: qas[1]["answers"][0].update(answer_start=3)),
            "'q2': answer_start 3 must point at '1889'",
        ),
        (
            broken(lambda qas: qas[1]["answers"][0].update(answer_start=-4)),
            "'q2': answer_start -4",
        ),
        (broken(lambda qas: qas[0].pop("question")), "'q1' has no 'question'"),
        (broken(lambda qas: qas[0].update(answers=[])), "'q1' has no answers"),
        (
            broken(lambda qas: qas[0].update(is_impossible=True)),
            "'q1' is_impossible and has answers",
        ),
        (broken(lambda qas: qas[0].pop("id")), "question 0 has no 'id'"),
        ('{"data": [], "data": []}', "an object has the name 'data' twice"),
        (
            '{"data": [{"paragraphs": [{"context": "a", "qas": '
            '[{"id": "q", "question": "?", "answers": [], "answers": []}]}]}]}',
            "an object of question 'q' has the name 'answers' twice",
        ),
        ('{"data": [], "version": 1' + "0" * 5000 + "}", "a number has 5,001 digits"),
        (
            broken(lambda qas: qas[1].update(question="Who \ud83d?")),
            "'q2': 'question' holds half of a surrogate pair",
        ),
        (
            broken(lambda qas: qas[0]["answers"][0].update(answer_start=float("nan"))),
            "'q1', answer 0: 'answer_start' must be a whole number; got 'nan'",
        ),
    ],
)
def test_a_file_that_is_wrong_is_refused_in_one_line_with_its_name(
    tmp_path: Path, content: Any, complaint: str
) -> None:
    path = tmp_path / "file.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    with pytest.raises(ValueError, match=r"file\.json") as refusal:
        load_squad(path)
    assert complaint in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="cannot be read"):
        load_squad(tmp_path / "nowhere.json")


@pytest.mark.skipif(
    not (DATA / "squad").is_dir(),
    reason="the real SQuAD file is not beside the project",
)
def test_on_the_real_file_gold_answers_score_100_and_no_answer_what_it_must() -> None:
    data = load_squad(DATA / "squad" / "dev-v2.0.json")
    asked = list(questions(data))
    assert len(asked) == 6078
    gold = {qa["id"]: qa["answers"][0]["text"] if qa["answers"] else "" for qa in asked}
    assert score_squad(data, gold)["exact"] == 100
    silent = score_squad(data, dict.fromkeys(gold, ""))
    assert silent["exact"] == silent["f1"] == pytest.approx(100 * 3168 / 6078)
    assert (silent["NoAns_total"], silent["HasAns_total"]) == (3168, 2910)
