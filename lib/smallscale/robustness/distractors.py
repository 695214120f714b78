"""Does a reader read the question, or find what looks like it? Sentences that mislead it and mislead no person.

AddSent and AddOneSent (Jia & Liang 2017): to each passage a sentence is added that looks like an answer to the
question and is about something else. The right answer stays right. The paper's rules need a parser, WordNet and
GloVe, and people corrected its sentences; here there is neither, so say "AddSent-like, without the human filter".
"""

import re
from collections.abc import Callable, Mapping
from random import Random
from typing import Any

from smallscale.robustness.english import DAYS, DETERMINERS, MONTHS, PREPOSITIONS
from smallscale.robustness.squad import Dataset, Question, exact_match, f1, gold_texts, normalize_answer, questions
from smallscale.robustness.statements import SLOT, Statement, low, statement
from smallscale.robustness.substitutes import Stock, Words

TRIES = 30  # per sentence, until one holds no gold answer and is not among the earlier ones

Sentences = Callable[[Question], list[str]]


def add_sentences(dataset: Mapping[str, Any], *, seed: int, candidates: int) -> Dataset:
    """AddSent's candidates for every question: the paragraph again, with one misleading sentence at its end.

    Each question that can be turned comes back `candidates` times, with a paragraph of its own each time, under
    the ids "<id>-adv0", "<id>-adv1" and so on. The old context is a prefix of the new one, so answers stay where
    they were; the paragraph says under "sentence" what was added. No gold answer of the question stands in it.
    Candidates differ where the file has enough names and answers. candidates=1 is AddOneSent: one sentence at
    random. With more, `worst_of` is AddSent: the worst for the reader counts.
    Questions without an answer, and those the rules cannot turn, are left out; "skipped" lists their ids.

    A question's sentences depend on the seed, its id and the file's names and answers, not on the file's order.
    Raises ValueError for candidates below 1.
    """
    if candidates < 1:
        raise ValueError(f"candidates must be at least 1; got {candidates}")
    stock = Stock(dataset)
    return with_sentences(dataset, lambda qa: _candidates(qa, stock, seed, candidates))


def with_sentences(dataset: Mapping[str, Any], sentences: Sentences) -> Dataset:
    """The dataset with each question once for every sentence that sentences(question) gives, appended.

    Ids, "sentence" and "skipped" as for `add_sentences`; a question that gets no sentence is skipped.
    """
    articles, skipped = [], []
    for article in dataset["data"]:
        added = []
        for paragraph in article["paragraphs"]:
            for qa in paragraph["qas"]:
                found = sentences(qa) if qa["answers"] else []
                for k, sentence in enumerate(found):
                    answers = [dict(answer) for answer in qa["answers"]]
                    again = {**qa, "id": f"{qa['id']}-adv{k}", "answers": answers}
                    context = f"{paragraph['context']} {sentence}"
                    added.append({"context": context, "qas": [again], "sentence": sentence})
                if not found:
                    skipped.append(qa["id"])
        if added:
            articles.append({**article, "paragraphs": added})
    return {**dataset, "data": articles, "skipped": skipped}


def prepended(adversarial: Mapping[str, Any]) -> Dataset:
    """The same with the added sentences moved to the front of their passages, and answer_start moved along."""
    articles = []
    for article in adversarial["data"]:
        moved = []
        for paragraph in article["paragraphs"]:
            sentence = paragraph["sentence"]
            context = f"{sentence} {paragraph['context'].removesuffix(sentence).removesuffix(' ')}"
            qas = []
            for qa in paragraph["qas"]:
                shift = len(sentence) + 1
                answers = [{**answer, "answer_start": answer["answer_start"] + shift} for answer in qa["answers"]]
                qas.append({**qa, "answers": answers})
            moved.append({**paragraph, "context": context, "qas": qas})
        articles.append({**article, "paragraphs": moved})
    return {**adversarial, "data": articles}


