"""Is a text shown as a terminal would show it, at a cost of its length and no more?"""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smallscale.runs.terminal_text import plain, shortened

PIECES = ["1%|", "2/3 [", "]", "\r", "\n", "a", " ", "4", "%|", "/", "[", "\x1b[1m"]


def by_one_pattern(text: str) -> str:
    """What `plain` does, as one pattern says it: in cubic time."""
    ansi = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
    bar = re.compile(r"[^\r\n]*\d%\|[^\r\n]*\d+/\d+ \[[^\r\n]*\]")
    lines = bar.sub("", ansi.sub("", text)).split("\n")
    return "\n".join(line.rstrip("\r").rpartition("\r")[2] for line in lines)


@given(st.lists(st.sampled_from(PIECES), max_size=14).map("".join))
def test_it_shows_what_one_pattern_would_leave(text: str) -> None:
    assert plain(text) == by_one_pattern(text)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31mred\x1b[0m", "red"),
        ("1 of 2\r2 of 2\n", "2 of 2\n"),
        (" 40%|####    | 4/10 [00:01<00:02, 3.1it/s]", ""),
        (" 40%|# | 4/10 [00:01]\r100%|##| 10/10 [00:02]\ndone", "\ndone"),
        ("accuracy 40% of 4/10 [sic]", "accuracy 40% of 4/10 [sic]"),
    ],
)
def test_progress_leaves_its_last_state(text: str, shown: str) -> None:
    assert plain(text) == shown


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "piece", ["1%|", "1%|2/3 [", "1%|2/3 []", "1/1", "\x1b[1", "\r", "1%|\r", "x"]
)
def test_a_line_of_megabytes_is_no_harder_than_its_length(piece: str) -> None:
    plain(piece * (3_000_000 // len(piece)))


def test_a_long_text_loses_its_middle() -> None:
    assert shortened("a" * 10, 10) == "a" * 10
    assert shortened("a" * 500 + "b" * 500, 10) == "aaaaa … 990 characters … bbbbb"
