"""How is it shown? An executed notebook as one page, its figures as thumbnails.

Every page stands alone: no script, nothing fetched, and a content security policy that forbids both. The pages
are the templates beside this file; nbconvert reads the notebook's Markdown.
"""

import base64
import io
import itertools
import re
from collections import Counter
from contextlib import suppress
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

from smallscale.runs.record import RunRecord, claims_held

TEMPLATES = FileSystemLoader(Path(__file__).with_name("templates"))
# The first of these that an output has is shown: an image before HTML, which may want a script.
SHOWN = [
    "application/vnd.jupyter.widget-view+json",
    "image/png",
    "image/jpeg",
    "image/svg+xml",
]
SHOWN += ["text/html", "text/markdown", "text/latex", "text/plain"]
THUMBNAIL = 640  # pixels: two for each of a card's, for dense screens

ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
BAR = re.compile(
    r"[^\r\n]*\d%\|[^\r\n]*\d+/\d+ \[[^\r\n]*\]"
)  # each of its states comes as an output of its own
HEADING = re.compile(r"<h([1-6])([^>]*)>(.*?)</h\1>", re.S)
# The highlighter's classes that our style sheet leaves alone: names, operators, punctuation, white space.
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
LIMIT = re.compile(
    r"max|min|sup|inf|lim|arg\s(max|min)"
)  # what belongs to it stands below it in a display


def notebook_page(notebook: Any, run: RunRecord) -> str:
    """The executed notebook as one HTML page that needs nothing beside it; `run` is its record."""
    page = template_environment().get_template("notebook.html.j2")
    return page.render(
        run=run, cells=notebook.cells, number=itertools.count(1).__next__
    )


def save_figures(notebook: Any, folder: Path) -> list[dict[str, str]]:
    """Write each image of the notebook into the folder as a thumbnail, figure-1.png and so on.

    Returns a dict a figure: file, title, alt. What is no readable image is left out.
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
        "inline": _inline,
        "markdown": _markdown,
        "code": _highlight,
        "latex": _latex,
    }
    environment.filters |= {"headings": _headings, "seconds": _seconds, "text": plain}
    environment.globals |= {"claims_held": claims_held, "SHOWN": SHOWN}
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
        # A relative link leads to a neighbour of the notebook's, and this page stands elsewhere.
        return (
            super().link(text, url, title)
            if re.match(r"https?:|mailto:|#", url, re.I)
            else text
        )

    def image(self, text: str, url: str, title: str | None = None) -> str:
        # Nor does this page fetch images.
        return (
            super().image(text, url, title)
            if url.startswith("data:")
            else f"<em>{escape(text)}</em>"
        )


def _markdown(
    source: str, attachments: dict[str, dict[str, str]] | None = None
) -> Markup:
    # Here, as it takes more than a second, which a gallery alone need not wait for.
    from nbconvert.filters.markdown_mistune import MarkdownWithMath

    for name, kinds in (attachments or {}).items():
        kind, data = next(iter(kinds.items()))
        source = source.replace(f"](attachment:{name}", f"](data:{kind};base64,{data}")
    html = MarkdownWithMath(_Renderer(escape=False)).render(source)
    return Markup(
        html.replace("<table", '<div class="scroll"><table').replace(
            "</table>", "</table></div>"
        )
    )


@lru_cache(1000)
def _inline(text: str) -> Markup:
    """One line of Markdown; any HTML in it is shown, not obeyed."""
    renderer = _Renderer(escape=True)
    tokens = create_markdown(renderer=renderer, plugins=["math"]).inline(
        text, {"ref_links": {}}
    )
    return Markup(renderer(tokens, BlockState()))


@lru_cache(1000)  # the runs of a sweep share most of their code, and all their formulas
def _highlight(source: str, language: str = "ipython3") -> Markup:
    lexer = TextLexer()
    with suppress(ClassNotFound):
        lexer = get_lexer_by_name(language)
    return Markup(UNSTYLED.sub(r"\1", highlight(source, lexer, HtmlFormatter())))


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
    except Exception:  # the converter raises many kinds, IndexError among them
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
    return f'<span class="formula">{text}</span>' if display == "block" else text


def _headings(body: str) -> Markup:
    """One H1, and an id for each heading as JupyterLab gives it, for a notebook's links within itself."""
    seen = Counter({"main": 1})

    def anchored(found: re.Match[str]) -> str:
        level, attributes, text = found.groups()
        seen["<h1>"] += level == "1"
        level = "2" if level == "1" and seen["<h1>"] > 1 else level
        name = escape(
            re.sub(r"\s+", "-", unescape(re.sub(r"<[^>]+>", "", text)).strip())
        )
        seen[name] += 1
        again = f"-{seen[name]}" if seen[name] > 1 else ""
        place = "" if "id=" in attributes else f' id="{name}{again}"'
        return f"<h{level}{attributes}{place}>{text}</h{level}>"

    return Markup(HEADING.sub(anchored, body))


def plain(text: str) -> str:
    """What a terminal would show in the end: no colours, no bars of tqdm, of other progress only the last state."""
    lines = BAR.sub("", ANSI.sub("", text)).split("\n")
    return "\n".join(line.rstrip("\r").rpartition("\r")[2] for line in lines)


def _seconds(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.3g} s"
    minutes, rest = divmod(round(seconds), 60)
    return (
        f"{minutes} min {rest} s"
        if minutes < 60
        else f"{minutes // 60} h {minutes % 60} min"
    )
