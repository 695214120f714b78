"""Sliders, what they show, and what stands in their place without a kernel."""

import base64
import re
from typing import Any

import pytest
from ipywidgets import FloatSlider, IntSlider, SelectionSlider

from smallscale.notebook import explore, still
from smallscale.notebook.explorer import INK, WHERE_IT_STARTS

WIDGET = "application/vnd.jupyter.widget-view+json"
PICTURE = (
    '<div><svg role="img" aria-label="1 &lt; 2" viewBox="0 0 300 100" '
    'style="width: 100%">'
    '<svg x="1"><path d="M0 0h1" fill="currentColor"/></svg><svg x="2"/></svg>'
    "<p><strong>1 &lt; 2</strong></p></div>"
)


def scene(size: int, where: str) -> str:
    return f"<p>{where} {size}</p>"


def sliders() -> dict[str, Any]:
    return {
        "size": IntSlider(min=1, max=9, value=4),
        "where": SelectionSlider(options=[("<here>", "here"), ("there", "there")]),
    }


def test_one_call_writes_the_sliders_values_and_the_scene() -> None:
    seen = []

    def noted(size: int, where: str) -> str:
        seen.append((size, where))
        return scene(size, where)

    size, where, view = explore(noted, sliders()).children
    assert (size.description, where.description) == ("size", "where")
    assert view.value == (
        f"<div style='{INK}'>"
        '<p class="readout">size: <b>4</b> · where: <b>&lt;here&gt;</b></p>'
        "<p>here 4</p></div>"
    )
    size.value, where.value = 7, "there"
    assert view.value == (
        f"<div style='{INK}'>"
        '<p class="readout">size: <b>7</b> · where: <b>there</b></p>'
        "<p>there 7</p></div>"
    )
    assert seen == [(4, "here"), (7, "here"), (7, "there")]  # once for each change


def test_no_slider_has_a_readout_of_its_own() -> None:
    """It would go on moving when the kernel, and with it the scene, has stopped."""
    size, where, _ = explore(scene, sliders()).children
    assert not size.readout
    assert not where.readout


def test_the_first_option_has_its_words_though_its_value_is_given() -> None:
    first = SelectionSlider(options=[("a five", 5), ("a six", 6)], value=5)
    *_, view = explore(str, {"image": first}).children
    assert "image: <b>a five</b>" in view.value


def test_a_float_is_said_shortly() -> None:
    *_, view = explore(str, {"eps": FloatSlider(value=0.1 + 0.2, max=1)}).children
    assert "eps: <b>0.3</b>" in view.value


def test_the_output_has_the_widget_and_a_still_of_how_it_opens() -> None:
    box = explore(scene, sliders())
    box.children[0].value = 7
    bundle = box._repr_mimebundle_()
    assert set(bundle) == {WIDGET, "text/html", "text/plain"}
    assert bundle[WIDGET]["model_id"] == box.model_id
    assert "<p>here 4</p>" in bundle["text/html"]
    assert f"<p><em>{WHERE_IT_STARTS}</em></p>" in bundle["text/html"]
    assert bundle["text/plain"] == (
        f"size: 4 · where: <here>\nhere 4\n{WHERE_IT_STARTS}"
    )


def test_a_drawing_in_the_still_is_an_image_that_every_reader_shows() -> None:
    html = still(IntSlider(), PICTURE).still
    assert "<svg" not in html
    (image,) = re.findall(r"<img [^>]*>", html)
    assert 'alt="1 &lt; 2"' in image
    assert 'width="300"' in image
    assert "<p><strong>1 &lt; 2</strong></p></div>" in html
    data = image.split("data:image/svg+xml;base64,")[1].removesuffix('">')
    drawn = base64.b64decode(data).decode()
    assert drawn.startswith('<svg xmlns="http://www.w3.org/2000/svg" role="img"')
    assert 'style="width: 100%; background: white"' in drawn
    assert drawn.endswith('</svg><svg x="2"/></svg>')


def test_a_drawing_keeps_the_width_it_asks_for() -> None:
    svg = '<svg aria-label="x" width="{}" viewBox="0 0 8 8"/>'
    assert 'width="50"' in still(IntSlider(), svg.format(50)).still
    assert 'width="8"' in still(IntSlider(), svg.format("100%")).still


def test_two_drawings_are_two_images() -> None:
    html = still(IntSlider(), PICTURE + "<p>and</p>" + PICTURE).still
    assert len(re.findall(r"<img ", html)) == 2
    assert "<p>and</p>" in html


def test_a_drawing_that_is_no_xml_is_refused() -> None:
    with pytest.raises(ValueError, match="well-formed"):
        still(IntSlider(), '<svg aria-label="x"><path></svg>')


def test_any_widget_can_have_a_still_and_a_sentence() -> None:
    slider = IntSlider()
    box = still(slider, "<p>Noon.</p>", "Run the <notebook>.")
    assert box.children == (slider,)
    assert box.still == (
        '<div class="still"><p>Noon.</p><p><em>Run the &lt;notebook&gt;.</em></p></div>'
    )
