"""What happens when I move this? Sliders over what is already computed.

A widget needs a kernel. So that a notebook says something before it is run, on GitHub
and in a page, its output also holds a still picture of how the widget opens.
"""

import re
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from html import escape, unescape
from typing import Any
from xml.etree import ElementTree

import ipywidgets as widgets

Scene = Callable[..., str]  # the sliders' values -> the HTML to show
Explorer = tuple[Scene, dict[str, Any]]  # what a theme returns, for explore(*…)

WHERE_IT_STARTS = "This is where the sliders start. Run the notebook to move them."

# JupyterLab gives labels of widgets, and with them our HTML, a paler ink than text.
INK = "color: var(--jp-ui-font-color1, currentColor)"

_SVG_TAG = re.compile(r"<(?P<closing>/?)svg\b[^>]*?(?P<empty>/?)>")
_PARAGRAPH = re.compile(r"<p\b[^>]*>(.*?)</p>", re.S)
_TAG = re.compile(r"<[^>]+>")
_SVG_NAMESPACE = "http://www.w3.org/2000/svg"


class StillBox(widgets.VBox):  # type: ignore[misc]  # ipywidgets has no types
    """A box of widgets whose output holds a still picture, for where no kernel runs.

    still: the HTML of the picture and the sentence, and what they say as plain text.
    """

    def __init__(self, children: list[Any], still: str) -> None:
        super().__init__(children)
        self.still = still

    def _repr_mimebundle_(self, **options: Any) -> dict[str, Any]:
        bundle: dict[str, Any] = super()._repr_mimebundle_(**options)
        paragraphs = _PARAGRAPH.findall(self.still)
        plain = "\n".join(unescape(_TAG.sub("", text)) for text in paragraphs)
        return bundle | {"text/html": self.still, "text/plain": plain}


def explore(scene: Scene, sliders: Mapping[str, widgets.ValueWidget]) -> StillBox:
    """Show sliders, and below them the HTML that scene(a value of each) returns.

    Above the scene stand the sliders' values. They are written together with it, in one
    call, so the two cannot disagree, not even when the kernel has died.

    scene must answer at once: what is costly is computed before. It escapes what others
    wrote; its SVG is well-formed XML with an aria-label. Use sliders, not drop-downs:
    left and right move them, while JupyterLab keeps up and down for itself.
    """
    view = widgets.HTML()

    def drawn() -> str:
        values = [slider.value for slider in sliders.values()]
        return f"<div style='{INK}'>{_readout(sliders)}{scene(*values)}</div>"

    def show(_: Any = None) -> None:
        view.value = drawn()

    for name, slider in sliders.items():
        slider.description = name
        slider.style.description_width = "9em"
        slider.layout.width = "min(100%, 46em)"
        if slider.has_trait("readout"):
            slider.readout = False  # the line above the scene says it
        slider.observe(show, names="value")
    show()
    return still([*sliders.values(), view], view.value)


def still(
    widget: Any | list[Any], html: str, sentence: str = WHERE_IT_STARTS
) -> StillBox:
    """Give a widget a still picture, which stands in its place where no kernel runs.

    widget: one widget, or several from top to bottom.
    html: what it shows when it opens. Each SVG in it becomes an image, as GitHub and
        JupyterLab remove inline SVG from notebooks that they do not trust.
    sentence: how to make it move.

    Raises ValueError for an SVG that is not well-formed.
    """
    children = widget if isinstance(widget, list) else [widget]
    picture = "".join(_with_images(html))
    return StillBox(
        children,
        f'<div class="still">{picture}<p><em>{escape(sentence)}</em></p></div>',
    )


def _readout(sliders: Mapping[str, widgets.ValueWidget]) -> str:
    """Return one line of HTML with each slider's name and value."""
    said = [
        f"{escape(name)}: <b>{escape(_label(slider))}</b>"
        for name, slider in sliders.items()
    ]
    return f'<p class="readout">{" · ".join(said)}</p>'


def _label(slider: widgets.ValueWidget) -> str:
    """Return the words for a slider's value."""
    value = slider.value
    if slider.has_trait("options"):
        # Not `slider.label`, which is empty where value=… names the first option.
        option = slider.options[slider.index]
        named = isinstance(option, tuple) and len(option) == 2
        value = option[0] if named else option
    return f"{value:g}" if isinstance(value, float) else str(value)


def _with_images(html: str) -> Iterator[str]:
    """Yield the pieces of `html`, each outermost SVG as an image."""
    depth, start, last = 0, 0, 0
    for tag in _SVG_TAG.finditer(html):
        if not tag["closing"] and depth == 0:
            start = tag.start()
        if not tag["empty"]:
            depth += -1 if tag["closing"] else 1
        if depth == 0:
            yield html[last:start]
            yield _as_image(html[start : tag.end()])
            last = tag.end()
    yield html[last:]


def _as_image(svg: str) -> str:
    """Return an SVG as an image with its aria-label, in black on white."""
    if "xmlns=" not in svg[: svg.index(">")]:
        svg = svg.replace("<svg", f'<svg xmlns="{_SVG_NAMESPACE}"', 1)
    try:
        root = ElementTree.fromstring(svg)
    except ElementTree.ParseError as error:
        raise ValueError(f"a scene's SVG must be well-formed: {error}") from error
    style = f"{root.get('style', '')}; background: white"
    opening, rest = svg.split(">", 1)
    opening = re.sub(r'\sstyle="[^"]*"', "", opening)
    ending = "/" if opening.endswith("/") else ""
    whole = f'{opening.removesuffix("/")} style="{escape(style)}"{ending}>{rest}'
    alt = escape(root.get("aria-label", "The widget as it opens."))
    width = root.get("width", "")
    if not width.isdecimal():  # as wide as there is room: its own units are its pixels
        width = root.get("viewBox", "0 0 760").split()[2]
    data = b64encode(whole.encode()).decode()
    return f'<img alt="{alt}" width="{width}" src="data:image/svg+xml;base64,{data}">'
