"""How does a question become a statement? By its first words, without a parser.

Jia and Liang 2017 turn "Who founded Rome?" and a made-up answer into "Ann Lee founded
Rome." with some fifty rules over a parse tree. Here a few rules go by the question
word, the auxiliary after it, and a guess where the subject ends. They make a sentence
of nearly all of SQuAD's questions. Not all of these read well, but a reader is misled
all the same.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from smallscale.robustness.reading.english import (
    ANSWER_PREPOSITIONS,
    AUXILIARIES,
    BE,
    DETERMINERS,
    DO,
    FUNCTION_WORDS,
    HAVE,
    HOW_MEASURES,
    PAST_FORMS,
    PREPOSITIONS,
    QUESTION_WORDS,
    SUBJECT_OR_OBJECT,
    Verbs,
    is_participle,
    past,
    third_person,
)

NEAR_THE_START = 8  # words after the question word in which a verb is looked for


@dataclass(frozen=True)
class Statement:
    """A sentence with a slot for an answer.

    before, after: the words around the slot. preposition: what leads into the answer,
    or "".
    """

    before: list[str]
    preposition: str
    after: list[str]

    def plain(self, answer: str) -> str:
        """Return the sentence: "Rome was founded by Ann Lee in 1203."."""
        return _sentence([*self.before, self._led_into(answer), *self.after])

    def cleft(self, answer: str) -> str:
        """Return it, the answer first: "It was by Ann Lee that Rome was founded."."""
        answer = self._led_into(answer)
        return _sentence(["It was", answer, "that", *self.before, *self.after])

    def _led_into(self, answer: str) -> str:
        """Return the answer with its preposition, unless it brings one of its own."""
        brings_one = answer.split()[0].lower() in PREPOSITIONS
        if brings_one or not self.preposition:
            return answer
        return f"{self.preposition} {answer}"


def as_statement(question: str, verbs: Verbs) -> Statement | None:
    """Return the question as a sentence with a slot for its answer.

    None where no rule fits. verbs: the words to take for verbs, found in the same
    texts.

    >>> as_statement("When did the war start?", Verbs([])).plain("1618")
    'The war started in 1618.'
    """
    words = question.strip().rstrip("?. ").split()
    at = _first(word.lower().strip(",") in QUESTION_WORDS for word in words)
    if at is None or len(words) < 2:
        return None
    opening = words[:at]
    preposition = ""
    if opening and opening[-1].lower() in PREPOSITIONS:  # "In what year was ..."
        preposition = opening.pop().lower()
    if opening and not _is_adjunct(opening):
        # "The Council is made up of what?" The slot stays where the question word is.
        return Statement(opening, preposition, _from_next_preposition(words[at + 1 :]))
    found = _without_opening(preposition, words[at].lower(), words[at + 1 :], verbs)
    if found is None:
        return None
    return Statement([*opening, *found.before], found.preposition, found.after)


def _is_adjunct(opening: list[str]) -> bool:
    """Return whether the words only set the scene: "In 1897, what ..."."""
    starts_as_one = opening[0].lower() in PREPOSITIONS | {"according"}
    return opening[-1].endswith(",") or starts_as_one


def _from_next_preposition(words: list[str]) -> list[str]:
    """Return the words from the first preposition other than "of" on."""
    at = _first(word.lower() in PREPOSITIONS - {"of"} for word in words)
    return [] if at is None else words[at:]


def _without_opening(
    preposition: str, question_word: str, rest: list[str], verbs: Verbs
) -> Statement | None:
    """Return the statement for: [preposition] question word, [auxiliary,] rest."""
    measure = rest[0].lower() if question_word == "how" and rest else ""
    if measure in HOW_MEASURES:
        rest = rest[1:]
    low = _lowered(rest)
    auxiliary = _first(word in AUXILIARIES for word in low[:NEAR_THE_START])
    asks_object = (
        preposition != ""
        or question_word not in SUBJECT_OR_OBJECT
        or (auxiliary is not None and low[auxiliary] in DO)
    )
    verb = None if asks_object else _verb_after_subject(low, verbs)
    if verb is not None and (auxiliary is None or verb < auxiliary):
        # The answer is the subject. "Who founded Rome" and "How many people live here"
        # keep their words; "Which country refused" loses "country".
        keeps_all = question_word == "who" or measure == "many"
        return Statement([], "", rest if keeps_all else rest[verb:])
    if auxiliary is None:
        answers_who = question_word == "who" and rest and not preposition
        return Statement([], "", rest) if answers_who else None
    behind = rest[auxiliary + 1 :]
    if not behind:
        return None
    if not preposition and measure not in ("many", "much"):
        preposition = ANSWER_PREPOSITIONS.get(question_word, "")
    unit = rest[:auxiliary] if measure == "many" else []  # "How many *people* did ..."
    return _uninverted(question_word, preposition, unit, low[auxiliary], behind, verbs)


def _verb_after_subject(low: list[str], verbs: Verbs) -> int | None:
    """Return where the verb of a question about the subject may stand.

    A form that only a verb has is preferred: "founded" to "study".
    """
    candidates = []
    for i, word in enumerate(low[:NEAR_THE_START]):
        is_noun = i > 0 and low[i - 1] in DETERMINERS | PREPOSITIONS  # "the march"
        if word not in FUNCTION_WORDS and verbs.is_finite(word) and not is_noun:
            candidates.append(i)
    for i in candidates:
        if low[i] not in verbs.bases or low[i] in PAST_FORMS:
            return i
    return next((i for i in candidates if i > 0), None)


def _uninverted(
    question_word: str,
    preposition: str,
    unit: list[str],
    auxiliary: str,
    rest: list[str],
    verbs: Verbs,
) -> Statement | None:
    """Return the statement for [preposition] question word, [unit,] auxiliary, rest.

    In a question the auxiliary stands before the subject ("did Ada study"), in a
    statement behind it; "did" goes, and the verb takes its ending ("Ada studied").
    """
    low = _lowered(rest)
    predicate = _predicate_start(low, rest, auxiliary, verbs)
    if auxiliary in DO:
        if predicate is None:
            return None
        verb = low[predicate]
        if auxiliary == "did":
            verb = past(verb)
        elif auxiliary == "does":
            verb = third_person(verb)
        before = [*rest[:predicate], verb]
        return _with_slot(before, preposition, unit, rest[predicate + 1 :])
    may_be_subject = not preposition and question_word in SUBJECT_OR_OBJECT
    if may_be_subject and _opens_predicate(
        low[0], rest[0], auxiliary, predicate, verbs
    ):
        # "What was used to build it": the answer is the subject.
        return Statement([], "", [*unit, auxiliary, *rest])
    # "What is the capital of France": what follows the auxiliary is all subject. It is
    # not in "What is Rome known for" and "What was it called".
    waits = low[-1] in PREPOSITIONS | {"called", "named"}
    names_subject = may_be_subject and auxiliary in BE and not unit and not waits
    if predicate is None or names_subject:
        return Statement([*rest, auxiliary], preposition, unit)
    before = [*rest[:predicate], auxiliary, rest[predicate]]
    return _with_slot(before, preposition, unit, rest[predicate + 1 :])


def _with_slot(
    before: list[str], preposition: str, unit: list[str], tail: list[str]
) -> Statement:
    """Put the slot directly behind the verb, or at the end where the tail waits for it.

    "Ada had _ children"; "Rome is known for _", "Ada was born in Tarby in _".
    """
    tail_waits = bool(tail) and (
        tail[0].lower() == "to" or tail[-1].lower() in PREPOSITIONS
    )
    if preposition or tail_waits:
        return Statement([*before, *tail], preposition, unit)
    return Statement(before, preposition, [*unit, *tail])


def _opens_predicate(
    low: str, word: str, auxiliary: str, predicate: int | None, verbs: Verbs
) -> bool:
    """Return whether what follows the auxiliary is no subject.

    "used to", "led to", "be found in". low: the word in lower case.
    """
    if auxiliary in HAVE:
        follows_have = low in ("been", "not") or low.endswith("ly")
        return predicate is None or is_participle(low) or follows_have
    if low in DETERMINERS or word[0].isupper():
        return False
    if auxiliary in BE:
        follows_be = low in PREPOSITIONS | {"not", "also", "able"}
        return is_participle(low) or low.endswith(("ing", "ly")) or follows_be
    return low in ("be", "have", "not") or low in verbs.bases


def _predicate_start(
    low: list[str], rest: list[str], auxiliary: str, verbs: Verbs
) -> int | None:
    """Return where the predicate starts, behind a subject of at least one word.

    It is the first word that can follow this auxiliary and starts no name. low: rest in
    lower case. None where there is no such word.
    """
    for i, word in enumerate(low[1:], 1):
        if auxiliary in BE | HAVE:
            predicative = word.endswith("ing") or word in ("known", "able", "short")
            follows = is_participle(word) or predicative
        else:
            follows = word in ("be", "have") or word in verbs.bases
        behind_article = low[i - 1] in DETERMINERS | PREPOSITIONS - {"to"}
        starts_name = behind_article or rest[i][0].isupper()
        if follows and not starts_name and word not in FUNCTION_WORDS - {"be", "have"}:
            return i
    return _unknown_verb(low, rest) if auxiliary in DO else None


def _unknown_verb(low: list[str], rest: list[str]) -> int | None:
    """Return where a verb stands that no list knows: "did Ada Berg emigrate to"."""
    # The last word, but for a preposition.
    last = len(low) - 1
    if low[-1] in PREPOSITIONS:
        last -= 1
    # Better, the first word behind a name.
    if any(word[0].isupper() for word in rest[:2]):
        behind_name = _first(
            word[0].islower() and small not in FUNCTION_WORDS
            for word, small in zip(rest, low, strict=True)
        )
        if behind_name is not None and 0 < behind_name <= last:
            return behind_name
    return last if last > 0 and low[last] not in FUNCTION_WORDS else None


def _lowered(words: list[str]) -> list[str]:
    return [word.lower().strip(",") for word in words]


def _first(conditions: Iterable[bool]) -> int | None:
    """Return the place of the first condition that holds; None where none does."""
    return next((i for i, holds in enumerate(conditions) if holds), None)


def _sentence(words: list[str]) -> str:
    """Join the words to a sentence, with a capital and a full stop."""
    text = " ".join(words).rstrip(" ,.?")
    return text[:1].upper() + text[1:] + "."
