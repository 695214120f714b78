"""How does a question become a statement? By its first words, without a parser.

Jia and Liang 2017 turn "Who founded Rome?" and a made-up answer into "Ann Lee founded Rome." with some fifty rules over
a parse tree. Here a few rules go by the question word, the auxiliary after it, and a guess where the subject ends. They
make a sentence of nearly all of SQuAD's questions; not all of them read well, but a reader is misled all the same.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass


def words_of(text: str) -> frozenset[str]:
    return frozenset(text.split())


BE = words_of("is are was were")
DO = words_of("do does did")
OTHER_AUXILIARIES = words_of("can could may might must shall should will would has have had")
AUXILIARIES = BE | DO | OTHER_AUXILIARIES
DETERMINERS = words_of("the a an this that these those his her its their our all some each every many most any no")
PREPOSITIONS = words_of(
    "of in on at by for from to with under over into about as against between through during within after before near"
    " without upon among around like"
)
QUESTION_WORDS = words_of("who whom whose what which when where why how")
OPEN = words_of("what who which how whose")  # may ask for the subject or the object
LEADS = {"when": "in", "where": "in", "why": "because of", "how": "by"}  # what leads into the answer
MEASURES = words_of("many much long far old often tall large big high fast")
SMALL = DETERMINERS | PREPOSITIONS | AUXILIARIES | QUESTION_WORDS | words_of("and or but not than s")

# base, past, participle where they do not end in -ed
IRREGULAR = """become became become|begin began begun|break broke broken|bring brought brought|build built built
buy bought bought|catch caught caught|choose chose chosen|come came come|cut cut cut|deal dealt dealt
do did done|draw drew drawn|drive drove driven|eat ate eaten|fall fell fallen|feel felt felt|fight fought fought
find found found|fly flew flown|forbid forbade forbidden|get got gotten|give gave given|go went gone
grow grew grown|have had had|hear heard heard|hold held held|keep kept kept|know knew known|lay laid laid
lead led led|leave left left|lend lent lent|let let let|lie lay lain|lose lost lost|make made made
mean meant meant|meet met met|pay paid paid|put put put|read read read|rise rose risen|run ran run|say said said
see saw seen|seek sought sought|sell sold sold|send sent sent|set set set|show showed shown|sing sang sung
sit sat sat|speak spoke spoken|spend spent spent|spread spread spread|stand stood stood|take took taken
teach taught taught|tell told told|think thought thought|understand understood understood|wear wore worn
win won won|write wrote written|bear bore born|bind bound bound|split split split|strike struck struck
swim swam swum|shoot shot shot|sink sank sunk|steal stole stolen|throw threw thrown"""
FORMS = {base: (past, done) for line in IRREGULAR.split("\n") for base, past, done in map(str.split, line.split("|"))}
PAST_FORMS = frozenset(past for past, _ in FORMS.values())
PARTICIPLES = frozenset(done for _, done in FORMS.values())
USUAL = words_of("call contain die happen help live need receive use want work")
WORD = re.compile(r"[^\W\d_]+")


@dataclass(frozen=True)
class Statement:
    """A sentence with a slot for an answer: before, what leads into the slot (a preposition or nothing), after."""

    before: str
    lead: str
    after: str

    def plain(self, answer: str) -> str:
        """ "Rome was founded by Ann Lee in 1203." """
        return _sentence(self.before, self._led(answer), self.after)

    def cleft(self, answer: str) -> str:
        """The same, the answer first: "It was by Ann Lee that Rome was founded in 1203." """
        return _sentence("It was", self._led(answer), "that", self.before, self.after)

    def _led(self, answer: str) -> str:
        """The answer with its preposition, unless it brings one of its own."""
        return answer if not self.lead or answer.split()[0].lower() in PREPOSITIONS else f"{self.lead} {answer}"


def _sentence(*parts: str) -> str:
    text = " ".join(part for part in parts if part).rstrip(" ,.?")
    return text[:1].upper() + text[1:] + "."


class Verbs:
    """Which words of some texts are verbs: the irregular ones, and those that occur with two of -ed, -ing and -s."""

    def __init__(self, texts: Iterable[str]) -> None:
        words = {word for text in texts for word in WORD.findall(text.lower())}
        self.known = set(FORMS) | USUAL | {word for word in words if self._inflected(word, words)}

    @staticmethod
    def _inflected(word: str, words: set[str]) -> bool:
        stem = word.removesuffix("e")
        return len(word) > 2 and (past(word) in words) + (stem + "ing" in words) + (third(word) in words) >= 2

    def base(self, word: str) -> bool:
        return word in self.known

    def finite(self, word: str) -> bool:
        """Whether the word can follow its subject: founded, took, appoints, appoint."""
        if word in PAST_FORMS or word in self.known or (word.endswith("ed") and len(word) > 4):
            return True
        return word.endswith("s") and any(word == third(base) for base in (word[:-1], word[:-2]) if base in self.known)


def past(base: str) -> str:
    """The simple past: found -> founded, carry -> carried, take -> took."""
    if base in FORMS:
        return FORMS[base][0]
    if base.endswith("e"):
        return base + "d"
    return base[:-1] + "ied" if re.search(r"[^aeiou]y$", base) else base + "ed"


def third(base: str) -> str:
    """The third person: lie -> lies, carry -> carries, teach -> teaches."""
    if base in ("have", "do", "go"):
        return {"have": "has", "do": "does", "go": "goes"}[base]
    if re.search(r"(s|x|z|ch|sh)$", base):
        return base + "es"
    return base[:-1] + "ies" if re.search(r"[^aeiou]y$", base) else base + "s"


def participle(word: str) -> bool:
    return word in PARTICIPLES or (word.endswith("ed") and len(word) > 3)


def as_statement(question: str, verbs: Verbs) -> Statement | None:
    """The question as a sentence with a slot for its answer, or None where no rule fits."""
    words = question.strip().rstrip("?. ").split()
    at = next((i for i, word in enumerate(words) if word.lower().strip(",") in QUESTION_WORDS), None)
    if at is None or len(words) < 2:
        return None
    opening, preposition = words[:at], ""
    if opening and opening[-1].lower() in PREPOSITIONS:
        preposition = opening.pop().lower()
    adjunct = opening and (opening[-1].endswith(",") or opening[0].lower() in PREPOSITIONS | {"according"})
    if opening and not adjunct:  # "The Council is made up of what?": the slot stays where it is
        return _in_place(" ".join(opening), preposition, words[at:])
    found = _from_question_word(preposition, words[at].lower(), words[at + 1 :], verbs)
    if found is None or not opening:
        return found
    return Statement(f"{' '.join(opening)} {found.before}".strip(), found.lead, found.after)


def _in_place(before: str, preposition: str, asked: list[str]) -> Statement:
    stop = next((i for i, w in enumerate(asked) if i and w.lower() in PREPOSITIONS - {"of"}), len(asked))
    return Statement(before, preposition, " ".join(asked[stop:]))


def _from_question_word(preposition: str, asked: str, rest: list[str], verbs: Verbs) -> Statement | None:
    """The sentence for what follows any opening: [preposition] question word, [noun,] [auxiliary,] rest."""
    measure = rest[0].lower() if asked == "how" and rest else ""
    if measure in MEASURES:
        rest = rest[1:]
    low = [word.lower().strip(",") for word in rest]
    aux = next((i for i, word in enumerate(low[:8]) if word in AUXILIARIES), None)
    asks_object = preposition or asked not in OPEN or (aux is not None and low[aux] in DO)
    verb = None if asks_object else _verb(low, verbs)
    if verb is not None and (aux is None or verb < aux):
        # "Who founded Rome", "Which country refused", "How many people live here": the answer is the subject
        return Statement("", "", " ".join(rest if asked == "who" or measure == "many" else rest[verb:]))
    if aux is None:
        return Statement("", "", " ".join(rest)) if asked == "who" and rest and not preposition else None
    lead = preposition or ("" if measure in ("many", "much") else LEADS.get(asked, ""))
    unit = " ".join(rest[:aux]) if measure == "many" else ""
    return _with_auxiliary(asked, lead, unit, low[aux], rest[aux + 1 :], verbs)


def _verb(low: list[str], verbs: Verbs) -> int | None:
    """Where the verb of a question about the subject may stand; a form that only a verb has is preferred."""
    fits = [i for i, word in enumerate(low[:8]) if word not in SMALL and verbs.finite(word)]
    fits = [i for i in fits if i == 0 or low[i - 1] not in DETERMINERS | PREPOSITIONS]
    sure = [i for i in fits if not verbs.base(low[i]) or low[i] in PAST_FORMS]
    return next(iter(sure or [i for i in fits if i > 0]), None)


def _with_auxiliary(asked: str, lead: str, unit: str, aux: str, rest: list[str], verbs: Verbs) -> Statement | None:
    if not rest:
        return None
    low = [word.lower().strip(",") for word in rest]
    cut = _subject_ends(low, rest, aux, verbs)
    if aux in DO:
        if cut is None:
            return None
        verb = {"did": past, "does": third}.get(aux, str)(low[cut])
        return _around(" ".join([*rest[:cut], verb]), lead, unit, rest[cut + 1 :])
    open_slot = not lead and asked in OPEN
    # "What was used to", "Which treaties were signed"
    if open_slot and _opens_predicate(low[0], rest[0], aux, cut, verbs):
        return Statement("", "", " ".join(filter(None, [unit, aux, *rest])))
    # "What is the capital of France": all of it is the subject
    if cut is None or (open_slot and aux in BE and not unit and low[-1] not in PREPOSITIONS | {"called", "named"}):
        return Statement(" ".join([*rest, aux]), lead, unit)
    return _around(" ".join([*rest[:cut], aux, rest[cut]]), lead, unit, rest[cut + 1 :])


def _around(before: str, lead: str, unit: str, tail: list[str]) -> Statement:
    """The slot directly behind the verb, or at the end where the tail waits for an object: "Rome is known for _"."""
    if lead or (tail and (tail[0].lower() == "to" or tail[-1].lower() in PREPOSITIONS)):
        return Statement(" ".join([before, *tail]), lead, unit)
    return Statement(before, lead, " ".join(filter(None, [unit, *tail])))


def _opens_predicate(low: str, word: str, aux: str, cut: int | None, verbs: Verbs) -> bool:
    """Whether what follows the auxiliary is no subject: "used to", "led to", "be found in"."""
    if aux in ("has", "have", "had"):
        return cut is None or participle(low) or low in ("been", "not") or low.endswith("ly")
    if low in DETERMINERS or word[0].isupper():
        return False
    if aux in BE:
        return participle(low) or low.endswith(("ing", "ly")) or low in PREPOSITIONS | {"not", "also", "able"}
    return low in ("be", "have", "not") or verbs.base(low)


def _subject_ends(low: list[str], rest: list[str], aux: str, verbs: Verbs) -> int | None:
    """Where the predicate starts: the first word behind a possible subject that can follow this auxiliary."""
    for i in range(1, len(low)):
        if (
            low[i] in SMALL - {"be", "have"}
            or low[i - 1] in DETERMINERS | (PREPOSITIONS - {"to"})
            or rest[i][0].isupper()
        ):
            continue
        if aux in BE | {"has", "have", "had"}:
            fits = participle(low[i]) or low[i].endswith("ing") or low[i] in ("known", "able", "short")
        else:
            fits = low[i] in ("be", "have") or verbs.base(low[i])
        if fits:
            return i
    if aux not in DO:
        return None
    # No verb is known: behind a name, or the last word but for a preposition.
    named = any(word[0].isupper() for word in rest[:2])
    names = next((i for i, word in enumerate(rest) if named and word[0].islower() and low[i] not in SMALL), len(rest))
    last = len(low) - 1 - (low[-1] in PREPOSITIONS)
    return names if 0 < names <= last else last if last > 0 and low[last] not in SMALL else None
