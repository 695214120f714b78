"""How is a run shown? An executed notebook as one page, its figures as thumbnails.

Every page stands alone: nothing is fetched, and a content security policy forbids it.
It also forbids every script but one, by its hash: the one that makes the copy buttons
work, without which all else is there. The pages are the templates beside this file;
nbconvert reads the notebook's Markdown.
"""

import base64
import hashlib
import io
import itertools
import re
from functools import cache, lru_cache
from html import escape, unescape
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from jinja2 import Environment, FileSystemLoader
from latex2mathml.converter import Converter
from markupsafe import Markup
from mistune import BlockState, HTMLRenderer, create_markdown
from PIL import Image
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import TextLexer, get_lexer_by_name
from pygments.util import ClassNotFound

from smallscale.runs.html_parts import Element, with_elements_changed
from smallscale.runs.outline import outline
from smallscale.runs.record import RunRecord, claims_held
from smallscale.runs.terminal_text import plain

FOLDER = Path(__file__).with_name("templates")
TEMPLATES = FileSystemLoader(FOLDER)
COPY_SCRIPT = (FOLDER / "copy.js").read_text(encoding="utf-8")
WIDGET = "application/vnd.jupyter.widget-view+json"  # of a kernel that is gone
# The first of these that an output has is shown: an image before HTML, which may want a
# script.
SHOWN = [
    "image/png",
    "image/jpeg",
    "image/svg+xml",
    "text/html",
    "text/markdown",
    "text/latex",
    "text/plain",
]
THUMBNAIL = 640  # pixels: two for each of a card's, for dense screens
# What is wider than a small screen scrolls in a block of its own, which the keyboard
# reaches.
FOCUSABLE = 'tabindex="0" role="group" aria-label="{}"'
SCROLL = f'<div class="scroll" {FOCUSABLE.format("Table")}>'
# It is hidden until the script that makes it work shows it.
COPY_BUTTON = '<button type="button" class="copy" hidden>Copy</button>'

LONGEST_MARKDOWN = 20_000  # characters of an output that are read as Markdown
# No pattern may run on to a far end from each place that could begin it: hence "[^<>]".
# White space in every spelling, and elements in which nothing is shown.
NOTHING = r"(?:\s|&nbsp;|&#160;|&#[xX]0*[aA]0;|<(?!/?th\b|img\b|svg\b|input\b)[^<>]*>)*"
EMPTY_HEADER = re.compile(rf"<th\b([^<>]*)>{NOTHING}</th>", re.I)
# Of a header alone. What begins with white space begins only at the first of it.
SCOPE = re.compile(r"""(?<!\s)\s+scope=(?:"[^"]*"|'[^']*'|[^\s>]+)""")
IMAGE = re.compile(r"<img\b(?![^<>]*\salt\s*=)", re.I)
NO_ALT = 'alt="An image without a description"'
# What an output brings along that scrolls on its own.
UNREACHED_PRE = re.compile(r"<pre\b(?![^<>]*\btabindex\b)", re.I)
BOX = re.compile(r"(<(?:div|section|ul|ol|p|code)\b)([^<>]*)", re.I)
REACHED = re.compile(r"\btabindex\b", re.I)
STYLE = re.compile(r"\bstyle\s*=", re.I)
SCROLLS = re.compile(r"\boverflow(?:-[xy])?\s*:\s*(?:auto|scroll)", re.I)
EMPTY_ROW = re.compile(
    r"<thead>\s*<tr\b[^<>]*>\s*(<td[^<>]*></td>\s*)+</tr>\s*</thead>"
)
# The highlighter's classes that our style sheet leaves alone: names, operators,
# punctuation, white space.
UNSTYLED = re.compile(r'<span class="(?:n|nn|o|p|w)">([^<]*)</span>')
MATH = re.compile(
    r"\$\$(?P<block>.+?)\$\$|\$(?P<inline>(?:(?!</?\w)[^$])+)\$|^(?P<bare>\\begin.+)$",
    re.S,
)
# What the formula converter does not know, and what it knows instead.
SPELLINGS = (
    (r"\\(begin|end)\{aligned\}", r"\\\1{align*}"),
    (r"\\mathscr(?![a-zA-Z])", r"\\mathcal"),
    (r"\\(math(?:bb|bf|cal|rm|sf|tt)) +(\w)", r"\\\1{\2}"),
    (r"\\mathbb\{1\}", "𝟙"),
    (r"\\operatorname\*?\{arg(?:\\,)?(max|min)\}|\\arg\s*\\(max|min)", r"\\arg\1\2"),
    (r"(\\[bB]igg?[lrm]?)\\\|", r"\1‖"),
)
ARITY = {
    "mfrac": 2,
    "mroot": 2,
    "msub": 2,
    "msup": 2,
    "munder": 2,
    "mover": 2,
    "msubsup": 3,
    "munderover": 3,
}
# Operators whose limits stand below them in a display.
LIMIT = re.compile(r"max|min|sup|inf|lim|arg\s(max|min)")


