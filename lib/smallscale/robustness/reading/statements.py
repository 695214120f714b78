"""How does a question become a statement? By its first words, without a parser.

Jia and Liang 2017 turn "Who founded Rome?" and a made-up answer into "Ann Lee founded
Rome." with some fifty rules over a parse tree, and have people correct what comes out.
Nobody corrects here, so the rules are few and prefer to skip: a question is turned only
where its words leave one way to read it.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import NamedTuple

from smallscale.robustness.reading.clauses import (
    Clause,
    copular_subject,
    inverted,
    is_subject_start,
    lowered,
    opens_predicate,
)
from smallscale.robustness.reading.english import (
    ANSWER_PREPOSITIONS,
    AUXILIARIES,
    BE,
    CLAUSE_WORDS,
    DETERMINERS,
    DO,
    FUNCTION_WORDS,
    HAVE,
    MODALS,
    MOTION_VERBS,
    NAMING_VERBS,
    PARTICLES,
    PREPOSITIONS,
    QUESTION_WORDS,
    SUBJECT_OR_OBJECT,
    TIME_NOUNS,
    Vocabulary,
    denies,
    is_participle,
    is_past,
    is_plural,
)
from smallscale.robustness.reading.numbers import names_a_day

HAPPENING = frozenset(["happened", "happens", "occurred", "occurs"])
RELATIVES = frozenset(["that", "which", "who"])
LONGEST = 20  # words of a question; longer ones hold clauses that no rule reads
LONGEST_GROUP = 4  # words behind "which" that belong to it
LONGEST_OPENING = 6  # words before the question word that set the scene
UNREADABLE = re.compile(
    r"""[;:()\[\]"“”?!/]|\w\.\w| [-–v] |\d[-–]\d|\. """
)  # what breaks a sentence up


@dataclass(frozen=True)
class Statement:
    """A sentence with a slot for an answer.

    before, after: the words around the slot. preposition: what leads into the answer,
    or "". unit: what the answer counts, "79 *men*". copula: "was", where the sentence
    is "<before> was <answer>", else "". number: singular or plural where a verb wants
    its subject, the answer, so; else "". kind: what fills the slot: time, place, count
    or thing.
    """

    before: list[str]
    after: list[str]
    preposition: str = ""
    unit: tuple[str, ...] = ()
    copula: str = ""
    number: str = ""
    kind: str = "thing"

    def worded(self, answer: str, wording: str) -> str:
        """Return the sentence in this wording: plain or cleft."""
        return self.plain(answer) if wording == "plain" else self.cleft(answer)

    def plain(self, answer: str) -> str:
        """Return the sentence: "Rome was founded by Ann Lee in 1203."."""
        copula = [self.copula] if self.copula else []
        return _sentence([*self.before, *copula, self._led_into(answer), *self.after])

    def cleft(self, answer: str) -> str:
        """Return it, the answer first: "It was by Ann Lee that Rome was founded."."""
        answer = self._led_into(answer)
        copula = [self.copula] if self.copula else []
        before = list(self.before)
        if before and before[0].lower() in FUNCTION_WORDS:
            before[0] = before[0].lower()  # it heads the sentence no more
        return _sentence(["It was", answer, "that", *copula, *before, *self.after])

    def _led_into(self, answer: str) -> str:
        """Return the answer with its unit and preposition, unless it brings its own."""
        brings_one = answer.split()[0].lower() in PREPOSITIONS
        preposition = "on" if names_a_day(answer) else self.preposition
        lead = [] if brings_one or not self.preposition else [preposition]
        return " ".join([*lead, answer, *self.unit])

    def suits(self, answer: str) -> bool:
        """Return whether the verb agrees with the answer, and no word comes twice."""
        if not answer:
            return False
        if self.kind == "time" and names_a_day(answer) and self.preposition != "in":
            return False
        if self.number and is_plural(answer) != (self.number == "plural"):
            return False
        is_bare_name = answer[0].isupper() and " and " not in answer
        if self.number == "plural" and is_bare_name:
            return False  # it may be one: "Wales"
        others = {*lowered(self.before), *lowered(self.after), *lowered(self.unit)}
        own = [word for word in lowered(answer.split()) if word not in FUNCTION_WORDS]
        return not others & set(own)


