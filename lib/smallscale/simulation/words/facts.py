"""Does an utterance still say who, what, where and when? A rule on its words.

The rule reads English as this town speaks it, and is sometimes wrong.
"""

import json
import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from smallscale.simulation.world import PEOPLE, PUBLIC_PLACES, WEEKDAYS

SLOTS = ("who", "what", "where", "when")
NAMES = tuple(person.name for person in PEOPLE)
_ENGLISH = json.loads(Path(__file__).with_name("english.json").read_text("utf-8"))
HOURS: list[str] = _ENGLISH["hours"]  # as the town tells the time, from one
# Verbs that say the same, by the stem of the first.
SAME_VERBS = {stem: set(verbs) for stem, verbs in _ENGLISH["same_verbs"].items()}
EVENT_VERBS = set(_ENGLISH["event_verbs"])  # "there is a party" says them
IRREGULAR: dict[str, str] = _ENGLISH["irregular"]  # verbs, and their stems
EMPTY_WORDS = set(_ENGLISH["empty_words"])
NEGATIONS = set(_ENGLISH["negations"])
# "I cannot come to the party" does not deny the party.
NOT_DENIED = set(_ENGLISH["not_denied"])
REPORTS = set(_ENGLISH["reports"])
FIRST_PERSON = set(_ENGLISH["first_person"])
THIRD_PERSON = set(_ENGLISH["third_person"])
# Words that begin with a capital letter and are nobody's name.
NO_NAMES = set(_ENGLISH["no_names"])
_NEVER_NAMES = NO_NAMES | FIRST_PERSON | THIRD_PERSON
BEFORE_HOURS = set(_ENGLISH["before_hours"])
ENDS = set('.,;:!?"')
_ENDINGS = (
    ("ies", "y"),
    ("ches", "ch"),
    ("shes", "sh"),
    ("ings", ""),
    ("ing", ""),
)
_TOKEN = re.compile(r"\d{1,2}:\d\d|\d+|[^\W\d_]+|[.,;:!?\"]")


@dataclass(frozen=True)
class Fact:
    """A piece of news in words: who does what, where and when.

    where and when may be empty. where begins with its preposition, and so does when.

    >>> PARTY.sentence()
    'Bo Lindqvist gives a party in the café on Tuesday at five.'
    """

    who: str
    what: str
    where: str = ""
    when: str = ""

    def sentence(self) -> str:
        """Return the fact as somebody else tells it."""
        return " ".join(filter(None, (self.who, self._rest()))) + "."

    def own_sentence(self) -> str:
        """Return the fact as the one whom it is about tells it.

        >>> CANDIDACY.own_sentence()
        'I am standing for mayor.'
        """
        verb, _, rest = self._rest().partition(" ")
        words = f"{_first_person(verb)} {rest}"
        return "I " + re.sub(r"\b(his|her)\b", "my", words) + "."

    def _rest(self) -> str:
        return " ".join(filter(None, (self.what, self.where, self.when)))


PARTY = Fact("Bo Lindqvist", "gives a party", "in the café", "on Tuesday at five")
CANDIDACY = Fact("Ines Moreau", "is standing for mayor")
TOWN_FACTS = {"candidacy": CANDIDACY, "party": PARTY}


def still_says(
    fact: Fact,
    text: str,
    *,
    speaker: str = "",
    names: Sequence[str] = NAMES,
    places: Sequence[str] = PUBLIC_PLACES,
) -> dict[str, bool]:
    """Return whether a text says each of a fact's who, what, where and when.

    who: the person of the fact is the one of whom it is said. "I" and "my" are the
        speaker's; without a speaker they are somebody else's. Another person in that
        place, also one with an unknown name, is wrong.
    what: all of its words but the small ones, in any form; the verb may be one that
        means the same.
    where: the place, and no other of `places`.
    when: the day and the hour, and no others, as "five", "5 pm" or "17:00".
    What is denied is not said. A slot that the fact leaves empty is True.

    names: who else lives there, by full name.

    >>> still_says(PARTY, "Bo is throwing a party at the cafe, Wednesday at 5 pm!")
    {'who': True, 'what': True, 'where': True, 'when': False}
    >>> still_says(PARTY, "I give a party.", speaker="Ada Brandt")["who"]
    False
    """
    words = _words(text)
    denied = _denied(fact, words, names, places)
    what = _find_what(fact, words)
    return {
        "who": _says_who(fact, words, what, speaker, names, denied),
        "what": what.said and "what" not in denied.slots,
        "where": _says_where(fact, words, names, places, denied),
        "when": _says_when(fact, words, denied),
    }


class _Found(NamedTuple):
    """Whether the what is said, and before which word its subject stands (-1: none)."""

    said: bool
    anchor: int


class _Denied(NamedTuple):
    """The slots that a text denies, and the positions of the words that it denies."""

    slots: set[str]
    words: set[int]