def notebook_page(notebook: Any, run: RunRecord) -> str:
    """Return the executed notebook as one HTML page that needs nothing beside it.

    notebook: as nbformat reads it. run: its record.
    """
    page = template_environment().get_template("notebook.html.j2")
    number = itertools.count(1).__next__
    return page.render(run=run, cells=notebook.cells, number=number)


def folded(cell: Any) -> bool:
    """Return whether the cell's code is hidden until a reader asks for it."""
    hidden = cell.metadata.get("jupyter", {}).get("source_hidden", False)
    return bool(hidden) or "hide-input" in cell.metadata.get("tags", [])


def _what_is_folded(cell: Any) -> str:
    """Return what to call the folded code of a cell."""
    if re.search(r"\bclaims\.\w+\(", cell.source):
        return "Code that states these claims"
    if any("image/png" in output.get("data", {}) for output in cell.outputs):
        return "Code that draws this figure"
    return "Code of this cell"


def save_figures(notebook: Any, folder: Path) -> list[dict[str, str]]:
    """Write the notebook's images as thumbnails: figure-1.png and so on, in the folder.

    Returns a dict for each figure: file, title, alt. An image that cannot be read is
    left out.
    """
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    figures = []
    for number, output in enumerate(
        (o for o in outputs if "image/png" in o.get("data", {})), 1
    ):
        about = output.metadata.get("image/png", {})
        try:
            image = Image.open(
                io.BytesIO(base64.b64decode(output.data["image/png"]))
            ).convert("RGBA")
        except (OSError, ValueError, Image.DecompressionBombError):
            continue
        image.thumbnail((THUMBNAIL, image.height))
        on_white = Image.alpha_composite(
            Image.new("RGBA", image.size, "white"), image
        ).convert("RGB")
        file = f"figure-{number}.png"
        on_white.quantize(256).save(folder / file, optimize=True)
        alt = about.get("alt") or output.data.get("text/plain") or f"Figure {number}"
        figures.append({"file": file, "title": about.get("title", ""), "alt": alt})
    return figures