def as_statement(question: str, words: Vocabulary) -> Statement | None:
    """Return the question as a sentence with a slot for its answer.

    None where no rule fits. words: which words are verbs and nouns, found in the same
    texts.

    >>> as_statement("When did the war start?", Vocabulary([])).plain("1618")
    'The war started in 1618.'
    """
    text = question.strip().rstrip("?. ")
    tokens = text.split()
    at = _first(word.lower().strip(",") in QUESTION_WORDS for word in tokens)
    if at is None or not 2 < len(tokens) <= LONGEST or UNREADABLE.search(text):
        return None
    opening = tokens[:at]
    rest = tokens[at + 1 :]
    if any(word.endswith(",") for word in [tokens[at], *rest]) or denies(tokens):
        return None
    question_word = tokens[at].lower()
    preposition = ""
    if opening and opening[-1].lower() in PREPOSITIONS:  # "In what year was ..."
        preposition = opening.pop().lower()
    if not opening:
        return _asked_first(question_word, preposition, rest, words)
    if opening[-1].endswith(","):
        scene = opening[0].lower() in PREPOSITIONS and len(opening) <= LONGEST_OPENING
        found = _asked_first(question_word, preposition, rest, words) if scene else None
        if found is None:
            return None
        return replace(found, before=[*opening, *found.before])
    return _asked_last(opening, question_word, preposition, rest, words)


def _asked_last(
    opening: list[str],
    question_word: str,
    preposition: str,
    rest: list[str],
    words: Vocabulary,
) -> Statement | None:
    """Return the statement where the slot stays: "The Council is made up of what?"."""
    low = lowered(opening)
    if question_word not in ("what", "which", "who", "whom"):
        return None
    if low[0] in AUXILIARIES | CLAUSE_WORDS or any("," in word for word in opening):
        return None
    has_verb = any(
        word in AUXILIARIES or is_past(word) or words.is_third_person(word)
        for word in low[1:]
    )
    is_group = not set(lowered(rest)) & (FUNCTION_WORDS - {"other"})
    unfinished = AUXILIARIES | DETERMINERS | {"doing", "and", "or"}
    is_unfinished = low[-1] in unfinished or low[-1].endswith("est")
    if not has_verb or not is_group or len(rest) >= LONGEST_GROUP:
        return None
    if is_unfinished and not preposition:
        return None  # "is what": it may be asked how something is
    kind = "time" if rest and rest[-1] in TIME_NOUNS else "thing"
    return Statement(opening, [], preposition, kind=kind)


def _asked_first(
    question_word: str, preposition: str, rest: list[str], words: Vocabulary
) -> Statement | None:
    """Return the statement for: [preposition] question word, its noun, and the rest."""
    kind = {"when": "time", "where": "place"}.get(question_word, "thing")
    if question_word == "how" and rest[0].lower() == "many":
        rest = rest[1:]
        kind = "count"
    elif question_word in ("how", "whose"):
        return None
    low = lowered(rest)
    if set(low) & RELATIVES:
        asks_plainly = question_word in ("what", "who") and not preposition
        return _with_relative_clause(rest, words) if asks_plainly else None
    if set(low) & (QUESTION_WORDS | {"if"}) or low[0].endswith(("'s", "’s")):
        return None
    auxiliary = _first(word in AUXILIARIES for word in low)
    if auxiliary is None:
        asks_subject = not preposition and question_word in SUBJECT_OR_OBJECT
        return _about_subject(kind, rest, words) if asks_subject else None
    group = rest[:auxiliary]
    behind = rest[auxiliary + 1 :]
    clear_verb = _has_one_verb(low[auxiliary], lowered(behind))
    if not clear_verb or not _is_group(kind, question_word, group):
        return None
    waits = behind[-1].lower() in PREPOSITIONS
    if group and low[auxiliary - 1] in TIME_NOUNS and kind == "thing":
        kind = "time"  # "What year did Ada die"
        preposition = preposition or ("" if waits else "in")
    if preposition and (waits or kind == "count"):
        return None
    if not preposition and not waits:
        preposition = ANSWER_PREPOSITIONS.get(question_word, "")
    if preposition and question_word == "where" and set(low) & MOTION_VERBS:
        return None  # "to", and not "in"
    asked = _Asked(preposition, kind, group, low[auxiliary], waits)
    return _uninverted(asked, behind, words)


