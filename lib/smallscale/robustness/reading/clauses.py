"""Where does a question's subject end, and which word behind it is the verb?

What cannot be told from the words is left: every function here gives up where there are
two ways to read them.
"""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import NamedTuple

from smallscale.robustness.reading.english import (
    BE,
    CLAUSE_VERBS,
    DETERMINERS,
    DO,
    FUNCTION_WORDS,
    HAVE,
    NAMING_VERBS,
    PARTICLES,
    PASTS,
    PREDICATE_ADJECTIVES,
    PREPOSITIONS,
    Vocabulary,
    is_adverb,
    is_participle,
    is_past,
    is_plural,
    past,
    third_person,
)


class Clause(NamedTuple):
    """A statement's parts. verb: with its auxiliary. last_verb: in its base form."""

    subject: list[str]
    verb: list[str]
    tail: list[str]
    last_verb: str


def lowered(words: Sequence[str]) -> list[str]:
    """Return the words in lower case, without commas."""
    return [word.lower().strip(",") for word in words]


def is_subject_start(low: list[str], rest: list[str], words: Vocabulary) -> bool:
    """Return whether a subject starts here: a determiner, a name, or a noun."""
    first = low[0]
    if first in DETERMINERS or rest[0][0].isupper() or rest[0][0].isdigit():
        return True
    if first in ("he", "she", "they"):
        return True
    is_other = first in FUNCTION_WORDS or is_participle(first) or is_adverb(first)
    if is_other or first.endswith("ing"):
        return False
    return (
        first in words.nouns
        or is_plural(first)
        or any(word in words.nouns or is_plural(word) for word in low[1:2])
    )


def opens_predicate(
    low: list[str], rest: list[str], auxiliary: str, words: Vocabulary
) -> bool:
    """Return whether what follows the auxiliary is no subject.

    "used to", "led to", "be found in".
    """
    first = low[0]
    second = low[1] if len(low) > 1 else ""
    if rest[0][0].isupper() or first in DETERMINERS:
        return False
    if is_adverb(first):
        first, second = second, low[2] if len(low) > 2 else ""
    if auxiliary in HAVE:
        return first == "been" or is_participle(first)
    if auxiliary in BE:
        if second in FUNCTION_WORDS and (is_participle(first) or first.endswith("ing")):
            return len(low) > 2 and low[-1] not in PREPOSITIONS
        if first in PREPOSITIONS | {"part"} or (
            first in PREDICATE_ADJECTIVES and second in PREPOSITIONS
        ):
            return len(low) > 1 and low[-1] not in PREPOSITIONS
        return first in ("more", "less") and "than" in low
    return first in ("be", "have") or first in words.bases


def copular_subject(low: list[str], rest: list[str], words: Vocabulary) -> bool:
    """Return whether all the words are one noun phrase: "the capital of France"."""
    if set(low) & NAMING_VERBS or low[:2] == ["the", "most"]:
        return False
    for word, after in zip(low, [*low[1:], "of"], strict=True):
        if word in PREDICATE_ADJECTIVES and after in FUNCTION_WORDS:
            return False
    for i in _predicates(low, rest, lambda w: is_participle(w) or w.endswith("ing")):
        # "the theorem implied by an axiom", but not "Rome founded by"
        of_noun = low[0] in DETERMINERS and rest[i - 1][0].islower()
        if not of_noun or i + 1 == len(low) or low[i + 1] not in PREPOSITIONS:
            return False
    return _ends_in_noun(low, rest, words)


def _ends_in_noun(low: list[str], rest: list[str], words: Vocabulary) -> bool:
    last = low[-1]
    if not _is_one_phrase(low):
        return False
    if rest[-1][0].isupper() or last in words.nouns or is_plural(last):
        return True
    if len(low) > 1 and low[-2].endswith(("'s", "’s", "s'")):
        return True
    return last[0].isdigit() or (len(low) > 1 and low[-2] in DETERMINERS | {"of", "in"})


def _is_one_phrase(low: list[str]) -> bool:
    """Return whether no second phrase begins: "Ada the queen", "Ada to own land"."""
    for before, word in pairwise(low):
        joins = before in PREPOSITIONS or before in ("and", "or")
        if word == "to" or (word in ("the", "a", "an") and not joins):
            return False
    return True


def _predicates(
    low: list[str], rest: list[str], fits: Callable[[str], bool]
) -> list[int]:
    """Return where a word stands that fits and belongs to no noun phrase."""
    found = []
    for i, word in enumerate(low):
        if i == 0 or rest[i][0].isupper() or word in FUNCTION_WORDS - {"be", "have"}:
            continue
        before = low[i - 1]
        in_phrase = before in DETERMINERS | PREPOSITIONS | {"and", "or", "most"}
        in_phrase = in_phrase or before.endswith(("'s", "s'"))
        in_phrase = in_phrase or (before.endswith("est") and rest[i - 1][0].islower())
        if fits(word) and not in_phrase:
            found.append(i)
    return found


