"""What does a question ask for, and where else could its answer stand?"""

import re
import string
from collections.abc import Iterable
from typing import Any

from smallscale.datasets.squad_scores import normalize_answer
from smallscale.robustness.reading.english import (
    ADJECTIVE_ENDINGS,
    AUXILIARIES,
    DEMONYMS,
    FUNCTION_WORDS,
    PREPOSITIONS,
    QUESTION_WORDS,
    TIME_NOUNS,
    Vocabulary,
    is_adverb,
    is_past,
    is_plural,
)
from smallscale.robustness.reading.numbers import MONTH, NUMBER

ARTICLES = ("the", "a", "an")
SAME_LETTERS = 4  # at the head of two names: one may be a form of the other
LONGEST_PHRASE = 4  # words of an answer that is drawn for another
PHRASE = re.compile(r"[\w' -]+")
# What may follow a noun phrase; other words may belong to it.
CLOSERS = PREPOSITIONS | AUXILIARIES | {"", "and", "or", "who", "which", "that"}


def kind_of(question: str) -> str:
    """Return what is asked for: the question word, and the word that narrows it down.

    >>> kind_of("In what year was Rome founded?"), kind_of("Who founded Rome?")
    ('what year', 'who')
    """
    words = question.lower().rstrip("?. ").split()
    question_words = [word for word in words if word in QUESTION_WORDS]
    if not question_words:
        return ""
    question_word = question_words[0]
    rest = words[words.index(question_word) + 1 :]
    if question_word not in ("how", "what", "which") or not rest:
        return question_word
    if rest[0] in AUXILIARIES:
        # "What was the profession of Ada?" asks for a profession, "What did the ship
        # carry?" for what is carried.
        rest = rest[2:] if rest[1:2] in (["the"], ["a"]) else rest[-1:]
    return f"{question_word} {rest[0]}" if rest else question_word


def asks_for_time(kind: str) -> bool:
    """Return whether a question of this kind asks when something was."""
    return kind == "when" or bool(set(kind.split()) & TIME_NOUNS)


def asks_for_number(kind: str) -> bool:
    """Return whether a question of this kind asks for a time or a count."""
    return asks_for_time(kind) or kind == "how many"


def shape_of(answer: str) -> str:
    """Return what the answer looks like: number, name or words."""
    if NUMBER.search(answer):
        return "number"
    first_letter = answer.lstrip("\"'“").removeprefix("the ")[:1]
    return "name" if first_letter.isupper() else "words"


def article_of(phrase: str) -> str:
    """Return the phrase's article; "" for none."""
    first = phrase.split()[0].lower()
    return first if first in ARTICLES else ""


def share_half(fake: str, golds: Iterable[str]) -> bool:
    """Return whether a text shares half of its words, or of theirs, with one of golds.

    Words are compared as the scores compare them. Two texts without words are the same.

    >>> share_half("King Otto", ["Otto"]), share_half("Otto", ["the Queen of Rome"])
    (True, False)
    """
    own = set(normalize_answer(fake).split())
    for gold in golds:
        other = set(normalize_answer(gold).split())
        if 2 * len(own & other) >= min(len(own), len(other)):
            return True
    return False


def alike(name: str, others: Iterable[str]) -> bool:
    """Return whether a name may be one of the others: Warsaw is Warszawa.

    They open with the same letters, or one is the other's initials.

    >>> alike("Warszawa", ["Warsaw"]), alike("EU", ["European Union"])
    (True, True)
    """
    for other in others:
        if name[:SAME_LETTERS].lower() == other[:SAME_LETTERS].lower():
            return True
        if name in (initials(other), other) or other == initials(name):
            return True
    return False


def initials(name: str) -> str:
    """Return the capitals that a name's words open with: EU."""
    return "".join(word[0] for word in name.split() if word[0].isupper())


def noun_phrase(context: str, answer: dict[str, Any], words: Vocabulary) -> str:
    """Return an answer as it can stand in any sentence, its article with it; else "".

    Its neighbours in the passage tell whether it is a whole noun phrase: "arbitrary
    graph" in "an arbitrary graph is", but not "closed" in "a closed system".

    answer: with its text and its answer_start. words: what the file's words are.
    """
    text = answer["text"].strip(string.punctuation + " ")
    own = text.split()
    start = context.find(text, answer["answer_start"])
    if start < 0 or not _may_be_phrase(own, words):
        return ""
    behind = context[start + len(text) :]
    after = re.match(r"\s*([\w']*)", behind)
    closed = after is not None and after[1].lower() in CLOSERS
    if not closed or behind[:1] in ("-", "–") or MONTH.search(text):
        return ""
    words_before = context[:start].lower().split()
    before = words_before[-1] if words_before else ""
    first = own[0].lower()
    if first in ARTICLES:
        return " ".join([first, *own[1:]]) if len(own) > 1 else ""
    if before in ARTICLES:
        return f"{before} {text}"
    return text if _stands_alone(own, before) else ""


def _may_be_phrase(own: list[str], words: Vocabulary) -> bool:
    """Return whether the words can be a noun phrase: no verb, and a noun at the end."""
    if not 0 < len(own) <= LONGEST_PHRASE or not PHRASE.fullmatch(" ".join(own)):
        return False
    low = [word.lower() for word in own]
    last = own[-1]
    if last in DEMONYMS or last.endswith(("'s", "s'")):
        return False
    if any(NUMBER.search(word) for word in own):
        return False
    joined = set(low[1:]) & (FUNCTION_WORDS - {"of", "the"})
    has_verb = any(is_past(word) or is_adverb(word) for word in low[1:])
    odd_start = low[0] in FUNCTION_WORDS - set(ARTICLES)
    odd_start = odd_start or low[0].endswith(("ing", "ed", "ly"))
    if joined or has_verb or odd_start:
        return False
    is_noun = last[0].isupper() or low[-1] in words.nouns or is_plural(low[-1])
    return is_noun or len(own) == 1


def _stands_alone(own: list[str], before: str) -> bool:
    """Return whether a phrase needs no article, by the word before it."""
    behind_stop = before.endswith((",", "."))
    if own[0][0].isupper():
        return before in FUNCTION_WORDS or behind_stop or before == ""
    last = own[-1].lower()
    leads = before in PREPOSITIONS - {"to", "as"} or is_past(before)
    if leads and len(own) == 1 and not last.endswith(ADJECTIVE_ENDINGS):
        return True  # "of salt", "carried salt"
    return (leads or behind_stop or before in ("and", "or")) and is_plural(last)
