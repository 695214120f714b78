"""Does a reader read, or does it look for familiar words? Sentences that look like an answer and are none.

AddSent (Jia and Liang 2017, section 3.2): change the question until it asks for something else, make up an answer of
the same type, turn both into a statement, and add it to the passage. The right answer is still the right answer. Their
sentences were corrected by people; these are not, so they are "AddSent-like".
"""

import re
import zlib
from collections.abc import Callable, Mapping
from copy import deepcopy
from typing import Any

import numpy as np

from smallscale.robustness.squad import (
    Dataset,
    Question,
    all_text,
    exact_match,
    f1,
    gold_texts,
    normalize_answer,
    questions,
)
from smallscale.robustness.statements import Verbs, as_statement
from smallscale.robustness.substitutes import Pool, fixed_answer

TRIES = 60  # for each candidate; what is left out then contains a gold answer whatever is drawn
WORDINGS, PLACES, FAKES = ("plain", "cleft"), ("end", "start"), ("drawn", "fixed")
Draw = Callable[[Question, np.random.Generator], list[str]]


def add_sentences(
    dataset: Mapping[str, Any],
    *,
    seed: int,
    candidates: int,
    wording: str = "plain",
    at: str = "end",
    fakes: str = "drawn",
) -> Dataset:
    """The dataset under attack: each question alone with its passage and one sentence more, `candidates` times.

    The sentence states something else in the question's own words: its names and numbers, or else one word, are
    changed, and an answer of the same type is made up. It holds no gold answer. The id becomes "<id>-adv<k>", k from 0.
    One candidate is AddOneSent; several, and then `worst_of`, are AddSent (Jia and Liang 2017).
    wording: plain, "Ann Lee founded Rome."; or cleft, "It was Ann Lee that founded Rome." at: end, where the old
    context stays the new one's prefix; or start, where answer_start moves along. fakes: the made-up answers, drawn anew
    each time; or fixed, as in the paper, one of two for each kind of question.

    Questions without an answer, and those that no rule can turn, are left out; their ids are under "skipped". seed: of
    what is drawn, for each question apart, from what the whole file offers.
    Raises ValueError for candidates below 1, an unknown wording, at or fakes, and what is not a dataset.
    """
    if isinstance(candidates, bool) or not isinstance(candidates, int | np.integer) or candidates < 1:
        raise ValueError(f"candidates must be a whole number, at least 1; got {candidates!r}")
    for name, value, allowed in (("wording", wording, WORDINGS), ("at", at, PLACES), ("fakes", fakes, FAKES)):
        if value not in allowed:
            raise ValueError(f"{name} must be one of {', '.join(allowed)}; got {value!r}")
    ordinary = _ordinary(dataset)
    verbs, everywhere = Verbs(all_text(dataset)), Pool(questions(dataset), ordinary)

    def draw_for(article: dict[str, Any]) -> Draw:
        pool = Pool((qa for p in article["paragraphs"] for qa in p["qas"]), ordinary, everywhere)
        fake = pool.fake_answer if fakes == "drawn" else fixed_answer
        return lambda qa, rng: misleading_sentences(qa, verbs, pool, fake, rng, candidates, wording)

    return _with_sentences(dataset, draw_for, seed=seed, at=at)


def worst_of(dataset: Mapping[str, Any], predictions: Mapping[str, str]) -> dict[str, float]:
    """AddSent's score: for each original question the candidate with the worst F1, its exact match taken along.

    dataset: as `add_sentences` returns it; an id without "-adv<k>" is a candidate of its own question. predictions: the
    answer's text by id; a missing one scores 0, as in v1.1. Gives exact_match and f1, in percent, and total, the
    number of original questions. Among candidates of equal F1 the worse exact match counts.
    Raises ValueError for an empty dataset, a question without answers, and predictions that are not text.
    """
    worst: dict[str, tuple[float, int]] = {}
    for qa in questions(dataset):
        golds, text = gold_texts(qa), predictions.get(qa["id"])
        if text is not None and not isinstance(text, str):
            raise ValueError(f"the prediction for {qa['id']!r} must be text; got {text!r}")
        score = (0.0, 0) if text is None else (f1(text, golds), exact_match(text, golds))
        original = original_id(qa["id"])
        worst[original] = min(score, worst.get(original, score))
    if not worst:
        raise ValueError("dataset has no question, so there is nothing to score")
    overlap, exact = (100.0 * sum(column) / len(worst) for column in zip(*worst.values(), strict=True))
    return {"exact_match": exact, "f1": overlap, "total": len(worst)}


def original_id(id_: str) -> str:
    """The id of the question that an attacked question was made from."""
    return re.sub(r"-adv\d+$", "", id_)


