"""Can the market be gamed? What people submit to be paid for more than they wrote.

Cloning and splitting are the attacks of Agarwal, Dahleh and Sarkar 2019. The remedy
against copies, valuing clusters of evidence, is Burnat and Davidson's 2026: of
near-duplicate documents only the one that was submitted first counts.
"""

import keyword
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from smallscale.core.validation import finite_number, one_of, require, whole_number

# name -> document -> text, in order of submission
Texts = Mapping[str, Mapping[str, str]]

WORD = re.compile(r"\w+|[^\w\s]")
# Of two characters at least: i and x are nobody's.
IDENTIFIER = re.compile(r"[^\W\d]\w+")
SHINGLE_WORDS = 8
# From this share of shingles on that were submitted before, a document is nothing new.
SAME_EVIDENCE = 0.4
NEWCOMER = "newcomer"


@dataclass(frozen=True)
class Market:
    """Texts by the name that submitted them. owner: name -> the person behind it."""

    texts: dict[str, dict[str, str]]
    owner: dict[str, str]


def honest(texts: Texts) -> Market:
    """Everyone submits their own documents under one name."""
    return _submit(texts, owner="", further={})


def clone(texts: Texts, attacker: str, copies: int = 1) -> Market:
    """The attacker submits everything again, under as many new names.

    >>> list(clone({"ann": {"a.py": "x = 1"}}, "ann").texts)
    ['ann', 'ann, copy 1']
    """
    _need_author("attacker", attacker, texts)
    copies = whole_number("copies", copies)
    names = [f"{attacker}, copy {k + 1}" for k in range(copies)]
    return _submit(texts, attacker, dict.fromkeys(names, texts[attacker]))


def rewrite(texts: Texts, attacker: str, share: float, *, seed: int = 0) -> Market:
    """The attacker submits everything again, a share of identifiers exchanged."""
    _need_author("attacker", attacker, texts)
    copy = {}
    for k, (name, text) in enumerate(texts[attacker].items()):
        copy[name] = rename(text, share, seed=seed + k)
    return _submit(texts, attacker, {f"{attacker}, rewritten": copy})


def split(texts: Texts, attacker: str, parts: int = 2) -> Market:
    """The attacker divides the documents among as many names, of about equal size.

    Nothing is submitted twice.
    """
    _need_author("attacker", attacker, texts)
    parts = whole_number("parts", parts)
    piles: list[dict[str, str]] = [{} for _ in range(parts)]

    def size(pile: dict[str, str]) -> int:
        return sum(len(text) for text in pile.values())

    longest_first = sorted(texts[attacker].items(), key=lambda item: -len(item[1]))
    for name, text in longest_first:
        smallest = min(piles, key=size)
        smallest[name] = text
    others = {f"{attacker}, part {k}": pile for k, pile in enumerate(piles[1:], 2)}
    return _submit({**texts, attacker: piles[0]}, attacker, others)


def free_ride(texts: Texts, victim: str) -> Market:
    """A newcomer submits the victim's documents, after the victim did."""
    _need_author("victim", victim, texts)
    return _submit(texts, NEWCOMER, {NEWCOMER: texts[victim]})


def poison(texts: Texts, like: str, *, seed: int = 0) -> Market:
    """A newcomer submits somebody's words, those of each document in random order.

    It is as much text, and of no use.
    """
    _need_author("like", like, texts)
    random = np.random.default_rng(seed)
    shuffled = {}
    for name, text in texts[like].items():
        words = re.findall(r"\w+|\W", text)
        order = random.permutation(len(words))
        shuffled[name] = "".join(words[i] for i in order)
    return _submit(texts, NEWCOMER, {NEWCOMER: shuffled})


def _need_author(name: str, author: str, texts: Texts) -> None:
    """Refuse an author, given as the argument called `name`, who is not in texts."""
    one_of(name, author, texts)


def _submit(texts: Texts, owner: str, further: Texts) -> Market:
    """Return all texts under their own names, and then further ones of the owner's."""
    submitted = {name: dict(documents) for name, documents in texts.items()}
    owners = dict(zip(texts, texts, strict=True))
    for name, documents in further.items():
        require(
            name not in submitted,
            f"texts must hold nobody called {name!r}, as that is the name of what is "
            "submitted in the attack: rename that author",
        )
        submitted[name] = dict(documents)
        owners[name] = owner
    return Market(submitted, owners)


def rename(text: str, share: float, *, seed: int = 0) -> str:
    """Return the text with this share of its identifiers exchanged for one another.

    An identifier is exchanged for the same other one everywhere; keywords stay.
    Raises ValueError unless share lies in [0, 1].
    """
    share = finite_number("share", share, least=0, most=1)
    random = np.random.default_rng(seed)
    found = set(IDENTIFIER.findall(text))
    identifiers = sorted(name for name in found if not keyword.iskeyword(name))
    chosen = [name for name in identifiers if random.random() < share]
    shuffled = [chosen[i] for i in random.permutation(len(chosen))]
    exchanged = dict(zip(chosen, shuffled, strict=True))
    return IDENTIFIER.sub(lambda match: exchanged.get(match[0], match[0]), text)


@lru_cache(maxsize=1024)
def shingles(text: str) -> frozenset[int]:
    """Return the hash of every run of eight words; a shorter text is one run."""
    words = WORD.findall(text)
    starts = range(max(1, len(words) - SHINGLE_WORDS + 1))
    runs = [tuple(words[start : start + SHINGLE_WORDS]) for start in starts]
    return frozenset(hash(run) for run in runs)


def seen_before(texts: Texts) -> dict[str, dict[str, float]]:
    """Return for each document the share of its shingles that came in an earlier one.

    Earlier is by order of submission, whoever submitted it.
    """
    earlier: set[int] = set()
    shares: dict[str, dict[str, float]] = {}
    for name, documents in texts.items():
        shares[name] = {}
        for document, text in documents.items():
            here = shingles(text)
            shares[name][document] = len(here & earlier) / len(here)
            earlier |= here
    return shares


def first_of_each(texts: Texts) -> dict[str, dict[str, str]]:
    """Return the texts without near-duplicates of what was submitted before."""
    shares = seen_before(texts)
    first: dict[str, dict[str, str]] = {}
    for name, documents in texts.items():
        first[name] = {}
        for document, text in documents.items():
            if shares[name][document] < SAME_EVIDENCE:
                first[name][document] = text
    return first
