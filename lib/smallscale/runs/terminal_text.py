"""What would a terminal show of this text in the end? In time linear in its length."""

import re

ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
# The parts of one state of a tqdm bar: " 40%|####    | 4/10 [00:01<00:02, 3.1it/s]".
BAR_SHARE = re.compile(r"\d%\|")
BAR_COUNT = re.compile(r"\d/\d+ \[")


def plain(text: str) -> str:
    """Return what a terminal would show in the end.

    No colours, no bars of tqdm, and of other progress only the last state.
    """
    lines = ANSI.sub("", text).split("\n")
    return "\n".join(map(_last_state, lines))


def _last_state(line: str) -> str:
    """Return what stays of a line whose states are separated by carriage returns."""
    states = [_without_bar(state) for state in line.split("\r")]
    while len(states) > 1 and not states[-1]:
        states.pop()
    return states[-1]


def _without_bar(state: str) -> str:
    """Return a state of a line without the bar that it begins with, if any.

    Three searches, each of which reads the text once. One pattern for all of it would
    try each place for each part.
    """
    share = BAR_SHARE.search(state)
    count = BAR_COUNT.search(state, share.end()) if share else None
    end = state.rfind("]") if count else -1
    return state[end + 1 :] if count and end >= count.end() else state


def shortened(text: str, most: int) -> str:
    """Return the text, with its middle left out where it is longer than that."""
    if len(text) <= most:
        return text
    half = most // 2
    return f"{text[:half]} … {len(text) - 2 * half:,} characters … {text[-half:]}"
