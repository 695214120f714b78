"""Which sections has a page? Its headings, with links, for a table of contents."""

import re
from collections import Counter
from dataclasses import dataclass
from html import escape, unescape
from urllib.parse import quote

from markupsafe import Markup

from smallscale.runs.html_parts import Element, with_elements_changed

ID = re.compile(r"""(?<!\s)\s+id\s*=\s*("[^"]*"|'[^']*'|\S+)""", re.I)


@dataclass(frozen=True)
class Section:
    """A heading of a page, as its table of contents names it."""

    level: int  # 1 to 6
    anchor: str  # the heading's id
    text: str


@dataclass(frozen=True)
class Outline:
    """A page whose headings can be linked, and its sections."""

    body: Markup
    sections: list[Section]


def outline(body: str) -> Outline:
    """Return the page with one H1, no level skipped, and a link at each heading.

    A heading gets the id that JupyterLab gives it: a notebook's links within itself
    lead to these. One that says nothing is left out.
    """
    seen = Counter({"main": 1})
    above = [1]  # the levels as written: the H1's, and down to the heading before
    sections: list[Section] = []

    def level(written: int) -> int:
        if written == 1 and not sections:
            return 1
        while above[-1] >= max(written, 2):
            above.pop()
        above.append(max(written, 2))
        return len(above)

    def anchor(text: str, attributes: str) -> str:
        given = ID.search(attributes)
        named = given[1].strip("\"'") if given else ""
        name = unescape(named) if named else text.replace(" ", "-") or "section"
        seen[name] += 1
        return f"{name}-{seen[name]}" if seen[name] > 1 else name

    def anchored(heading: Element) -> str:
        attributes, html = heading.attributes, heading.inside
        text = " ".join(unescape(re.sub(r"<[^<>]+>", "", html)).split())
        if not text and "<img" not in html:
            return ""
        section = Section(level(int(heading.name[1])), anchor(text, attributes), text)
        sections.append(section)
        kept = ID.sub("", attributes)
        opening = f'h{section.level}{kept} id="{escape(section.anchor)}"'
        link = _anchor_link(section) if section.level > 1 else ""
        return f"<{opening}>{link}{html}</h{section.level}>"

    headings = with_elements_changed(body, "h[1-6]", anchored)
    return Outline(Markup(headings), sections)


def _anchor_link(section: Section) -> str:
    """Return the link that stands at a heading and leads to it."""
    words = escape(f"Link to: {section.text}")
    return (
        f'<a class="anchor" href="#{quote(section.anchor)}" aria-label="{words}">#</a> '
    )
