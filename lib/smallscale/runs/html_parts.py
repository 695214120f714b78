"""Which parts of some HTML are its tables, or its headings? In time of its length.

A pattern that spans an element looks, from each opening that is never closed, through
all the rest. What a notebook prints may hold a hundred thousand of those.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Element:
    """An element of HTML, from its opening tag to the next closing one of its name."""

    name: str
    attributes: str  # as they stand in the opening tag, with the space before them
    inside: str

    @property
    def html(self) -> str:
        """The element as it stands in the text."""
        return f"<{self.name}{self.attributes}>{self.inside}</{self.name}>"


def with_elements_changed(
    html: str, names: str, change: Callable[[Element], str]
) -> str:
    """Return HTML in which every element of some names is what `change` makes of it.

    names: a pattern, such as "table" or "h[1-6]"; case does not count.

    >>> with_elements_changed("<b>1</b> <i>2</i>", "b", lambda b: b.inside + "!")
    '1! <i>2</i>'
    """
    opening = re.compile(rf"<({names})\b", re.I)
    never_closed = set()  # from where the search has come to
    parts = []
    copied = 0
    at = 0
    while found := opening.search(html, at):
        name = found[1]
        at = found.end()
        if name.lower() in never_closed:
            continue
        inside = html.find(">", at) + 1
        closing = re.compile(f"</{name}>", re.I).search(html, inside or len(html))
        if not closing:
            never_closed.add(name.lower())
            continue
        element = Element(name, html[at : inside - 1], html[inside : closing.start()])
        parts += [html[copied : found.start()], change(element)]
        at = copied = closing.end()
    return "".join([*parts, html[copied:]])