def changed_questions(dataset: Mapping[str, Any], *, seed: int) -> Dataset:
    """The dataset with every question asking for something else, as the attack changes it; passages and answers stay.

    Who reads finds no answer any more. Questions that cannot be changed are left out, their ids under "skipped".
    """
    ordinary = _ordinary(dataset)
    everywhere = Pool(questions(dataset), ordinary)
    articles, skipped = [], []
    for article in dataset["data"]:
        pool = Pool((qa for p in article["paragraphs"] for qa in p["qas"]), ordinary, everywhere)
        kept = []
        for paragraph in article["paragraphs"]:
            asked = [(qa, pool.changed(qa["question"], _rng(seed, qa))) for qa in paragraph["qas"]]
            skipped += [qa["id"] for qa, question in asked if not question]
            kept.append({**paragraph, "qas": [{**qa, "question": question} for qa, question in asked if question]})
        articles.append({**article, "paragraphs": kept})
    return {**dataset, "data": articles, "skipped": skipped}


def random_sentences(dataset: Mapping[str, Any], *, seed: int) -> Dataset:
    """The control: each question alone with its passage and a sentence about something else, the id "<id>-adv0".

    The sentence stands in another article and shares no word of over three letters with the question, and holds no
    gold answer. What it costs is the price of a longer passage; only what an attack costs beyond that is the attack's.
    Questions for which chance finds no such sentence, or without answer, are left out, their ids under "skipped".
    """
    articles = dataset["data"]
    everywhere = [
        (article, sentence, _content(sentence))
        for article in articles
        for paragraph in article["paragraphs"]
        for sentence in re.split(r"(?<=[.!?])\s+", paragraph["context"])
    ]

    def draw_for(article: dict[str, Any]) -> Draw:
        def draw(qa: Question, rng: np.random.Generator) -> list[str]:
            asked = _content(qa["question"])
            for other, sentence, words in (everywhere[i] for i in rng.integers(len(everywhere), size=TRIES)):
                if qa["answers"] and other is not article and not asked & words and _clean(sentence, qa):
                    return [sentence]
            return []

        return draw

    return _with_sentences(dataset, draw_for, seed=seed, at="end")


def _rng(seed: int, qa: Question) -> np.random.Generator:
    """A question's own generator, whatever was drawn for the others."""
    return np.random.default_rng([seed % 2**63, zlib.crc32(qa["id"].encode())])


def _ordinary(dataset: Mapping[str, Any]) -> set[str]:
    """The words that the file also writes in lower case."""
    return {word for text in all_text(dataset) for word in re.findall(r"\b[a-z]+\b", text)}


def _content(text: str) -> set[str]:
    """The words of over three letters."""
    return {word for word in re.findall(r"\w+", text.lower()) if len(word) > 3}


def _with_sentences(
    dataset: Mapping[str, Any], draw_for: Callable[[dict[str, Any]], Draw], *, seed: int, at: str
) -> Dataset:
    """The dataset with each question alone, once for each sentence drawn for it; "skipped" are those without any."""
    skipped, articles = [], []
    for article in dataset["data"]:
        made, draw = [], draw_for(article)
        for paragraph in article["paragraphs"]:
            for qa in paragraph["qas"]:
                sentences = draw(qa, _rng(seed, qa))
                if not sentences:
                    skipped.append(qa["id"])
                made += [_added(paragraph["context"], qa, k, each, at) for k, each in enumerate(sentences)]
        articles.append({**{key: value for key, value in article.items() if key != "paragraphs"}, "paragraphs": made})
    rest = {key: deepcopy(value) for key, value in dataset.items() if key not in ("data", "skipped")}
    return {**rest, "data": articles, "skipped": skipped}


def _added(context: str, qa: Question, k: int, sentence: str, at: str) -> dict[str, Any]:
    """A paragraph with the sentence added and this one question, its answers still in place."""
    new = {**deepcopy(qa), "id": f"{qa['id']}-adv{k}"}
    new.pop("plausible_answers", None)
    if at == "end":
        return {"context": f"{context} {sentence}", "qas": [new]}
    for answer in new["answers"]:
        answer["answer_start"] += len(sentence) + 1
    return {"context": f"{sentence} {context}", "qas": [new]}


def misleading_sentences(
    qa: Question,
    verbs: Verbs,
    pool: Pool,
    fake: Callable[[Question, np.random.Generator], str],
    rng: np.random.Generator,
    candidates: int,
    wording: str,
) -> list[str]:
    """Sentences for one question, different ones as far as they can be found; none where no rule fits.

    Change the question, make up an answer, turn both into a statement; drop it if it holds a gold answer.
    """
    found: list[str] = []
    if not qa["answers"] or as_statement(qa["question"], verbs) is None:
        return found
    for attempt in range(TRIES * candidates):
        question = pool.changed(qa["question"], rng)
        statement = as_statement(question, verbs) if question else None
        if statement is None:
            continue
        answer = fake(qa, rng)
        sentence = statement.plain(answer) if wording == "plain" else statement.cleft(answer)
        if _clean(sentence, qa) and (sentence not in found or attempt > TRIES * candidates // 2):
            found.append(sentence)
            if len(found) == candidates:
                return found
    return []


def _clean(sentence: str, qa: Question) -> bool:
    """Whether the sentence is free of every gold answer, as it stands and as the scores see it."""
    low, normal = sentence.lower(), f" {normalize_answer(sentence)} "
    golds = [answer["text"] for answer in qa["answers"]]
    return not any(g.lower() in low or (normalize_answer(g) and f" {normalize_answer(g)} " in normal) for g in golds)
