"""How near is an answer to the right one? The two scores of SQuAD, for one answer.

Rajpurkar et al. 2016 compare texts after taking out what does not matter, such as case
and articles. What is written here is the rule of their official scripts.
"""

import re
import string
from collections import Counter
from collections.abc import Sequence
from typing import Any

from smallscale.core.validation import require

# ASCII alone: curly quotes, dashes and accents stay.
NO_PUNCTUATION = str.maketrans("", "", string.punctuation)
ARTICLES = re.compile(r"\b(a|an|the)\b")


def normalize_answer(text: str) -> str:
    """Return the text as SQuAD's scripts compare it.

    It is in lower case, without ASCII punctuation, without the words a, an and the, and
    with one space between words (the official scripts' rule, v1.1 and v2.0).

    >>> normalize_answer("The  Eiffel Tower!")
    'eiffel tower'
    """
    text = text.lower()
    text = text.translate(NO_PUNCTUATION)
    text = ARTICLES.sub(" ", text)
    return " ".join(text.split())


def exact_match(prediction: str, golds: Sequence[str]) -> int:
    """Return 1 if the prediction equals a gold answer, else 0.

    Both are normalised (the rule of v1.1).
    Raises ValueError if golds holds none, or is a single text, and for what is no text.

    >>> exact_match("the Eiffel", ["Gustave Eiffel", "Eiffel"])
    1
    """
    golds = _checked_golds(prediction, golds)
    said = normalize_answer(prediction)
    return int(any(said == normalize_answer(gold) for gold in golds))


def f1(prediction: str, golds: Sequence[str]) -> float:
    """Return the best F1 of the prediction over the gold answers, in [0, 1].

        F1 = 2 * precision * recall / (precision + recall)

    Precision is the share of the prediction's words that the gold answer has too,
    recall the share of the gold answer's words that the prediction has; both are
    normalised, and words count with repeats (the rule of v1.1). No shared word gives 0:
    so does an empty prediction, even where the gold answer is empty too.
    Raises ValueError if golds holds none, or is a single text, and for what is no text.

    >>> round(f1("Gustave Eiffel himself", ["1889", "Gustave Eiffel"]), 3)
    0.8
    """
    return max(
        _f1_of_two(prediction, gold) for gold in _checked_golds(prediction, golds)
    )


def _f1_of_two(prediction: str, gold: str) -> float:
    predicted = Counter(normalize_answer(prediction).split())
    wanted = Counter(normalize_answer(gold).split())
    shared = (predicted & wanted).total()
    if shared == 0:
        return 0.0
    precision = shared / predicted.total()
    recall = shared / wanted.total()
    return (2 * precision * recall) / (precision + recall)


def _checked_golds(prediction: Any, golds: Any) -> list[str]:
    require(isinstance(prediction, str), f"prediction must be text; got {prediction!r}")
    texts = [] if isinstance(golds, str) or golds is None else list(golds)
    require(
        texts and all(isinstance(text, str) for text in texts),
        f"golds must be a list of at least one text; got {golds!r}",
    )
    return texts
