"""What is there to read? Short texts about one number, some plain and some heated.

The town of Ostrel may build a tram, and what it will cost is a fact: 60 million. A
plain item reports about that. A heated item reports a number that suits one side, in
that side's words. All of it is made up, from a seed.
"""

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

TRUTH = 60.0  # million: what the tram will cost
REPORTING_ERROR = 2.0  # million: the spread of what plain items say
REACH = 40.0  # million: how far the most heated item is from the truth
GROUPS = ("shopkeepers", "cyclists", "parents", "farmers", "commuters", "pensioners")
PLAIN = {"verb": "discuss", "kind": "planned", "verdict": "a matter for the council"}
DEAR = {  # words of those for whom the tram is too dear
    "verb": ("curse", "dread", "condemn"),
    "kind": ("ruinous", "reckless", "bloated"),
    "verdict": ("a scandal", "a swindle", "a disgrace"),
}
CHEAP = {  # words of those for whom it is a good buy
    "verb": ("cheer", "praise", "applaud"),
    "kind": ("splendid", "clever", "frugal"),
    "verdict": ("a bargain", "a blessing", "a triumph"),
}
_NUMBER = re.compile(r"\d+(?:\.\d+)?")
_WORD = re.compile(r"[a-z]+|\d+")


class News(NamedTuple):
    """The items of some days, (days, items) each.

    claim: the million that each names. heat: in [0, 1], how heated its words are.
    group: which of GROUPS it is about. texts: a list for each day.
    """

    claim: np.ndarray
    heat: np.ndarray
    group: np.ndarray
    texts: list[list[str]]


def make_news(days: int, items: int, *, seed: int = 0) -> News:
    """Return news for some days, as many items each: the more heated an item, the
    further what it claims is from the truth, up or down.

    claim = TRUTH + REACH * side * heat + noise, rounded to whole million. Half of the
    items are about plain (heat below 0.25), and both sides are as frequent.
    """
    rng = np.random.default_rng([seed, 1])
    shape = (days, items)
    side = rng.choice([-1, 1], shape)
    heat = rng.random(shape) ** 2
    noise = rng.normal(scale=REPORTING_ERROR, size=shape)
    claim = (TRUTH + REACH * side * heat + noise).round()
    group = rng.integers(len(GROUPS), size=shape)
    texts = [
        [
            news_text(claim[d, i], heat[d, i], GROUPS[group[d, i]], rng)
            for i in range(items)
        ]
        for d in range(days)
    ]
    return News(claim, heat, group, texts)


def news_text(claim: float, heat: float, group: str, rng: np.random.Generator) -> str:
    """Return one item. Each of its three loaded words is a plain one instead with
    probability 1 - heat.

    >>> news_text(60, 0, "parents", np.random.default_rng(0))
    'Parents discuss the planned tram at 60 million, a matter for the council.'
    >>> news_text(93, 1, "farmers", np.random.default_rng(0))
    'Farmers dread the ruinous tram at 93 million, a scandal.'
    """
    loaded = DEAR if claim > TRUTH else CHEAP
    verb, kind, verdict = (
        str(rng.choice(loaded[slot])) if rng.random() < heat else PLAIN[slot]
        for slot in PLAIN
    )
    subject = group.capitalize()
    return f"{subject} {verb} the {kind} tram at {claim:.0f} million, {verdict}."


def words_of(text: str) -> list[str]:
    """Return the words of a text in lower case; of a number its tens alone.

    >>> words_of("A tram at 87 million.")
    ['a', 'tram', 'at', '80s', 'million']
    """
    return [
        f"{int(word) // 10}0s" if word.isdigit() else word
        for word in _WORD.findall(text.lower())
    ]


def vocabulary(texts: Iterable[str]) -> list[str]:
    """Return the different words of some texts, in alphabetical order."""
    return sorted({word for text in texts for word in words_of(text)})


def word_counts(texts: Sequence[str], known: Sequence[str]) -> np.ndarray:
    """Return how often each known word stands in each text, (texts, words)."""
    column = {word: j for j, word in enumerate(known)}
    counts = np.zeros((len(texts), len(known)))
    for i, text in enumerate(texts):
        for word in words_of(text):
            if word in column:
                counts[i, column[word]] += 1
    return counts


def number_in(text: str) -> float | None:
    """Return the first number in a text, or None.

    >>> number_in("It costs 87 million, not 60.")
    87.0
    """
    found = _NUMBER.search(text)
    return float(found[0]) if found else None
