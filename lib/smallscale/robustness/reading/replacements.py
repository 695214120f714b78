"""What else could stand in its place? Other names, numbers, words and answers.

Jia and Liang 2017 look for near words by their vectors, and for fake answers in a list
made by hand. An article is a better list than it looks: its other questions of the same
kind have answers of the same type, and what stands there between the same neighbours is
of the same part of speech.
"""

import re
import string
import zlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np

from smallscale.robustness.reading.dataset import (
    Dataset,
    Question,
    all_text,
    asked,
)
from smallscale.robustness.reading.english import (
    ADJECTIVE_ENDINGS,
    AUXILIARIES,
    DEMONYMS,
    DETERMINERS,
    FUNCTION_WORDS,
    OPENERS,
    OPPOSITES,
    OPPOSITE_ADJECTIVES,
    PREPOSITIONS,
    QUESTION_WORDS,
    Vocabulary,
    is_adverb,
    is_participle,
    is_past,
    is_plural,
)
from smallscale.robustness.reading.numbers import (
    MONTH,
    NUMBER,
    YEAR,
    other_amount,
    other_date,
    renumbered,
)
from smallscale.robustness.reading.squad import normalize_answer
from smallscale.robustness.reading.synthetic_squad import thing

# Words with capitals, joined by small ones: "Bank of England".
_PART = r"(?:[A-Z]['’](?=[A-Z]))?[A-Z][\w-]*"
NAME = re.compile(rf"{_PART}(?:\s+(?:(?:of|the|de|du|and|von|van)\s+)*{_PART})*")
ENOUGH = 5  # different entries; a list with fewer is not drawn from
DRAWS = 10  # from one list, before the next one is tried
LONGEST_PHRASE = 4  # words of an answer that is drawn for another
PLACE_SHARE = 0.3  # of a name's occurrences that follow "in": then it is a place
PLACE_PREPOSITIONS = frozenset(["in", "near", "at", "outside"])
PLACE_KINDS = re.compile(
    "where|(what|which) (city|town|country|place|village|region|lake|"
    "river|state|province|county|colony|continent|area|territory|island|district)"
)

# What a list holds: "answer", the shape, and the kind asked for; "name", and its
# frame; "noun", and whether it is a plural.
ListKey = tuple[str | int | bool, ...]


class NameInQuestion(NamedTuple):
    """A name, the word before it in lower case or "", and where it starts."""

    before: str
    name: str
    start: int


class Frame(NamedTuple):
    """What a name must be to stand in a place.

    article: the, a, an, or "". noun: what it stands before, "the Yuan *dynasty*", or
    "" where it stands for itself. number: plural, pair ("France and Spain"), or "". kind: place, person or "".
    """

    article: str
    noun: str
    number: str
    kind: str


