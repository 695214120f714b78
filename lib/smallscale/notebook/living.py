"""What does the code really say? The source as it runs, so that text and code cannot drift apart."""

import inspect
import re
import textwrap
from pathlib import Path
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
    module = inspect.getmodule(obj)
    where = _place(module.__name__, Path(inspect.getsourcefile(obj) or "")) if module else ""
    # Longer than any fence inside the source, as CommonMark wants it.
    fence = "`" * (1 + max([2, *map(len, re.findall(r"`+", text))]))
    heading = f"`{where}`\n\n" if where else ""
    bundle = {"text/markdown": f"{heading}{fence}python\n{text}\n{fence}", "text/plain": text}
    display(bundle, raw=True)


def _place(module: str, file: Path) -> str:
    """The file as one finds it in the checkout, free of this machine's folders: lib/smallscale/…"""
    depth = module.count(".") + 1 + (file.name == "__init__.py")
    if module == "__main__" or depth > len(file.parts):
        return ""
    inside = "/".join(file.parts[-depth:])
    return f"lib/{inside}" if module.split(".")[0] == "smallscale" else inside
