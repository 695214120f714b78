"""What does the code really say? The source as it runs: text and code cannot drift."""

import ast
import inspect
import re
import textwrap
from typing import Any, NamedTuple

from smallscale.core.syntax import parsed
from smallscale.notebook.output import show_output

COLUMNS = 88  # a docstring that is cut stays within the width of all code here
FOLDED = "Shapes, units, errors, source"

# A triple-quoted string as it stands in the source: its prefix, its quotes.
_OPENING = re.compile(r"[rRuU]?(\"\"\"|''')")

_Documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


class Shown(NamedTuple):
    """The source of an object, its docstrings cut to their first paragraphs."""

    code: str
    details: list[str]  # what was cut from each docstring, in the order of the code


def source(obj: Any) -> None:
    """Show the living source of a function, method, class or module, highlighted.

    Above it stands the file it comes from. Of a docstring the code shows the first
    paragraph; the rest is folded below the code.

    Raises ValueError where Python keeps no source: for a value, or something built in.
    """
    obj = inspect.unwrap(obj) if callable(obj) else obj
    try:
        text = textwrap.dedent(inspect.getsource(obj)).rstrip()
    except (TypeError, OSError) as error:
        name = getattr(obj, "__name__", type(obj).__name__)
        raise ValueError(
            "source shows a function, class or module written in Python; "
            f"{name!r} has no source to show"
        ) from error
    shown = shorten(text)
    # Markdown rather than HTML: JupyterLab, GitHub and our pages all highlight it.
    markdown = _place(obj) + _fenced(shown.code, "python")
    plain = shown.code
    if shown.details:
        rest = "\n\n".join(shown.details)
        markdown += (
            f"\n\n<details><summary>{FOLDED}</summary>\n\n"
            f"{_fenced(rest, 'text')}\n\n</details>"
        )
        plain += f"\n\n{FOLDED}:\n\n{rest}"
    show_output({"text/markdown": markdown, "text/plain": plain})


def shorten(text: str) -> Shown:
    """Cut each docstring of a piece of source to its first paragraph.

    text: the source, starting in the first column. Nothing but docstrings changes:
    comments, blank lines and strings stay as they are written.
    """
    try:
        tree = parsed(text)
    except SyntaxError:  # a lambda's line, say, which is no statement of its own
        return Shown(text, [])
    lines = text.splitlines()
    details: list[str] = []
    nodes = [node for node in ast.walk(tree) if isinstance(node, _Documented)]
    several = sum(ast.get_docstring(node) is not None for node in nodes) > 1
    # From the last to the first: a cut leaves the lines above it where they are.
    for node in sorted(nodes, key=_first_line, reverse=True):
        rest = _cut(lines, node)
        if rest:
            name = getattr(node, "name", "")
            details.append(f"{name}:\n\n{rest}" if several and name else rest)
    return Shown("\n".join(lines), details[::-1])


def _first_line(node: _Documented) -> int:
    return node.body[0].lineno if node.body else 0


def _cut(lines: list[str], node: _Documented) -> str:
    """Cut the docstring of `node` in `lines`, in place; return what was cut, if any."""
    if ast.get_docstring(node) is None:
        return ""
    literal = node.body[0]
    first, last = literal.lineno - 1, (literal.end_lineno or literal.lineno) - 1
    opening = _OPENING.match(lines[first].lstrip())
    written = "\n".join(lines[first : last + 1])
    if opening is None or written.count(opening[1]) != 2:
        return ""  # strings side by side, or on one line: shown whole
    # The paragraph ends above the first blank line; quotes on a line of their own count
    # as text, so that a docstring may start on the line below them.
    end = first + 1
    while end <= last and lines[end].strip():
        end += 1
    if end > last:
        return ""  # one paragraph is all there is
    rest = inspect.cleandoc(
        "\n" + "\n".join(lines[end : last + 1]).rpartition(opening[1])[0]
    )
    if not rest.strip():
        return ""
    after = lines[last].rpartition(opening[1])[2]  # a comment behind the quotes
    kept = lines[first:end]
    closing = opening[1] + after
    if len(kept) == 1 and len(kept[0] + closing) <= COLUMNS and kept[0][-1] != '"':
        kept[0] += closing
    else:
        indent = lines[first][: len(lines[first]) - len(lines[first].lstrip())]
        kept.append(indent + closing)
    lines[first : last + 1] = kept
    return rest


def _fenced(text: str, language: str) -> str:
    # Longer than any fence inside the text, as CommonMark wants it.
    fence = "`" * (1 + max([2, *map(len, re.findall(r"`+", text))]))
    return f"{fence}{language}\n{text}\n{fence}"


def _place(obj: Any) -> str:
    """Return the file as one finds it in the checkout, not on this machine."""
    module = inspect.getmodule(obj)
    if module is None or module.__name__ == "__main__":
        return ""
    file = module.__name__.replace(".", "/")
    file += "/__init__.py" if hasattr(module, "__path__") else ".py"
    if file.startswith("smallscale/"):
        file = f"lib/{file}"
    return f"`{file}`\n\n"
