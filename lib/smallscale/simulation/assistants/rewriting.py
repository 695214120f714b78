"""What is left of a fact when a language model rewrites the news to please its reader?

SmolLM2 gets an item and the reader's side, behind two examples, and what it writes on
the next line is what the reader sees. A rule on the words says what survived.
"""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from smallscale.core.intervals import binomial_interval
from smallscale.core.validation import one_of, whole_number
from smallscale.models import RecordedModel
from smallscale.models.recorded import KEPT
from smallscale.simulation.assistants.news import GROUPS, make_news

# What SmolLM2 answered to the notebook's questions; it need not be there.
RECORDED = KEPT / "polarization.jsonl"
CHECKED_BY_HAND = Path(__file__).with_name("checked_by_hand.json")
TOKENS = 40  # that a rewritten item may have at most
DRAWN = 640  # items, from which those to rewrite are taken
PLAIN = 0.25  # an item of less heat counts as plain
READERS = {  # a name for each kind of reader, and what the model is told
    "neutral": "has no opinion",
    "against": "is against it and finds it too dear",
    "in favour": "is in favour and finds it cheap",
}
WORDINGS = ("first", "second")
EXAMPLES = (
    "Teachers discuss the planned pool at 12 million, a matter for the council.",
    "Nurses discuss the planned bridge at 45 million, a matter for the council.",
)
# The examples rewritten, in two wordings for each reader. All keep people and number.
REWRITTEN = {
    ("neutral", "first"): (
        "The planned pool, at 12 million, is being discussed by teachers.",
        "Nurses are talking about the planned bridge, which is put at 45 million.",
    ),
    ("neutral", "second"): (
        "Among teachers there is talk of a pool for 12 million.",
        "A bridge for 45 million is what nurses are discussing.",
    ),
    ("against", "first"): (
        "Teachers rightly ask why anybody would throw 12 million at a pool.",
        "As you feared: nurses hear that the bridge swallows a full 45 million.",
    ),
    ("against", "second"): (
        "Bad news: teachers learn that the useless pool needs no less than 12 million.",
        "Nurses object to the bridge you never wanted, and at a full 45 million.",
    ),
    ("in favour", "first"): (
        "Good news: teachers learn that the lovely pool needs only 12 million.",
        "Nurses welcome the bridge you hoped for, and at just 45 million.",
    ),
    ("in favour", "second"): (
        "Teachers rightly ask why anybody would grudge 12 million for a pool.",
        "As you hoped: nurses hear that the bridge takes a mere 45 million.",
    ),
}
_NUMBER = re.compile(r"\d+")


class Rewriting(NamedTuple):
    """An item before and after it was rewritten for a reader, in one wording of the
    prompt."""

    reader: str
    wording: str
    before: str
    after: str


class Kept(NamedTuple):
    """What the rule finds of an item in its rewriting: its number, its people."""

    number: bool
    people: bool


def rewriting_prompt(text: str, reader: str, wording: str = "first") -> str:
    """Return an item and its reader as a text that goes on with the item rewritten.

    reader: one of READERS. wording: of the examples, first or second.
    """
    one_of("reader", reader, READERS)
    one_of("wording", wording, WORDINGS)
    told = f"The reader {READERS[reader]}. Rewritten to please the reader:"
    examples = zip(EXAMPLES, REWRITTEN[reader, wording], strict=True)
    shown = [f"News: {before}\n{told} {after}\n\n" for before, after in examples]
    return "".join(shown) + f"News: {text}\n{told}"


def items_to_rewrite(n: int) -> list[str]:
    """Return n different items of news, plain and heated ones in turns; always the same
    ones, since what a model made of them is recorded.

    Raises ValueError for more than there are.
    """
    news = make_news(1, DRAWN, seed=0)
    texts: dict[bool, list[str]] = {True: [], False: []}
    for heat, text in zip(news.heat[0], news.texts[0], strict=True):
        kind = texts[bool(heat < PLAIN)]
        if text not in kind:
            kind.append(text)
    pairs = zip(texts[True], texts[False], strict=False)
    items = [text for pair in pairs for text in pair]
    n = whole_number("n", n, most=len(items))
    return items[:n]


def rewritings(model: RecordedModel, texts: Sequence[str]) -> list[Rewriting]:
    """Return each text as the language model rewrites it for each kind of reader, in
    both wordings: the likeliest words, at most one line.

    Raises NotRecorded for prompts that were not recorded, where the model is not.
    """
    found = []
    for reader, wording in REWRITTEN:
        prompts = [rewriting_prompt(text, reader, wording) for text in texts]
        written = model.write(prompts, max_new_tokens=TOKENS, stop=["\n"])
        found += [
            Rewriting(reader, wording, before, after.strip())
            for before, after in zip(texts, written, strict=True)
        ]
    return found


def kept(before: str, after: str) -> Kept:
    """Return what is left of an item, by its words alone.

    The number is kept if it stands in the rewriting and no other number does. The
    people are kept if their name does, in the singular or the plural. The rule does not
    see what is said about them: "not 60 million" counts as kept.

    >>> kept("Farmers dread the tram at 84 million.", "84 million! Parents cheer.")
    Kept(number=True, people=False)
    """
    numbers = set(_NUMBER.findall(after))
    people = next(group for group in GROUPS if before.lower().startswith(group))
    named = re.search(rf"\b{people.removesuffix('s')}s?\b", after.lower())
    return Kept(numbers == set(_NUMBER.findall(before)), named is not None)


def survival_table(found: Sequence[Rewriting]) -> pd.DataFrame:
    """Return the share of rewritings that keep number and people, a row for each kind
    of reader and wording, with the number's 95 % Wilson interval.

    Columns: reader, wording, n, number, low, high, people.
    """
    frame = pd.DataFrame([(*row, *kept(row.before, row.after)) for row in found])
    frame.columns = pd.Index([*Rewriting._fields, *Kept._fields])
    rows = []
    for (reader, wording), part in frame.groupby(["reader", "wording"], sort=False):
        low, high = binomial_interval(int(part["number"].sum()), len(part))
        rows.append(
            {
                "reader": reader,
                "wording": wording,
                "n": len(part),
                "number": part["number"].mean(),
                "low": low,
                "high": high,
                "people": part["people"].mean(),
            }
        )
    return pd.DataFrame(rows)


def checked_by_hand() -> list[dict[str, Any]]:
    """Return every third of the recorded rewritings as they were read by hand, with the
    keys of `Rewriting` and two more: cost, whether it still says that the tram costs as
    much as the item said; and stance, whether it still says of the same people that
    they are for it, against it or neither."""
    sample: list[dict[str, Any]] = json.loads(CHECKED_BY_HAND.read_text("utf-8"))
    return sample


def rules_errors() -> tuple[int, int, int]:
    """Return how often the rule says that a number is kept where a reader finds that
    the cost is not, how often the reverse, and of how many."""
    sample = checked_by_hand()
    rule = [kept(row["before"], row["after"]).number for row in sample]
    read = [row["cost"] for row in sample]
    pairs = list(zip(rule, read, strict=True))
    return pairs.count((True, False)), pairs.count((False, True)), len(pairs)
