"""What would the sentence say that answers this question? "When was the bridge built?" -> "The bridge was built in {}."

Jia & Liang 2017 (section 4.2, step 3) turn questions into statements with rules over a parse. Without a parser
the rules here look for the question word, its auxiliary, and the first word that can be the verb; where they do
not find one, the question is given up. {} marks where the answer goes.
"""

from dataclasses import dataclass
from itertools import takewhile

from smallscale.robustness.english import (
    AUXILIARY,
    BE,
    DETERMINERS,
    DO,
    HAVE,
    MODAL,
    NEGATED,
    PREDICATES,
    PREPOSITIONS,
    VERBS,
    is_finite,
    is_participle,
    past,
    third_person,
)

SLOT = "{}"
Words = list[str]

QUESTION_WORDS = set("what which who whom whose when where how why".split())
TIMES = set("year years century decade month day date period era".split())
NAMING = set("called named termed labeled known considered regarded referred".split())
PARTICLES = set("up out off down over back away together".split())
LINKS = set("that which who when while after before because if where as since until than".split())
STRANDED = set("of for with by to in from at".split())  # prepositions that a question can leave alone
PLURALS = set("people men women children".split())
ADVERBS = set("also sometimes commonly best first often still then usually".split())
MEASURES = set("old tall high long wide deep far".split())
SHARES = set("percentage percent proportion fraction share".split())


@dataclass(frozen=True)
class Statement:
    """words: the statement, {} for its answer; asked: "who", "when", "how many bridges", "what city", "what"."""

    words: Words
    asked: str


def statement(question: str) -> Statement | None:
    """The question as a statement, or None where the rules do not reach."""
    words = question.strip().rstrip("?.! ").split()
    asking = [i for i, word in enumerate(words) if low(word) in QUESTION_WORDS]
    if not asking or "{" in question:
        return None
    after_comma = [i for i in asking if i and words[i - 1].endswith(",")]
    place = (after_comma or asking)[0]  # "When cells divide, what do they become?" asks what
    before, wh, rest = words[:place], low(words[place]), words[place + 1 :]
    if len(before) == 1 and low(before[0]) in PREPOSITIONS:
        turned = _clause(wh, rest, [before[0].lower()])
    elif not before:
        turned = _clause(wh, rest, [])
    elif after_comma:
        turned = _led(before, _clause(wh, rest, []))
    else:
        turned = _in_place(before, wh, rest)
        if turned is None and low(before[0]) in PREPOSITIONS and not any(is_finite(low(word)) for word in before):
            turned = _led([*before[:-1], before[-1] + ","], _clause(wh, rest, []))  # "In 1760 who ruled?"
    if not turned or SLOT not in " ".join(turned):
        return None
    noun = list(takewhile(lambda word: low(word) not in AUXILIARY, rest[:3]))
    return Statement(turned, " ".join([wh, *(low(word) for word in noun)] if wh in ("what", "which", "how") else [wh]))


def low(word: str) -> str:
    """The word in lower case without the punctuation around it."""
    return word.lower().strip(",.;:\"'()")


def _led(lead: Words, clause: Words | None) -> Words | None:
    return clause and [*lead, *clause]


def _in_place(before: Words, wh: str, rest: Words) -> Words | None:
    """ "Hormones can be referred to as what?": the statement is there already."""
    if not any(is_finite(low(word)) for word in before) or low(before[0]) in AUXILIARY:
        return None
    if wh in ("when", "where"):
        return None if rest else [*before, "in", SLOT]
    if wh == "how" and rest and low(rest[0]) in ("many", "much"):
        return [*before, SLOT, *rest[1:]] if len(rest) < 4 else None
    if wh not in ("what", "who", "whom", "which") or low(before[-1]) in ("do", "does", "did", "is"):
        return None
    end = next((i for i, word in enumerate(rest) if low(word) in PREPOSITIONS - {"of"}), len(rest))
    noun = [low(word) for word in rest[:end]]
    if len(noun) > 3 or any(is_finite(word) for word in noun) or not (noun or end < len(rest) or not rest):
        return None
    return [*before, *_slot(rest[:end]), *rest[end:]]


def _clause(wh: str, rest: Words, front: Words) -> Words | None:
    """The question after its question word; front: a preposition that stood before it."""
    if not rest:
        return None
    if wh in ("who", "whom"):
        return _asked([SLOT], rest, front)
    if wh in ("what", "which"):
        return _what(rest, front)
    if wh == "whose":
        return None if front or low(rest[0]) in AUXILIARY else [SLOT + "'s", *rest]
    if wh == "when":
        return _inverted(rest, ["in", SLOT])
    if wh == "where":
        return _inverted(rest, [*(front or ["in"]), SLOT])
    if wh == "why":
        return _inverted(rest, [SLOT])
    return _how(rest, front)


