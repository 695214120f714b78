"""Is the answer right, and if not, why? Exercises of the town in words."""

from collections.abc import Callable, Mapping
from typing import Any

from smallscale.notebook.exercises import NOT_YET
from smallscale.simulation import measures
from smallscale.simulation.words.facts import PARTY, SLOTS, still_says
from smallscale.simulation.words.stream import Memory, MemoryStream
from smallscale.simulation.words.town import WordTown

SENTENCE = "Bo Lindqvist gives a party in the park on Tuesday at five."
NOW = 30
BEGIN = 8  # the hour of Monday at which a memory may be changed
END = 48


def check_slots(answer: Mapping[str, bool] | None) -> str:
    """Check which of who, what, where, when SENTENCE still says of the party."""
    if answer is None:
        return NOT_YET
    if not isinstance(answer, Mapping) or set(answer) != set(SLOTS):
        return (
            f"Give a dictionary with the keys {', '.join(SLOTS)}, each True or False."
        )
    right = still_says(PARTY, SENTENCE)
    wrong = [slot for slot in SLOTS if bool(answer[slot]) != right[slot]]
    if not wrong:
        return "Right: three slots of four, and whoever believes it stands in the park."
    if "where" in wrong:
        return "Look at where: a place is named, but is it the party's?"
    return f"Look again at {', '.join(wrong)}: compare it with {PARTY.sentence()!r}"


def _scenes() -> list[tuple[MemoryStream, str]]:
    """Return streams and queries in which the three terms disagree."""
    first = MemoryStream()
    first.add(Memory("Rosa Lima likes the park.", "heard", 2, 2))
    first.add(Memory("The oven is burning.", "saw", 13, 8))
    first.add(Memory("I saw Wim Maes in the shop.", "saw", 29, 1))
    first.add(Memory("Rosa Lima is ill.", "heard", 20, 5))
    first.accessed[0] = 28
    second = MemoryStream()
    second.add(Memory("Ada Brandt bakes.", "saw", 0, 1))
    second.add(Memory("I will rest.", "planned", 24, 1))
    second.add(Memory("A party in the café.", "heard", 9, 8))
    return [(first, "Rosa Lima"), (second, "Ada Brandt"), (first, "the oven")]


def check_retrieve(retrieve: Callable[..., Any]) -> str:
    """Check a function (stream, query, now) -> positions of the two best memories."""
    likely: dict[str, Callable[[MemoryStream, str], list[int]]] = {
        "You take the latest memories. Importance and relevance count as much.": (
            lambda stream, query: stream.latest(2)
        ),
        "You take the most important memories. Recency and relevance count as much.": (
            lambda stream, query: sorted(
                range(len(stream)), key=lambda i: -stream.memories[i].importance
            )[:2]
        ),
        "You use the weights of the authors' program; the paper's are all 1.": (
            lambda stream, query: stream.retrieve(
                query, NOW, 2, rule="code", touch=False
            )
        ),
        "You count the hours since a memory was made. What counts is when it was last "
        "in mind: stream.accessed.": lambda stream, query: _by_creation(stream, query),
    }
    for stream, query in _scenes():
        right = stream.retrieve(query, NOW, 2, touch=False)
        try:
            found = retrieve(stream.copied(), query, NOW)
        except Exception as error:
            return f"It raised {type(error).__name__}: {error}."
        if found is None or found is ...:
            return NOT_YET
        try:
            given = [int(each) for each in found]
        except (TypeError, ValueError):
            return "Return positions in the stream: whole numbers, the best first."
        if given != right:
            for message, wrong in likely.items():
                if given == wrong(stream, query):
                    return message
            if given == right[::-1]:
                return "The right two, in the wrong order: the best comes first."
            return (
                f"For the query {query!r} the two best are {right}, not {given}. Is "
                "each of the three terms scaled to [0, 1] before they are added?"
            )
    return "Right: recency, importance and relevance, each scaled to [0, 1], and added."


def _by_creation(stream: MemoryStream, query: str) -> list[int]:
    copy = stream.copied()
    copy.accessed = [memory.created for memory in copy.memories]
    return copy.retrieve(query, NOW, 2, touch=False)


def check_edit(edit: tuple[str, int, str] | None, *, seed: int, guests: int) -> str:
    """Check one changed memory: do at least `guests` people come to the party?

    edit: (person, position in their stream, new text), made on Monday at eight. The
    town runs on with the scripted speaker.
    """
    if edit is None:
        return NOT_YET
    if not isinstance(edit, tuple) or len(edit) != 3:
        return "Give (person, position, text)."
    person, position, text = edit
    town = WordTown(seed=seed).run(BEGIN)
    try:
        changed = town.edited(person, position, text)
    except ValueError as error:
        return f"That memory cannot be changed: {error}."
    if town.streams[town.row_of(person)].memories[position].text == text:
        return "The memory is as before."
    before = measures.guests(town.run(END - BEGIN), "party")
    after = measures.guests(changed.run(END - BEGIN), "party")
    counted = f"{after} people came, {before} before the change"
    if after < guests:
        return (
            f"{counted}; {guests} is the goal. What is said is drawn from what comes "
            "to mind, and an invitation needs a place, a day and an hour."
        )
    return f"Right: {counted}."
