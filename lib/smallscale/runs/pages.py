"""How is it shown? An executed notebook as one page, its figures as thumbnails, all runs as a gallery.

Every page stands alone: no script, nothing fetched, and a content security policy that forbids both. A page is
made of the templates beside this file; nbconvert walks the notebook and reads its Markdown.
"""

import base64
import io
import itertools
import re
import threading
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cache, lru_cache
from html import escape, unescape
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from jinja2 import Environment, FileSystemLoader, pass_context
from jinja2.runtime import Context
from latex2mathml.converter import Converter
from markupsafe import Markup
from mistune.core import BlockState
from nbconvert.exporters.templateexporter import TemplateExporter
from nbconvert.filters.ansi import strip_ansi
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath
from PIL import Image
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import TextLexer, get_lexer_by_name
from pygments.util import ClassNotFound
from traitlets.config import Config

from smallscale.runs.results import Record, claims_held, passed

TEMPLATES = FileSystemLoader(Path(__file__).with_name("templates"))
WIDGET = "application/vnd.jupyter.widget-view+json"
# An image needs no script, where HTML may: of the two, the image is shown.
SHOWN = (WIDGET, "image/png", "image/jpeg", "image/svg+xml", "text/html", "text/markdown", "text/latex", "text/plain")
THUMBNAIL = 640  # pixels: two for each of a card's, for dense screens
CARDS = 24  # runs of one notebook that are shown as cards; the rest is a table
MATH = re.compile(r"\$\$(?P<block>.+?)\$\$|\$(?P<inline>[^$]+?)\$|^(?P<bare>\\begin.+)$", re.S)
# Spellings that the converter does not know, and what it knows instead.
SPELLINGS = (
    (r"\\(begin|end)\{(align|gather)ed\}", r"\\\1{\2*}"),
    (r"\\mathscr(?![a-zA-Z])", r"\\mathcal"),
    (r"\\(math(?:bb|bf|cal|rm|sf|tt)) +(\w)", r"\\\1{\2}"),
    (r"\\mathbb\{1\}", "𝟙"),
    (r"\\operatorname\*?\{arg(?:\\,)?(max|min)\}|\\arg\s*\\(max|min)", r"\\arg\1\2"),
    (r"\\operatorname\*", r"\\operatorname"),
    (r"(\\[bB]igg?[lrm]?)\\\|", r"\1‖"),
)
ARITY = {"mfrac": 2, "mroot": 2, "msub": 2, "msup": 2, "munder": 2, "mover": 2, "msubsup": 3, "munderover": 3}
HEADING = re.compile(r"<h([1-6])([^>]*)>(.*?)</h\1>", re.S)
# Classes of the highlighter that our style sheet leaves alone: names, operators, punctuation, white space.
UNSTYLED = re.compile(r'<span class="(?:n|nn|o|p|w)">([^<]*)</span>')
_exporting = threading.Lock()  # an exporter keeps notes about the notebook it is at


def notebook_page(notebook: Any, run: Record) -> str:
    """The executed notebook as one HTML page that needs nothing beside it; `run` is its record."""
    with _exporting:
        body, _ = _exporter().from_notebook_node(notebook, {"number": itertools.count(1).__next__})
    return _environment().get_template("notebook.html.j2").render(run=run, body=Markup(_headings(body)))


def save_figures(notebook: Any, folder: Path) -> list[dict[str, str]]:
    """Write each image of the notebook into the folder as a thumbnail, figure-1.png and so on.

    Returns a dict a figure: file, title, alt. What is no readable image is left out.
    """
    figures = []
    for number, output in enumerate(_images(notebook), 1):
        about = output.get("metadata", {}).get("image/png", {})
        try:
            image = Image.open(io.BytesIO(base64.b64decode(output["data"]["image/png"]))).convert("RGBA")
            image.thumbnail((THUMBNAIL, image.height))
        except (OSError, ValueError, Image.DecompressionBombError):
            continue
        paper = Image.new("RGBA", image.size, "white")
        paper.alpha_composite(image)
        file = f"figure-{number}.png"
        paper.convert("RGB").quantize(256).save(folder / file, optimize=True)
        alt = about.get("alt") or output["data"].get("text/plain") or f"Figure {number}"
        figures.append({"file": file, "title": about.get("title", ""), "alt": alt})
    return figures


def gallery(runs: list[Record]) -> str:
    """The page of all runs, theme by theme; its links are relative to the results folder."""
    themes: dict[str, dict[str, list[Record]]] = {}
    for run in sorted(runs, key=lambda run: run["notebook"]):
        theme, slash, _ = run["notebook"].partition("/")
        themes.setdefault(theme if slash else "other", {}).setdefault(run["notebook"], []).append(run)
    if "other" in themes:
        themes["other"] = themes.pop("other")  # last
    held, judged = map(sum, zip((0, 0), *map(claims_held, runs), strict=True))
    return (
        _environment()
        .get_template("gallery.html.j2")
        .render(
            themes={
                theme: [_notebook(name, group) for name, group in notebooks.items()]
                for theme, notebooks in themes.items()
            },
            total=len(runs),
            statuses=Counter(run["status"] for run in runs),
            held=held,
            judged=judged,
            made=datetime.now(UTC),
            cards=CARDS,
        )
    )


