"""The source as it runs, with the method first."""

import ast
import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import smallscale.notebook.scale
from smallscale.notebook import Claims, at_scale, source
from smallscale.notebook.living_source import FOLDED, shorten
from tests.conftest import ROOT
from tests.notebook.conftest import Output

MODULES = sorted((ROOT / "lib" / "smallscale").rglob("*.py"))
WIDEST = 88  # columns


def test_the_file_the_signature_the_first_paragraph_the_body(
    shown: list[Output],
) -> None:
    source(at_scale)
    markdown = shown[0].data["text/markdown"]
    assert markdown.startswith(
        "`lib/smallscale/notebook/scale.py`\n\n```python\ndef at_scale("
    )
    code, rest = markdown.split("\n```\n")[:2]
    first, *others = inspect.getdoc(at_scale).split("\n\n")
    assert first in code
    for paragraph in others:
        assert paragraph not in code
        assert paragraph in rest
    assert code.endswith(inspect.getsource(at_scale).rstrip().splitlines()[-1])
    assert f"<details><summary>{FOLDED}</summary>\n\n```text\n" in rest
    assert markdown.endswith("\n```\n\n</details>")


def test_plain_text_has_the_code_then_the_rest(shown: list[Output]) -> None:
    source(at_scale)
    text = shown[0].data["text/plain"]
    assert text.startswith("def at_scale(")
    assert text.index("return next(") < text.index(FOLDED) < text.index("Raises ")


@pytest.mark.parametrize(
    ("obj", "begin"),
    [
        (Claims.add, "def add(\n    self,"),
        (Claims, "class Claims:"),
        (smallscale.notebook.scale, '"""How much work'),
    ],
)
def test_methods_classes_and_modules_have_a_source(
    obj: Any, begin: str, shown: list[Output]
) -> None:
    source(obj)
    assert shown[0].data["text/plain"].startswith(begin)


def test_the_rests_of_several_docstrings_are_told_apart(shown: list[Output]) -> None:
    source(Claims)
    rest = shown[0].data["text/plain"].split(FOLDED)[1]
    assert rest.index("Claims:\n\nscale: ") < rest.index("add:\n\nstatement: ")


CODE = '''\
@decorated  # above
def f(x):
    r"""First line, $\\alpha$,
    second line.

    The rest.

      - indented
    """  # behind

    # A comment
    text = """not a docstring

    """
    return x
'''
CUT = '''\
@decorated  # above
def f(x):
    r"""First line, $\\alpha$,
    second line.
    """  # behind

    # A comment
    text = """not a docstring

    """
    return x'''


def test_only_the_docstring_is_cut() -> None:
    assert shorten(CODE) == (CUT, ["The rest.\n\n  - indented"])


@pytest.mark.parametrize(
    ("docstring", "cut"),
    [
        ('"""One.\n\n    Two.\n    """', '"""One."""'),
        ("'''One.\n\n    Two.'''", "'''One.'''"),
        ('"""\n    One.\n\n    Two.\n    """', '"""\n    One.\n    """'),
        ('"""Says "so"\n\n    Two.\n    """', '"""Says "so"\n    """'),
        (f'"""{"x" * 79}\n\n    Two.\n    """', f'"""{"x" * 79}\n    """'),
        ('"""One.\n    """', '"""One.\n    """'),
        ('"""One.\n\n    """', '"""One.\n\n    """'),
        ('"One.\\n\\nTwo."', '"One.\\n\\nTwo."'),
        ('"""One.\n\n    """ """Two."""', '"""One.\n\n    """ """Two."""'),
    ],
)
def test_quotes_close_where_they_fit(docstring: str, cut: str) -> None:
    shown = shorten(f"def f():\n    {docstring}\n    return 1")
    assert shown.code == f"def f():\n    {cut}\n    return 1"


def test_what_is_no_statement_is_shown_as_it_stands() -> None:
    assert shorten("key=lambda x: x)").code == "key=lambda x: x)"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_the_code_shown_is_the_code_that_runs(path: Path) -> None:
    """Only docstrings differ, each is its own first paragraph, and no line grew."""
    text = path.read_text(encoding="utf-8")
    shown = shorten(text)
    before, after = ast.parse(text), ast.parse(shown.code)
    first = [docstring.split("\n\n")[0] for docstring in docstrings(before)]
    assert list(map(words, docstrings(after))) == list(map(words, first))
    assert ast.dump(undocumented(before)) == ast.dump(undocumented(after))
    written = set(text.splitlines())
    assert all(
        len(line) <= WIDEST for line in shown.code.splitlines() if line not in written
    )


DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def words(docstring: str) -> list[str]:
    """The words: of a formula in a block the indent may go with what stood below."""
    return docstring.split()


def docstrings(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, DOCUMENTED):
            yield ast.get_docstring(node) or ""


def undocumented(tree: ast.Module) -> ast.Module:
    for node in ast.walk(tree):
        if isinstance(node, DOCUMENTED):
            documented = ast.get_docstring(node) is not None
            node.body = node.body[1:] if documented else node.body
    return tree


def test_a_fence_inside_the_source_does_not_end_it(shown: list[Output]) -> None:
    def fenced() -> str:
        return "```"

    source(fenced)
    assert shown[0].data["text/markdown"].endswith("\n````")


@pytest.mark.parametrize("value", [3, len])
def test_what_has_no_source_is_refused(value: Any) -> None:
    with pytest.raises(ValueError, match="no source to show"):
        source(value)
