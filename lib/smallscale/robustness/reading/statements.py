"""How does a question become a statement? By its first words, without a parser.

Jia and Liang 2017 turn "Who founded Rome?" and a made-up answer into "Ann Lee founded Rome." with some fifty rules over
a parse tree. Here a few rules go by the question word, the auxiliary after it, and a guess where the subject ends. They
make a sentence of nearly all of SQuAD's questions; not all of them read well, but a reader is misled all the same.
"""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

# leads: what leads into the answer; open: may ask for the subject or the object; irregular: base, past, participle.
ENGLISH = json.loads(
    Path(__file__).with_name("english.json").read_text(encoding="utf-8")
)
BE, DO, HAVE, MODALS, DETERMINERS, PREPOSITIONS, QUESTION_WORDS, OPEN, MEASURES = (
    frozenset(ENGLISH[kind])
    for kind in (
        "be",
        "do",
        "have",
        "modals",
        "determiners",
        "prepositions",
        "question_words",
        "open",
        "measures",
    )
)
AUXILIARIES = BE | DO | HAVE | MODALS
SMALL = (
    DETERMINERS | PREPOSITIONS | AUXILIARIES | QUESTION_WORDS | set(ENGLISH["joining"])
)
PAST = {base: past for base, past, _ in ENGLISH["irregular"]}
PAST_FORMS = frozenset(PAST.values())
PARTICIPLES = frozenset(done for *_, done in ENGLISH["irregular"])


@dataclass(frozen=True)
class Statement:
    """A sentence with a slot for an answer: words before, what leads into it (a preposition or none), words after."""

    before: list[str]
    lead: str
    after: list[str]

    def plain(self, answer: str) -> str:
        """ "Rome was founded by Ann Lee in 1203." """
        return _sentence(*self.before, self._led(answer), *self.after)

    def cleft(self, answer: str) -> str:
        """The same, the answer first: "It was by Ann Lee that Rome was founded in 1203." """
        return _sentence("It was", self._led(answer), "that", *self.before, *self.after)

    def _led(self, answer: str) -> str:
        """The answer with its preposition, unless it brings one of its own."""
        return (
            answer
            if not self.lead or answer.split()[0].lower() in PREPOSITIONS
            else f"{self.lead} {answer}"
        )


def _sentence(*words: str) -> str:
    text = " ".join(words).rstrip(" ,.?")
    return text[:1].upper() + text[1:] + "."


class Verbs:
    """Which words of some texts are verbs: the irregular ones, and those that occur with two of -ed, -ing and -s."""

    def __init__(self, texts: Iterable[str]) -> None:
        words = {
            word for text in texts for word in re.findall(r"[^\W\d_]+", text.lower())
        }
        forms = {
            word: (past(word), word.removesuffix("e") + "ing", third(word))
            for word in words
            if len(word) > 2
        }
        inflected = {
            word
            for word, three in forms.items()
            if sum(form in words for form in three) >= 2
        }
        self.known = set(PAST) | set(ENGLISH["usual_verbs"]) | inflected

    def finite(self, word: str) -> bool:
        """Whether the word can follow its subject: founded, took, appoints, appoint."""
        if (
            word in PAST_FORMS
            or word in self.known
            or (word.endswith("ed") and len(word) > 4)
        ):
            return True
        return word.endswith("s") and any(
            word == third(base) for base in (word[:-1], word[:-2]) if base in self.known
        )


def past(base: str) -> str:
    """The simple past: found -> founded, carry -> carried, take -> took."""
    regular = re.sub(r"([^aeiou])y$", r"\1i", base) + (
        "d" if base.endswith("e") else "ed"
    )
    return PAST.get(base, regular)


def third(base: str) -> str:
    """The third person: lie -> lies, carry -> carries, teach -> teaches."""
    hissing = re.sub(r"([sxz]|[cs]h)$", r"\1e", base)
    return ENGLISH["thirds"].get(base, re.sub(r"([^aeiou])y$", r"\1ie", hissing) + "s")


def participle(word: str) -> bool:
    return word in PARTICIPLES or (word.endswith("ed") and len(word) > 3)


def as_statement(question: str, verbs: Verbs) -> Statement | None:
    """The question as a sentence with a slot for its answer, or None where no rule fits."""
    words = question.strip().rstrip("?. ").split()
    at = next(
        (
            i
            for i, word in enumerate(words)
            if word.lower().strip(",") in QUESTION_WORDS
        ),
        None,
    )
    if at is None or len(words) < 2:
        return None
    opening, preposition = words[:at], ""
    if opening and opening[-1].lower() in PREPOSITIONS:
        preposition = opening.pop().lower()
    adjunct = opening and (
        opening[-1].endswith(",") or opening[0].lower() in PREPOSITIONS | {"according"}
    )
    if (
        opening and not adjunct
    ):  # "The Council is made up of what?": the slot stays where it is
        stop = next(
            (
                i
                for i in range(at + 1, len(words))
                if words[i].lower() in PREPOSITIONS - {"of"}
            ),
            len(words),
        )
        return Statement(opening, preposition, words[stop:])
    found = _from_question_word(preposition, words[at].lower(), words[at + 1 :], verbs)
    return found and Statement([*opening, *found.before], found.lead, found.after)


