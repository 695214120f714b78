"""Is the standard library's code the same text everywhere, and code alone?"""

import sysconfig
from hashlib import sha256
from pathlib import Path

import pytest

from smallscale.datasets import source_code
from smallscale.datasets.source_code import stdlib_modules

SIZE = 60_000  # characters


def test_the_corpus_is_code_and_always_the_same() -> None:
    modules = stdlib_modules(SIZE)
    assert sum(map(len, modules)) >= SIZE
    assert modules == stdlib_modules.__wrapped__(SIZE)
    assert stdlib_modules(2 * SIZE)[: len(modules)] == modules
    for text in modules:
        assert text.isascii()
        for line in text.split("\n"):
            assert len(line) <= 120
            assert line.strip()[0] not in "#'\""  # neither comments nor docstrings


def test_modules_come_in_an_order_that_no_file_system_decides(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    root = Path(sysconfig.get_paths()["stdlib"])
    monkeypatch.setattr(
        source_code, "_plain_source", lambda file: file.relative_to(root).as_posix()
    )
    names = stdlib_modules.__wrapped__(2000)
    assert len(names) > 50
    assert list(names) == sorted(names, key=lambda name: sha256(name.encode()).digest())
