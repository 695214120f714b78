"""How does a question become a statement? By its first words, without a parser.

Jia and Liang 2017 turn "Who founded Rome?" and a made-up answer into "Ann Lee founded
Rome." with some fifty rules over a parse tree, and have people correct what comes out.
Nobody corrects here, so the rules are few and prefer to skip: a question is turned only
where its words leave one way to read it.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

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
    TIME_NOUNS,
    Vocabulary,
    is_participle,
    is_past,
    is_plural,
)
from smallscale.robustness.reading.numbers import names_a_day

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
    if any(word.endswith(",") for word in [tokens[at], *rest]) or "not" in rest:
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
    has_verb = any(
        word in AUXILIARIES or is_past(word) or words.is_third_person(word)
        for word in low[1:]
    )
    bare = len(rest) <= 3 and not set(lowered(rest)) & (FUNCTION_WORDS - {"other"})
    unfinished = AUXILIARIES | DETERMINERS | {"doing", "and", "or"}
    waits_for_verb = low[-1] in unfinished or low[-1].endswith("est")
    asks = question_word in ("what", "which", "who", "whom")
    if low[0] in AUXILIARIES | CLAUSE_WORDS or not (has_verb and bare and asks):
        return None
    if (waits_for_verb and not preposition) or any(
        word.endswith(",") for word in opening
    ):
        return None
    kind = "time" if rest and rest[-1] in TIME_NOUNS else "thing"
    return Statement(opening, [], preposition, kind=kind)


def _asked_first(
    question_word: str, preposition: str, rest: list[str], words: Vocabulary
) -> Statement | None:
    """Return the statement for: [preposition] question word, its noun, and the rest."""
    if question_word == "how" and rest[0].lower() == "many":
        rest = rest[1:]
        kind = "count"
    elif question_word in ("how", "whose"):
        return None
    else:
        kind = {"when": "time", "where": "place"}.get(question_word, "thing")
    low = lowered(rest)
    relative = _first(word in RELATIVES for word in low)
    if relative is not None:
        # "What is the name of the ship that sank": only a subject can hold a clause.
        head = rest[1:relative]
        if question_word not in ("what", "who") or preposition or low[0] not in BE:
            return None
        odd = low[-1] in PREPOSITIONS or set(low) & NAMING_VERBS
        again = set(low[relative + 1 :]) & (QUESTION_WORDS | {"that", "if"})
        if odd or again or not head or head[0].lower() not in DETERMINERS:
            return None
        if not copular_subject(lowered(head), head, words):
            return None
        return Statement(rest[1:], [], copula=low[0], number=_number(low[0]))
    if set(low) & (QUESTION_WORDS | {"if"}) or low[0].endswith(("'s", "’s")):
        return None
    auxiliary = _first(word in AUXILIARIES for word in low)
    if auxiliary is None:
        if preposition or kind in ("time", "place") or question_word == "why":
            return None
        return _about_subject(kind, rest, words)
    group = rest[:auxiliary]
    behind = rest[auxiliary + 1 :]
    if (
        not behind
        or len(group) > LONGEST_GROUP
        or low[auxiliary + 1] in CLAUSE_WORDS - {"be"}
    ):
        return None
    more_verbs = set(low[auxiliary + 1 :]) & (AUXILIARIES | {"be", "being"})
    if low[auxiliary] in DO:
        more_verbs -= {"have"}
    if low[auxiliary] in MODALS:
        more_verbs -= {"have", "be"}
    if more_verbs:
        return None
    if group and (question_word not in ("what", "which", "how")):
        return None
    if any(is_past(word) for word in low[:auxiliary]):
        return None
    if kind == "count" and (
        preposition or not group or not is_plural(group[-1]) or "times" in group
    ):
        return None
    if any(word.endswith(("'s", "’s")) for word in low[:auxiliary]) or low[-1] in (
        "between",
        "of",
    ):
        return None
    waits = behind[-1].lower() in PREPOSITIONS
    if group and low[auxiliary - 1] in TIME_NOUNS and kind == "thing":
        kind = "time"
        preposition = preposition or ("" if waits else "in")
    if waits and preposition:
        return None
    if not preposition and not waits:
        preposition = ANSWER_PREPOSITIONS.get(question_word, "")
    found = _uninverted(preposition, group, low[auxiliary], behind, kind, words)
    if found is None:
        return None
    if kind == "count":
        found = replace(found, unit=tuple(group))
    if question_word == "where" and set(lowered(behind)) & MOTION_VERBS:
        return None if found.preposition else found
    return replace(found, kind=kind)


def _about_subject(kind: str, rest: list[str], words: Vocabulary) -> Statement | None:
    """Return the statement where the answer is the subject: "Who founded Rome?".

    "Which country refused" loses "country"; "How many people live here" keeps "people".
    """
    low = lowered(rest)
    verb = None
    for i, word in enumerate(low[: LONGEST_GROUP + 1]):
        if word in FUNCTION_WORDS - {"of"} and i > 0:
            break
        third = words.is_third_person(word) and (i == 0 or not is_plural(low[i - 1]))
        plain = kind == "count" and i > 0 and word in words.bases
        if is_past(word) or third or (plain and is_plural(low[i - 1])):
            verb = i
            break
    if verb is None or len(rest) < verb + 2 or (kind == "count" and verb == 0):
        return None
    for before, word in zip(low[verb:], low[verb + 1 :], strict=False):
        leads = before in FUNCTION_WORDS
        if word in words.bases - words.nouns and not leads:
            return None  # "What fixed set of factors determine": which is the verb?
    if low[verb] in ("happened", "happens", "occurred", "occurs"):
        return None
    number = "singular" if words.is_third_person(low[verb]) else ""
    if kind == "count":
        return Statement([], rest[verb:], unit=tuple(rest[:verb]), kind=kind)
    if "of" in low[:verb] and number:
        return None
    return Statement([], rest[verb:], number=number)


def _uninverted(
    preposition: str,
    group: list[str],
    auxiliary: str,
    behind: list[str],
    kind: str,
    words: Vocabulary,
) -> Statement | None:
    """Return the statement for: [preposition] [group] auxiliary, and what is behind.

    In a question the auxiliary stands before the subject ("did Ada study"), in a
    statement behind it; "did" goes, and the verb takes its ending ("Ada studied").
    """
    adjunct = preposition != ""
    low = lowered(behind)
    if (
        not adjunct
        and auxiliary not in DO
        and opens_predicate(low, behind, auxiliary, words)
    ):
        # "What was used to build it": the answer is the subject.
        number = "" if kind == "count" else _number(auxiliary)
        return Statement([], [auxiliary, *behind], number=number)
    if auxiliary in HAVE and group and not adjunct and not any(map(is_participle, low)):
        # "What cities had mayors": "had" is the verb.
        number = "" if kind == "count" else _number(auxiliary)
        return Statement([], [auxiliary, *behind], number=number)
    if not is_subject_start(low, behind, words):
        return None
    waits = low[-1] in PREPOSITIONS
    if auxiliary in BE and not adjunct and not waits and kind != "count":
        # "What is the capital of France": what follows the auxiliary is all subject.
        naming = low[-1] in ("called", "named")
        if not naming:
            if not copular_subject(low, behind, words):
                return None
            number = _number(auxiliary)
            if is_plural(" ".join(behind)) != (number == "plural"):
                return None  # the question's own verb does not agree
            return Statement(behind, [], copula=auxiliary, number=number)
    clause = inverted(auxiliary, behind, adjunct, words)
    if clause is None:
        return None
    return _with_slot(clause, preposition, group, waits, kind)


def _with_slot(
    clause: Clause, preposition: str, group: list[str], waits: bool, kind: str
) -> Statement | None:
    """Put the slot directly behind the verb, or at the end where the tail waits for it.

    "Ada had _ children"; "Rome is known for _", "Ada was born in Tarby in _".
    """
    whole = [*clause.subject, *clause.verb, *clause.tail]
    tail = lowered(clause.tail)
    if preposition or waits:
        return Statement(whole, [], preposition)
    if clause.last_verb == "have" and group and kind != "count":
        # "What profession did Ada have": "Ada had the profession of a weaver".
        if tail or "of" in lowered(group) or is_plural(group[-1]):
            return None
        return Statement([*whole, "the", *group, "of"], [])
    if len(tail) > 1 and tail[0] in PREPOSITIONS and tail[1] in PREPOSITIONS:
        # "What did empires rely on to supply them": "relied on _ to supply them".
        before = [*clause.subject, *clause.verb, clause.tail[0]]
        return Statement(before, clause.tail[1:])
    if tail and tail[0] in PARTICLES:
        if len(tail) > 1:
            return None  # "team up with _"
        before = [*clause.subject, *clause.verb, clause.tail[0]]
        return Statement(before, [])
    if (
        tail[:1] == ["to"]
        and len(tail) > 1
        and tail[1] not in DETERMINERS
        and clause.tail[1].islower()
    ):
        if len(tail) == 2:  # "wanted to find _"
            return Statement(whole, [])
        if tail[2] not in DETERMINERS and clause.tail[2].islower():
            return None
    if not tail or tail[0] in PREPOSITIONS:
        return Statement([*clause.subject, *clause.verb], clause.tail)
    return None


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
