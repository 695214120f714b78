"""Does a changed question ask for something else? Not if only a bound changed.

"Who ruled before 1914?" is answered by who ruled before 1890 as well, and "Who helped
Ada besides Otto?" by who helped Ada besides Frida: what stands behind such words does
not decide what is asked for. "Who ruled in 1914?" is another question than "in 1890".
"""

import re

from smallscale.robustness.reading.english import AUXILIARIES, NUMBER_WORDS

_VERBS = "|".join(sorted(AUXILIARIES))
EXCEPTION = re.compile(
    r"\b(?:besides?|except(?:ing)?(?: for)?|excluding|other than|apart from|aside from|"
    r"in addition to|as well as|along with|instead of|rather than|as opposed to|unlike|"
    rf"not counting|but not)\b.*?(?=,|[?.]?\s*$|\s(?:{_VERBS})\b)",
    re.IGNORECASE,
)
BOUND = re.compile(
    r"\b(?:(?:more|less|\w+er) than|at least|at most|up to|no (?:more|less) than|over|"
    r"under|above|below|beyond|within|before|after|since|until|till|by|prior to|"
    r"following|between|from|as early as|as late as|exceed\w*)"
    rf"(?: \w+){{0,2}}? (?:\d[\w,.]*|{'|'.join(NUMBER_WORDS)})\b",
    re.IGNORECASE,
)


def asks_otherwise(changed: str, question: str) -> bool:
    """Return whether the change lies in more than bounds and exceptions.

    >>> asks_otherwise("Who ruled before 1890?", "Who ruled before 1914?")
    False
    >>> asks_otherwise("Who ruled Rome before 1890?", "Who ruled Bonn before 1914?")
    True
    """
    return _core(changed) != _core(question)


def _core(question: str) -> str:
    """Return the question without its bounds and exceptions."""
    return " ".join(BOUND.sub(" ", EXCEPTION.sub(" ", question)).split())