def _notebook(name: str, runs: list[Record]) -> dict[str, Any]:
    """One notebook's part of the gallery: its newest title and question, its runs, the worst first."""
    newest = max(runs, key=lambda run: run["finished"])
    names = dict.fromkeys(name for run in runs for name in run["parameters"])
    varied = [name for name in names if len({repr(run["parameters"].get(name)) for run in runs}) > 1]
    varied.sort(key=lambda name: name == "seed")  # last, so that the seeds of one setting stand together

    def order(run: Record) -> tuple[Any, ...]:
        return run["status"] == "completed", passed(run), *(_rank(run["parameters"].get(n)) for n in varied)

    return {
        "name": name,
        "title": newest["title"],
        "question": newest["question"],
        "varied": varied,
        "runs": sorted(runs, key=order),
    }


def _rank(value: Any) -> tuple[bool, float, str]:
    """Numbers by size, then words by the alphabet."""
    number = isinstance(value, (int, float))
    return not number, value if number else 0.0, str(value)


def _images(notebook: Any) -> Iterator[Any]:
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            if "image/png" in output.get("data", {}):
                yield output


@cache
def _environment() -> Environment:
    environment = Environment(loader=TEMPLATES, autoescape=True, trim_blocks=True, lstrip_blocks=True)
    filters = (_anchor, _heading, _inline, _memory, _seconds, _text)
    environment.filters.update({function.__name__[1:]: function for function in filters})
    environment.globals["claims_held"] = claims_held
    return environment


@cache
def _exporter() -> TemplateExporter:
    """nbconvert's walk over the cells, with our blocks.

    Its HTMLExporter would parse every finished page again, and drop widgets without saying so.
    """
    filters = {"markdown2html": _markdown, "highlight_code": _highlight, "latex": _latex, "text": _text}
    exporter = TemplateExporter(
        config=Config(NbConvertBase={"display_data_priority": list(SHOWN)}),
        template_name="base",
        template_file="cells.html.j2",
        extra_loaders=[TEMPLATES],
        filters=filters,
    )
    exporter.environment.autoescape = True
    return exporter


class _Renderer(IPythonRenderer):
    """nbconvert's Markdown, with formulas as MathML, which needs no script."""

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
        return super().link(text, url, title) if re.match(r"https?:|mailto:|#", url) else text

    def image(self, text: str, url: str, title: str | None = None) -> str:
        return super().image(text, url, title) if re.match(r"attachment:|data:", url) else f"<em>{text}</em>"


@lru_cache(1000)  # the runs of a sweep share their formulas and most of their code
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
        if element.text == "~" and element.tag == "mi":  # \sim
            element.tag, element.text = "mo", "∼"
        unknown = "\\" in (element.text or "") or element.text == "&" or "linebreak" in element.attrib
        if unknown or len(element) != ARITY.get(element.tag, len(element)):
            return f"<code>{escape(latex)}</code>"
    text = ElementTree.tostring(math, encoding="unicode")
    return f'<span class="formula">{text}</span>' if display == "block" else text


def _latex(text: str) -> Markup:
    """Text or HTML with its formulas as MathML."""

    def convert(found: re.Match[str]) -> str:
        body = unescape(found["block"] or found["inline"] or found["bare"]).strip()
        return _mathml(body, "inline" if found["inline"] else "block")

    return Markup(MATH.sub(convert, text))


@lru_cache(1000)
def _highlight(source: str, language: str = "ipython3") -> Markup:
    try:
        lexer = get_lexer_by_name(language)
    except ClassNotFound:
        lexer = TextLexer()
    return Markup(UNSTYLED.sub(r"\1", highlight(source, lexer, HtmlFormatter())))


@pass_context
def _markdown(context: Context, source: str) -> Markup:
    attachments = context["cell"].get("attachments", {})
    return Markup(
        MarkdownWithMath(_Renderer(escape=False, exclude_anchor_links=True, attachments=attachments)).render(source)
    )


def _inline(text: str) -> Markup:
    """One line of Markdown that someone else wrote: any HTML in it is shown, not obeyed."""
    markdown = MarkdownWithMath(_Renderer(escape=True))
    tokens = markdown.inline(text, {"ref_links": {}})
    return Markup(markdown.renderer(tokens, BlockState()))


def _text(text: str) -> str:
    """What a terminal would show in the end: no colours, of a progress bar only its last state."""
    return re.sub(r"[^\n]*\r(?!\n)", "", strip_ansi(text).replace("\r\n", "\n"))


def _headings(body: str) -> str:
    """One H1, and an id for each heading as JupyterLab gives it, so that a notebook's own links lead somewhere."""
    seen: Counter[str] = Counter()

    def anchored(found: re.Match[str]) -> str:
        level, attributes, text = found.groups()
        seen["<h1>"] += level == "1"
        level = "2" if level == "1" and seen["<h1>"] > 1 else level
        name = re.sub(r"\s+", "-", re.sub(r"<[^>]+>", "", text).strip())
        seen[name] += 1
        again = f"-{seen[name]}" if seen[name] > 1 else ""
        place = "" if "id=" in attributes else f' id="{name}{again}"'
        return f"<h{level}{attributes}{place}>{text}</h{level}>"

    return HEADING.sub(anchored, body)


def _anchor(name: str) -> str:
    return re.sub(r"[^\w-]+", "-", name)


def _heading(theme: str) -> str:
    return theme.upper() if len(theme) <= 3 else theme.capitalize()  # DPO, Robustness


def _seconds(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.3g} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def _memory(megabytes: float) -> str:
    return f"{megabytes:.0f} MB" if megabytes < 1000 else f"{megabytes / 1000:.1f} GB"
