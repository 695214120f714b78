"""Is the answer right, and if not, why? Checks for the exercises on reading.

Each returns a sentence.
"""

import re
from collections.abc import Callable
from typing import Any, NamedTuple

from smallscale.datasets.squad_scores import f1, normalize_answer
from smallscale.notebook.exercises import NOT_YET
from smallscale.robustness.reading.dataset import Dataset, asked, gold_texts
from smallscale.robustness.reading.readings import ReaderLike, answers

TOLERANCE = 1e-5
WORD = re.compile(r"\w+")
FULL_NAME = re.compile(r"\b[A-Z]\w*(?: [A-Z]\w*)+")  # "Ada Berg"
PRONOUNS = {"he", "she", "it"}


class TriesCase(NamedTuple):
    """What is right after one try, and how many tries there are."""

    right: float
    tries: int


TRIES_CASES = (
    TriesCase(0.5, 1),
    TriesCase(0.5, 5),
    TriesCase(0.4, 2),
    TriesCase(0.9, 10),
    TriesCase(0.0, 3),
    TriesCase(1.0, 4),
)


class WrongIdea(NamedTuple):
    """A likely wrong formula, and what is to be said to it."""

    idea: Callable[[float, int], float]
    told: str


WRONG_IDEAS = (
    WrongIdea(
        lambda right, tries: right,
        "That is what one try leaves; each further try can take more away.",
    ),
    WrongIdea(
        lambda right, tries: 1 - (1 - right) ** tries,
        "That is the chance that at least one try leaves the answer right. The worst "
        "one counts, so all must.",
    ),
    WrongIdea(
        lambda right, tries: 1 - right**tries,
        "That is the chance that some try does harm; asked is what is left.",
    ),
    WrongIdea(
        lambda right, tries: right / tries,
        "Each try leaves the share `right` of what was left before it: multiply, do "
        "not divide.",
    ),
    WrongIdea(
        lambda right, tries: 1 / (tries + 1),
        "So it would be with one fixed taste among all answers. Here the tries are "
        "independent, and `right` matters.",
    ),
    WrongIdea(
        lambda right, tries: 1 - tries * (1 - right),
        "Each try takes less than the one before, since less is left to take.",
    ),
)


def check_tries(predict: Callable[[float, int], Any]) -> str:
    """Check predict(right, tries): what stays right if every try is independent.

    An error of the function is left to be raised.
    """
    for case in TRIES_CASES:
        answer = predict(*case)
        if answer is None:
            return NOT_YET
        if abs(float(answer) - case.right**case.tries) > TOLERANCE:
            said = f"For right={case.right} and tries={case.tries} you have"
            return f"{said} {float(answer):.3f}. {_what_was_meant(predict)}"
    return "Right: each try keeps the share `right` of what is left."


def _what_was_meant(predict: Callable[[float, int], Any]) -> str:
    """Return what to say to a wrong prediction, by the idea that it agrees with."""
    for wrong in WRONG_IDEAS:
        if all(_agree(predict(*case), wrong.idea(*case)) for case in TRIES_CASES):
            return wrong.told
    return "Which share withstands the first try, and which share of these the second?"


def _agree(answer: Any, value: float) -> bool:
    return answer is not None and abs(float(answer) - value) <= TOLERANCE


class F1Case(NamedTuple):
    """Two texts, and what is to be said to a wrong score of them."""

    prediction: str
    gold: str
    hint: str


F1_CASES = (
    F1Case("Ada Berg", "Ada Berg", "Two equal texts must give 1."),
    F1Case(
        "salt",
        "silver",
        "Two texts without a common word must give 0, not an error: look for a "
        "division by zero.",
    ),
    F1Case(
        "The Ada Berg!",
        "ada berg",
        "Normalise first: case, punctuation and the words a, an, the do not count.",
    ),
    F1Case(
        "Ada Berg of Tarby",
        "Ada Berg",
        "Two of four words are right and none is missing: 2 * 0.5 * 1 / 1.5.",
    ),
    F1Case(
        "Berg Berg",
        "Berg",
        "Count repeats: of two predicted words one is right. A set forgets the second.",
    ),
    F1Case("Berg Ada", "Ada Berg", "The order of the words does not count."),
    F1Case("", "salt", "An empty prediction has no common word: 0, not an error."),
    F1Case(
        "Berg",
        "Ada Berg",
        "All predicted words are right, but one of two is missing: 2 * 1 * 0.5 / 1.5. "
        "Precision alone forgets what is missing, recall alone what is too much.",
    ),
    F1Case(
        "old salt salt of Tarby",
        "salt salt silver",
        "Two of five predicted words are right, and two of three wanted are found.",
    ),
)