class Pool:
    """What an article offers to draw from: answers by type, names and nouns by place.

    pairs: the article's passages, each with a question. words: what the file's words
    are; those that it also writes in lower case are at the head of a question no names.
    beyond: the pool of the whole file, for what the article has too few of.
    """

    def __init__(
        self,
        pairs: Iterable[tuple[str, Question]],
        words: Vocabulary,
        beyond: "Pool | None" = None,
    ) -> None:
        self.words = words
        self.beyond = beyond
        pairs = list(pairs)
        texts = [qa["question"] for _, qa in pairs]
        contexts = dict.fromkeys(context for context, _ in pairs)
        for context in contexts:
            texts += sentences_of(context)
        self.seen = beyond.seen if beyond else self._count_names(texts)
        self.modifying = beyond.modifying if beyond else self._count_modifiers(texts)
        self.kinds = beyond.kinds if beyond else self._kinds_of_names(pairs, texts)
        self.phrases: dict[str, str] = {}
        lists: dict[ListKey, list[str]] = defaultdict(list)
        for context, qa in pairs:
            self._collect_answers(context, qa, lists)
        for text in texts:
            self._collect_words(text, lists)
        self.lists = {
            key: options
            for key, options in lists.items()
            if len(set(options)) >= (2 if key[0] == "before" else ENOUGH)
        }

    def _count_names(self, texts: list[str]) -> Counter[str]:
        return Counter(found.name for text in texts for found in self.names(text))

    def _count_modifiers(self, texts: list[str]) -> Counter[str]:
        return Counter(
            found.name
            for text in texts
            for found in self.names(text)
            if self._noun_behind(text, found)
        )

    def _kinds_of_names(
        self, pairs: list[tuple[str, Question]], texts: list[str]
    ) -> dict[str, str]:
        """Return which names are places, and which are persons.

        A place often follows "in"; a person is the answer to "who".
        """
        in_it: dict[str, int] = defaultdict(int)
        for text in texts:
            for before, name, _ in self.names(text):
                in_it[name] += before in PLACE_PREPOSITIONS
        kinds = {}
        for _, qa in pairs:
            if kind_of(qa["question"]).startswith("who"):
                for answer in qa["answers"]:
                    is_one = NAME.fullmatch(answer["text"])
                    if is_one and not is_plural(answer["text"]):
                        kinds[answer["text"]] = "person"
        for name, times in self.seen.items():
            if in_it[name] >= max(2, PLACE_SHARE * times) and not MONTH.search(name):
                kinds[name] = "place"
        return kinds

    def _collect_answers(
        self, context: str, qa: Question, lists: dict[ListKey, list[str]]
    ) -> None:
        """Enter a question's answers into the lists, those that can stand anywhere."""
        kind = kind_of(qa["question"])
        found = {}
        for answer in qa["answers"]:
            phrase = noun_phrase(context, answer, self.words)
            if normalize_answer(phrase):
                found[answer["text"]] = phrase
        self.phrases |= found
        for phrase in dict.fromkeys(found.values()):  # each once, in order
            shape = shape_of(phrase)
            lists["answer", shape, kind].append(phrase)
            lists["answer", shape, article_of(phrase), is_plural(phrase)].append(phrase)
            lists["answer", shape].append(phrase)

    def _collect_words(self, text: str, lists: dict[ListKey, list[str]]) -> None:
        """Enter the names and nouns of a question or a sentence into the lists."""
        for found in self.names(text):
            frame = self.frame(text, found)
            if found.start == 0 or len(found.name.split()[-1]) < 3:
                continue  # the head of a sentence, or an initial
            last = found.name.split()[-1]
            if (
                not frame.noun
                and self.modifying[found.name] > self.seen[found.name] / 3
            ):
                continue  # "Catholic", "Nazi"
            if found.name.lower() in self.words.ordinary or last in DEMONYMS:
                continue  # a word that some sentence has in capitals; "Southern Chinese"
            behind = text[found.start + len(found.name) :]
            if len(last) < 5 and behind.startswith("."):
                continue  # an abbreviation
            if not frame.noun and not frame.number and last.endswith("s"):
                continue  # it may be a plural
            if frame.noun:
                lists["before", frame.noun, frame.article].append(found.name)
            else:
                key = ("name", frame.article, frame.number, frame.kind)
                lists[key].append(found.name)
                lists[*key, len(found.name.split())].append(found.name)
        words = text.rstrip(".? ").split()
        for i in self._noun_places(words):
            if self.words.is_finite(words[i]):
                continue  # "the *march* of" is left, but not drawn
            lists[self._noun_key(words, i)].append(words[i])

    def _noun_places(self, words: list[str]) -> Iterator[int]:
        """Yield where a noun stands whose phrase it ends: "the *harbour* of"."""
        for i in range(len(words) - 1, 1, -1):
            word = words[i]
            after = words[i + 1].lower() if i + 1 < len(words) else "of"
            ends = after in PREPOSITIONS | AUXILIARIES
            is_noun = word in self.words.nouns and not self.words.is_finite(word)
            leads = words[i - 1].lower() in DETERMINERS | {"of"}
            before = words[i - 1].lower()
            if before in self.words.nouns - DETERMINERS:
                continue  # "the steam engine": an engine may be no steam ship
            in_idiom = before in FUNCTION_WORDS - DETERMINERS - {
                "of"
            }  # "in addition to"
            if in_idiom or is_adverb(before):
                continue
            known = is_noun or (leads and word in self.words.nouns)
            if ends and known and re.fullmatch("[a-z]{4,}", word):
                yield i

    @staticmethod
    def _noun_key(words: list[str], i: int) -> ListKey:
        before = words[i - 1].lower()
        before = before if before in ("the", "of", "a", "an") else ""
        return ("noun", before, is_plural(words[i]))

    def _noun_behind(self, text: str, found: NameInQuestion) -> str:
        """Return the noun that a name stands before, "the Yuan *dynasty*"; else ""."""
        after = re.match(r" ([a-z]+)", text[found.start + len(found.name) :])
        noun = after[1] if after else ""
        is_other = noun in FUNCTION_WORDS or is_adverb(noun) or is_participle(noun)
        return "" if is_other or self.words.is_finite(noun) else noun

    def frame(self, text: str, found: NameInQuestion) -> Frame:
        """Return what another name must be to stand in a name's place."""
        # "the famous artist Ada Berg": what follows "artist" suits.
        before = found.before.strip(string.punctuation)
        plain = before in FUNCTION_WORDS - DETERMINERS or self.words.is_finite(before)
        article = "" if plain else before
        kind = self.kinds.get(found.name, "")
        noun = self._noun_behind(text, found)
        name = found.name
        singular = name.removesuffix("s")
        is_many = article != "" or singular in self.seen or singular in DEMONYMS
        head = name.split(" of ")[0]
        number = "plural" if head.endswith("s") and is_many else ""
        return Frame(article, noun, "pair" if " and " in name else number, kind)

    def fake_answer(self, qa: Question, rng: np.random.Generator) -> str:
        """Return a wrong answer of the right type; "" where none can be had.

        A date or an amount gets other numbers. Anything else is the answer to a
        question of the same kind, or of the same shape, or made up where the file
        offers none. It shares less than half its words with each right answer.
        """
        golds = [answer["text"] for answer in qa["answers"]]
        kind = kind_of(qa["question"])
        shape = shape_of(golds[0])
        if asks_for_number(kind) or shape == "number":
            fake = other_number(golds, kind, rng)
        elif PLACE_KINDS.match(kind):
            fake = thing("town", rng)
        elif kind.startswith("who") and shape == "name":
            fake = self._draw(golds, rng, ("answer", "name", "who"))
            fake = fake or thing("person", rng)
        else:
            keys: list[ListKey] = [("answer", shape, kind), ("answer", shape)]
            own = self.phrases.get(golds[0])
            if own is not None:
                keys.insert(1, ("answer", shape, article_of(own), is_plural(own)))
            fake = self._draw(golds, rng, *keys)
            fake = fake or made_up(shape, kind, rng)
        return "" if share_half(fake, golds) else fake

    def changed_question(self, question: str, rng: np.random.Generator) -> str:
        """Return the question asking for something else; "" where nothing fits.

        Each name and number is replaced where the file offers another that can stand
        there; where none is, a word by its opposite, or a noun by another one.
        """
        changed = renumbered(self._with_other_names(question, rng), rng)
        if changed != question:
            return changed
        words = question.split()
        return _with_opposite(words) or self._with_other_noun(words, rng)

    def _with_other_names(self, question: str, rng: np.random.Generator) -> str:
        pieces = []
        end = 0  # of the name before
        for found in self.names(question):
            other = found.name
            if not re.match(r" \d", question[found.start + len(other) :]):  # "Henry 8"
                other = self._other_name(self.frame(question, found), other, rng)
            pieces += [question[end : found.start], other]
            end = found.start + len(found.name)
        return "".join([*pieces, question[end:]])

    def _other_name(self, frame: Frame, name: str, rng: np.random.Generator) -> str:
        """Return another name for the frame; the same where there is none."""
        unclear = name.endswith("s") and not frame.number and not frame.kind
        noun = frame.noun in self.words.nouns or is_plural(frame.noun)
        is_people = name.split()[-1] in DEMONYMS and not noun
        if unclear or is_people or frame.number == "pair":
            return name  # "Newborns", "the Dutch", "France and Spain": what would fit?
        if name in DEMONYMS:
            others = [each for each in DEMONYMS if each != name]
            if frame.article in ("a", "an"):
                others = (
                    [each for each in others if each[0] in "AEIO"]
                    if frame.article == "an"
                    else [each for each in others if each[0] not in "AEIOU"]
                )
            return others[rng.integers(len(others))]
        if frame.noun:
            return (
                self._draw([name], rng, ("before", frame.noun, frame.article)) or name
            )
        key = ("name", frame.article, frame.number, frame.kind)
        other = self._draw([name], rng, (*key, len(name.split())), key)
        if other or frame.article or frame.number:
            return other or name
        is_person = frame.kind == "person" or len(name.split()) == 2
        return thing("person" if is_person and frame.kind != "place" else "town", rng)

    def _with_other_noun(self, words: list[str], rng: np.random.Generator) -> str:
        bare = [word.rstrip("?.") for word in words]
        for i in self._noun_places(bare):
            other = self._draw([bare[i]], rng, self._noun_key(bare, i))
            if other:
                return " ".join([*words[:i], other, *words[i + 1 :]])
        return ""

    def names(self, question: str) -> Iterator[NameInQuestion]:
        """Yield the names in a question, in order."""
        for match in NAME.finditer(question):
            name = match[0]
            start = match.start()
            first = name.split()[0].lower()
            if first in OPENERS or (start == 0 and first in self.words.ordinary):
                # "Which Treaty", "Bacteria in Europe": the first word is no name.
                name = name[len(first) :].lstrip()
                start = match.end() - len(name)
            if name and not MONTH.fullmatch(name) and name != "I":
                words_before = question[:start].lower().split()
                before = words_before[-1] if words_before else ""
                yield NameInQuestion(before, name, start)

    def _draw(self, known: list[str], rng: np.random.Generator, *keys: ListKey) -> str:
        """Draw something unlike all that is known, from the first list that offers it.

        Each key is looked up in this pool and then in the file's. "" where no list has
        it.
        """
        pools = [self, self.beyond] if self.beyond else [self]
        for key in keys:
            for pool in pools:
                options = pool.lists.get(key, [])
                # The odd list of near doubles falls through to the next one.
                for _ in range(DRAWS if options else 0):
                    option = options[rng.integers(len(options))]
                    if not share_half(option, known):
                        return option
        return ""