class _Asked(NamedTuple):
    """What a question begins with, and whether it ends in a preposition, "from"."""

    preposition: str
    kind: str
    group: list[str]  # what belongs to "which": "*country* does"
    auxiliary: str
    waits: bool

    @property
    def number(self) -> str:
        """The number of the answer if it is the subject; "" for any."""
        return "" if self.kind == "count" else _number(self.auxiliary)

    @property
    def unit(self) -> tuple[str, ...]:
        """What the answer counts."""
        return tuple(self.group) if self.kind == "count" else ()


def _with_relative_clause(rest: list[str], words: Vocabulary) -> Statement | None:
    """Return the statement for: "is the name of the ship that sank".

    Only a subject can hold such a clause: "The name of the ship that sank is _".
    """
    low = lowered(rest)
    at = _first(word in RELATIVES for word in low)
    head = rest[1:at]
    if low[0] not in BE or not head or head[0].lower() not in DETERMINERS:
        return None
    waits = low[-1] in PREPOSITIONS or set(low) & NAMING_VERBS
    again = sum(word in QUESTION_WORDS | {"that", "if"} for word in low) > 1
    if waits or again or not copular_subject(lowered(head), head, words):
        return None
    return Statement(rest[1:], [], copula=low[0], number=_number(low[0]))


def _has_one_verb(auxiliary: str, low: list[str]) -> bool:
    """Return whether what is behind the auxiliary holds no second verb or clause."""
    if not low or low[0] in CLAUSE_WORDS - {"be"} or low[-1] in ("between", "of"):
        return False
    more_verbs = set(low) & (AUXILIARIES | {"be", "being"})
    if auxiliary in DO | MODALS:
        more_verbs -= {"have"}
    if auxiliary in MODALS:
        more_verbs -= {"be"}
    return not more_verbs


def _is_group(kind: str, question_word: str, group: list[str]) -> bool:
    """Return whether the words between question word and auxiliary belong to it."""
    low = lowered(group)
    if any(is_past(word) or word.endswith(("'s", "’s")) for word in low):
        return False
    if kind == "count":
        counted = group and is_plural(group[-1]) and "times" not in low
        return bool(counted) and len(group) <= LONGEST_GROUP
    may_have_one = question_word in ("what", "which")
    return len(group) <= (LONGEST_GROUP if may_have_one else 0)


def _about_subject(kind: str, rest: list[str], words: Vocabulary) -> Statement | None:
    """Return the statement where the answer is the subject: "Who founded Rome?".

    "Which country refused" loses "country"; "How many people live here" keeps "people".
    """
    low = lowered(rest)
    verb = _first_verb(kind, low, words)
    if verb is None or len(rest) < verb + 2 or low[verb] in HAPPENING:
        return None
    for before, word in pairwise(low[verb:]):
        is_verb = word in words.bases - words.nouns and before not in FUNCTION_WORDS
        if is_verb:
            return None  # "What fixed set of factors determine": which is the verb?
    if kind == "count":
        unit = tuple(rest[:verb])
        return Statement([], rest[verb:], unit=unit, kind=kind) if unit else None
    number = "singular" if words.is_third_person(low[verb]) else ""
    if "of" in low[:verb] and number:
        return None
    return Statement([], rest[verb:], number=number)


def _first_verb(kind: str, low: list[str], words: Vocabulary) -> int | None:
    """Return where the verb of a question about the subject stands."""
    for i, word in enumerate(low[: LONGEST_GROUP + 1]):
        if i > 0 and word in FUNCTION_WORDS - {"of"}:
            return None
        of_many = i > 0 and is_plural(low[i - 1])
        counted = kind == "count" and of_many and word in words.bases
        if is_past(word) or counted or (words.is_third_person(word) and not of_many):
            return i
    return None


