"""Does the reader compute its formula, and does training teach it to read?"""

import numpy as np
import pytest
import torch

from smallscale.robustness import score_squad
from smallscale.robustness.reading.dataset import paragraphs, questions
from smallscale.robustness.reading.encoders import PADDING, PASSAGE, QUESTION
from smallscale.robustness.reading.reader import (
    Reader,
    _batches,
    _examples,
    _span_loss,
    train_reader,
    train_readers,
    vocabulary_of,
)
from smallscale.robustness.reading.readings import Pair, answers
from smallscale.robustness.reading.synthetic_squad import passages
from smallscale.robustness.reading.words import trigram_ids

SEEN = passages(30, seed=0)
UNSEEN = passages(10, seed=9, held_out=True)


def test_a_batch_looks_up_each_distinct_word_once() -> None:
    """Words in order: What ? Salt | Salt ? salt. The second pair is padded by one."""
    model = Reader({"salt": 1.0, "what": 2.0})
    pairs = [Pair("Salt", "What ?"), Pair("salt", "Salt")]
    batch = model.collate([model.tokenize(pair) for pair in pairs])
    distinct = ["What", "?", "Salt", "salt"]
    assert batch.word_ids.tolist() == [2, 0, 1, 1]
    assert batch.distinct.tolist() == [[0, 1, 2], [2, 3, 0]]
    assert batch.sides.tolist() == [
        [QUESTION, QUESTION, PASSAGE],
        [QUESTION, PASSAGE, PADDING],
    ]
    ends = [*batch.trigram_starts.tolist()[1:], len(batch.trigrams)]
    for word, start, end in zip(distinct, batch.trigram_starts, ends, strict=True):
        assert tuple(batch.trigrams[start:end].tolist()) == trigram_ids(word)
    assert batch.features.shape[:2] == (2, 3)
    assert not batch.features[1, 2].any()


@pytest.mark.parametrize("encoder", ["transformer", "gru"])
def test_the_logits_are_those_of_the_formula_word_by_word(encoder: str) -> None:
    model = Reader(vocabulary_of(SEEN), encoder=encoder, seed=3)
    pair = model.tokenize(Pair("Ada was born in Tarby.", "Where was Ada born?"))
    batch = model.collate([pair])
    h = []
    with torch.no_grad():
        logits = model(batch)[0]
        for i, word in enumerate(pair.words):
            grams = torch.tensor(trigram_ids(word))
            letters = model.letter_vectors.weight[grams].mean(0)
            own = model.word_vectors.weight[model.word_ids.get(word.lower(), 0)]
            h.append(own + letters + model.feature_vectors(pair.features[i]))
        h = model.encode(torch.stack(h)[None], pair.sides[None])[0]
        in_question = [i for i, side in enumerate(pair.sides) if side == QUESTION]
        raw = torch.stack([model.importance(h[j])[0] for j in in_question]).exp()
        b = raw / raw.sum()
        q = sum(weight * h[j] for weight, j in zip(b, in_question, strict=True))
        at_start, at_end = model.sought(q).split(h.shape[1])
        for i, side in enumerate(pair.sides):
            if side == PASSAGE:
                assert float(logits[i, 0]) == pytest.approx(
                    float(h[i] @ at_start), abs=1e-4
                )
                assert float(logits[i, 1]) == pytest.approx(
                    float(h[i] @ at_end), abs=1e-4
                )
            else:
                assert logits[i].tolist() == [-torch.inf, -torch.inf]


@pytest.mark.parametrize("encoder", ["transformer", "gru"])
def test_one_pair_alone_reads_as_in_a_batch_and_any_length_is_read(
    encoder: str,
) -> None:
    model = Reader(vocabulary_of(SEEN), encoder=encoder, seed=1)
    first = list(paragraphs(UNSEEN))[:3]
    pairs = [Pair(p["context"], p["qas"][0]["question"]) for p in first]
    everything = " ".join(p["context"] for p in paragraphs(UNSEEN))
    pairs.append(Pair(everything, "Who?"))
    together = model.read(pairs)
    for pair, read in zip(pairs, together, strict=True):
        (alone,) = model.read([pair])
        assert alone.starts == pytest.approx(read.starts, abs=1e-4)
        assert np.exp(read.ends).sum() == pytest.approx(1, abs=1e-5)
        assert pair.passage[slice(*read.places[-1])] == "."


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


