"""A speaker without a model, for tests and for what must be quick: it fills templates.

It reads nothing but the prompt, as a model does, so it can pass on only what stands
there. It says word for word what is remembered, but for "I", which it sets right.
"""

import re
from collections.abc import Sequence

from smallscale.simulation.words.prompts import (
    FOCUS,
    IMPORTANCE,
    INSIGHT,
    INTERVIEW,
    PLAN,
    REVISION,
    TALK,
)

LINE = re.compile(r"From (?P<who>.+?) to (?P<to>.+?): (?P<what>.*)")
QUOTED = re.compile(r'(?P<who>[^":\n]+) said: "(?P<what>[^"\n]*)"')


class ScriptedSpeaker:
    """A speaker that passes on the first thing that is remembered, as it was said."""

    name = "scripted words"

    def write(self, prompts: Sequence[str]) -> list[str]:
        """Return how each prompt goes on, by the template for its kind."""
        return [continued(prompt) for prompt in prompts]


def continued(prompt: str) -> str:
    """Return how the script goes on from a prompt."""
    rules = {
        TALK: _talk,
        PLAN: _plan,
        REVISION: _revision,
        FOCUS: _focus,
        INSIGHT: _insight,
        IMPORTANCE: _importance,
        INTERVIEW: _interview,
    }
    for examples, rule in rules.items():
        if prompt.startswith(examples):
            return rule(prompt.removeprefix(examples).splitlines())
    return ""


def retold(memory: str) -> str:
    """Return a memory as its owner tells it to somebody else.

    >>> retold('Ada Brandt said: "I give a party."')
    'Ada Brandt gives a party.'
    >>> retold("I saw Ada Brandt in the park.")
    'I saw Ada Brandt in the park.'
    """
    quote = QUOTED.search(memory)
    if quote is None:
        return memory
    who, what = quote["who"].strip(), quote["what"]
    what = re.sub(r"^I am\b", f"{who} is", what)
    what = re.sub(r"^I will\b", f"{who} will", what)
    what = re.sub(r"^I (give|hold)\b", rf"{who} \1s", what)
    return re.sub(r"^I\b", who, what)


def _remembered(lines: Sequence[str]) -> list[str]:
    """Return what stands behind "remembers:" or a number, line by line."""
    found = [re.match(r"(?:\w+ remembers:|\d+\.) (.+)", line) for line in lines]
    return [match[1] for match in found if match]


def _told(line: str) -> tuple[str, str, str]:
    """Return who said what to whom in a line of a transcript."""
    match = LINE.fullmatch(line)
    return (match["who"], match["to"], match["what"]) if match else ("", "", "")


def _in_own_words(line: str) -> str:
    """Return a line as the one whom it was said to tells it to somebody else."""
    who, to, what = _told(line)
    return what if who == to else retold(f'{who} said: "{what}"')


def _talk(lines: Sequence[str]) -> str:
    return f" {_in_own_words(lines[-2])}" if len(lines) > 1 else " It is a fine day."


def _plan(lines: Sequence[str]) -> str:
    who, place = lines[-1].removesuffix(": I will").split(". ", 1)
    return f" do what a {who.split(', ')[1]} does, {place.split(', ')[-1]}."


def _revision(lines: Sequence[str]) -> str:
    goes = "will go," in lines[-1]
    return " it sounds good." if goes else " I keep to my plan."


def _focus(lines: Sequence[str]) -> str:
    first = _remembered(lines)[0]
    quote = QUOTED.search(first)
    return f" What does {quote['who']} want?" if quote else " How was my day?"


def _insight(lines: Sequence[str]) -> str:
    minds = _remembered(lines)
    return f" {retold(minds[0])}" if minds else " I do not know."


def _importance(lines: Sequence[str]) -> str:
    return " 8." if re.search("party|mayor|burn", lines[-1]) else " 2."


def _interview(lines: Sequence[str]) -> str:
    question = lines[-2].lower()
    asked = [word for word in ("party", "mayor", "oven") if word in question]
    for line in reversed(lines[:-2]):
        if any(word in line.lower() for word in asked):
            return f" {_in_own_words(line)}"
    return " I do not know."
