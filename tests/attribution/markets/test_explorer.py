"""Does the statement say who is paid and why, and run no stranger's text?"""

import numpy as np
import pytest

from smallscale.attribution.markets.explorer import (
    _most_disputed,
    statement_explorer,
    statement_scene,
)
from smallscale.attribution.markets.ngram_model import (
    count_ngrams,
    encode,
    train_tokenizer,
)
from smallscale.attribution.markets.sources import SourceLine
from smallscale.notebook import explore

EVIL = '<script>alert("1")</script>'


def some_scene(**changes: object) -> str:
    given = {
        "pieces": ["a ", "b ", EVIL, "d"],
        "prompt": 1,
        "names": ["ann", f"bob {EVIL}"],
        "values": np.array([[2.0, -1.0, 0.0], [0.5, 3.0, 0.1]]),
        "hits": np.array([[[4, 0, 0], [1, 0, 0]], [[1, 2, 3], [0, 2, 0]]]),
        "cents": {"Shapley": [30, 70], "overlap": [90, 10], "Banzhaf": [20, 80]},
        "rule": "Shapley",
        "lines": [None, SourceLine("bob", "b.py", 7, f"  x = {EVIL}", "x = ")],
    }
    return statement_scene(**{**given, **changes})  # type: ignore[arg-type]


def test_a_scene_says_who_is_paid_and_why_and_by_which_rule_it_would_be_another() -> (
    None
):
    html = some_scene(names=["ann", "bob"])
    assert (
        "Paid by Shapley: bob gets 70 of 100 cents. By overlap it would be ann, "
        "with 90." in html
    )
    assert "Banzhaf" not in html.split("</strong>")[0]
    assert ["30 cents" in row for row in html.split("<tr")[1:]] == [True, False]
    assert ["70 cents" in row for row in html.split("<tr")[1:]] == [False, True]
    # The best token of bob's is the second; the longest run before it that bob wrote
    # has two tokens, twice.
    assert "Why bob: “b &lt;script&gt;" in html
    assert "stands 2 times in bob;" in html
    assert "“d” stands 3 times in bob" in html
    assert html.index("<sup>1</sup>") < html.index("<sup>2</sup>")


def test_a_strangers_text_is_shown_and_not_run() -> None:
    html = some_scene()
    assert "<script" not in html
    assert html.count("&lt;script&gt;") >= 4


def test_a_completion_that_is_nobodys_is_shared() -> None:
    html = some_scene(
        values=np.zeros((2, 3)), hits=np.zeros((2, 2, 3)), cents={"Shapley": [50, 50]}
    )
    assert "nothing in this text is anybody" in html


def explorer_and_parts():  # type: ignore[no-untyped-def]
    texts = ["self.name = name\n" * 30, "return value\n" * 30]
    tokenizer = train_tokenizer(texts, 300)
    libraries = [[tokens] for tokens in encode(tokenizer, texts)]
    windows = np.stack(
        [libraries[0][0][:12], libraries[1][0][:12], libraries[0][0][1:13]]
    )
    counts = count_ngrams(libraries, windows, 4, tokenizer.get_vocab_size())
    right = (counts.hits[:, 2] > 0).astype(float)
    wrong = right.copy()
    wrong[:, 8:16] = wrong[::-1, 8:16]  # the second completion goes to the other author
    box = explore(
        *statement_explorer(
            tokenizer,
            windows,
            4,
            ["ann", "bob"],
            {"right": right, "wrong": wrong},
            counts,
            {"ann": {"a.py": texts[0]}, "bob": {"b.py": texts[1]}},
        )
    )
    return box, (tokenizer, windows, counts, right)


def test_the_widget_opens_on_the_dispute_and_follows_its_sliders() -> None:
    box, _ = explorer_and_parts()
    which, by, view = box.children
    assert which.value == 1
    assert (
        "Paid by right: bob gets 100 of 100 cents. By wrong it would be ann, with 100."
        in view.value
    )
    by.value = "wrong"
    assert "Paid by wrong: ann gets 100" in view.value
    which.value = 0
    assert "ann gets 100" in view.value


def test_the_widget_opens_on_no_tie_unless_all_are_ties() -> None:
    shapley = [[50, 50], [60, 40], [70, 30]]
    overlap = [[0, 100], [55, 45], [40, 60]]  # moves 100, 10 and 60 cents
    assert _most_disputed({"Shapley": shapley, "overlap": overlap}) == 2
    ties = {"Shapley": [[50, 50], [49, 51]], "overlap": [[40, 60], [0, 100]]}
    assert _most_disputed(ties) == 1
    assert _most_disputed({"Shapley": [[100], [100]]}) == 0


def test_the_source_line_stands_beside_with_its_file_and_author() -> None:
    html = some_scene(names=["ann", "bob"])
    assert "that bob also wrote, “x = ”, begins in b.py, line 7:" in html
    assert "<code>x = &lt;script&gt;" in html
    ann = SourceLine("ann", "a.py", 2, "x = y", "x = y")
    longer = some_scene(
        names=["ann", "bob"], lines=[ann, SourceLine("bob", "b.py", 7, "x =", "x =")]
    )
    assert longer.index("begins in b.py, line 7") < longer.index(
        "begins in a.py, line 2"
    )
    nobody = some_scene(names=["ann", "bob"], lines=[None, None])
    assert "No line of bob holds a run of this completion." in nobody
    box, _ = explorer_and_parts()
    assert "begins in b.py, line 1: <code>return value</code>" in box.children[2].value


def test_values_of_another_shape_are_refused() -> None:
    _, (tokenizer, windows, counts, right) = explorer_and_parts()
    with pytest.raises(ValueError, match="values and counts must be"):
        statement_explorer(
            tokenizer, windows, 4, ["ann", "bob"], {"right": right[:, :8]}, counts, {}
        )
    with pytest.raises(ValueError, match="values and counts must be"):
        statement_explorer(
            tokenizer,
            windows,
            4,
            ["ann", "bob"],
            {"right": right},
            counts.select([0]),
            {},
        )
    with pytest.raises(ValueError, match="texts must hold every name; not bob"):
        statement_explorer(
            tokenizer, windows, 4, ["ann", "bob"], {"right": right}, counts, {"ann": {}}
        )
