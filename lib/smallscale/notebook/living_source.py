"""What does the code really say? The source as it runs, so that text and code cannot drift apart."""

import inspect
import re
import textwrap
from typing import Any

from IPython.display import display


def source(obj: Any) -> None:
    """Show the living source of a function, class or module, highlighted, with the file it stands in.

    Raises ValueError where Python keeps no source: for a value, or something built in.
    """
    obj = inspect.unwrap(obj) if callable(obj) else obj
    try:
        text = textwrap.dedent(inspect.getsource(obj)).rstrip()
    except (TypeError, OSError) as error:
        name = getattr(obj, "__name__", type(obj).__name__)
        raise ValueError(
            f"source shows a function, class or module written in Python; {name!r} has no source to show"
        ) from error
    # Longer than any fence inside the source, as CommonMark wants it.
    fence = "`" * (1 + max([2, *map(len, re.findall(r"`+", text))]))
    bundle = {
        "text/markdown": f"{_place(obj)}{fence}python\n{text}\n{fence}",
        "text/plain": text,
    }
    display(bundle, raw=True)


def _place(obj: Any) -> str:
    """The file as one finds it in the checkout, free of this machine's folders: lib/smallscale/…"""
    module = inspect.getmodule(obj)
    if module is None or module.__name__ == "__main__":
        return ""
    inside = module.__name__.replace(".", "/") + (
        "/__init__.py" if hasattr(module, "__path__") else ".py"
    )
    return (
        f"`lib/{inside}`\n\n" if inside.startswith("smallscale/") else f"`{inside}`\n\n"
    )
