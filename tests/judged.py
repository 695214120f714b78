"""One execution serves two readers: nbval compares outputs, here claims must hold.

A plugin for pytest, beside nbval: `-p tests.judged`.
"""

from collections.abc import Generator, Iterable
from typing import Any

import pytest

CLAIMS = "application/vnd.smallscale.claims+json"


def fallen(outputs: Iterable[Any]) -> list[str]:
    """The judged claims of a cell that do not hold, each with what was measured."""
    records = [
        output["data"][CLAIMS] for output in outputs if CLAIMS in output.get("data", {})
    ]
    return [
        f"{claim['statement']} (measured: {claim['measured']})"
        for record in records
        for claim in record["claims"]
        if claim["judged"] and not claim["holds"]
    ]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, Any, Any]:
    """After nbval has executed a cell, read the claims that it showed."""
    result = yield
    down = fallen(getattr(item, "test_outputs", None) or [])
    assert not down, "these claims did not hold:\n" + "\n".join(down)
    return result
