"""How far is it? A progress bar that leaves nothing behind when it is done.

tqdm writes to standard error. In a notebook that leaves an empty red box below a cell,
so there the bar is an output of its own, which is emptied at the end.
"""

import io
import sys
from typing import Any

from tqdm import tqdm

COLUMNS = 79  # of a bar in a notebook


class ProgressBar(tqdm):  # type: ignore[misc]  # tqdm has no types
    """tqdm's bar, called by what `desc` says, and no bar at all where that is empty.

    >>> list(ProgressBar(range(3), desc=""))
    [0, 1, 2]
    """

    def __init__(self, iterable: Any = None, *, desc: str, **options: Any) -> None:
        self._output: Any = None  # the notebook's output in which the bar stands
        options = {"leave": False, "disable": not desc, **options}
        if desc and _in_notebook():
            from IPython.display import display

            self._output = display({}, raw=True, display_id=True)  # type: ignore
            options |= {"file": io.StringIO(), "ncols": COLUMNS}
        super().__init__(iterable, desc=desc, **options)

    def display(self, msg: str | None = None, pos: int | None = None) -> None:
        if self._output is None:
            super().display(msg, pos)
        else:
            text = str(self) if msg is None else msg
            self._output.update({"text/plain": text} if text else {}, raw=True)


def _in_notebook() -> bool:
    """Return whether this runs in a kernel, without importing IPython to find out."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    return hasattr(shell, "kernel")
