"""Does a reader read, or does it look for familiar words? Sentences that look like an answer and are none.

AddSent (Jia and Liang 2017, section 3.2): change the question until it asks for something else, make up an answer of
the same type, turn both into a statement, and add it to the passage. The right answer is still the right answer. Their
sentences were corrected by people; these are not, so they are "AddSent-like".
"""

import re
import zlib
from collections.abc import Callable, Mapping

import numpy as np

from smallscale.robustness.reading.replacements import Pool, fixed_answer, pools
from smallscale.robustness.reading.squad import (
    Dataset,
    Paragraph,
    Question,
    all_text,
    asked,
    normalize_answer,
    v1_scores,
)
from smallscale.robustness.reading.statements import Verbs, as_statement

TRIES = 60  # for each candidate; what is left out then contains a gold answer whatever is drawn
WORDINGS, PLACES, FAKES = ("plain", "cleft"), ("end", "start"), ("drawn", "fixed")
Fake = Callable[[Question, np.random.Generator], str]
Variants = Callable[
    [int, str, Question, np.random.Generator], list[Paragraph]
]  # article, context, question


def add_sentences(
    dataset: Dataset,
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
    if (
        isinstance(candidates, bool)
        or not isinstance(candidates, int | np.integer)
        or candidates < 1
    ):
        raise ValueError(
            f"candidates must be a whole number, at least 1; got {candidates!r}"
        )
    for name, value, allowed in (
        ("wording", wording, WORDINGS),
        ("at", at, PLACES),
        ("fakes", fakes, FAKES),
    ):
        if value not in allowed:
            raise ValueError(
                f"{name} must be one of {', '.join(allowed)}; got {value!r}"
            )
    verbs, of_article = Verbs(all_text(dataset)), pools(dataset)

    def attacked(
        article: int, context: str, qa: Question, rng: np.random.Generator
    ) -> list[Paragraph]:
        pool = of_article[article]
        fake = pool.fake_answer if fakes == "drawn" else fixed_answer
        sentences = misleading_sentences(
            qa, verbs, pool, fake, rng, candidates, wording
        )
        return [
            _added(context, qa, k, sentence, at) for k, sentence in enumerate(sentences)
        ]

    return _one_by_one(dataset, attacked, seed)


def worst_of(dataset: Dataset, predictions: Mapping[str, str]) -> dict[str, float]:
    """AddSent's score: for each original question the candidate with the worst F1, its exact match taken along.

    dataset: as `add_sentences` returns it; an id without "-adv<k>" is a candidate of its own question. predictions: the
    answer's text by id; a missing one scores 0, as in v1.1. Gives exact_match and f1, in percent, and total, the
    number of original questions. Among candidates of equal F1 the worse exact match counts.
    Raises ValueError for an empty dataset, a question without answers, and predictions that are not text.
    """
    worst = worst_scores(dataset, predictions)
    if not worst:
        raise ValueError("dataset has no question, so there is nothing to score")
    overlap, exact = (
        100.0 * sum(column) / len(worst) for column in zip(*worst.values(), strict=True)
    )
    return {"exact_match": exact, "f1": overlap, "total": len(worst)}


def worst_scores(
    dataset: Dataset, predictions: Mapping[str, str]
) -> dict[str, tuple[float, int]]:
    """(F1, exact match) of each original question's worst candidate, by its id; as `worst_of`, which see."""
    worst: dict[str, tuple[float, int]] = {}
    for id_, score in v1_scores(dataset, predictions):
        original = original_id(id_)
        worst[original] = min(score, worst.get(original, score))
    return worst


def original_id(id_: str) -> str:
    """The id of the question that an attacked question was made from."""
    return re.sub(r"-adv\d+$", "", id_)


def changed_questions(dataset: Dataset, *, seed: int) -> Dataset:
    """The dataset with every question asking for something else, as the attack changes it; passages and answers stay.

    Who reads finds no answer any more. Questions that cannot be changed are left out, their ids under "skipped".
    """
    of_article = pools(dataset)

    def changed(
        article: int, context: str, qa: Question, rng: np.random.Generator
    ) -> list[Paragraph]:
        question = of_article[article].changed(qa["question"], rng)
        return (
            [{"context": context, "qas": [{**qa, "question": question}]}]
            if question
            else []
        )

    return _one_by_one(dataset, changed, seed)


def random_sentences(dataset: Dataset, *, seed: int) -> Dataset:
    """The control: each question alone with its passage and a sentence about something else, the id "<id>-adv0".

    The sentence stands in another article and shares no word of over three letters with the question, and holds no
    gold answer. What it costs is the price of a longer passage; only what an attack costs beyond that is the attack's.
    Questions for which chance finds no such sentence, or without answer, are left out, their ids under "skipped".
    """
    everywhere = [
        (number, sentence, _content(sentence))
        for number, article in enumerate(dataset["data"])
        for paragraph in article["paragraphs"]
        for sentence in re.split(r"(?<=[.!?])\s+", paragraph["context"])
    ]

    def longer(
        article: int, context: str, qa: Question, rng: np.random.Generator
    ) -> list[Paragraph]:
        content = _content(qa["question"])
        for other, sentence, words in (
            everywhere[i] for i in rng.integers(len(everywhere), size=TRIES)
        ):
            if (
                qa["answers"]
                and other != article
                and not content & words
                and _clean(sentence, qa)
            ):
                return [_added(context, qa, 0, sentence, "end")]
        return []

    return _one_by_one(dataset, longer, seed)


def _content(text: str) -> set[str]:
    """The words of over three letters."""
    return {word for word in re.findall(r"\w+", text.lower()) if len(word) > 3}


def _one_by_one(dataset: Dataset, variants_of: Variants, seed: int) -> Dataset:
    """The dataset with each question alone, once for each of its variants; "skipped" are those without any.

    Each question has its own generator, whatever is drawn for the others.
    """
    skipped, articles = [], []
    for number, article in enumerate(dataset["data"]):
        alone: list[Paragraph] = []
        for context, qa in asked({"data": [article]}):
            rng = np.random.default_rng([seed % 2**63, zlib.crc32(qa["id"].encode())])
            variants = variants_of(number, context, qa, rng)
            skipped += [] if variants else [qa["id"]]
            alone += variants
        articles.append({**article, "paragraphs": alone})
    return {**dataset, "data": articles, "skipped": skipped}


def _added(context: str, qa: Question, k: int, sentence: str, at: str) -> Paragraph:
    """A paragraph with the sentence added and this one question, its answers still in place."""
    context, shift = (
        (f"{context} {sentence}", 0)
        if at == "end"
        else (f"{sentence} {context}", len(sentence) + 1)
    )
    answers = [
        {**answer, "answer_start": answer["answer_start"] + shift}
        for answer in qa["answers"]
    ]
    rest = {key: value for key, value in qa.items() if key != "plausible_answers"}
    return {
        "context": context,
        "qas": [{**rest, "id": f"{qa['id']}-adv{k}", "answers": answers}],
    }


def misleading_sentences(
    qa: Question,
    verbs: Verbs,
    pool: Pool,
    fake: Fake,
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
        if statement := as_statement(pool.changed(qa["question"], rng), verbs):
            answer = fake(qa, rng)
            sentence = (
                statement.plain(answer)
                if wording == "plain"
                else statement.cleft(answer)
            )
            if _clean(sentence, qa) and (
                sentence not in found or attempt > TRIES * candidates // 2
            ):
                found.append(sentence)
                if len(found) == candidates:
                    return found
    return []


def _clean(sentence: str, qa: Question) -> bool:
    """Whether the sentence is free of every gold answer, as it stands and as the scores see it."""
    low, normal = sentence.lower(), f" {normalize_answer(sentence)} "
    golds = [answer["text"] for answer in qa["answers"]]
    return not any(
        g.lower() in low
        or (normalize_answer(g) and f" {normalize_answer(g)} " in normal)
        for g in golds
    )
