"""Does a reader mark spans as it should, and do its scores and its widget say what it read?"""

import numpy as np
import pytest
import torch

from smallscale.robustness import add_sentences, score_squad, worst_of
from smallscale.robustness.images.exercises import check_f1, check_sentences
from smallscale.robustness.reading.explorer import covered, reading_explorer, scene
from smallscale.robustness.reading.reader import (
    LONGEST,
    PASSAGE,
    TOKEN,
    Reader,
    Reading,
    answers,
    train_reader,
    vocabulary_of,
)
from smallscale.robustness.reading.scores import score_table
from smallscale.robustness.reading.squad import (
    _check,
    asked,
    f1,
    gold_texts,
    load_squad,
    paragraphs,
    questions,
    split_articles,
)
from smallscale.robustness.reading.synthetic_squad import FACTS, passages, thing

SEEN = passages(30, seed=0)
UNSEEN = passages(10, seed=9, held_out=True)


@pytest.fixture(scope="module")
def reader() -> Reader:
    return train_reader(SEEN, epochs=1, seed=0)


def reading(text: str, start: list[float], end: list[float]) -> Reading:
    places = np.array([(i, i + 1) for i in range(0, 2 * len(start), 2)])
    return Reading(text, places, np.log(start), np.log(end))


def test_the_likeliest_span_starts_before_it_ends() -> None:
    """start (.1, .8, .1), end (.6, .1, .3): spans 00 .06, 01 .01, 02 .03, 11 .08, 12 .24, 22 .03, of together .45."""
    one = reading("a b c", [0.1, 0.8, 0.1], [0.6, 0.1, 0.3])
    (text, p), (second, q) = one.best(2)
    assert (text, second) == ("b c", "b")
    assert p == pytest.approx(0.24 / 0.45)
    assert q == pytest.approx(0.08 / 0.45)
    assert one.spans.sum() == pytest.approx(1)
    assert covered(one) == pytest.approx(
        [0.10 / 0.45, (0.01 + 0.03 + 0.08 + 0.24) / 0.45, 0.30 / 0.45]
    )


def test_an_answer_has_at_most_sixteen_words() -> None:
    text = " ".join("w" * 20)
    start, end = [1.0] + [1e-9] * 19, [1e-9] * 19 + [1.0]
    (answer, _), *_ = reading(text, start, end).best()
    assert len(answer.split()) <= LONGEST == 16


def test_blank_questions_and_passages_do_no_harm() -> None:
    data = passages(2, seed=0)
    first = next(paragraphs(data))
    first["qas"][0]["question"] = " "
    model = train_reader(data, epochs=1)
    assert all(torch.isfinite(p).all() for p in model.parameters())
    assert set(answers(model, data)) == {qa["id"] for qa in questions(data)}
    empty = {
        "data": [
            {
                "paragraphs": [
                    {
                        "context": " ",
                        "qas": [{"id": "e", "question": "Who?", "answers": []}],
                    }
                ]
            }
        ]
    }
    assert answers(model, empty) == {"e": ""}
    assert "no word to read" in scene(reading("", [], []), "Who?", ["x"])


@pytest.mark.parametrize("encoder", ["transformer", "gru"])
def test_one_pair_alone_reads_as_in_a_batch_and_any_length_is_read(
    encoder: str,
) -> None:
    model = Reader(vocabulary_of(SEEN), encoder=encoder, seed=1)
    pairs = [
        (p["context"], p["qas"][0]["question"]) for p in list(paragraphs(UNSEEN))[:3]
    ]
    pairs.append((" ".join(p["context"] for p in paragraphs(UNSEEN)), "Who?"))
    together = model.read(pairs)
    for pair, read in zip(pairs, together, strict=True):
        (alone,) = model.read([pair])
        assert alone.starts == pytest.approx(read.starts, abs=1e-4)
        assert np.exp(read.ends).sum() == pytest.approx(1, abs=1e-5)
        assert pair[0][slice(*read.places[-1])] == "."


def test_training_learns_and_the_same_seed_gives_the_same_reader(
    reader: Reader,
) -> None:
    again = train_reader(SEEN, epochs=1, seed=0)
    assert all(
        torch.equal(a, b)
        for a, b in zip(reader.parameters(), again.parameters(), strict=True)
    )
    small = passages(4, seed=2)
    learnt = train_reader(small, epochs=60, seed=0)
    assert score_squad(small, answers(learnt, small))["f1"] > 90


def test_the_global_generator_and_threads_stay() -> None:
    torch.manual_seed(5)
    expected, before = torch.rand(3), torch.get_num_threads()
    torch.manual_seed(5)
    train_reader(passages(2, seed=0), epochs=1)
    assert torch.equal(torch.rand(3), expected)
    assert torch.get_num_threads() == before