def _first_person(verb: str) -> str:
    """Return a verb as "I" has it: gives, give; is, am; teaches, teach.

    >>> [_first_person(verb) for verb in ("is", "teaches", "races", "gives")]
    ['am', 'teach', 'race', 'give']
    """
    if verb == "is":
        return "am"
    if verb.endswith(("ches", "shes", "sses", "xes")):
        return verb[:-2]
    return verb.removesuffix("s")


def _words(text: str) -> list[str]:
    """Return the words and marks of a text: without accents, "n't" as "not".

    >>> _words("Bo's café isn't open, is it?")
    ['Bo', 's', 'cafe', 'is', 'not', 'open', ',', 'is', 'it', '?']
    """
    plain = unicodedata.normalize("NFKD", text.replace("’", "'"))
    plain = "".join(letter for letter in plain if not unicodedata.combining(letter))
    plain = re.sub(r"\b(ca|wo)n't\b", r"\1 not", plain, flags=re.IGNORECASE)
    plain = re.sub(r"n't\b|\bcannot\b", " not", plain, flags=re.IGNORECASE)
    return _TOKEN.findall(plain)


def _stem(word: str) -> str:
    """Return a verb or a noun without its ending.

    >>> [_stem(word) for word in ("gives", "parties", "opening", "repaired", "boats")]
    ['give', 'party', 'open', 'repair', 'boat']
    """
    word = word.lower()
    if word in IRREGULAR:
        return IRREGULAR[word]
    for ending, kept in _ENDINGS:
        if word.endswith(ending) and len(word) > len(ending) + 2:
            return word.removesuffix(ending) + kept
    if word.endswith("ed") and len(word) > 4:
        return word.removesuffix("ed")
    return word.removesuffix("s") if not word.endswith("ss") else word


def _content(phrase: str) -> list[str]:
    """Return the stems of a phrase's words but the small ones."""
    words = [word.lower() for word in _words(phrase)]
    return [_stem(word) for word in words if word not in EMPTY_WORDS]


def _find_what(fact: Fact, words: Sequence[str]) -> _Found:
    verb, *objects = _content(fact.what)
    stems = [_stem(word) for word in words]
    verbs = {verb} | SAME_VERBS.get(verb, set())
    there = [i for i, stem in enumerate(stems) if objects and stem == objects[-1]]
    head = there[0] if there else -1
    until = stems[: head + 1] if there else stems
    acts = [i for i, stem in enumerate(until) if stem in verbs]
    later = any(stem in verbs for stem in stems)
    if verb in EVENT_VERBS:
        later = later or "be" in stems or not acts
    said = set(objects) <= set(stems) and (bool(acts) or later)
    return _Found(said, acts[-1] if acts else head)


class _Mention(NamedTuple):
    """Somebody who is named at a position: a full name, "" for one unknown."""

    position: int
    name: str


def _mentions(
    words: Sequence[str], speaker: str, names: Sequence[str]
) -> list[_Mention]:
    """Return who is named as one who does something; who only tells of it is not."""
    found: list[_Mention] = []
    last = ""
    for i, name, length in _named(words, names):
        after = words[i + length].lower() if i + length < len(words) else ""
        if name == "I":
            name = speaker
        elif name == "she":
            name = last
        else:
            last = name
        if after in ("have", "has", "just") and i + length + 1 < len(words):
            after = words[i + length + 1].lower()
        if after not in REPORTS:
            found.append(_Mention(i, name))
    return found


def _named(
    words: Sequence[str], names: Sequence[str]
) -> Iterator[tuple[int, str, int]]:
    """Yield position, name and number of words of each person: "I" for the speaker,
    "she" for a person named before, "?" for one who does not live here."""
    full_names, single = _name_table(tuple(names))
    i = 0
    while i < len(words):
        if words[i].lower() in FIRST_PERSON:
            yield i, "I", 1
        elif words[i].lower() in THIRD_PERSON:
            yield i, "she", 1
        length = 0
        while i + length < len(words) and _may_be_a_name(words[i + length]):
            length += 1
        parts = tuple(words[i : i + length])
        if parts:
            owners = single.get(parts[0], []) if length == 1 else []
            alone = owners[0] if len(owners) == 1 else "?"
            yield i, full_names.get(parts, alone), length
        i += max(1, length)


@lru_cache
def _name_table(
    names: tuple[str, ...],
) -> tuple[dict[tuple[str, ...], str], dict[str, list[str]]]:
    """Return names by all of their words, and by their first and by their last."""
    full_names = {tuple(_words(name)): name for name in names}
    single: dict[str, list[str]] = {}
    for parts, name in full_names.items():
        for part in {parts[0], parts[-1]}:
            single.setdefault(part, []).append(name)
    return full_names, single


def _may_be_a_name(word: str) -> bool:
    return (
        word[:1].isupper() and word not in WEEKDAYS and word.lower() not in _NEVER_NAMES
    )