def _from_question_word(
    preposition: str, asked: str, rest: list[str], verbs: Verbs
) -> Statement | None:
    """The sentence for what follows any opening: [preposition] question word, [noun,] [auxiliary,] rest."""
    measure = rest[0].lower() if asked == "how" and rest else ""
    if measure in MEASURES:
        rest = rest[1:]
    low = [word.lower().strip(",") for word in rest]
    aux = next((i for i, word in enumerate(low[:8]) if word in AUXILIARIES), None)
    asks_object = (
        preposition or asked not in OPEN or (aux is not None and low[aux] in DO)
    )
    verb = None if asks_object else _verb(low, verbs)
    if verb is not None and (aux is None or verb < aux):
        # "Who founded Rome", "Which country refused", "How many people live here": the answer is the subject
        return Statement(
            [], "", rest if asked == "who" or measure == "many" else rest[verb:]
        )
    if aux is None:
        return (
            Statement([], "", rest)
            if asked == "who" and rest and not preposition
            else None
        )
    lead = preposition or (
        "" if measure in ("many", "much") else ENGLISH["leads"].get(asked, "")
    )
    unit = rest[:aux] if measure == "many" else []
    return (
        _inverted(asked, lead, unit, low[aux], rest[aux + 1 :], verbs)
        if rest[aux + 1 :]
        else None
    )


def _verb(low: list[str], verbs: Verbs) -> int | None:
    """Where the verb of a question about the subject may stand; a form that only a verb has is preferred."""
    fits = [
        i for i, word in enumerate(low[:8]) if word not in SMALL and verbs.finite(word)
    ]
    fits = [i for i in fits if i == 0 or low[i - 1] not in DETERMINERS | PREPOSITIONS]
    sure = [i for i in fits if low[i] not in verbs.known or low[i] in PAST_FORMS]
    return next(iter(sure or [i for i in fits if i > 0]), None)


def _inverted(
    asked: str, lead: str, unit: list[str], aux: str, rest: list[str], verbs: Verbs
) -> Statement | None:
    """The sentence for [lead] question word, [unit,] auxiliary, rest."""
    low = [word.lower().strip(",") for word in rest]
    cut = _subject_ends(low, rest, aux, verbs)
    if aux in DO:
        if cut is None:
            return None
        verb = {"did": past, "does": third}.get(aux, str)(low[cut])
        return _around([*rest[:cut], verb], lead, unit, rest[cut + 1 :])
    open_slot = not lead and asked in OPEN
    # "What was used to", "Which treaties were signed"
    if open_slot and _opens_predicate(low[0], rest[0], aux, cut, verbs):
        return Statement([], "", [*unit, aux, *rest])
    # "What is the capital of France": all of it is the subject
    if cut is None or (
        open_slot
        and aux in BE
        and not unit
        and low[-1] not in PREPOSITIONS | {"called", "named"}
    ):
        return Statement([*rest, aux], lead, unit)
    return _around([*rest[:cut], aux, rest[cut]], lead, unit, rest[cut + 1 :])


def _around(
    before: list[str], lead: str, unit: list[str], tail: list[str]
) -> Statement:
    """The slot directly behind the verb, or at the end where the tail waits for an object: "Rome is known for _"."""
    if lead or (tail and (tail[0].lower() == "to" or tail[-1].lower() in PREPOSITIONS)):
        return Statement([*before, *tail], lead, unit)
    return Statement(before, lead, [*unit, *tail])


def _opens_predicate(
    low: str, word: str, aux: str, cut: int | None, verbs: Verbs
) -> bool:
    """Whether what follows the auxiliary is no subject: "used to", "led to", "be found in"."""
    if aux in HAVE:
        return (
            cut is None
            or participle(low)
            or low in ("been", "not")
            or low.endswith("ly")
        )
    if low in DETERMINERS or word[0].isupper():
        return False
    if aux in BE:
        return (
            participle(low)
            or low.endswith(("ing", "ly"))
            or low in PREPOSITIONS | {"not", "also", "able"}
        )
    return low in ("be", "have", "not") or low in verbs.known


def _subject_ends(
    low: list[str], rest: list[str], aux: str, verbs: Verbs
) -> int | None:
    """Where the predicate starts: the first word behind a possible subject that can follow this auxiliary."""
    for i, word in enumerate(low[1:], 1):
        if aux in BE | HAVE:
            follows = (
                participle(word)
                or word.endswith("ing")
                or word in ("known", "able", "short")
            )
        else:
            follows = word in ("be", "have") or word in verbs.known
        starts_name = (
            low[i - 1] in DETERMINERS | PREPOSITIONS - {"to"} or rest[i][0].isupper()
        )
        if follows and not starts_name and word not in SMALL - {"be", "have"}:
            return i
    if aux not in DO:
        return None
    # No verb is known: behind a name, or the last word but for a preposition.
    named = any(word[0].isupper() for word in rest[:2])
    names = next(
        (
            i
            for i, word in enumerate(rest)
            if named and word[0].islower() and low[i] not in SMALL
        ),
        len(rest),
    )
    last = len(low) - 1 - (low[-1] in PREPOSITIONS)
    return (
        names
        if 0 < names <= last
        else last
        if last > 0 and low[last] not in SMALL
        else None
    )