def test_only_words_of_the_passage_can_be_an_answer(reader: Reader) -> None:
    words = [reader.words_of(("salt and silver", "What is it?"))]
    logits = reader(*reader.batch(words))[0]
    side = words[0][2]
    assert torch.isinf(logits[side != PASSAGE]).all()
    assert torch.isfinite(logits[side == PASSAGE]).all()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: Reader({}, encoder="lstm"),
            "encoder must be one of transformer, gru; got 'lstm'",
        ),
        (lambda: train_reader(SEEN, epochs=0), "epochs must be at least 1; got 0"),
        (lambda: train_reader({"data": []}), "no question with an answer"),
        (lambda: passages(0, seed=0), "n must be at least 1; got 0"),
        (
            lambda: passages(1, seed=0, neighbours=2),
            r"neighbours must lie in \[0, 1\]; got 2",
        ),
        (lambda: split_articles(passages(3, seed=0)), "two articles"),
        (
            lambda: split_articles(passages(30, seed=0), test=1),
            "strictly between 0 and 1",
        ),
    ],
)
def test_bad_arguments(call, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize("neighbours", [0.0, 1.0])
def test_passages_are_sound_squad_with_names_kept_apart(
    neighbours: float, tmp_path
) -> None:
    import json

    data = passages(400, seed=1, neighbours=neighbours)
    (tmp_path / "made.json").write_text(json.dumps(data))
    assert (
        load_squad(tmp_path / "made.json")
        == data
        == passages(400, seed=1, neighbours=neighbours)
    )
    for paragraph in paragraphs(data):
        assert paragraph["context"].count(".") == FACTS + (2 if neighbours else 0)
        assert len(paragraph["qas"]) == FACTS
        said = [qa["answers"][0]["text"] for qa in paragraph["qas"]]
        assert len(set(said)) == FACTS, (
            "an answer to two questions would make a wrong reading right"
        )
    rng = np.random.default_rng(0)
    mine, others = (
        {thing("town", rng, held_out) for _ in range(2000)}
        for held_out in (False, True)
    )
    assert not mine & others


def test_whole_articles_are_held_out() -> None:
    data = passages(80, seed=0)
    train, test = split_articles(data, seed=3)
    titles = [[article["title"] for article in part["data"]] for part in (train, test)]
    assert sorted([*titles[0], *titles[1]]) == sorted(
        article["title"] for article in data["data"]
    )
    assert len(titles[1]) == 2
    assert (
        len(
            {
                tuple(a["title"] for a in split_articles(data, seed=s)[1]["data"])
                for s in range(8)
            }
        )
        > 1
    )


def test_scores_agree_with_the_official_ones(reader: Reader) -> None:
    attacked = add_sentences(UNSEEN, seed=0, candidates=3)
    table = score_table({"r": reader}, {"plain": UNSEEN, "worst": attacked})
    assert table.f1[0] == pytest.approx(
        score_squad(UNSEEN, answers(reader, UNSEEN))["f1"]
    )
    assert table.f1[1] == pytest.approx(
        worst_of(attacked, answers(reader, attacked))["f1"]
    )
    assert (table.low <= table.f1).all()
    assert (table.f1 <= table.high).all()
    assert list(table.n) == [50, 50]


def test_the_widget_follows_sliders_and_typing_and_escapes_what_is_typed(
    reader: Reader,
) -> None:
    attacked = add_sentences(UNSEEN, seed=0, candidates=1)
    box = reading_explorer(
        {"one": reader, "two": train_reader(SEEN, epochs=1, seed=4)},
        UNSEEN,
        attacked,
        n=3,
    )
    which, who, where, question, passage, view = box.children
    qa = next(qa for qa in questions(UNSEEN) if qa["question"] == question.value)
    sentence = passage.value
    where.value = "nowhere"
    assert sentence.startswith(passage.value)
    where.value = "at the start"
    assert passage.value != sentence
    before = view.value
    who.value = "two"
    assert view.value != before
    which.value = 1
    assert question.value != qa["question"]
    passage.value = "Salt <script>alert(1)</script> & silver"
    assert "<script>" not in view.value
    assert "&lt;</span>" in view.value  # each sign is a word of its own
    assert "&amp;</span>" in view.value
    passage.value = "  "
    assert "Type a passage" in view.value


def test_the_widget_opens_on_a_question_that_only_the_sentence_turns_wrong() -> None:
    class Last:
        """Reads the last word but the full stop: right only for the second question as long as nothing is added."""

        def read(self, pairs):
            found = []
            for passage, _ in pairs:
                places = np.array([m.span() for m in TOKEN.finditer(passage)])
                peak = np.full(len(places), -9.0)
                peak[-2] = 0.0
                found.append(Reading(passage, places, peak, peak))
            return found

    text = "Ada was born in Tarby. Ada died in 1799."
    golds = (
        [{"text": "Tarby", "answer_start": 16}],
        [{"text": "1799", "answer_start": 35}],
    )
    asked = "Where was Ada born?", "When did Ada die?"
    qas = [
        {"id": str(i), "question": q, "answers": a}
        for i, (q, a) in enumerate(zip(asked, golds, strict=True))
    ]
    data = {
        "version": "1.1",
        "data": [{"title": "t", "paragraphs": [{"context": text, "qas": qas}]}],
    }
    box = reading_explorer(
        {"last": Last()}, data, add_sentences(data, seed=0, candidates=1)
    )
    assert box.children[3].value == "When did Ada die?"


def test_the_scene_says_what_was_read() -> None:
    html = scene(
        reading("a b c", [0.1, 0.8, 0.1], [0.6, 0.1, 0.3]), "Which <b>?", ["b c"]
    )
    assert (
        "Read: b c, with probability 0.53. The file says: b c. So this is right."
        in html
    )
    assert "Which &lt;b&gt;?" in html
    assert html.count("outline: 2px") == 2


def test_a_hub_model_reads_long_passages_in_windows(tmp_path) -> None:
    from transformers import BertConfig, BertForQuestionAnswering, BertTokenizerFast

    from smallscale.robustness.reading.hub_reader import HubReader

    words = sorted(
        {
            w
            for p in paragraphs(UNSEEN)
            for w in p["context"].lower().replace(".", " .").split()
        }
    )
    (tmp_path / "vocab.txt").write_text(
        "\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "who", "?", *words])
    )
    BertTokenizerFast(str(tmp_path / "vocab.txt")).save_pretrained(tmp_path)
    config = BertConfig(
        vocab_size=len(words) + 7, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16,
        max_position_embeddings=64,
    )  # fmt: skip
    torch.manual_seed(0)
    BertForQuestionAnswering(config).save_pretrained(tmp_path)
    model = HubReader(str(tmp_path))
    passage = " ".join(p["context"] for p in paragraphs(UNSEEN))
    (read,) = model.read([(passage, "who ?")])
    assert len(read.places) > 64
    assert read.places[0, 0] == 0
    assert read.places[-1, 1] == len(passage)
    assert np.exp(read.starts).sum() == pytest.approx(1)
    assert set(answers(model, UNSEEN)) == {qa["id"] for qa in questions(UNSEEN)}
    # By hand: of the windows that hold a word, the larger logit; the question's words, and special ones, never.
    parts = model.tokenizer("who ?", passage, truncation="only_second", max_length=64, stride=16,
                            return_overflowing_tokens=True, return_offsets_mapping=True, padding=True,
                            return_tensors="pt")  # fmt: skip
    inputs = {
        name: parts[name] for name in ("input_ids", "token_type_ids", "attention_mask")
    }
    logits = model.model(**inputs).start_logits.detach().double()
    best: dict[tuple[int, int], float] = {}
    for w, places in enumerate(parts["offset_mapping"].tolist()):
        for side, place, value in zip(
            parts.sequence_ids(w), places, logits[w].tolist(), strict=True
        ):
            if side == 1:
                best[tuple(place)] = max(value, best.get(tuple(place), value))
    assert [tuple(place) for place in read.places.tolist()] == sorted(best)
    expected = torch.tensor([best[place] for place in sorted(best)]).log_softmax(0)
    assert read.starts == pytest.approx(expected.numpy())
    with pytest.raises(
        ValueError, match="cannot be loaded as a question-answering model"
    ):
        HubReader(str(tmp_path / "nothing"))


def test_exercises_say_what_is_wrong(reader: Reader) -> None:
    assert check_f1(lambda prediction, gold: None) == "Not answered yet."
    assert check_f1(lambda prediction, gold: f1(prediction, [gold])).startswith("Right")
    assert "Normalise first" in check_f1(
        lambda p, g: f1(p, [g]) if "!" not in p else 0.5
    )
    assert "repeats" in check_f1(
        lambda p, g: f1(" ".join(dict.fromkeys(p.split())), [g])
    )
    assert (
        check_sentences(lambda *_: None, reader, UNSEEN, beat=50) == "Not answered yet."
    )
    assert "holds the answer" in check_sentences(
        lambda p, q, a: f"It is {a}.", reader, UNSEEN, beat=50
    )
    assert "at most 20 words" in check_sentences(
        lambda p, q, a: "so " * 30, reader, UNSEEN, beat=50
    )
    assert check_sentences(lambda p, q, a: "No.", reader, UNSEEN, beat=101).startswith(
        "Right"
    )
    longer = [
        {"context": f"{context} No.", "qas": [qa]} for context, qa in asked(UNSEEN)
    ]
    read = answers(reader, {"version": "1.1", "data": [{"paragraphs": longer}]})
    mean = 100 * np.mean(
        [f1(read[qa["id"]], gold_texts(qa)) for _, qa in asked(UNSEEN)]
    )
    assert 0 < mean < 99
    told = check_sentences(lambda p, q, a: "No.", reader, UNSEEN, beat=0)
    assert told.endswith(f"F1 is {mean:.0f}, and the goal is below 0.")


def test_made_up_passages_pass_the_check_with_added_sentences() -> None:
    _check(add_sentences(UNSEEN, seed=0, candidates=2))