@cache
def template_environment() -> Environment:
    environment = Environment(
        loader=TEMPLATES, autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {
        "code": _highlight,
        "folded": folded,
        "outline": outline,
        "reachable": _reachable,
        "inline": _inline,
        "latex": _latex,
        "markdown": _markdown,
        "printed_markdown": _printed_markdown,
        "seconds": _seconds,
        "tables": _tables,
        "text": plain,
        "what": _what_is_folded,
    }
    environment.globals |= {
        "COPY_SCRIPT": Markup(COPY_SCRIPT),
        "COPY_HASH": _script_hash(COPY_SCRIPT),
        "SHOWN": SHOWN,
        "WIDGET": WIDGET,
        "claims_held": claims_held,
    }
    return environment


class _Renderer(HTMLRenderer):
    """Markdown as HTML, with formulas as MathML, which needs no script."""

    def block_math(self, body: str) -> str:
        return _mathml(body.strip(), "block")

    def inline_math(self, body: str) -> str:
        return _mathml(body.strip(), "inline")

    def latex_environment(self, name: str, body: str) -> str:
        return _mathml(rf"\begin{{{name}}}{body}\end{{{name}}}", "block")

    def block_html(self, html: str) -> str:
        return _latex(super().block_html(html))

    def block_code(self, code: str, info: str | None = None) -> str:
        return _highlight(code.rstrip("\n"), info.split()[0] if info else "text")

    def link(self, text: str, url: str, title: str | None = None) -> str:
        # A relative link leads to the notebook's neighbour, and this page is elsewhere.
        if not re.match(r"https?:|mailto:|#", url, re.I):
            return text
        return super().link(text, url, title)

    def image(self, text: str, url: str, title: str | None = None) -> str:
        # Nor does this page fetch images.
        if not url.startswith("data:"):
            return f"<em>{escape(text)}</em>"
        return super().image(text, url, title)


def _markdown(
    source: str, attachments: dict[str, dict[str, str]] | None = None
) -> Markup:
    # Imported here: it takes more than a second, for which a gallery need not wait.
    from nbconvert.filters.markdown_mistune import MarkdownWithMath

    for name, kinds in (attachments or {}).items():
        kind, data = next(iter(kinds.items()))
        source = source.replace(f"](attachment:{name}", f"](data:{kind};base64,{data}")
    html = MarkdownWithMath(_Renderer(escape=False)).render(source)
    scrolling = with_elements_changed(
        _tables(html), "table", lambda table: f"{SCROLL}{table.html}</div>"
    )
    return _reachable(scrolling)


def _printed_markdown(source: str) -> Markup:
    """Markdown that a run has printed as HTML; a very long one stays text.

    The reader of Markdown takes time in the square of a text's length where that holds
    many openings of formulas or links that are never closed.
    """
    if len(source) <= LONGEST_MARKDOWN:
        return _markdown(source)
    return Markup(f"<pre {FOCUSABLE.format('Output')}>{escape(source)}</pre>")


def _tables(html: str) -> Markup:
    """HTML whose tables have no empty header: a corner becomes a cell, a row goes."""

    def as_cell(header: re.Match[str]) -> str:
        return f"<td{SCOPE.sub('', header[1])}></td>"

    def named(table: Element) -> str:
        return EMPTY_ROW.sub("", EMPTY_HEADER.sub(as_cell, table.html))

    return Markup(with_elements_changed(html, "table", named))


@lru_cache(1000)
def _inline(text: str) -> Markup:
    """One line of Markdown; any HTML in it is shown, not obeyed."""
    renderer = _Renderer(escape=True)
    tokens = create_markdown(renderer=renderer, plugins=["math"]).inline(
        text, {"ref_links": {}}
    )
    return Markup(renderer(tokens, BlockState()))


LONGEST_LINE = 2000  # of code that is coloured


@lru_cache(1000)  # the runs of a sweep share most of their code, and all their formulas
def _highlight(source: str, language: str = "ipython3") -> Markup:
    try:
        lexer = get_lexer_by_name(language)
    except ClassNotFound:
        lexer = TextLexer()
    if max(map(len, source.splitlines()), default=0) > LONGEST_LINE:
        lexer = TextLexer()  # the others' patterns may take the square of its length
    html = highlight(source, lexer, HtmlFormatter())
    html = html.replace("<pre>", f"{COPY_BUTTON}<pre {FOCUSABLE.format('Code')}>", 1)
    return Markup(UNSTYLED.sub(r"\1", html))


def _latex(text: str) -> Markup:
    """HTML with its formulas as MathML."""

    def convert(found: re.Match[str]) -> str:
        formula = unescape(found["block"] or found["inline"] or found["bare"]).strip()
        return _mathml(formula, "inline" if found["inline"] else "block")

    return Markup(MATH.sub(convert, text))


@lru_cache(1000)
def _mathml(latex: str, display: str) -> str:
    """A formula as MathML; as code where it cannot be turned into any."""
    plain = latex
    for pattern, spelling in SPELLINGS:
        plain = re.sub(pattern, spelling, plain)
    try:
        math = Converter(display=display).convert_to_element(plain)
    except Exception:  # the converter raises many kinds of errors, IndexError too
        return f"<code>{escape(latex)}</code>"
    del math.attrib["xmlns"]  # HTML knows it
    for element in math.iter():
        element.text = unescape(element.text) if element.text else None
        unknown = (
            "\\" in (element.text or "")
            or element.text == "&"
            or "linebreak" in element.attrib
        )
        if unknown or len(element) != ARITY.get(element.tag, len(element)):
            return f"<code>{escape(latex)}</code>"
        if element.tag == "mi" and element.text == "~":  # \sim
            element.tag, element.text = "mo", "∼"
        if (
            display == "block"
            and element.tag == "msub"
            and LIMIT.fullmatch(unescape(element[0].text or ""))
        ):
            element.tag = "munder"
    text = ElementTree.tostring(math, encoding="unicode")
    if display != "block":
        return text
    return f'<span class="formula" {FOCUSABLE.format("Formula")}>{text}</span>'


def _reachable(html: str) -> Markup:
    """HTML of others whose images say what they are, if only that nobody said it.

    What scrolls in it can be reached by keyboard.
    """
    html = IMAGE.sub(f"<img {NO_ALT}", html)
    html = UNREACHED_PRE.sub(f"<pre {FOCUSABLE.format('Text')}", html)
    return Markup(BOX.sub(_reached, html))


def _reached(box: re.Match[str]) -> str:
    """Return the opening of a box as it was, or made reachable where it scrolls."""
    name, attributes = box.groups()
    style = STYLE.search(attributes)
    scrolls = style and SCROLLS.search(attributes, style.end())
    if not scrolls or REACHED.search(attributes):
        return box[0]
    return f'{name} tabindex="0"{attributes}'


def _script_hash(script: str) -> str:
    """Return how a content security policy names a script that may run."""
    digest = hashlib.sha256(script.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


def _seconds(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.3g} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"