def _uninverted(
    asked: _Asked, behind: list[str], words: Vocabulary
) -> Statement | None:
    """Return the statement for what was asked and what is behind the auxiliary.

    In a question the auxiliary stands before the subject ("did Ada study"), in a
    statement behind it; "did" goes, and the verb takes its ending ("Ada studied").
    """
    low = lowered(behind)
    adjunct = asked.preposition != ""
    auxiliary = asked.auxiliary
    # "What was used to build it", "What cities had mayors": the answer is the subject.
    is_subject = auxiliary not in DO and opens_predicate(low, behind, auxiliary, words)
    had = auxiliary in HAVE and asked.group and not any(map(is_participle, low))
    if not adjunct and (is_subject or had):
        after = [auxiliary, *behind]
        return Statement(
            [], after, unit=asked.unit, number=asked.number, kind=asked.kind
        )
    if not is_subject_start(low, behind, words):
        return None
    ends_open = asked.waits or low[-1] in ("called", "named")
    if auxiliary in BE and not adjunct and not ends_open and asked.kind != "count":
        # "What is the capital of France": what follows the auxiliary is all subject.
        agrees = is_plural(" ".join(behind)) == (asked.number == "plural")
        if not agrees or not copular_subject(low, behind, words):
            return None
        return Statement(behind, [], copula=auxiliary, number=asked.number)
    clause = inverted(auxiliary, behind, adjunct, words)
    return None if clause is None else _with_slot(asked, clause)


def _with_slot(asked: _Asked, clause: Clause) -> Statement | None:
    """Put the slot directly behind the verb, or at the end where the tail waits for it.

    "Ada had _ children"; "Rome is known for _", "Ada was born in Tarby in _".
    """
    verb = [*clause.subject, *clause.verb]
    tail = clause.tail
    whole = [*verb, *tail]
    slot = Statement([], [], asked.preposition, asked.unit, kind=asked.kind)
    if asked.preposition or asked.waits:
        return replace(slot, before=whole)
    if clause.last_verb == "have" and asked.group and asked.kind != "count":
        # "What profession did Ada have": "Ada had the profession of a weaver".
        simple = not tail and "of" not in lowered(asked.group)
        if not simple or is_plural(asked.group[-1]):
            return None
        return replace(slot, before=[*whole, "the", *asked.group, "of"])
    split = _slot_in_tail(tail)
    if split is None:
        return None
    return replace(slot, before=[*verb, *tail[:split]], after=tail[split:])


def _slot_in_tail(tail: list[str]) -> int | None:
    """Return behind how many of the words behind the verb its object stands."""
    low = lowered(tail)
    if not low:
        return 0
    if low[0] in PARTICLES:
        return 1 if len(low) == 1 else None  # "shut down _"; "team up with"
    if low[0] not in PREPOSITIONS:
        return None
    if len(low) > 1 and low[1] in PREPOSITIONS:
        return 1  # "What did empires rely on to supply them": "relied on _ to supply"
    if low[0] == "to" and len(low) > 1 and low[1] not in DETERMINERS:
        is_verb = tail[1].islower()
        if is_verb and len(low) == 2:
            return 2  # "wanted to find _"
        has_object = len(low) > 2 and (low[2] in DETERMINERS or not tail[2].islower())
        if is_verb and not has_object:
            return None
    return 0  # "used _ to find the way"


def _number(auxiliary: str) -> str:
    """Return the number that the auxiliary wants its subject in; "" for any."""
    if auxiliary in ("is", "was", "has", "does"):
        return "singular"
    return "plural" if auxiliary in ("are", "were", "have", "do") else ""


def _first(conditions: Iterable[bool]) -> int | None:
    """Return the place of the first condition that holds; None where none does."""
    return next((i for i, holds in enumerate(conditions) if holds), None)


def _sentence(words: list[str]) -> str:
    """Join the words to a sentence, with a capital and a full stop."""
    text = " ".join(words).rstrip(" ,.?")
    return text[:1].upper() + text[1:] + "."
