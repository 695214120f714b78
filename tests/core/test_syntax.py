"""Python is read by several threads at once."""

import ast
import gc
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from smallscale.core.syntax import literal, parsed

FUNCTION = "def f(a, b=[1, {'x': (a if a else b)}]):\n    return [g(a)[b] + 1]\n"
SOURCE = FUNCTION * 200
TEXT = f"[{', '.join(['(1, [2, {3: (4, 5)}])'] * 400)}]"


@pytest.fixture
def interrupted_collector() -> Iterator[None]:
    """Let other threads in whenever garbage is collected, as Dask's diagnosis does."""

    def let_in(phase: str, info: dict[str, int]) -> None:
        time.sleep(1e-4)

    gc.callbacks.append(let_in)
    yield
    gc.callbacks.remove(let_in)


@pytest.mark.usefixtures("interrupted_collector")
@pytest.mark.parametrize(("read", "text"), [(parsed, SOURCE), (literal, TEXT)])
def test_threads_read_side_by_side(read: Callable[[str], object], text: str) -> None:
    def dumped(tree: object) -> object:
        return ast.dump(tree) if isinstance(tree, ast.AST) else tree

    wanted = dumped(read(text))
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(read, [text] * 40))
    assert all(dumped(tree) == wanted for tree in found[::10])


def test_what_is_no_python_is_refused_as_by_the_standard_library() -> None:
    with pytest.raises(SyntaxError):
        parsed("def")
    with pytest.raises(ValueError, match="malformed node"):
        literal("f(1)")
    assert parsed(b"x = 1").body
