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
# What a question with an object clause or an odd subject is told by.
CLAUSE_WORDS = frozenset(LISTS["clause_words"])
CLAUSE_VERBS = frozenset(LISTS["clause_verbs"])  # their object may be a clause
# A question with one of these, inverted, would say the contrary.
DENIALS = frozenset(LISTS["denials"])
# What follows these in the passive is no part of the subject: "was called Rome".
NAMING_VERBS = frozenset(LISTS["naming_verbs"])
PREDICATE_ADJECTIVES = frozenset(LISTS["predicate_adjectives"])
MOTION_VERBS = frozenset(LISTS["motion_verbs"])  # where to, not where
PARTICLES = frozenset(LISTS["particles"])  # "burn down"
ADJECTIVE_ENDINGS = tuple(LISTS["adjective_endings"])  # a noun may have them too
ADVERBS = frozenset(LISTS["adverbs"])  # beside those in -ly
TIME_NOUNS = frozenset(LISTS["time_nouns"])
NUMBER_WORDS: list[str] = LISTS["number_words"]
UNITS: Mapping[str, str] = LISTS["units"]  # each with another of its sort
DEMONYMS: list[str] = LISTS["demonyms"]
# Words with a capital at the head of a question that are not part of a name.
OPENERS = PREPOSITIONS | QUESTION_WORDS | AUXILIARIES | frozenset(LISTS["openers"])
# What leads into the answer: when -> "in 1203", why -> "because of the rain".
ANSWER_PREPOSITIONS: Mapping[str, str] = LISTS["answer_prepositions"]
OPPOSITES: Mapping[str, str] = LISTS["opposites"]
OPPOSITE_ADJECTIVES: Mapping[str, str] = LISTS["opposite_adjectives"]

THIRD_PERSONS: Mapping[str, str] = LISTS["third_persons"]
_IRREGULAR: Mapping[str, Mapping[str, str]] = LISTS["irregular_verbs"]
PASTS = {base: forms["past"] for base, forms in _IRREGULAR.items()}
PAST_FORMS = frozenset(PASTS.values())
PARTICIPLES = frozenset(forms["participle"] for forms in _IRREGULAR.values())
USUAL_VERBS = frozenset(LISTS["usual_verbs"])
DOUBLING_VERBS = frozenset(LISTS["doubling_verbs"])  # and those of one short syllable
ONE_SHORT_SYLLABLE = re.compile(r"[^aeiou]*(?:[^aeiou]|qu)[aeiou][^aeiouwxy]")
PLURALS = frozenset(LISTS["plurals"])  # without an -s
_AFTER_NOUN = "|".join([*PREPOSITIONS, *AUXILIARIES, "and", "or"])
NOUN = re.compile(
    rf"\b(?:[Tt]he|[Aa]n?|its|their) ([a-z]+)(?= (?:{_AFTER_NOUN})\b|[.,])"
)


def past(base: str) -> str:
    """Return a verb's simple past: found -> founded, carry -> carried, take -> took."""
    if base in PASTS:
        return PASTS[base]
    if base.endswith("e"):
        return base + "d"
    if base in DOUBLING_VERBS or ONE_SHORT_SYLLABLE.fullmatch(base):  # stop, refer
        return f"{base}{base[-1]}ed"
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


def is_adverb(word: str) -> bool:
    """Return whether the word may stand before a participle: first, newly."""
    return word in ADVERBS or (word.endswith("ly") and len(word) > 4)


def denies(words: Iterable[str]) -> bool:
    """Return whether a sentence denies something, by a word of its own or by "n't".

    >>> denies("What city didn’t Ada visit".split()), denies(["Ada", "visited"])
    (True, False)
    """
    plain = [word.lower().replace("’", "'").strip(",'") for word in words]
    return any(word in DENIALS or word.endswith("n't") for word in plain)


def is_plural(phrase: str) -> bool:
    """Return whether a phrase looks like a plural: "the Huguenots", "salt and silver".

    It looks at the words before the first preposition alone, or at an "and".
    """
    words = phrase.lower().split()
    if "and" in words:
        return True
    at = next((i for i, word in enumerate(words) if i and word in PREPOSITIONS), None)
    head = words[:at][-1] if words[:at] else ""
    return head in PLURALS or bool(re.search(r"[^su'i]s$", head))


class Vocabulary:
    """Which words of some texts are verbs, and which are nouns?

    Known are the irregular verbs, some usual ones, and every word of the texts that
    also occurs there in two of its three forms: the past, the one in -ing, the third
    person. A noun is what stands there between a determiner and a word of grammar or a
    full stop, "the *harbour* of".

    bases: the verbs, each in its base form. nouns: the nouns. ordinary: all words that
    occur in lower case.
    """

    def __init__(self, texts: Iterable[str]) -> None:
        words: set[str] = set()
        self.ordinary: set[str] = set()
        self.nouns: set[str] = set()
        for text in texts:
            words.update(re.findall(r"[^\W\d_]+", text.lower()))
            self.ordinary.update(re.findall(r"\b[a-z]+\b", text))
            self.nouns.update(NOUN.findall(text))
        self.nouns = {
            word
            for word in self.nouns - FUNCTION_WORDS
            if not (is_participle(word) or is_adverb(word) or word.endswith("ing"))
        }
        inflected = {word for word in words if _occurs_inflected(word, words)}
        self.bases = set(PASTS) | USUAL_VERBS | inflected

    def is_finite(self, word: str) -> bool:
        """Return whether the word can follow its subject: founded, took, appoints."""
        return word in self.bases or is_past(word) or self.is_third_person(word)

    def is_third_person(self, word: str) -> bool:
        """Return whether the word is a known verb's form in -s: appoints, teaches."""
        without_s, without_es, with_y = word[:-1], word[:-2], word[:-3] + "y"
        return word.endswith("s") and any(
            base in self.bases and word == third_person(base)
            for base in (without_s, without_es, with_y)
        )


def is_past(word: str) -> bool:
    """Return whether the word looks like a simple past: founded, took."""
    return word in PAST_FORMS or (word.endswith("ed") and len(word) > 4)


def _occurs_inflected(word: str, words: set[str]) -> bool:
    """Return whether two of the word's three forms are among the words."""
    if len(word) <= 2:
        return False
    forms = (past(word), word.removesuffix("e") + "ing", third_person(word))
    return sum(form in words for form in forms) >= 2