def check_f1(score: Callable[[str, str], Any]) -> str:
    """Check score(prediction, gold), which is to be SQuAD's F1 of two texts, in [0, 1].

    An error of the function is left to be raised.
    """
    for case in F1_CASES:
        answer = score(case.prediction, case.gold)
        if answer is None:
            return NOT_YET
        if abs(float(answer) - f1(case.prediction, [case.gold])) > TOLERANCE:
            return (
                f"For {case.prediction!r} against {case.gold!r} you have "
                f"{float(answer):.3f}. {case.hint}"
            )
    return "Right, on repeats, order, articles and empty texts too."


def check_sentences(
    attack: Callable[[str, str, str], Any],
    reader: ReaderLike,
    dataset: Dataset,
    *,
    beat: float,
    longest: int = 20,
) -> str:
    """Check attack(passage, question, answer), which returns a misleading text.

    Appended to the passages, the texts must take the reader's F1 below `beat` percent.
    None may hold the answer, nor be longer than `longest` words, nor speak of the
    question's subject, by all its names, by a part of one or by a pronoun: a person
    must still find the answer.
    """
    attacked = []
    for context, qa in asked(dataset):
        question = qa["question"]
        gold = gold_texts(qa)[0]
        sentence = attack(context, question, gold)
        if sentence is None:
            return NOT_YET
        is_short = isinstance(sentence, str) and len(WORD.findall(sentence)) <= longest
        if not is_short:
            return f"For {question!r}: return a text of at most {longest} words."
        if f" {normalize_answer(gold)} " in f" {normalize_answer(sentence)} ":
            return (
                f"For {question!r}: the sentence holds the answer, {gold!r}, so a "
                "reader that finds it there is right."
            )
        names = _names(question)
        if names and names <= set(WORD.findall(sentence)):
            return (
                f"For {question!r}: the sentence names {' '.join(sorted(names))}. It "
                "speaks of the very subject, so a person might believe it; speak of "
                "somebody else."
            )
        unclear = _may_mean_subject(sentence, question)
        if unclear:
            return (
                f"For {question!r}: {unclear!r} alone may mean the passage's subject, "
                "so a person might believe it; speak of somebody else, by name."
            )
        attacked.append({"context": f"{context} {sentence}", "qas": [qa]})
    longer: Dataset = {"version": "1.1", "data": [{"paragraphs": attacked}]}
    read = answers(reader, longer)
    scores = [f1(read[qa["id"]], gold_texts(qa)) for _, qa in asked(longer)]
    reached = 100 * sum(scores) / len(scores)
    if reached >= beat:
        return (
            f"Inside the rules, but F1 is {reached:.0f}, and the goal is below "
            f"{beat:.0f}."
        )
    return f"Right: F1 fell to {reached:.0f}, below {beat:.0f}."


def _names(question: str) -> set[str]:
    """Return the question's capitalised words, its first one aside."""
    others = WORD.findall(question)[1:]
    return {word for word in others if word[0].isupper()}


def _may_mean_subject(sentence: str, question: str) -> str:
    """Return a word that stands for the question's subject; "" where there is none.

    It is a pronoun, or a part of a name in the question with no other name beside it:
    "Ada" for Ada Berg, but not "Ada Moor", who is somebody else.
    """
    said: list[str] = WORD.findall(sentence)
    first_word = question.split(" ")[0]
    parts: set[str] = set()
    for name in FULL_NAME.findall(question.removeprefix(first_word)):
        parts.update(name.split())
    for i, word in enumerate(said):
        if word.lower() in PRONOUNS:
            return word
        beside = said[max(i - 1, 0) : i] + said[i + 1 : i + 2]
        has_other_name = any(w[0].isupper() and w not in parts for w in beside)
        if word in parts and not has_other_name:
            return word
    return ""
