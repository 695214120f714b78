"""Where do names stand in a text, and what must another be to stand there?"""

import re
import string
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from smallscale.robustness.reading.dataset import Question
from smallscale.robustness.reading.english import (
    DEMONYMS,
    DETERMINERS,
    FUNCTION_WORDS,
    OPENERS,
    Vocabulary,
    is_adverb,
    is_participle,
    is_plural,
)
from smallscale.robustness.reading.numbers import MONTH
from smallscale.robustness.reading.phrases import kind_of

# Words with capitals, joined by small ones: "Bank of England".
_PART = r"(?:[A-Z]['’](?=[A-Z]))?[A-Z][\w-]*"
NAME = re.compile(rf"{_PART}(?:\s+(?:(?:of|the|de|du|and|von|van)\s+)*{_PART})*")

PLACE_SHARE = 0.3  # of a name's occurrences that follow "in": then it is a place
PLACE_PREPOSITIONS = frozenset(["in", "near", "at", "outside"])
MODIFIER_SHARE = 1 / 3  # of its occurrences that stand before a noun: "Catholic"
SHORTEST_NAME = 3  # letters; shorter ones are initials and numerals
SHORTEST_BEFORE_STOP = 5  # letters; shorter ones may be abbreviations


class Name(NamedTuple):
    """A name in a text: the word before it in lower case or "", and where it starts."""

    before: str
    name: str
    start: int


class Frame(NamedTuple):
    """What a name must be to stand in a place.

    before: the article or the noun before it, "the", "artist"; "" for a preposition, a
    verb or nothing. noun: what it stands before, "the Yuan *dynasty*", or "" where it
    stands for itself. number: plural, pair ("France and Spain"), or "". kind: place,
    person or "".
    """

    before: str
    noun: str
    number: str
    kind: str


class Names:
    """The names of some texts, and what their use there tells about them.

    pairs: passages with their questions. texts: the questions and the sentences of the
    passages. words: what the texts' words are.
    """

    def __init__(
        self,
        pairs: Iterable[tuple[str, Question]],
        texts: list[str],
        words: Vocabulary,
    ) -> None:
        self.words = words
        self.seen: Counter[str] = Counter()
        self.modifying: Counter[str] = Counter()  # before a noun
        placed: Counter[str] = Counter()  # behind "in"
        for text in texts:
            for found in self.find(text):
                self.seen[found.name] += 1
                self.modifying[found.name] += self.noun_behind(text, found) != ""
                placed[found.name] += found.before in PLACE_PREPOSITIONS
        self.persons = {text for _, qa in pairs for text in _persons_in(qa)}
        self.places = {
            name
            for name, times in self.seen.items()
            if placed[name] >= max(2, PLACE_SHARE * times) and not MONTH.search(name)
        }

    def find(self, text: str) -> Iterator[Name]:
        """Yield the names in a question or a sentence, in order."""
        for match in NAME.finditer(text):
            name = match[0]
            while name and self._is_opener(name.split()[0], match.end() - len(name)):
                # "Which Treaty", "In the Alps", "Bacteria in Europe"
                name = name[len(name.split()[0]) :].lstrip()
            start = match.end() - len(name)
            if name and not MONTH.fullmatch(name) and name != "I":
                words_before = text[:start].lower().split()
                before = words_before[-1] if words_before else ""
                yield Name(before, name, start)

    def _is_opener(self, word: str, start: int) -> bool:
        """Return whether a word at the head of what looks like a name is none of it."""
        low = word.lower()
        return low in OPENERS or (start == 0 and low in self.words.ordinary)

    def frame(self, text: str, found: Name) -> Frame:
        """Return what another name must be to stand in a name's place."""
        before = found.before.strip(string.punctuation)
        is_function_word = before in FUNCTION_WORDS - DETERMINERS
        if is_function_word or self.words.is_finite(before):
            before = ""
        name = found.name
        number = "plural" if self._is_plural(name, before) else ""
        if " and " in name:
            number = "pair"
        kind = "person" if name in self.persons else ""
        if name in self.places:
            kind = "place"
        return Frame(before, self.noun_behind(text, found), number, kind)

    def _is_plural(self, name: str, before: str) -> bool:
        """Return whether a name is one of many: "the Wars of Religion", not "Paris"."""
        singular = name.removesuffix("s")
        is_many = before != "" or singular in self.seen or singular in DEMONYMS
        return name.split(" of ")[0].endswith("s") and is_many

    def noun_behind(self, text: str, found: Name) -> str:
        """Return the noun that a name stands before, "the Yuan *dynasty*"; else ""."""
        after = re.match(r" ([a-z]+)", text[found.start + len(found.name) :])
        noun = after[1] if after else ""
        is_other = noun in FUNCTION_WORDS or is_adverb(noun) or is_participle(noun)
        return "" if is_other or self.words.is_finite(noun) else noun

    def can_move(self, text: str, found: Name, frame: Frame) -> bool:
        """Return whether a name is surely one, and its frame says all about it."""
        name = found.name
        last = name.split()[-1]
        behind = text[found.start + len(name) :]
        opens_sentence = found.start == 0
        is_short = len(last) < SHORTEST_NAME
        is_abbreviation = len(last) < SHORTEST_BEFORE_STOP and behind.startswith(".")
        is_word = name.lower() in self.words.ordinary or last in DEMONYMS
        if opens_sentence or is_short or is_abbreviation or is_word:
            return False
        if frame.noun:
            return True
        modifies = self.modifying[name] > MODIFIER_SHARE * self.seen[name]  # "Nazi"
        may_be_plural = last.endswith("s") and not frame.number
        return not (modifies or may_be_plural)

    def can_go(self, found: Name, frame: Frame) -> bool:
        """Return whether it is clear what may take the name's place.

        It is not for "Newborns", "the Dutch", and "France and Spain".
        """
        name = found.name
        unclear = name.endswith("s") and not frame.number and not frame.kind
        before_noun = frame.noun in self.words.nouns or is_plural(frame.noun)
        is_people = name.split()[-1] in DEMONYMS and not before_noun
        return not (unclear or is_people or frame.number == "pair")


def _persons_in(qa: Question) -> Iterator[str]:
    """Yield the answers to a question that asks who."""
    if kind_of(qa["question"]).startswith("who"):
        for answer in qa["answers"]:
            text = answer["text"]
            if NAME.fullmatch(text) and not is_plural(text):
                yield text