def _what(rest: Words, front: Words) -> Words | None:
    """what or which, with or without a noun: "What bridge did they build?" """
    end = next((i for i, word in enumerate(rest) if _carries(rest, i)), None)
    if end is None:
        return None
    noun, tail = rest[:end], rest[end:]
    if low(tail[0]) in NEGATED and not noun:
        return None
    if noun and low(noun[-1]) in TIMES:
        when = ["the", SLOT, "century"] if low(noun[-1]) == "century" else [SLOT]
        return _inverted(tail, [*(front or ["in"]), *when])
    return _asked(_slot(noun), tail, front)


def _slot(noun: Words) -> Words:
    """What stands for "what noun": {} alone, {} of seats for a percentage of seats, {} engines for a type of engines."""
    if len(noun) > 2 and low(noun[1]) == "of":
        if low(noun[0]) in SHARES:
            return [SLOT, *noun[1:]]
        if low(noun[0]).removesuffix("s") in ("type", "kind", "sort", "form"):
            return [SLOT, *noun[2:]]
    return [SLOT]


def _carries(words: Words, i: int) -> bool:
    """Whether the noun before words[i] ends there, because words[i] is the verb of the question."""
    word, before = low(words[i]), low(words[i - 1]) if i else ""
    if word in AUXILIARY:
        return True
    if before in DETERMINERS | PREPOSITIONS:
        return False
    return is_finite(word) or (
        (before.endswith("s") or before in PLURALS) and words[i] in VERBS
    )  # "What plants use light?"


def _asked(slot: Words, tail: Words, front: Words) -> Words | None:
    """The answer is the subject ("Who built it?") or an object ("Who did they choose?")."""
    first, rest = low(tail[0]), tail[1:]
    if first in DO:
        return _object(tail, slot, front)
    if not rest:
        return None
    if first not in AUXILIARY:
        return None if front or low(rest[0]) in AUXILIARY else [*slot, *tail]
    if front:
        return _inverted(tail, [*front, *slot])
    verb = _predicate(first, rest)
    opening, closing = low(rest[0]), low(rest[-1])
    stranded = closing in PREPOSITIONS - PARTICLES
    if closing == "do" or (opening in DETERMINERS and len(slot) > 1):
        return None  # "What may they do?", "What type of treaty was the treaty?"
    if verb is not None and rest[verb].endswith("ing") and verb > 0:  # "What was he seeking in 1900?"
        return [*rest[:verb], tail[0], rest[verb], *_placed(rest[verb + 1 :], slot)]
    if verb == 0 or (first in BE and opening in PREPOSITIONS):  # "Who was born here?"
        return [*slot, *tail]
    if verb is None:
        if first in BE:  # "What is the capital of Norway?", "Who was Margaret's husband?"
            whole = len(slot) == 1 and opening != "there"
            return None if stranded or _gap(rest) else [*rest, tail[0], *slot] if whole else [*slot, *tail]
        # "Which courts have a duty?", "What could justify it?"
        return None if stranded or opening in DETERMINERS and first in MODAL else [*slot, *tail]
    subject, predicate = [*rest[:verb], tail[0]], rest[verb:]
    gap = _gap(predicate)
    if gap is not None:
        return [*subject, *predicate[:gap], *slot, *predicate[gap:]]
    if stranded and closing not in ("as", "to"):  # "What is it made of?"
        return [*subject, *predicate, *slot]
    if low(predicate[0]) in NAMING or first in MODAL | HAVE:  # "What was he known as before?"
        after = 1
        while after < len(predicate) and low(predicate[after]) in ("as", "to"):
            after += 1
        return [*subject, *predicate[:after], *slot, *predicate[after:]]
    if stranded or is_participle(closing) or closing in VERBS:  # "What is it used to supply?"
        return [*subject, *predicate, *slot]
    return [*rest, tail[0], *slot] if first in BE and len(slot) == 1 else [*slot, *tail]


def _object(tail: Words, slot: Words, front: Words) -> Words | None:
    """ "did they build in 1900" -> "they built {} in 1900"."""
    parts = _with_verb(tail)
    if parts is None:
        return None
    subject, verb, rest = parts
    if low(verb) in ("did", "does", "do") or "do" in rest:
        return None  # "What did they do?", "What did they fail to do?"
    if front:
        return [*subject, verb, *rest, *front, *slot]
    return [*subject, verb, *_placed(rest, slot)]


def _placed(rest: Words, slot: Words) -> Words:
    """An object's place among the words after its verb."""
    if rest and low(rest[0]) in PARTICLES:
        return [rest[0], *_placed(rest[1:], slot)]
    infinitive = next(
        (i for i, word in enumerate(rest[:-1]) if low(word) == "to" and low(rest[i + 1]) in VERBS | {"be"}), None
    )
    if infinitive is not None:
        return [*rest[: infinitive + 2], *_placed(rest[infinitive + 2 :], slot)]
    gap = _gap(rest)
    if gap is not None:
        return [*rest[:gap], *slot, *rest[gap:]]
    if not rest or low(rest[-1]) in PREPOSITIONS - {"down"}:
        return [*rest, *slot]
    if low(rest[0]) in PREPOSITIONS | LINKS or is_finite(low(rest[0])):
        return [*slot, *rest]
    return [*rest, *slot]


