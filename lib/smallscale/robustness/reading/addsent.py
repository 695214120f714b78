"""Does a reader read, or does it look for familiar words?

AddSent (Jia and Liang 2017, section 3.3): change the question until it asks for
something else, make up an answer of the same type, turn both into a statement, and add
it to the passage. The right answer is still the right answer. Their sentences were
corrected by people; these are not, so they are "AddSent-like".
"""

import re
import zlib
from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

from smallscale.core.validation import one_of, require, whole_number
from smallscale.datasets.squad_scores import normalize_answer
from smallscale.robustness.reading.contrast import asks_otherwise
from smallscale.robustness.reading.dataset import (
    Dataset,
    Paragraph,
    Question,
    all_text,
    asked,
    check_structure,
)
from smallscale.robustness.reading.english import Vocabulary, denies
from smallscale.robustness.reading.replacements import Pool, fixed_answer, pools
from smallscale.robustness.reading.squad import Score, v1_scores
from smallscale.robustness.reading.statements import as_statement

# Draws for each sentence. What is given up on then holds a gold answer whatever is
# drawn.
TRIES = 60
WORDINGS = ("plain", "cleft")
POSITIONS = ("end", "start")
FAKE_ANSWERS = ("drawn", "fixed")

FakeAnswer = Callable[[Question, np.random.Generator], str]


class Asked(NamedTuple):
    """One question of a dataset. article: the number of its article."""

    article: int
    context: str
    qa: Question


# What one question becomes: the paragraphs that stand for it, drawn with the generator.
Variants = Callable[[Asked, np.random.Generator], list[Paragraph]]


def add_sentences(
    dataset: Dataset,
    *,
    seed: int,
    candidates: int,
    wording: str = "plain",
    at: str = "end",
    fakes: str = "drawn",
) -> Dataset:
    """Return the dataset under attack: each question with one misleading sentence more.

    Each question stands alone with its passage, `candidates` times, each time with
    another sentence, under the id "<id>-adv<k>", k from 0. The sentence states
    something else in the question's own words: its names and numbers, or else one word,
    are changed, and an answer of the same type is made up. It holds no gold answer. One
    candidate is AddOneSent; several, and then `worst_of`, are AddSent (Jia and Liang
    2017).

    wording: plain, "Ann Lee founded Rome."; or cleft, "It was Ann Lee that founded
    Rome." at: end, where the old context stays the new one's prefix; or start, where
    answer_start moves along. fakes: the made-up answers, drawn anew each time; or
    fixed, as in the paper, one of two for each kind of question.
    seed: of what is drawn, for each question apart, from what the whole file offers.

    Soundness comes before number: a question is left out where the rules cannot be sure
    of plain English, where no other answer of its type can be had, where the change
    leaves the statement as it was, or where it lies in a bound or an exception alone
    ("before 1914", "besides Otto"), so that the statement would answer the question.
    Questions without an answer are left out too. The ids of all these are under
    "skipped".
    Raises ValueError for candidates below 1, an unknown wording, at or fakes, and what
    is not a dataset.

    >>> answer = {"text": "Tarby", "answer_start": 13}
    >>> qa = {"id": "q", "question": "Where was Ada Berg born?", "answers": [answer]}
    >>> paragraph = {"context": "She was from Tarby.", "qas": [qa]}
    >>> dataset = {"version": "1.1", "data": [{"paragraphs": [paragraph]}]}
    >>> attacked = add_sentences(dataset, seed=0, candidates=1)
    >>> attacked["data"][0]["paragraphs"][0]["context"]
    'She was from Tarby. Frida Piloff was born in Holford.'
    """
    check_structure(dataset)
    candidates = whole_number("candidates", candidates)
    one_of("wording", wording, WORDINGS)
    one_of("at", at, POSITIONS)
    one_of("fakes", fakes, FAKE_ANSWERS)
    words = Vocabulary(all_text(dataset))
    pool_of_article = pools(dataset)

    def attacked(question: Asked, rng: np.random.Generator) -> list[Paragraph]:
        pool = pool_of_article[question.article]
        sentences = misleading_sentences(
            question.qa,
            pool=pool,
            fake_answer=pool.fake_answer if fakes == "drawn" else fixed_answer,
            words=words,
            candidates=candidates,
            wording=wording,
            rng=rng,
        )
        return [
            with_sentence(question, k, text, at) for k, text in enumerate(sentences)
        ]

    return question_by_question(dataset, attacked, seed)


