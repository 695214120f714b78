"""Values by scale, figures with words, living source, guesses, sliders."""

import base64
from typing import Any

import matplotlib.pyplot as plt
import pandas as pd
import pytest
from ipywidgets import IntSlider, SelectionSlider

from smallscale.notebook import at_scale, check_guess, explore, figure, source
from smallscale.notebook.figures import ROWS, STYLE


@pytest.mark.parametrize(
    ("scale", "value"), [("tiny", 1), ("small", 10), ("medium", 10), ("full", 1000)]
)
def test_the_nearest_smaller_scale_given(scale: str, value: int) -> None:
    assert at_scale(scale, tiny=1, small=10, full=1000) == value


def test_zero_and_false_are_values() -> None:
    assert at_scale("medium", tiny=3, small=2, medium=0) == 0
    assert at_scale("small", tiny=True, small=False) is False


def test_an_unknown_scale_is_refused() -> None:
    with pytest.raises(
        ValueError, match="scale must be one of tiny, small, medium, full; got 'big'"
    ):
        at_scale("big", tiny=1, small=2)


@pytest.fixture
def shown(
    monkeypatch: pytest.MonkeyPatch,
) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    calls: list[tuple[dict[str, Any], dict[str, Any]]] = []

    def display(
        bundle: dict[str, Any], *, metadata: dict[str, Any] | None = None, raw: bool
    ) -> None:
        calls.append((bundle, metadata or {}))

    monkeypatch.setattr("smallscale.notebook.figures.display", display)
    monkeypatch.setattr("smallscale.notebook.living_source.display", display)
    return calls


def test_a_figure_is_a_picture_a_sentence_and_its_numbers(shown: list[Any]) -> None:
    fig, ax = plt.subplots()
    ax.plot([1, 2])
    assert (
        figure(
            fig,
            title="It rises",
            alt="A line from 1 <to> 2",
            data={"x": [1], "y": [0.123456]},
        )
        is None
    )
    (picture, metadata), (words, _) = shown
    assert picture["image/png"].startswith(b"\x89PNG")
    assert metadata["image/png"]["alt"] == "A line from 1 <to> 2"
    assert words["text/html"].startswith(
        "<p>Figure: It rises. A line from 1 &lt;to&gt; 2.</p>"
    )
    assert "<details>" in words["text/html"]
    assert "0.1235" in words["text/html"]
    assert (
        picture["text/plain"]
        == words["text/plain"]
        == "Figure: It rises. A line from 1 <to> 2."
    )
    assert not plt.fignum_exists(fig.number)


def test_a_long_table_is_cut_and_says_so(shown: list[Any]) -> None:
    figure(plt.figure(), title="t", alt="a", data=pd.DataFrame({"x": range(ROWS + 1)}))
    assert f"The first {ROWS} of {ROWS + 1} rows" in shown[1][0]["text/html"]


def test_data_is_escaped(shown: list[Any]) -> None:
    figure(plt.figure(), title="t", alt="a", data=[{"<b>": "<script>"}])
    assert "<script>" not in shown[1][0]["text/html"]


@pytest.mark.parametrize("missing", ["title", "alt"])
def test_a_figure_without_words_is_refused(missing: str) -> None:
    words = {"title": "t", "alt": "a", missing: " "}
    with pytest.raises(ValueError, match=f"{missing} must say something"):
        figure(plt.figure(), **words)
    plt.close("all")


def test_the_same_figure_gives_the_same_bytes(shown: list[Any]) -> None:
    for _ in range(2):
        with plt.style.context(STYLE):
            fig, ax = plt.subplots()
            ax.plot([1, 2])
        figure(fig, title="t", alt="a")
    assert base64.b64encode(shown[0][0]["image/png"]) == base64.b64encode(
        shown[2][0]["image/png"]
    )


def test_source_is_the_living_one_with_the_file_it_stands_in(shown: list[Any]) -> None:
    source(at_scale)
    bundle, _ = shown[0]
    assert bundle["text/plain"].startswith("def at_scale(")
    assert bundle["text/markdown"].startswith(
        "`lib/smallscale/notebook/scale.py`\n\n```python\ndef at_scale("
    )


def test_a_fence_inside_the_source_does_not_end_it(shown: list[Any]) -> None:
    def fenced() -> str:
        return "```"

    source(fenced)
    assert shown[0][0]["text/markdown"].endswith("\n````")


@pytest.mark.parametrize("value", [3, len])
def test_what_has_no_source_is_refused(value: Any) -> None:
    with pytest.raises(ValueError, match="no source to show"):
        source(value)


@pytest.mark.parametrize(
    ("guess", "said"),
    [
        (None, "Not answered yet."),
        (0.9, "Right: measured was 1.00."),
        (1.1, "Right: measured was 1.00."),
        (0.8, "Measured was 1.00, not 0.80. too low"),
        (1.2, "Measured was 1.00, not 1.20. too high"),
    ],
)
def test_a_guess_is_told_how_close_it_was(guess: float | None, said: str) -> None:
    assert check_guess(guess, 1.0, within=0.11, low="too low", high="too high") == said


def test_explore_names_its_sliders_and_shows_the_scene_of_their_values() -> None:
    seen = []

    def scene(size: int, where: str) -> str:
        seen.append((size, where))
        return f"<p>{where} {size}</p>"

    sliders = {
        "size": IntSlider(min=1, max=9, value=4),
        "where": SelectionSlider(options=["here", "there"]),
    }
    size, where, view = explore(scene, sliders).children
    assert (size.description, where.description, view.value) == (
        "size",
        "where",
        "<p>here 4</p>",
    )
    size.value, where.value = 7, "there"
    assert view.value == "<p>there 7</p>"
    assert seen == [(4, "here"), (7, "here"), (7, "there")]  # once for each change