def worst_of(dataset: Mapping[str, Any], predictions: Mapping[str, str]) -> dict[str, float]:
    """AddSent's score: for each question the candidate with the worst F1 counts, its exact match taken along.

    dataset: as `add_sentences` returns it. A question that stands there under its own id too counts with that only
    if it has no candidate, as in the paper's script. A missing prediction scores 0; of equals the first counts.
    Returns exact_match and f1 in percent, by v1.1's rules, and total, the number of original questions.
    Raises ValueError for a dataset without questions, and for a question without answers.
    """
    worst: dict[str, tuple[bool, float, int]] = {}
    for qa in questions(dataset):
        original = re.sub(r"-adv\d+$", "", qa["id"])
        golds, given = gold_texts(qa), qa["id"] in predictions
        text = predictions[qa["id"]] if given else ""
        here = (original == qa["id"], f1(text, golds) * given, exact_match(text, golds) * given)
        if original not in worst or here[:2] < worst[original][:2]:
            worst[original] = here
    if not worst:
        raise ValueError("dataset has no question, so there is nothing to score")
    total = len(worst)
    return {
        "exact_match": 100.0 * sum(exact for _, _, exact in worst.values()) / total,
        "f1": 100.0 * sum(overlap for _, overlap, _ in worst.values()) / total,
        "total": total,
    }


def _candidates(qa: Question, stock: Stock, seed: int, candidates: int) -> list[str]:
    """Different misleading sentences for one question; none if there is not even one."""
    turned = statement(qa["question"])
    found: list[str] = []
    for k in range(candidates if turned else 0):
        random = Random(f"{seed} {qa['id']} {k}")
        fit = None
        for _ in range(TRIES):
            sentence = misleading(turned, gold_texts(qa), stock, random)
            if sentence:
                fit = sentence
                if sentence not in found:
                    break
        if fit is None:
            return found and [found[i % len(found)] for i in range(candidates)]
        found.append(fit)
    return found


def misleading(turned: Statement, golds: list[str], stock: Stock, random: Random) -> str | None:
    """One sentence about something else than was asked, with a wrong answer; None if it came out right or unchanged."""
    wrong = stock.wrong_answer(turned, golds, random)
    words = stock.altered(turned.words, random)
    if wrong is None or words == turned.words:
        return None
    sentence = finished(said(words, wrong))
    return None if any(contains(sentence, gold) for gold in golds) else sentence


def contains(sentence: str, gold: str) -> bool:
    """Whether the gold answer stands in the sentence, as it is or normalised; "2" stands in "12"."""
    plain, normal = gold.strip().lower(), normalize_answer(gold)
    return (bool(plain) and plain in sentence.lower()) or (bool(normal) and normal in normalize_answer(sentence))


def said(words: Words, answer: str) -> str:
    """The statement with the answer in the place of {}, and the words beside it made to fit."""
    place = next(i for i, word in enumerate(words) if SLOT in word)
    before, slot, after = words[:place], words[place], words[place + 1 :]
    parts = answer.split()
    if low(parts[0]) in DETERMINERS | PREPOSITIONS and parts[1:2] and parts[1][0].islower():
        parts[0] = parts[0].lower()
    if slot.startswith(SLOT + "'s"):
        parts[-1] = parts[-1].removesuffix("'s").removesuffix("’s")
    if before and low(before[-1]) in ("in", "for"):
        if low(parts[0]) in PREPOSITIONS:
            before = before[:-1]
        elif low(before[-1]) == "for":
            before = [*before[:-1], "from"] if set(parts) & {"to", "until"} else before
        elif parts[0] in DAYS or (set(parts) & set(MONTHS) and re.match(r"\d{1,2}\b|\w+ \d{1,2}\b(?!\d)", answer)):
            before = [*before[:-1], "on"]
    if before and low(before[-1]) in DETERMINERS and low(parts[0]) in DETERMINERS and len(parts) > 1:
        parts = parts[1:]
    for n in range(len(parts) - 1, 0, -1):  # "three weight rooms" in "{} weight rooms are here"
        if [low(word).rstrip("s") for word in parts[-n:]] == [low(word).rstrip("s") for word in after[:n]]:
            parts = parts[:-n]
            break
    if before and low(before[-1]) == "in" and re.fullmatch(r"\d+s", parts[0]):
        parts.insert(0, "the")
    if after and low(after[0]) == "of" and re.fullmatch(r"[\d.,]+", answer):
        parts.append("percent")
    return " ".join([*before, slot.replace(SLOT, " ".join(parts)), *after])


def finished(text: str) -> str:
    """A sentence: a or an as the next word asks for it, a capital first, a full stop last."""

    def article(match: re.Match[str]) -> str:
        vowel = re.match(r"(?!uni|us[eu]|one|eur|u\b)[aeiou]|hour|honest|heir", match.group(2).lower())
        return f"{match.group(1)}{'n' if vowel else ''} {match.group(2)}"

    text = re.sub(r"\b([Aa])n? (\w+)", article, text)
    return text[0].upper() + text[1:].replace('?"', '"').rstrip(",") + "."
