"""How is Python read where several threads may do so at once? One after another."""

import ast
import threading
from typing import Any

_ONE_AT_A_TIME = threading.RLock()


def parsed(source: str | bytes) -> ast.Module:
    """Return Python source as a syntax tree, as `ast.parse` does.

    Raises SyntaxError, ValueError, RecursionError or MemoryError where it is none.

    CPython before 3.13 counts the depth of the tree that it makes in one place for all
    threads. Where another thread is let in meanwhile, as a callback of the garbage
    collector does, both may end with "SystemError: AST constructor recursion depth
    mismatch".
    """
    with _ONE_AT_A_TIME:
        return ast.parse(source)


def literal(source: str) -> Any:
    """Return the value of a literal, as `ast.literal_eval` does.

    Raises what `parsed` raises; ValueError for what is no literal.
    """
    with _ONE_AT_A_TIME:
        return ast.literal_eval(source)
