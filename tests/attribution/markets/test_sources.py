"""Is the line named one where the words stand, and the run the longest there is?"""

import numpy as np
import pytest

from smallscale.attribution.markets.ngram_model import train_tokenizer
from smallscale.attribution.markets.sources import (
    SHORTEST,
    SourceLine,
    longest_run,
    source_line,
    token_texts,
)

TEXTS = {
    "ann": {"a.py": "import os\ndef close(self):\n    return self.name\n"},
    "bob": {"b.py": "x = 1\n", "c.py": "\n\nreturn self.name + suffix\n"},
}


def test_the_longest_run_is_found_with_its_author_file_and_line() -> None:
    pieces = ["if", "re", "turn", " self", ".name", " + suf", "fer"]
    assert source_line(pieces, TEXTS) == SourceLine(
        author="bob",
        document="c.py",
        number=3,
        line="return self.name + suffix",
        run="return self.name + suf",
    )
    assert source_line(pieces, TEXTS, "ann") == SourceLine(
        author="ann",
        document="a.py",
        number=3,
        line="    return self.name",
        run="return self.name",
    )


def test_a_run_that_begins_with_a_line_break_is_on_the_line_of_its_first_word() -> None:
    found = source_line([":", "\n   ", " return", "?"], TEXTS)
    assert found is not None
    assert (found.document, found.number, found.run) == ("a.py", 2, ":\n    return")


def test_no_run_crosses_documents_and_short_ones_are_nobodys() -> None:
    assert longest_run(["x = 1", "\n", "\n\nreturn"], TEXTS) == "return"
    assert source_line(["zzz", "qqq"], TEXTS) is None
    assert len("x =") < SHORTEST
    assert source_line(["x", " =", "?"], TEXTS) is None
    assert source_line([], TEXTS) is None
    with pytest.raises(ValueError, match="author must be one of ann, bob"):
        source_line(["x"], TEXTS, "eve")


def test_two_pointers_find_what_trying_every_run_finds() -> None:
    random = np.random.default_rng(0)
    for _ in range(200):
        text = "".join(random.choice(list("ab \n"), 30))
        pieces = random.choice(["a", "b", " ", "\n", "ab", "ba"], 8).tolist()
        runs = [
            "".join(pieces[i:j]) for i in range(len(pieces)) for j in range(i + 1, 9)
        ]
        wanted = max((len(run.strip()) for run in runs if run in text), default=0)
        assert len(longest_run(pieces, {"ann": {"a": text}})) == wanted


def test_token_texts_make_up_the_text_and_a_line_is_printed_below_its_place() -> None:
    tokenizer = train_tokenizer(["self.name = name\n" * 30], 300)
    tokens = tokenizer.encode("self.name").ids
    assert "".join(token_texts(tokenizer, np.array(tokens))) == "self.name"
    shown = str(SourceLine("ann", "a.py", 7, "    x = 1" + " + 1" * 40, "x = 1"))
    place, line = shown.split("\n")
    assert place == "ann, a.py, line 7:"
    assert line.startswith("    x = 1 + 1")
    assert len(line) <= 84
