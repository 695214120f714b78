"""Does a reader survive an attack only where the passage says it in the same words?

Jia and Liang 2017, section 4, split the questions by whether some n words of the
question stand in the passage in the same order.
"""

import re
from collections.abc import Iterator, Sequence

import pandas as pd

from smallscale.datasets.squad_scores import normalize_answer
from smallscale.robustness.reading.addsent import original_id, worst_scores
from smallscale.robustness.reading.dataset import Dataset, asked
from smallscale.robustness.reading.readings import ReaderLike, answers

SENTENCE = re.compile(r"\S.*?(?:[.!?](?=\s)|\Z)", re.S)
LONGEST_MATCH = 5  # words; a longer match counts as this long


def longest_match(question: str, text: str) -> int:
    """Return the most words of the question that stand in the text one after another.

    Both are normalised as SQuAD's scores do. A question has an n-gram match with the
    text exactly if this is at least n.

    >>> longest_match("What is the birthplace of Ada?", "Ada's birthplace is Rome.")
    1
    """
    words = normalize_answer(question).split()
    padded = f" {normalize_answer(text)} "
    for n in range(len(words), 0, -1):
        if any(f" {gram} " in padded for gram in _grams(words, n)):
            return n
    return 0


def _grams(words: Sequence[str], n: int) -> Iterator[str]:
    for start in range(len(words) - n + 1):
        yield " ".join(words[start : start + n])


def survivals(reader: ReaderLike, clean: Dataset, attacked: Dataset) -> pd.DataFrame:
    """Return a row for each question that the reader answers exactly without attack.

    Columns: match, the longest n-gram match of question and clean passage, at most
    LONGEST_MATCH; and survives, whether the answer is still exact under the worst
    sentence of the attack.

    clean, attacked: passages, and the same from `add_sentences`. Questions that the
    attack skipped are left out.
    """
    before = worst_scores(clean, answers(reader, clean))
    after = worst_scores(attacked, answers(reader, attacked))
    rows = []
    for context, qa in asked(clean):
        id_ = original_id(qa["id"])
        if id_ in after and before[id_].exact_match:
            match = min(longest_match(qa["question"], context), LONGEST_MATCH)
            rows.append({"match": match, "survives": bool(after[id_].exact_match)})
    return pd.DataFrame(rows, columns=["match", "survives"])


def match_shares(survived: pd.DataFrame) -> pd.DataFrame:
    """Return the paper's figure: shares of questions that have an n-gram match.

    One row for each n from 1 to LONGEST_MATCH: n; survived and fell, the shares among
    questions whose answer withstood the attack and among the others.

    survived: what `survivals` returns, perhaps of several readers. A share of no
    questions is NaN.
    """
    withstood = survived.match[survived.survives.astype(bool)]
    fell = survived.match[~survived.survives.astype(bool)]
    rows = []
    for n in range(1, LONGEST_MATCH + 1):
        row = {"n": n, "survived": (withstood >= n).mean(), "fell": (fell >= n).mean()}
        rows.append(row)
    return pd.DataFrame(rows)


def word_matcher(dataset: Dataset, *, names: bool = True) -> list[float]:
    """Return for each question how often looking for its words finds the answer.

    Who only matches words takes the sentence that has the most of the question's
    different words. The value is 1 where the first gold answer stands in that sentence,
    0 where it does not, and a share where several sentences have equally many.

    names: whether names count; without them the question's capitalised words, its first
    one aside, are left out.
    """
    found = []
    for context, qa in asked(dataset):
        wanted = qa["question"] if names else _without_names(qa["question"])
        place = qa["answers"][0]["answer_start"]
        best, right = -1.0, [False]
        for sentence in SENTENCE.finditer(context):
            overlap = word_overlap(wanted, sentence.group())
            holds = sentence.start() <= place < sentence.end()
            if overlap > best:
                best, right = overlap, [holds]
            elif overlap == best:
                right.append(holds)
        found.append(sum(right) / len(right))
    return found


def _without_names(question: str) -> str:
    first, *others = question.split()
    return " ".join([first, *(word for word in others if not word[0].isupper())])


def word_overlap(question: str, text: str) -> float:
    """Return the share of the question's different words that the text has, in [0, 1].

    >>> word_overlap("Who founded Rome?", "Ada founded Tarby.")
    0.3333333333333333
    """
    wanted = set(normalize_answer(question).split())
    found = set(normalize_answer(text).split())
    return len(wanted & found) / len(wanted) if wanted else 0.0