def pools(dataset: Dataset) -> list[Pool]:
    """Return each article's pool, with that of the whole file behind it."""
    words = Vocabulary(all_text(dataset))
    everywhere = Pool(asked(dataset), words)
    return [
        Pool(asked({"data": [article]}), words, everywhere)
        for article in dataset["data"]
    ]


def sentences_of(context: str) -> list[str]:
    """Return the sentences of a passage, split behind full stops."""
    return re.split(r"(?<=[.!?])\s+", context)


def noun_phrase(context: str, answer: dict, words: Vocabulary) -> str:
    """Return an answer as it can stand in any sentence, its article with it; else "".

    Its neighbours in the passage tell whether it is a whole noun phrase: "arbitrary
    graph" in "an arbitrary graph is", but not "closed" in "a closed system".
    """
    edges = string.punctuation + " "
    text = answer["text"].strip(edges)
    own = text.split()
    if not 0 < len(own) <= LONGEST_PHRASE or not re.fullmatch(r"[\w' -]+", text):
        return ""
    start = context.find(text, answer["answer_start"])
    if context[start + len(text) :][:1] in tuple("-–") or MONTH.search(text):
        return ""
    if own[-1] in DEMONYMS or own[-1].endswith(("'s", "s'")):
        return ""
    left = context[:start].split(" ")
    before = left[-2].lower() if len(left) > 1 and left[-1] == "" else left[-1].lower()
    after = re.match(r"\s*([\w']*)", context[start + len(text) :])
    after = after[1].lower() if after else ""
    low = [word.lower() for word in own]
    inner = set(low[1:]) & (FUNCTION_WORDS - {"of", "the"})
    closed = after == "" or after in PREPOSITIONS | AUXILIARIES | {
        "and",
        "or",
        "who",
        "which",
        "that",
    }
    first_odd = low[0] in FUNCTION_WORDS - {"the", "a", "an"} or low[0].endswith(
        ("ing", "ed", "ly")
    )
    has_verb = any(is_past(word) or is_adverb(word) for word in low[1:])
    ends = (
        own[-1][0].isupper()
        or low[-1] in words.nouns
        or is_plural(low[-1])
        or len(own) == 1
    )
    if has_verb or not ends:
        return ""
    if inner or not closed or first_odd or NUMBER.search(text):
        return ""
    if low[0] in ("the", "a", "an"):
        return " ".join([low[0], *own[1:]]) if len(own) > 1 else ""
    if before in ("the", "a", "an"):
        return f"{before} {text}"
    if own[0][0].isupper():
        return (
            text
            if before in FUNCTION_WORDS or before.endswith((",", ".")) or not before
            else ""
        )
    leads = before in PREPOSITIONS - {"to", "as"} or is_past(before)
    if leads and len(own) == 1 and not low[0].endswith(ADJECTIVE_ENDINGS):
        return text
    if leads or before.endswith((",", ".")) or before in ("and", "or"):
        return text if is_plural(low[-1]) else ""
    return ""


