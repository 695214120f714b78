"""What else could stand in its place? Other names, numbers, words and answers.

Jia and Liang 2017 look for near words by their vectors, and for fake answers in a list
made by hand. An article is a better list than it looks: its other questions of the same
kind have answers of the same type, and what stands there between the same neighbours is
of the same part of speech.
"""

import re
import zlib
from collections import defaultdict
from collections.abc import Iterable, Iterator

import numpy as np

from smallscale.datasets.squad_scores import normalize_answer
from smallscale.robustness.reading.dataset import (
    Dataset,
    Question,
    all_text,
    asked,
)
from smallscale.robustness.reading.english import (
    AUXILIARIES,
    DEMONYMS,
    DETERMINERS,
    FUNCTION_WORDS,
    OPPOSITE_ADJECTIVES,
    OPPOSITES,
    PREPOSITIONS,
    Vocabulary,
    is_adverb,
    is_participle,
    is_plural,
)
from smallscale.robustness.reading.names import Frame, Name, Names
from smallscale.robustness.reading.numbers import (
    YEAR,
    other_amount,
    other_date,
    renumbered,
)
from smallscale.robustness.reading.phrases import (
    alike,
    article_of,
    asks_for_number,
    asks_for_time,
    kind_of,
    noun_phrase,
    shape_of,
    share_half,
)
from smallscale.robustness.reading.synthetic_squad import WORDS, thing

ENOUGH = 5  # different entries; a list with fewer is not drawn from
ENOUGH_BEFORE_NOUN = 2  # of names before one noun, which are rare and always fit
DRAWS = 10  # from one list, before the next one is tried
VOWELS = ("a", "e", "i", "o", "u")
NOUN = re.compile("[a-z]{4,}")
# What the kind of a question opens with where a place is asked for, or a person.
PLACE_KINDS = re.compile(
    r"where\b|which countries\b|(what|which) (city|town|country|place|village|region|"
    r"lake|river|state|province|county|colony|continent|area|territory|island|"
    r"district|birthplace|neighbou?r|home|hometown|capital|port|nation|borough|"
    r"location)s?\b"
)
PERSON_KINDS = re.compile(
    r"who|(what|which) (person|man|woman|king|queen|emperor|pope|president|prince|"
    r"leader|politician|scientist|philosopher|captain|teacher|founder|mayor)s?\b"
)

# What a list holds, and what its entries have in common: ("answer", shape, kind asked
# for), ("answer", shape, article, plural), ("before", noun, word before) of names,
# ("name", word before, number, kind, words), ("noun", article, plural). A shorter key
# is a wider list.
ListKey = tuple[str | int | bool, ...]


