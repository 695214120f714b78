"""Figures with words and numbers, and notes."""

from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
import pytest

from smallscale.notebook import figure, note
from smallscale.notebook.figures import LONGEST_TABLE, STYLE
from tests.notebook.conftest import Output


def test_a_figure_is_a_picture_a_sentence_and_its_numbers(shown: list[Output]) -> None:
    fig, ax = plt.subplots()
    ax.plot([1, 2])
    numbers = {"x": [1], "y": [0.123456]}
    assert (
        figure(fig, title="It rises", alt="A line from 1 <to> 2", data=numbers) is None
    )
    picture, words = shown
    assert picture.data["image/png"].startswith(b"\x89PNG")
    assert picture.metadata["image/png"]["alt"] == "A line from 1 <to> 2"
    assert words.data["text/html"].startswith(
        "<p>Figure: It rises. A line from 1 &lt;to&gt; 2.</p>"
    )
    assert "<details>" in words.data["text/html"]
    assert "0.1235" in words.data["text/html"]
    sentence = "Figure: It rises. A line from 1 <to> 2."
    assert picture.data["text/plain"] == words.data["text/plain"] == sentence
    assert not plt.fignum_exists(fig.number)


def test_a_long_table_is_cut_and_says_so(shown: list[Output]) -> None:
    frame = pd.DataFrame({"x": range(LONGEST_TABLE + 1)})
    figure(plt.figure(), title="t", alt="a", data=frame)
    cut = f"The first {LONGEST_TABLE} of {LONGEST_TABLE + 1} rows"
    assert cut in shown[1].data["text/html"]


def test_every_column_of_a_table_has_a_name(shown: list[Output]) -> None:
    frame = pd.DataFrame({"x": [1]}, index=pd.Index(["pgd"], name="attack"))
    figure(plt.figure(), title="t", alt="a", data=frame)
    html = shown[1].data["text/html"]
    assert "<th>attack</th>" in html
    assert "<th></th>" not in html
    assert "<td>pgd</td>" in html


def test_a_counted_index_with_a_name_is_a_column(shown: list[Output]) -> None:
    epochs = pd.RangeIndex(1, 3, name="epoch")
    data = pd.DataFrame({"loss": [0.5, 0.25]}, index=epochs)
    figure(plt.figure(), title="Falling", alt="A curve", data=data)
    assert "<th>epoch</th>" in shown[-1].data["text/html"]


def test_an_index_may_have_the_name_of_a_column(shown: list[Output]) -> None:
    frame = pd.DataFrame({"x": [1]}, index=pd.Index([7], name="x"))
    figure(plt.figure(), title="t", alt="a", data=frame)
    assert "<td>7</td>" in shown[1].data["text/html"]


def test_data_is_escaped(shown: list[Output]) -> None:
    figure(plt.figure(), title="t", alt="a", data=[{"<b>": "<script>"}])
    assert "<script>" not in shown[1].data["text/html"]


def test_in_a_run_the_figure_and_its_whole_table_are_left_as_files(
    shown: list[Output], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    places = [tmp_path / "one", tmp_path / "two"]
    frame = pd.DataFrame(
        {"y": [0.123456789] * (LONGEST_TABLE + 5)},
        index=pd.Index(range(LONGEST_TABLE + 5), name="x").astype(str),
    )
    for place in places:
        place.mkdir()
        monkeypatch.setenv("SMALLSCALE_RUN_FOLDER", str(place))
        for _ in range(2):
            fig, ax = plt.subplots()
            ax.plot([1, 2])
            figure(fig, title="It's up: 2 %!", alt="a", data=frame)
        figure(plt.figure(), title="No numbers", alt="a")
    names = sorted(path.name for path in places[0].iterdir())
    assert names == [
        "figure-1-it-s-up-2.csv",
        "figure-1-it-s-up-2.svg",
        "figure-2-it-s-up-2.csv",
        "figure-2-it-s-up-2.svg",
    ]
    read = pd.read_csv(places[0] / names[0], dtype={"x": str})
    pd.testing.assert_frame_equal(
        read, frame.reset_index(), check_dtype=False, check_column_type=False
    )
    assert "<svg" in (places[0] / names[1]).read_text()
    for name in names:
        assert (places[0] / name).read_bytes() == (places[1] / name).read_bytes()


def test_without_room_for_files_the_figure_is_shown_with_a_warning(
    shown: list[Output], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SMALLSCALE_RUN_FOLDER", str(tmp_path))

    def refuse(*args: object, **kwargs: object) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr(pd.DataFrame, "to_csv", refuse)
    with pytest.warns(UserWarning, match="could not be kept: No space left"):
        figure(plt.figure(), title="t", alt="a", data=[{"x": 1}])
    assert len(shown) == 2


@pytest.mark.parametrize("missing", ["title", "alt"])
def test_a_figure_without_words_is_refused(missing: str) -> None:
    words = {"title": "t", "alt": "a", missing: " "}
    with pytest.raises(ValueError, match=f"{missing} must say something"):
        figure(plt.figure(), **words)
    plt.close("all")


def test_the_same_figure_gives_the_same_bytes(shown: list[Output]) -> None:
    for _ in range(2):
        with plt.style.context(STYLE):
            fig, ax = plt.subplots()
            ax.plot([1, 2])
        figure(fig, title="t", alt="a")
    assert shown[0].data["image/png"] == shown[2].data["image/png"]


def test_a_note_is_a_sentence_without_quotes(shown: list[Output]) -> None:
    note("It has *two* sides.")
    text = "It has *two* sides."
    assert shown[0].data == {"text/markdown": text, "text/plain": text}


def test_a_title_may_have_dollars(shown: list[Output]) -> None:
    """As mathematics, the second would be an error and the first be set in italics."""
    for title in ("It costs $5 to $6 a day", r"It is $\frac$ done"):
        fig, _ = plt.subplots()
        figure(fig, title=title, alt="Empty axes")
        assert not fig._suptitle.get_parse_math()  # type: ignore[attr-defined]
    assert len(shown) == 4