def article_of(phrase: str) -> str:
    """Return the phrase's article; "" for none."""
    first = phrase.split()[0].lower()
    return first if first in ("the", "a", "an") else ""


def share_half(fake: str, golds: Iterable[str]) -> bool:
    """Return whether a text shares half of its words, or of theirs, with one of golds.

    Two texts without words count as the same.
    """
    own = set(normalize_answer(fake).split())
    for gold in golds:
        other = set(normalize_answer(gold).split())
        if 2 * len(own & other) >= min(len(own), len(other)):
            return True
    return False


def asks_for_time(kind: str) -> bool:
    """Return whether a question of this kind asks when something was."""
    return kind == "when" or kind.split()[-1:] in (
        ["year"],
        ["century"],
        ["decade"],
        ["month"],
        ["date"],
        ["day"],
    )


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


def shape_of(answer: str) -> str:
    """Return what the answer looks like: number, name or words."""
    if NUMBER.search(answer):
        return "number"
    first_letter = answer.lstrip("\"'“").removeprefix("the ")[:1]
    return "name" if first_letter.isupper() else "words"


def made_up(shape: str, kind: str, rng: np.random.Generator) -> str:
    """Return a name or words from the made-up world that suit the question."""
    if kind.startswith("who"):
        return thing("person", rng)
    return thing("town" if shape == "name" else "goods", rng)