class Pool:
    """What an article offers to draw from: answers by type, names and nouns by place.

    pairs: the article's passages, each with a question. words: what the file's words
    are. beyond: the pool of the whole file, for what the article has too few of.
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
        for context in dict.fromkeys(context for context, _ in pairs):
            texts += re.split(r"(?<=[.!?])\s+", context)
        self.names: Names = beyond.names if beyond else Names(pairs, texts, words)
        self.phrases: dict[str, str] = {}  # by answer: how it stands in any sentence
        self._all_lists: dict[ListKey, list[str]] = defaultdict(list)
        for context, qa in pairs:
            self._collect_answers(context, qa)
        for text in texts:
            self._collect_names(text)
            self._collect_nouns(text)
        self.lists = {
            key: options
            for key, options in self._all_lists.items()
            if len(set(options)) >= _enough(key)
        }

    def _collect_answers(self, context: str, qa: Question) -> None:
        """Enter a question's answers into the lists, those that can stand anywhere."""
        found = {}
        for answer in qa["answers"]:
            phrase = noun_phrase(context, answer, self.words)
            if normalize_answer(phrase):
                found[answer["text"]] = phrase
        self.phrases |= found
        for phrase in dict.fromkeys(found.values()):  # each once, in order
            shape = shape_of(phrase)
            for key in (
                ("answer", shape, kind_of(qa["question"])),
                ("answer", shape, article_of(phrase), is_plural(phrase)),
                ("answer", shape),
            ):
                self._all_lists[key].append(phrase)

    def _collect_names(self, text: str) -> None:
        """Enter the names of a question or a sentence into the lists."""
        for found in self.names.find(text):
            frame = self.names.frame(text, found)
            if self.names.can_move(text, found, frame):
                for key in _name_keys(frame, found.name):
                    self._all_lists[key].append(found.name)

    def _collect_nouns(self, text: str) -> None:
        """Enter the nouns of a question or a sentence, those that are no verbs too."""
        words = text.rstrip(".? ").split()
        for i in self._noun_places(words):
            if not self.words.is_finite(words[i]):
                self._all_lists[_noun_key(words, i)].append(words[i])

    def _noun_places(self, words: list[str]) -> Iterator[int]:
        """Yield where a noun stands whose phrase it ends, from the last one on.

        "the *harbour* of", but not "in *addition* to", nor "the steam *engine*": an
        engine may be no steam ship.
        """
        for i in range(len(words) - 1, 1, -1):
            word = words[i]
            before = words[i - 1].lower()
            after = words[i + 1].lower() if i + 1 < len(words) else "of"
            ends = after in PREPOSITIONS or after in AUXILIARIES
            if not ends or word not in self.words.nouns or not NOUN.fullmatch(word):
                continue
            led = before in DETERMINERS or before == "of"
            in_idiom = before in FUNCTION_WORDS and not led
            in_compound = before in self.words.nouns
            may_be_verb = self.words.is_finite(word) and not led
            if not (in_idiom or in_compound or is_adverb(before) or may_be_verb):
                yield i

    def fake_answer(self, qa: Question, rng: np.random.Generator) -> str:
        """Return a wrong answer of the right type; "" where none can be had.

        A date or an amount gets other numbers, a place a made-up town. Anything else
        is the answer to a question of the same kind, or of the same shape, or made up
        where the file offers none. It shares less than half of its words with each
        right answer.
        """
        golds = [answer["text"] for answer in qa["answers"]]
        kind = kind_of(qa["question"])
        shape = shape_of(golds[0])
        if asks_for_number(kind) or shape == "number":
            fake = other_number(golds, kind, rng)
        elif PLACE_KINDS.match(kind):
            fake = thing("town", rng)
        elif PERSON_KINDS.match(kind) and shape == "name":
            fake = self._draw(golds, rng, [("answer", "name", "who")])
        elif _is_listed(golds[0]):
            fake = _from_same_list(golds[0], rng)
        else:
            keys: list[ListKey] = [("answer", shape, kind), ("answer", shape)]
            own = self.phrases.get(golds[0])
            if own is not None:
                keys.insert(1, ("answer", shape, article_of(own), is_plural(own)))
            fake = self._draw(golds, rng, keys)
        if not fake and not asks_for_number(kind) and shape != "number":
            fake = made_up(shape, kind, rng)
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
        for found in self.names.find(question):
            pieces.append(question[end : found.start])
            end = found.start + len(found.name)
            numbered = re.match(r" \d", question[end:])  # "World War 2"
            frame = self.names.frame(question, found)
            other = found.name
            if not numbered and self.names.can_go(found, frame):
                other = self._other_name(found, frame, rng)
            pieces.append(other)
        return "".join([*pieces, question[end:]])

    def _other_name(self, found: Name, frame: Frame, rng: np.random.Generator) -> str:
        """Return another name for the frame; the same where there is none."""
        name = found.name
        if name in DEMONYMS:
            return _other_demonym(name, frame.before, rng)
        other = self._draw([name], rng, _name_keys(frame, name))
        if other:
            return other
        if frame.before or frame.number or frame.noun:
            return name
        is_place = frame.kind == "place" or len(name.split()) != 2
        is_person = frame.kind == "person" or not is_place
        return thing("person" if is_person else "town", rng)

    def _with_other_noun(self, words: list[str], rng: np.random.Generator) -> str:
        bare = [word.rstrip("?.") for word in words]
        for i in self._noun_places(bare):
            other = self._draw([bare[i]], rng, [_noun_key(bare, i)])
            if other:
                return " ".join([*words[:i], other, *words[i + 1 :]])
        return ""

    def _draw(
        self, known: list[str], rng: np.random.Generator, keys: list[ListKey]
    ) -> str:
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
                    if not share_half(option, known) and not alike(option, known):
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