def test_training_is_adam_along_warmup_and_cosine_to_the_bit() -> None:
    """The same steps, written with torch's own optimizer."""
    data = passages(20, seed=4)
    trained = train_reader(data, epochs=2, seed=1)
    plain = Reader(vocabulary_of(data), seed=1)
    examples = _examples(plain, data)
    steps = 2 * -(-len(examples) // 16)
    adam = torch.optim.Adam(plain.parameters(), lr=8e-3, betas=(0.9, 0.98))
    rng = np.random.default_rng(1)
    parts = [part for _ in range(2) for part in _batches(examples, rng)]
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    for k, part in enumerate(parts):
        rise = min(1, (k + 1) / (0.1 * steps))
        adam.param_groups[0]["lr"] = 8e-3 * (
            rise * (0.5 + 0.5 * np.cos(np.pi * k / steps))
        )
        adam.zero_grad()
        _span_loss(plain, part).backward()
        torch.nn.utils.clip_grad_norm_(plain.parameters(), 1.0)
        adam.step()
    torch.set_num_threads(before)
    assert len(parts) == steps
    for a, b in zip(trained.parameters(), plain.parameters(), strict=True):
        assert torch.equal(a, b)


def test_steps_are_the_budget_however_many_questions_there_are() -> None:
    data = passages(8, seed=4)  # 40 questions, three batches
    by_epochs = train_reader(data, epochs=2, seed=1)
    by_steps = train_reader(data, steps=6, seed=1)
    assert_equal_weights(by_epochs, by_steps)
    less = train_reader(data, steps=5, seed=1)
    assert not torch.equal(less.sought.weight, by_steps.sought.weight)


def test_readers_trained_side_by_side_are_those_trained_alone() -> None:
    datasets = {
        (kind, seed): passages(n, seed=seed)
        for kind, n in (("few", 4), ("more", 12))
        for seed in (0, 1)
    }
    before = torch.get_num_threads()
    together = train_readers(datasets, steps=4)
    assert list(together) == list(datasets)
    assert torch.get_num_threads() == before
    for key, dataset in datasets.items():
        alone = train_reader(dataset, steps=4, seed=key[1])
        assert_equal_weights(together[key], alone)


def assert_equal_weights(one: Reader, other: Reader) -> None:
    for a, b in zip(one.parameters(), other.parameters(), strict=True):
        assert torch.equal(a, b)


def test_blank_questions_do_no_harm() -> None:
    data = passages(2, seed=0)
    first = next(paragraphs(data))
    first["qas"][0]["question"] = " "
    model = train_reader(data, epochs=1)
    assert all(torch.isfinite(p).all() for p in model.parameters())
    assert set(answers(model, data)) == {qa["id"] for qa in questions(data)}


def test_the_global_generator_and_threads_stay() -> None:
    torch.manual_seed(5)
    expected, before = torch.rand(3), torch.get_num_threads()
    torch.manual_seed(5)
    train_reader(passages(2, seed=0), epochs=1)
    assert torch.equal(torch.rand(3), expected)
    assert torch.get_num_threads() == before


def test_only_words_of_the_passage_can_be_an_answer(reader: Reader) -> None:
    pair = reader.tokenize(Pair("salt and silver", "What is it?"))
    logits = reader(reader.collate([pair]))[0]
    assert torch.isinf(logits[pair.sides != PASSAGE]).all()
    assert torch.isfinite(logits[pair.sides == PASSAGE]).all()


def test_the_vocabulary_is_of_words_in_three_texts_with_their_rarity() -> None:
    """Salt is in 3 of 4 texts, the full stop in 4, silver in 2 (and twice in one)."""
    contexts = ["Salt.", "salt and SILVER silver.", "Silver salt."]
    qa = {"id": "q", "question": "Here.", "answers": []}
    paragraphs_ = [{"context": text, "qas": []} for text in contexts]
    paragraphs_[0]["qas"] = [qa]
    found = vocabulary_of({"data": [{"paragraphs": paragraphs_}]})
    assert found == {".": 0.0, "salt": pytest.approx(np.log(4 / 3))}


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: Reader({}, encoder="lstm"),
            "encoder must be one of transformer, gru; got 'lstm'",
        ),
        (
            lambda: train_reader(SEEN, epochs=0),
            "epochs must be a whole number, at least 1; got 0",
        ),
        (
            lambda: train_reader(SEEN, steps=0),
            "steps must be a whole number, at least 1; got 0",
        ),
        (
            lambda: train_reader({"data": []}),
            "no question with an answer to learn from",
        ),
    ],
)
def test_bad_arguments(call, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
