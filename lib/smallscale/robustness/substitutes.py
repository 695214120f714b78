"""What else could stand here? Other names, numbers and words for a question, and wrong answers of the right type.

Jia & Liang 2017 (section 4.2, steps 1 and 2) take the nearest name in GloVe, antonyms from WordNet, and a fixed
wrong answer for each type of name. Here names and wrong answers come from the file itself, so that a reader
cannot learn the wrong answers by heart; invented ones help out where the file has too few.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from random import Random
from typing import Any

from smallscale.robustness.english import (
    DAYS,
    DETERMINERS,
    KINDS,
    MONTHS,
    NUMBERS,
    ORDINALS,
    PREPOSITIONS,
    STAND_INS,
    VERBS,
    is_finite,
)
from smallscale.robustness.squad import f1, paragraphs
from smallscale.robustness.statements import SLOT, Statement, low, statement

Words = list[str]
Key = tuple[Any, ...]

ENOUGH = 4  # a pool smaller than this would repeat itself
LONGEST = 6  # words in a wrong answer: longer ones are clauses that fit only their own sentence
TRIES = 12

NEAR: dict[str, list[str]] = {}
for kind in re.split(r"[|\n]", KINDS):
    for each in kind.split():
        NEAR[each] = sorted({*NEAR.get(each, []), *kind.split()} - {each})

CAPITAL = r"(?:[A-Z](?:[\w'’.-]*\w)?)"
NAME = re.compile(rf"{CAPITAL}(?: (?:(?:of|de|la|van|von|al) )?{CAPITAL})*")
NOT_NAMES = set("I In On At To By For From The A An It He She They We This That These Those His Its".split())
MODIFIERS = "rival former lesser neighbouring supposed".split()
REASONS = set("because to due for as since".split())
MANNERS = set("by through with via using from".split())
PLACED = ("in", "at", "near", "across", "throughout", "outside")


def vary_numbers(text: str, random: Random) -> str:
    """The text with other numbers, months and weekdays in it: years move together, other numbers by one factor."""
    shift = random.choice([-1, 1]) * random.randint(3, 40)
    factor = random.choice([0.4, 0.6, 0.7, 1.4, 1.6, 1.9, 2.3])

    def digits(match: re.Match[str]) -> str:
        number, ending = match.group(1), match.group(2) or ""
        if "." in number:
            return f"{float(number.replace(',', '')) * factor:.{len(number.split('.')[1])}f}"
        value = int(number.replace(",", ""))
        if 1000 <= value <= 2100 and "," not in number:
            return f"{value + (10 * shift if ending else shift)}{ending}"
        other = round(value * factor)
        tail = text[match.end() :]
        if re.match(r" ?(%|percent)", tail) and other > 100:
            other = 100 - value
        if (
            value <= 31
            and re.search(rf"({'|'.join(MONTHS)}) $", text[: match.start()])
            or tail[1:].startswith(tuple(MONTHS))
        ):
            other = random.randint(1, 28)
        other += 2 * (other == value)
        if ending and ending != "s":
            ending = "th" if other // 10 % 10 == 1 else {1: "st", 2: "nd", 3: "rd"}.get(other % 10, "th")
        return (f"{other:,}" if "," in number else str(other)) + ending

    def word(match: re.Match[str]) -> str:
        here = match.group(0).lower()
        for kind in (MONTHS, DAYS, NUMBERS, ORDINALS):
            others = [other for other in kind if other.lower() != here]
            if len(others) < len(kind):
                other = random.choice(others)
                return other.capitalize() if match.group(0)[0].isupper() else other
        return match.group(0)

    text = re.sub(r"(?<![\w.])(\d+(?:,\d{3})*(?:\.\d+)?)(st|nd|rd|th|s)?\b", digits, text)
    return re.sub(r"[A-Za-z]+", word, text)


class Stock:
    """The names and the gold answers of a file, by what they could stand for."""

    def __init__(self, dataset: Mapping[str, Any]) -> None:
        seen: dict[str, Counter[str]] = defaultdict(Counter)  # name -> how often before or after what
        lower: Counter[str] = Counter()
        golds: list[tuple[Statement, str]] = []
        for paragraph in paragraphs(dataset):
            lower.update(re.findall(r"\b[a-z]+\b", paragraph["context"]))
            for name, *signs in names_in(paragraph["context"]):
                seen[name].update(signs)
            for qa in paragraph["qas"]:
                turned = statement(qa["question"]) if qa["answers"] else None
                if turned:
                    gold = shortest(answer["text"] for answer in qa["answers"])[0]
                    seen[gold.removeprefix("the ")].update([turned.asked] * 2)
                    if fit_to_be_said(gold):
                        golds.append((turned, gold))
        self.common = {word for word, count in lower.items() if count > 1}
        self.kinds = {name: kind_of_name(name, signs) for name, signs in seen.items() if NAME.fullmatch(name)}
        answers: dict[Key, set[str]] = defaultdict(set)
        for turned, gold in golds:
            for key in self.answer_keys(turned, gold):
                answers[key].add(gold)
        names: dict[tuple[str, bool], set[str]] = defaultdict(set)
        for name, kind in self.kinds.items():
            # Twice at least: on a single occurrence the kind is a guess. And no titles of common words.
            if seen[name].total() > 3 and len(name.split()) < 4 and not self._common(name.split()[-1]):
                names[kind, " " in name].add(name)
        # Sorted, so that the order of paragraphs makes no difference.
        self.names = {kind: sorted(pool) for kind, pool in names.items()}
        self.answers = {key: sorted(pool) for key, pool in answers.items()}

    def altered(self, words: Words, random: Random) -> Words:
        """The statement with other names, numbers and words in it, so that it is about something else."""
        text = " ".join(words)
        other = NAME.sub(lambda match: self._renamed(match, random), text)
        other = vary_numbers(other, random)
        other = re.sub(r"(?<![\w'’-])[a-z]+(?![\w'’-])", lambda match: near(match.group(0), random), other)
        return (other if other != text else modified(other, random)).split()

    def _common(self, word: str) -> bool:
        """Whether the file has the word in lower case too: Parliament, Article, University."""
        return word.lower() in self.common

    def _renamed(self, match: re.Match[str], random: Random) -> str:
        """Another name: of "Battle of Hastings" and "Harvard University" only the part that is no common word."""
        whole = re.sub(r"['’]s$", "", match.group(0))
        name, rest = whole, ""
        if len(name.split()) > 1:
            first, _, last = name.partition(" of ")
            if last and self._common(first):
                name = last
            while " " in name and self._common(name.split()[-1]):
                name = name.rpartition(" ")[0]
            rest = whole[whole.index(name) + len(name) :]
        if name in NOT_NAMES or name in MONTHS + DAYS or (" " not in name and self._common(name)):
            return match.group(0)
        kind = self.kinds.get(name) or kind_of_name(name, Counter())
        other = self._name(kind, name, random)
        return match.group(0).replace(name, other, 1)

    def _name(self, kind: str, name: str, random: Random) -> str:
        pool = self.names.get((kind, " " in name), []) or self.names.get((kind, " " not in name), [])
        if len(pool) < ENOUGH:
            pool = pool + STAND_INS[kind]
        for _ in range(TRIES):
            other = random.choice(pool)
            if not set(other.split()) & set(name.split()):
                return other
        return name

    def answer_keys(self, asked: Statement, gold: str) -> list[Key]:
        """What an answer has in common with those that can replace it, the closest first; empty: it has no place."""
        wh = asked.asked.split()[0]
        opening, last = low(gold.split()[0]), low(gold.split()[-1])
        if asked.asked in ("why", "how"):
            start = opening in (REASONS if wh == "why" else MANNERS)
            return [(wh, start)] if start else []
        frame = " ".join(word for word in asked.words if word.islower() or word == SLOT)
        name = re.sub(r"^[Tt]he ", "", gold)
        kind = opening if opening in DETERMINERS | PREPOSITIONS else ""
        if name[0].isupper():
            kind += self.kinds.get(name) or kind_of_name(name, Counter())
        ending = next((end for end in ("ing", "ly", "ed", "ive", "al", "ic") if not kind and last.endswith(end)), "")
        shape = (kind, is_plural(last), ending, min(len(gold.split()), 3))
        return [("frame", frame), (asked.asked, *shape), (wh, *shape), (wh, *shape[:3])]

    def wrong_answer(self, asked: Statement, golds: Sequence[str], random: Random) -> str | None:
        """An answer of the same type as the gold ones that shares no word with them; None if none is found."""
        gold = random.choice(shortest(golds)[:2])
        if not gold or begins_with_verb(gold):
            return None
        if asked.asked not in ("why", "how"):
            varied = vary_numbers(gold, random)
            if varied != gold and len(gold.split()) <= LONGEST:
                return varied
        keys = self.answer_keys(asked, gold)
        pools = [pool for key in keys if len(pool := self.answers.get(key, [])) >= ENOUGH]
        if keys and not pools:
            pools = [stand_in_answers(asked, gold)]
        for pool in pools:
            for _ in range(TRIES):
                other = random.choice(pool)
                if f1(other, golds) == 0:
                    return other
        return None


def names_in(text: str) -> Iterable[Sequence[str]]:
    """(name, before, after) for each run of capitalised words: two signs of what the name is the name of."""
    for match in NAME.finditer(text):
        name = re.sub(r"['’]s$", "", match.group(0))
        head, tail = text[: match.start()].rstrip(" \"'("), text[match.end() :]
        before = "" if not head or head[-1] in ".!?\n:;" else head.split()[-1].lower()
        first, _, rest = name.partition(" ")
        if first in NOT_NAMES:
            before, name = first.lower(), rest
        if name and name not in NOT_NAMES and not any(part in MONTHS + DAYS for part in name.split()):
            following = re.match(r" (\w+)", tail)
            word = following.group(1) if following else ""
            after = "+verb" if is_finite(word) else "+noun" if word.islower() and word not in PREPOSITIONS else "+"
            yield name, before or "+start", after if word not in ("and", "or") else "+"


def kind_of_name(name: str, signs: Counter[str]) -> str:
    """acronym, adjective, people, place, the, person or other, from how it ends and what stood around it."""
    told = max(1, sum(count for sign, count in signs.items() if not sign.startswith("+")))
    if name.isupper() and len(name) > 1:
        return "acronym"
    if re.search(r"(ish|ese|ian|ean|ic|French|Dutch)$", name) and " " not in name and not signs["who"]:
        return "adjective"
    if name.endswith("s") and (signs["the"] / told > 0.4 or re.search(r"(an|ist|en|er|t)s$", name)):
        return "people"
    if signs["where"] or sum(signs[word] for word in PLACED) / told > 0.3:
        return "place"
    if signs["the"] / told > 0.4:
        return "the"
    return "person" if signs["who"] or signs["+verb"] > 1 else "other"


def near(word: str, random: Random) -> str:
    """An antonym or another word of its kind; the word itself if none is known."""
    return random.choice(NEAR[word]) if word in NEAR else word


def modified(text: str, random: Random) -> str:
    """The rival theory, for the theory: another thing than was asked about, where no word could be changed."""
    adjective = random.choice(MODIFIERS)
    changed = re.sub(r"\b(the|an?) (?=[a-z])(?!most |least |same |only )", rf"\1 {adjective} ", text, count=1)
    if changed != text:
        return changed
    first = text.split()[0]
    plain = first.islower() and low(first) not in DETERMINERS | PREPOSITIONS | {
        "it",
        "he",
        "she",
        "they",
        "there",
        "you",
        "i",
        "we",
        "one",
    }
    return f"{adjective} {text}" if plain else text


def stand_in_answers(asked: Statement, gold: str) -> list[str]:
    """Invented answers, for a file with too few of its own."""
    last = low(gold.split()[-1])
    if gold.removeprefix("the ")[0].isupper():
        kind = {"who": "person", "where": "place"}.get(asked.asked)
        return STAND_INS[kind or kind_of_name(gold.removeprefix("the "), Counter())]
    things = STAND_INS["things" if is_plural(last) else "thing"]
    opening = low(gold.split()[0])
    return [f"{opening} {thing}" for thing in things] if opening in DETERMINERS else things


def is_plural(word: str) -> bool:
    return word.endswith("s") and not word.endswith(("ss", "us", "is"))


def shortest(golds: Iterable[str]) -> list[str]:
    """The different gold answers, without the punctuation at their ends, the shortest first; at least ""."""
    return sorted({gold.strip(" .,;:") for gold in golds} - {""}, key=lambda gold: (len(gold), gold)) or [""]


def begins_with_verb(gold: str) -> bool:
    """ "hold the majority" answers what somebody did, and fits no other sentence."""
    first, _, rest = gold.partition(" ")
    return first in VERBS and low(rest.split(" ")[0]) in DETERMINERS


def fit_to_be_said(gold: str) -> bool:
    """Whether the answer can stand in another sentence: a short phrase, no clause and no number."""
    words = gold.split()
    if not words or len(words) > LONGEST or re.search(r"[\"()\[\],;:{}]", gold) or begins_with_verb(gold):
        return False
    if vary_numbers(gold, Random(0)) != gold:
        return False
    return not any(is_finite(low(word)) and word.islower() and not word.endswith("ed") for word in words)