def fixed_answer(qa: Question, rng: np.random.Generator) -> str:
    """Return one of two answers that are the same in every file.

    There are two for each kind of question and shape of answer. Of a number only the
    form of the right answer is kept.
    """
    golds = [answer["text"] for answer in qa["answers"]]
    kind = kind_of(qa["question"])
    shape = shape_of(golds[0])
    same_everywhere = np.random.default_rng(zlib.crc32(f"{shape} {kind}".encode()))
    asks_number = asks_for_number(kind) or shape == "number"
    forms = [re.sub(r"\d", "9", YEAR.sub("1799", gold)) for gold in golds]
    fakes: list[str] = []
    for _ in range(DRAWS):
        if asks_number:
            fakes.append(other_number(forms, kind, same_everywhere))
        else:
            fakes.append(made_up(shape, kind, same_everywhere))
    fakes = list(dict.fromkeys(fakes))[:2]
    fake = fakes[rng.integers(len(fakes))]
    return "" if share_half(fake, golds) else fake


def asks_for_number(kind: str) -> bool:
    """Return whether a question of this kind asks for a time or a count."""
    return asks_for_time(kind) or kind == "how many"


def other_number(golds: list[str], kind: str, rng: np.random.Generator) -> str:
    """Return another date, count or amount than the first gold that is one; else ""."""
    for gold in golds:
        if asks_for_time(kind):
            fake = other_date(gold, rng)
        else:
            fake = other_amount(gold, rng, bare=kind == "how many")
        if fake:
            return fake
    return ""


def _with_opposite(words: list[str]) -> str:
    """Return the words with the last one that has an opposite replaced by it.

    An adjective must stand before its noun: "the public" is none.
    """
    bare = [word.rstrip("?.") for word in words]
    for i in range(len(words) - 1, 0, -1):
        after = bare[i + 1] if i + 1 < len(bare) else ""
        modifies = re.fullmatch("[a-z]+", after) and after not in FUNCTION_WORDS
        measures = bare[i - 1].lower() == "how"  # nobody asks "how young"
        other = OPPOSITES.get(bare[i], "")
        if modifies and not measures and not is_participle(after):
            other = other or OPPOSITE_ADJECTIVES.get(bare[i], "")
        if other:
            return " ".join([*words[:i], other, *words[i + 1 :]])
    return ""