def _says_who(
    fact: Fact,
    words: Sequence[str],
    what: _Found,
    speaker: str,
    names: Sequence[str],
    denied: _Denied,
) -> bool:
    place_words = {_stem(word) for word in _words(f"{fact.what} {fact.where}")}
    people = [
        mention
        for mention in _mentions(words, speaker, (*names, fact.who))
        if mention.position not in denied.words
        and _stem(words[mention.position]) not in place_words - FIRST_PERSON
    ]
    before = [mention for mention in people if mention.position < what.anchor]
    after = [mention for mention in people if mention.position >= what.anchor]
    nearest = [*before[::-1], *after] if what.anchor >= 0 else people
    return bool(nearest) and nearest[0].name == fact.who


def _place_at(words: Sequence[str], place: Sequence[str]) -> list[int]:
    """Return where a place's words stand one after the other."""
    stems = [_stem(word) for word in words]
    n = len(place)
    return [i for i in range(len(stems) - n + 1) if stems[i : i + n] == list(place)]


def _says_where(
    fact: Fact,
    words: Sequence[str],
    names: Sequence[str],
    places: Sequence[str],
    denied: _Denied,
) -> bool:
    wanted = _content(fact.where)
    if not wanted:
        return True
    others = [_content(place) for place in places]
    of_places = {*wanted, *(word for other in others for word in other)}
    told = list(words)
    for i, _, length in _named(words, (*names, fact.who)):
        if _stem(words[i]) not in of_places:
            told[i : i + length] = ["-"] * length  # Jun Park is no park
    own = {*wanted, *_content(fact.what)}
    wrong = [
        i
        for other in others
        if not own.intersection(other)
        for i in _place_at(told, other)
        if i not in denied.words
    ]
    right = [i for i in _place_at(told, wanted) if i not in denied.words]
    return bool(right) and not wrong


def _times(words: Sequence[str], denied: set[int]) -> tuple[set[str], set[float]]:
    """Return the days and the hours, from 0 to 11.5, that are said and not denied."""
    low = [word.lower() for word in words]
    days = {word for i, word in enumerate(words) if word in WEEKDAYS} - {
        words[i] for i in denied
    }
    hours = set()
    for i, word in enumerate(low):
        if i in denied:
            continue
        after = low[i + 1] if i + 1 < len(low) else ""
        before = low[i - 1] if i else ""
        told = ":" in word or after in ("o", "pm", "am", "p", "a")
        told = told or before in BEFORE_HOURS
        hour = _hour(word)
        if hour >= 0 and (told or (i and words[i - 1] in WEEKDAYS)):
            half = low[i - 2 : i] == ["half", "past"] or after == "thirty"
            hours.add(hour + half / 2)
    return days, hours


def _hour(word: str) -> float:
    """Return the hour that a word tells, from 0 to 11.5, or -1.

    >>> _hour("five"), _hour("17:00"), _hour("17"), _hour("noon"), _hour("café")
    (5, 5.0, 5, 0, -1)
    """
    if word in HOURS:
        return (HOURS.index(word) + 1) % 12
    if word == "noon":
        return 0
    hour, _, minute = word.partition(":")
    if not hour.isdigit() or int(hour) > 24:
        return -1
    return int(hour) % 12 + (int(minute) / 60 if minute else 0)


def _says_when(fact: Fact, words: Sequence[str], denied: _Denied) -> bool:
    days, hours = _times(_words(fact.when), set())
    said_days, said_hours = _times(words, denied.words)
    return (not days or said_days == days) and (not hours or said_hours == hours)


def _denied(
    fact: Fact, words: Sequence[str], names: Sequence[str], places: Sequence[str]
) -> _Denied:
    """Return what a text denies. A negation denies the name, the place or the time that
    follows it at once, else the what, where it stands in the same clause."""
    slots: set[str] = set()
    positions: set[int] = set()
    low = [word.lower() for word in words]
    named = {i: length for i, _, length in _named(words, (*names, fact.who))}
    place_words = [_content(place) for place in (*places, fact.where) if place]
    objects = _content(fact.what)[1:]
    skipped = {"in", "at", "on", "the", "by", "a", "is", "it", "be"}
    for i, word in enumerate(low):
        if word not in NEGATIONS:
            continue
        j = i + 1
        while j < len(low) and low[j] in skipped:
            j += 1
        rest = words[j:]
        following = low[j] if j < len(low) else "."
        if following in NOT_DENIED:
            continue
        place = [p for p in place_words if _place_at(rest[: len(p)], p)]
        is_time = following.capitalize() in WEEKDAYS or _hour(following) >= 0
        if place or is_time or j in named:
            positions.add(j)
        elif any(_stem(other) in objects for other in _clause(low, i)):
            slots.add("what")
    return _Denied(slots, positions)


def _clause(words: Sequence[str], i: int) -> Sequence[str]:
    """Return the words between the marks and the "but"s around position i."""
    breaks = ENDS | {"but", "because"}
    begin = max((k for k in range(i) if words[k] in breaks), default=-1)
    end = next((k for k in range(i, len(words)) if words[k] in breaks), len(words))
    return words[begin + 1 : end]
