"""Is the answer right, and if not, why? Checks for the exercises on reading.

Each returns a sentence.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from smallscale.notebook.exercises import NOT_YET
from smallscale.robustness.reading.dataset import Dataset, asked, gold_texts
from smallscale.robustness.reading.readings import ReaderLike, answers
from smallscale.robustness.reading.squad import f1, normalize_answer

TOLERANCE = 1e-5


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
    """Check attack(passage, question, answer), which returns a misleading sentence.

    Appended to the passages, the sentences must take the reader's F1 below `beat`
    percent. None may hold the answer, nor be longer than `longest` words: a person must
    still find the answer.
    """
    attacked = []
    for context, qa in asked(dataset):
        question = qa["question"]
        gold = gold_texts(qa)[0]
        sentence = attack(context, question, gold)
        if sentence is None:
            return NOT_YET
        if not isinstance(sentence, str) or len(sentence.split()) > longest:
            return f"For {question!r}: return one sentence of at most {longest} words."
        if f" {normalize_answer(gold)} " in f" {normalize_answer(sentence)} ":
            return (
                f"For {question!r}: the sentence holds the answer, {gold!r}, so a "
                "reader that finds it there is right."
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