def _gap(words: Words) -> int | None:
    """Where something is missing between two prepositions: "served as the seat for in 1529"."""
    pairs = (i for i in range(1, len(words)) if low(words[i - 1]) in STRANDED and low(words[i]) in PREPOSITIONS)
    return next(pairs, None)


def _inverted(tail: Words, slot: Words) -> Words | None:
    """ "was the bridge built" -> "the bridge was built in {}", "did they leave" -> "they left in {}"."""
    if not tail:
        return None
    first, rest = low(tail[0]), tail[1:]
    if first in DO:
        parts = _with_verb(tail)
        if parts is None:
            return None
        subject, verb, after = parts
        if after and low(after[-1]) in ("from", "to", "in", "at", "on") and len(slot) > 1:
            slot = slot[1:]
        return [*subject, verb, *after, *slot]
    if first not in AUXILIARY or not rest:
        return None
    if low(rest[0]) == "there":
        return ["there", tail[0], *rest[1:], *slot]
    verb = _predicate(first, rest)
    if verb == 0 or (verb is None and (first not in BE or low(rest[-1]) in PREPOSITIONS or "to" in rest)):
        return None
    subject, predicate = (rest, []) if verb is None else (rest[:verb], rest[verb:])
    if predicate and low(predicate[-1]) in ("from", "to", "in", "at", "on") and len(slot) > 1:
        slot = slot[1:]
    return [*subject, tail[0], *predicate, *slot]


def _how(rest: Words, front: Words) -> Words | None:
    first, rest_after = low(rest[0]), rest[1:]
    if not rest_after:
        return None
    if first == "many" or (first == "much" and low(rest_after[0]) not in AUXILIARY):
        end = next((i for i, _ in enumerate(rest_after) if i and _carries(rest_after, i)), None)
        if end is None:
            return None
        noun, tail = rest_after[:end], rest_after[end:]
        if low(tail[0]) in BE and len(tail) > 1 and low(tail[1]) == "there":
            return ["there", tail[0], SLOT, *noun, *tail[2:]]
        return _asked([SLOT, *(noun if first == "many" else [])], tail, front)
    if first == "much":
        return _asked([SLOT], rest_after, front)
    if first == "long":
        return _inverted(rest_after, ["for", SLOT])
    if first in MEASURES and low(rest_after[0]) in BE:
        end = next((i for i, word in enumerate(rest_after) if low(word) in LINKS), len(rest_after))
        return [*rest_after[1:end], rest_after[0], SLOT, rest[0], *rest_after[end:]]
    if first in ("often", "frequently"):
        return _inverted(rest_after, [SLOT])
    return _inverted(rest, [SLOT]) if first in AUXILIARY else None


def _with_verb(tail: Words) -> tuple[Words, str, Words] | None:
    """ "did they build it" -> (they), built, (it): the auxiliary do taken into the verb."""
    auxiliary, rest = low(tail[0]), tail[1:]
    verb = _base_verb(rest)
    if verb is None:
        return None
    base = low(rest[verb])
    form = {"did": past, "does": third_person}.get(auxiliary, str)(base)
    subject = rest[:verb]
    if low(subject[-1]) in ("not", "never"):
        return None
    comma = "," if rest[verb].endswith(",") else ""
    return subject, form + comma, rest[verb + 1 :]


def _base_verb(words: Words) -> int | None:
    """Where the verb stands in "the bridge cross the river": its base form, after at least one word of subject."""
    return next((i for i in range(1, len(words)) if words[i].strip(",") in VERBS and _ends_subject(words, i)), None)


def _predicate(auxiliary: str, words: Words) -> int | None:
    """Where the predicate begins in "the bridge built in 1900": a participle, or after can and will a base form."""
    if auxiliary in MODAL:
        fit = [i for i, word in enumerate(words) if low(word) in VERBS and (i == 0 or _ends_subject(words, i))]
        return fit[0] if fit else None
    predicative = is_participle if auxiliary in HAVE else _predicative
    fit = [i for i, word in enumerate(words) if predicative(word.strip(",")) and (i == 0 or _ends_subject(words, i))]
    if not fit or fit[0] == 0 or words[fit[0]] == "been":
        return fit[0] if fit else None
    verb = next(
        (i for i in fit if i + 1 == len(words) or low(words[i + 1]) in PREPOSITIONS | DETERMINERS | LINKS), fit[0]
    )
    while verb > 0 and (low(words[verb - 1]) in ADVERBS or words[verb - 1].endswith("ly")):
        verb -= 1  # "is often called", not "often is called"
    return verb


def _predicative(word: str) -> bool:
    """A capital makes it a name: Norring is not what somebody does."""
    return word.islower() and (is_participle(word) or word in PREDICATES or (word.endswith("ing") and len(word) > 5))


def _ends_subject(words: Words, i: int) -> bool:
    """Whether words[:i] can be a whole subject: "the first" cannot, "the Normans first" can."""
    before = low(words[i - 1])
    if before in ("first", "most"):
        return i > 1 and low(words[i - 2]) not in DETERMINERS
    return before not in DETERMINERS | PREPOSITIONS | HAVE | BE | _INSIDE


_INSIDE = set("and or not more new own other be been being that which who".split())