def misleading_sentences(
    qa: Question,
    *,
    pool: Pool,
    fake_answer: FakeAnswer,
    words: Vocabulary,
    candidates: int,
    wording: str,
    rng: np.random.Generator,
) -> list[str]:
    """Return `candidates` sentences that answer another question in this one's words.

    AddSent's four steps (Jia and Liang 2017, section 3.3 and figure 2), without the
    people of the fourth. The sentences differ as far as different ones can be drawn;
    there are none where no rule fits the question.

    pool: what the article offers to draw from. fake_answer: draws an answer to qa.
    words: which are verbs and nouns. wording: plain or cleft.
    """
    original = as_statement(qa["question"], words) if qa["answers"] else None
    if original is None:
        return []
    found: list[str] = []
    tries = TRIES * candidates
    for attempt in range(tries):
        # Step 1: ask for something else. "When did Ada die?" -> "When did Otto die?"
        changed = pool.changed_question(qa["question"], rng)
        statement = None
        if asks_otherwise(changed, qa["question"]):
            statement = as_statement(changed, words)
        # Step 2: make up an answer of the same type. "1799" -> "1812"
        answer = fake_answer(qa, rng)
        if statement is not None and statement.suits(answer) and not denies([answer]):
            # Step 3: turn both into a statement. "Otto died in 1812."
            sentence = statement.worded(answer, wording)
            # Step 4: the paper's people correct it; here what is unsound is dropped.
            is_new = sentence not in found or attempt > tries // 2
            contradicts = _same_words(sentence, original.worded(answer, wording))
            if is_new and not contradicts and is_free_of_answers(sentence, qa):
                found.append(sentence)
        gives_up = not found and attempt >= TRIES
        if gives_up or len(found) == candidates:
            break
    return found if len(found) == candidates else []


def _same_words(sentence: str, other: str) -> bool:
    """Return whether two sentences say the same: the change fell out of both."""
    return normalize_answer(sentence) == normalize_answer(other)


def is_free_of_answers(sentence: str, qa: Question) -> bool:
    """Return whether the sentence holds no gold answer, as written or normalised."""
    normal = f" {normalize_answer(sentence)} "
    for answer in qa["answers"]:
        gold = normalize_answer(answer["text"])
        if answer["text"].lower() in sentence.lower():
            return False
        if gold and f" {gold} " in normal:
            return False
    return True


def worst_of(dataset: Dataset, predictions: Mapping[str, str]) -> dict[str, float]:
    """Return AddSent's score: each question's candidate with the worst F1 counts.

    Gives exact_match and f1, in percent, and total, the number of original questions.
    The exact match is that of the same candidate; among candidates of equal F1 the
    worse one counts.

    dataset: as `add_sentences` returns it; an id without "-adv<k>" is a candidate of
    its own question. predictions: the answer's text by id; a missing one scores 0, as
    in v1.1.
    Raises ValueError for an empty dataset, a question without answers, and predictions
    that are not text.

    >>> answer = {"text": "Tarby", "answer_start": 12}
    >>> qas = [{"id": f"q-adv{k}", "answers": [answer]} for k in range(2)]
    >>> dataset = {"data": [{"paragraphs": [{"context": "", "qas": qas}]}]}
    >>> worst_of(dataset, {"q-adv0": "Tarby", "q-adv1": "Konstad"})
    {'exact_match': 0.0, 'f1': 0.0, 'total': 1}
    """
    worst = worst_scores(dataset, predictions)
    require(worst, "dataset has no question, so there is nothing to score")
    total = len(worst)
    exact = sum(score.exact_match for score in worst.values())
    overlap = sum(score.f1 for score in worst.values())
    return {
        "exact_match": 100.0 * exact / total,
        "f1": 100.0 * overlap / total,
        "total": total,
    }


def worst_scores(dataset: Dataset, predictions: Mapping[str, str]) -> dict[str, Score]:
    """Return the score of each original question's worst candidate, by its id.

    Arguments and errors are those of `worst_of`.
    """
    worst: dict[str, Score] = {}
    for id_, score in v1_scores(dataset, predictions):
        original = original_id(id_)
        worst[original] = min(score, worst.get(original, score))
    return worst