def inverted(
    auxiliary: str, rest: list[str], adjunct: bool, words: Vocabulary
) -> Clause | None:
    """Return the parts of: auxiliary, subject, verb, tail; None where it is unclear.

    adjunct: whether the verb has its object, if it needs one.
    """
    low = lowered(rest)
    if auxiliary in BE | HAVE:
        return _with_participle(auxiliary, rest, adjunct, words)
    places = _predicates(low, rest, lambda word: word in words.bases | {"be", "have"})
    at = _clear_verb(places, low, rest, words)
    if at is None or not _is_one_phrase(low[:at]):
        return None
    if any(i < at for i in _predicates(low, rest, is_past)):
        return None  # "did Ada ended", or no verb at all
    verb = low[at]
    if not adjunct and verb in CLAUSE_VERBS and low[-1] not in PREPOSITIONS:
        return None
    start = at
    while start > 1 and is_adverb(low[start - 1]):
        start -= 1
    adverbs = rest[start:at]
    if auxiliary in DO:
        wants = {"do": True, "does": False}.get(auxiliary)
        is_many = is_plural(" ".join(rest[:start])) or low[0] in ("they", "you", "we")
        if wants is not None and is_many != wants:
            return None  # the question's own verb does not agree
        form = {"did": past, "does": third_person}.get(auxiliary, str)(verb)
        return Clause(rest[:start], [*adverbs, form], rest[at + 1 :], verb)
    end = at + 1
    if verb == "be":
        if end == len(rest) or not is_participle(low[end]):
            return None
        end += 1
    verbs = [auxiliary, *adverbs, *rest[at:end]]
    return Clause(rest[:start], verbs, rest[end:], low[end - 1])


def _clear_verb(
    places: list[int], low: list[str], rest: list[str], words: Vocabulary
) -> int | None:
    """Return the place of the verb, if the words before it can only be its subject."""
    first = places[0] if places else None
    behind_name = _behind_name(low, rest)
    if behind_name is not None and (first is None or behind_name < first):
        # No list knows the verb: "did Ada Berg emigrate to".
        return behind_name
    if first is None:
        return _behind_noun(low, rest)
    if low[first] in PASTS and low[first] not in words.nouns:
        return first
    if low[first] in words.nouns and first + 1 < len(low) and is_adverb(low[first + 1]):
        return None  # "did the name possibly descend"
    if len(places) == 1 or low[first - 1] in ("he", "she", "they"):
        return first
    between = low[first + 1 : places[1]]
    parted = any(word in DETERMINERS | PREPOSITIONS | {"to"} for word in between)
    name = all(word[0].isupper() for word in rest[:first])
    return first if parted or name or is_plural(low[first - 1]) else None


def _behind_noun(low: list[str], rest: list[str]) -> int | None:
    """Return the place of the verb in what has no word to spare: "the war start in"."""
    if low[0] not in DETERMINERS or len(low) < 3:
        return None
    word = low[2]
    is_whole = len(low) == 3 or (len(low) == 4 and low[3] in PREPOSITIONS | PARTICLES)
    may_be_verb = word.isalpha() and rest[2][0].islower()
    odd = word in FUNCTION_WORDS or is_adverb(word)
    odd = odd or word.endswith(("s", "ing", "ed"))
    return 2 if is_whole and may_be_verb and not odd else None


def _behind_name(low: list[str], rest: list[str]) -> int | None:
    """Return where the verb may stand behind a subject that is all name."""
    start = 1 if low[0] == "the" else 0
    end = start
    while end < len(rest) and rest[end][0].isupper():
        end += 1
    if end == start or end == len(rest) or start:
        return None
    word = low[end]
    odd = word in FUNCTION_WORDS or is_adverb(word) or not word.isalpha()
    if odd or rest[end - 1].endswith("'s") or word.endswith(("s", "ing", "ed")):
        return None
    last = end == len(rest) - 1
    return end if last or low[end + 1] in PREPOSITIONS | DETERMINERS else None


def _with_participle(
    auxiliary: str, rest: list[str], adjunct: bool, words: Vocabulary
) -> Clause | None:
    low = lowered(rest)

    def follows(word: str) -> bool:
        if auxiliary in HAVE:
            return is_participle(word)
        return is_participle(word) or (word.endswith("ing") and word not in words.nouns)

    places = _predicates(low, rest, follows)
    if len(places) > 1:
        return None
    if not places:
        if auxiliary in BE and adjunct and _ends_in_noun(low, rest, words):
            return Clause(rest, [auxiliary], [], "be")
        return None
    (at,) = places
    if "being" in low or set(low[:at]) & {"more", "most", "less"}:
        return None
    waits = low[-1] in PREPOSITIONS | {"called", "named"}
    if low[at] in NAMING_VERBS and not adjunct and not waits:
        return None
    start = at
    while start > 1 and is_adverb(low[start - 1]):
        start -= 1
    if low[start - 1] in DETERMINERS or not _is_one_phrase(low[:start]):
        return None  # "the first known king": no subject ends there
    verbs = [auxiliary, *rest[start : at + 1]]
    return Clause(rest[:start], verbs, rest[at + 1 :], low[at])