def _enough(key: ListKey) -> int:
    return ENOUGH_BEFORE_NOUN if key[0] == "before" else ENOUGH


def _name_keys(frame: Frame, name: str) -> list[ListKey]:
    """Return the lists that a name with this frame is in, the narrowest first."""
    if frame.noun:
        return [("before", frame.noun, frame.before)]
    wide = ("name", frame.before, frame.number, frame.kind)
    return [(*wide, len(name.split())), wide]


def _noun_key(words: list[str], i: int) -> ListKey:
    before = words[i - 1].lower()
    before = before if before in ("the", "of", "a", "an") else ""
    return ("noun", before, is_plural(words[i]))


def _other_demonym(name: str, before: str, rng: np.random.Generator) -> str:
    """Return another people's name: French -> Swedish; "an English" -> "an Irish"."""
    others = [each for each in DEMONYMS if each != name]
    if before in ("a", "an"):
        # "a European" is the one that is written with a vowel and said without.
        others = [each for each in others if (each[0] in "AEI") == (before == "an")]
        others = [each for each in others if each != "European"]
    return others[rng.integers(len(others))]


def made_up(shape: str, kind: str, rng: np.random.Generator) -> str:
    """Return a name or words from the made-up world that suit the question."""
    if PERSON_KINDS.match(kind):
        return thing("person", rng)
    return thing("town" if shape == "name" else "goods", rng)


def _is_listed(answer: str) -> bool:
    """Return whether an answer is one of the made-up world's professions or goods."""
    word = normalize_answer(answer)
    return word in WORDS["job"] or word in WORDS["goods"]


def _from_same_list(answer: str, rng: np.random.Generator) -> str:
    """Return a profession for a profession, and goods for goods, as `_is_listed` asks.

    A small file has too few answers to tell the two apart, and nobody works as cheese.
    """
    if normalize_answer(answer) in WORDS["job"]:
        return f"a {thing('job', rng)}"
    return thing("goods", rng)


def fixed_answer(qa: Question, rng: np.random.Generator) -> str:
    """Return one of two answers that are the same in every file; "" if neither fits.

    There are two for each kind of question and shape of answer. Of a number only the
    form of the right answer is kept.
    """
    golds = [answer["text"] for answer in qa["answers"]]
    forms = [re.sub(r"\d", "9", YEAR.sub("1799", gold)) for gold in golds]
    kind = kind_of(qa["question"])
    shape = shape_of(golds[0])
    asked_for = f"{shape} {kind}".encode(errors="surrogatepass")
    same_everywhere = np.random.default_rng(zlib.crc32(asked_for))
    fakes: dict[str, None] = {}  # each once, in order
    for _ in range(DRAWS):
        if asks_for_number(kind) or shape == "number":
            fakes[other_number(forms, kind, same_everywhere)] = None
        elif _is_listed(golds[0]):
            fakes[_from_same_list(golds[0], same_everywhere)] = None
        else:
            fakes[made_up(shape, kind, same_everywhere)] = None
    two = list(fakes)[:2]
    fake = two[rng.integers(len(two))]
    return "" if share_half(fake, golds) else fake


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
        if other == "fewer" and not is_plural(after):
            other = "less"  # "a less radical direction", "fewer radical movements"
        if modifies and not measures and not is_participle(after):
            other = other or OPPOSITE_ADJECTIVES.get(bare[i], "")
        led_by_article = bare[i - 1].lower() in ("a", "an")
        same_sound = (other[:1] in VOWELS) == (bare[i][:1] in VOWELS)
        if other and (same_sound or not led_by_article):
            return " ".join([*words[:i], other, *words[i + 1 :]])
    return ""