def original_id(id_: str) -> str:
    """Return the id of the question that an attacked question was made from."""
    return re.sub(r"-adv[0-9]+\Z", "", id_)


def changed_questions(dataset: Dataset, *, seed: int) -> Dataset:
    """Return the dataset with every question asking for something else.

    The attack changes it so; passages and answers stay. Who reads finds no answer any
    more. Questions that cannot be changed are left out, their ids under "skipped".
    """
    check_structure(dataset)
    pool_of_article = pools(dataset)

    def changed(question: Asked, rng: np.random.Generator) -> list[Paragraph]:
        pool = pool_of_article[question.article]
        text = pool.changed_question(question.qa["question"], rng)
        if not text:
            return []
        return [
            {"context": question.context, "qas": [{**question.qa, "question": text}]}
        ]

    return question_by_question(dataset, changed, seed)


class Sentence(NamedTuple):
    """A sentence of a passage. article: its number. content: its longer words."""

    article: int
    text: str
    content: set[str]


def random_sentences(dataset: Dataset, *, seed: int) -> Dataset:
    """Return the control: each question with a sentence about something else added.

    The sentence stands in another article, shares no word of over three letters with
    the question, and holds no gold answer. What it costs is the price of a longer
    passage; only what an attack costs beyond that is the attack's. Ids become
    "<id>-adv0". Questions without an answer, and those for which chance finds no such
    sentence, are left out, their ids under "skipped".
    """
    check_structure(dataset)
    sentences = _sentences(dataset)

    def longer(question: Asked, rng: np.random.Generator) -> list[Paragraph]:
        if not question.qa["answers"]:
            return []
        content = _content_words(question.qa["question"])
        for i in rng.integers(len(sentences), size=TRIES):
            drawn = sentences[i]
            elsewhere = drawn.article != question.article
            unrelated = not content & drawn.content
            if elsewhere and unrelated and is_free_of_answers(drawn.text, question.qa):
                return [with_sentence(question, 0, drawn.text, "end")]
        return []

    return question_by_question(dataset, longer, seed)


def _sentences(dataset: Dataset) -> list[Sentence]:
    """Return every sentence of every passage."""
    sentences = []
    for number, article in enumerate(dataset["data"]):
        for paragraph in article["paragraphs"]:
            for text in re.split(r"(?<=[.!?])\s+", paragraph["context"]):
                sentences.append(Sentence(number, text, _content_words(text)))
    return sentences


def _content_words(text: str) -> set[str]:
    """Return the words of over three letters, in lower case."""
    return {word for word in re.findall(r"\w+", text.lower()) if len(word) > 3}


def question_by_question(dataset: Dataset, variants_of: Variants, seed: int) -> Dataset:
    """Return the dataset with the variants of each question in its place.

    Each question has its own generator, whatever is drawn for the others. The ids of
    questions without variants are under "skipped".
    """
    seed = whole_number("seed", seed, least=-(2**63), most=2**63)
    skipped: list[str] = []
    articles = []
    for number, article in enumerate(dataset["data"]):
        variants: list[Paragraph] = []
        for context, qa in asked({"data": [article]}):
            own_seed = [
                seed % 2**63,
                zlib.crc32(qa["id"].encode(errors="surrogatepass")),
            ]
            rng = np.random.default_rng(own_seed)
            made = variants_of(Asked(number, context, qa), rng)
            variants += made
            if not made:
                skipped.append(qa["id"])
        articles.append({**article, "paragraphs": variants})
    return {**dataset, "data": articles, "skipped": skipped}


def with_sentence(question: Asked, k: int, sentence: str, at: str) -> Paragraph:
    """Return a paragraph with the sentence and this question, its answers in place."""
    if at == "end":
        context = f"{question.context} {sentence}"
        shift = 0
    else:
        context = f"{sentence} {question.context}"
        shift = len(sentence) + 1
    answers = [
        {**answer, "answer_start": answer["answer_start"] + shift}
        for answer in question.qa["answers"]
    ]
    qa = {**question.qa, "id": f"{question.qa['id']}-adv{k}", "answers": answers}
    qa.pop("plausible_answers", None)  # v2.0's, for questions without an answer
    return {"context": context, "qas": [qa]}
