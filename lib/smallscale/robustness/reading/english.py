"""Which words does English have, and how do its verbs change? Lists and a few rules.

The lists stand in `english.json`, each under its name, and are read from there by name.
"""

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

LISTS: dict[str, Any] = json.loads(
    Path(__file__).with_name("english.json").read_text(encoding="utf-8")
)

BE = frozenset(LISTS["be"])
DO = frozenset(LISTS["do"])
HAVE = frozenset(LISTS["have"])
MODALS = frozenset(LISTS["modals"])
AUXILIARIES = BE | DO | HAVE | MODALS

DETERMINERS = frozenset(LISTS["determiners"])
PREPOSITIONS = frozenset(LISTS["prepositions"])
QUESTION_WORDS = frozenset(LISTS["question_words"])
# These may ask for the subject, "What built it?", or for the object, "What is it?".
SUBJECT_OR_OBJECT = frozenset(LISTS["subject_or_object"])
HOW_MEASURES = frozenset(LISTS["how_measures"])  # how many, how long
# Words that carry grammar rather than meaning, and are never the verb of a question.
FUNCTION_WORDS = (
    DETERMINERS
    | PREPOSITIONS
    | AUXILIARIES
    | QUESTION_WORDS
    | frozenset(LISTS["joining_words"])
)
# Words with a capital at the head of a question that are not part of a name.
OPENERS = PREPOSITIONS | QUESTION_WORDS | AUXILIARIES | frozenset(LISTS["openers"])
# What leads into the answer: when -> "in 1203", why -> "because of the rain".
ANSWER_PREPOSITIONS: Mapping[str, str] = LISTS["answer_prepositions"]
OPPOSITES: Mapping[str, str] = LISTS["opposites"]

THIRD_PERSONS: Mapping[str, str] = LISTS["third_persons"]
_IRREGULAR: Mapping[str, Mapping[str, str]] = LISTS["irregular_verbs"]
PASTS = {base: forms["past"] for base, forms in _IRREGULAR.items()}
PAST_FORMS = frozenset(PASTS.values())
PARTICIPLES = frozenset(forms["participle"] for forms in _IRREGULAR.values())
USUAL_VERBS = frozenset(LISTS["usual_verbs"])


def past(base: str) -> str:
    """Return a verb's simple past: found -> founded, carry -> carried, take -> took."""
    if base in PASTS:
        return PASTS[base]
    if base.endswith("e"):
        return base + "d"
    return re.sub(r"([^aeiou])y$", r"\1i", base) + "ed"


def third_person(base: str) -> str:
    """Return a verb's third person: lie -> lies, carry -> carries, teach -> teaches."""
    if base in THIRD_PERSONS:
        return THIRD_PERSONS[base]
    if re.search(r"([sxz]|[cs]h)$", base):
        return base + "es"
    return re.sub(r"([^aeiou])y$", r"\1ie", base) + "s"


def is_participle(word: str) -> bool:
    """Return whether the word may follow "has" or "was": taken, founded."""
    return word in PARTICIPLES or (word.endswith("ed") and len(word) > 3)


class Verbs:
    """Which words of some texts are verbs?

    Known are the irregular ones, some usual ones, and every word of the texts that also
    occurs there in two of its three forms: the past, the one in -ing, the third person.
    bases: those verbs, each in its base form.
    """

    def __init__(self, texts: Iterable[str]) -> None:
        words: set[str] = set()
        for text in texts:
            words.update(re.findall(r"[^\W\d_]+", text.lower()))
        inflected = {word for word in words if _occurs_inflected(word, words)}
        self.bases = set(PASTS) | USUAL_VERBS | inflected

    def is_finite(self, word: str) -> bool:
        """Return whether the word can follow its subject: founded, took, appoints."""
        if word in PAST_FORMS or word in self.bases:
            return True
        if word.endswith("ed") and len(word) > 4:
            return True
        # A third person ends in -s or in -es: appoints, teaches.
        without_s, without_es = word[:-1], word[:-2]
        return word.endswith("s") and any(
            base in self.bases and word == third_person(base)
            for base in (without_s, without_es)
        )


def _occurs_inflected(word: str, words: set[str]) -> bool:
    """Return whether two of the word's three forms are among the words."""
    if len(word) <= 2:
        return False
    forms = (past(word), word.removesuffix("e") + "ing", third_person(word))
    return sum(form in words for form in forms) >= 2
