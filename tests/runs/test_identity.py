"""A run's name changes with whatever its result depends on, and with nothing else."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from smallscale.notebook import fingerprints
from smallscale.notebook.fingerprints import bare, contents_hash, modules
from smallscale.runs.catalogue import Notebook
from smallscale.runs.plan import Identifier, inputs_hash

Write = Callable[..., Path]


def name(path: Path, **parameters: object) -> str:
    inputs_hash.cache_clear()
    notebook = Notebook(path, "theme/nb")
    defaults = {n: p.default for n, p in notebook.parameters.items()}
    return Identifier(notebook).run({**defaults, **parameters})[0]


def test_it_is_the_file_name_and_twelve_digits_the_same_every_time(
    write: Write,
) -> None:
    path = write("theme/nb", "x = 1")
    assert re.fullmatch(r"nb-[0-9a-f]{12}", name(path))
    assert name(path) == name(path)


def test_it_changes_with_code_and_parameters_but_not_with_prose(write: Write) -> None:
    first = name(write("theme/nb", "x = 1"))
    assert name(write("theme/nb", "x = 2")) != first
    assert name(write("theme/nb", "x = 1", title="Another title")) == first
    assert name(write("theme/nb", "x = 1"), seed=1) != first


def test_data_counts_by_what_it_holds_and_not_by_where_it_lies(
    write: Write, tmp_path: Path
) -> None:
    path = write("theme/nb", "x = 1")
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "images").write_bytes(b"12")
    first = name(path, data=str(tmp_path / "a"))
    assert first != name(path)
    assert first == name(path, data=str(tmp_path / "b"))
    (tmp_path / "b" / "images").write_bytes(b"13")
    assert first != name(path, data=str(tmp_path / "b"))
    (tmp_path / "a" / "images").rename(tmp_path / "a" / "labels")
    assert first != name(path, data=str(tmp_path / "a"))


def test_contents_are_not_confused_by_moving_bytes_between_files(
    tmp_path: Path,
) -> None:
    hashes = set()
    for pair in (("ab", "c"), ("a", "bc"), ("abc", "")):
        for file, text in zip("xy", pair, strict=True):
            (tmp_path / file).write_text(text)
        hashes.add(contents_hash(tmp_path))
    assert len(hashes) == 3


def test_library_code_counts_without_comments_and_docstrings(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "smallscale"
    (package / "theme").mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "theme" / "__init__.py").write_text(
        "from smallscale.theme.method import f\n"
    )
    (package / "theme" / "other.py").write_text("y = 1\n")
    method = package / "theme" / "method.py"
    method.write_text('"""Doc."""\ndef f():\n    """Doc."""\n    return 1  # why\n')
    monkeypatch.setattr(fingerprints, "PACKAGE", package)
    path = write("theme/nb", "from smallscale.theme import f")
    first = name(path)
    method.write_text('def f():\n    """Other words."""\n\n    return 1\n')
    assert name(path) == first
    (package / "theme" / "other.py").write_text("y = 2\n")  # not imported
    assert name(path) == first
    method.write_text("def f():\n    return 2\n")
    assert name(path) != first


def test_data_files_beside_library_modules_count(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "smallscale"
    for theme in ("theme", "other"):
        (package / theme / "__pycache__").mkdir(parents=True)
        (package / theme / "__init__.py").write_text("x = 1\n")
        (package / theme / "words.txt").write_text("one")
    (package / "__init__.py").touch()
    monkeypatch.setattr(fingerprints, "PACKAGE", package)
    path = write("theme/nb", "import smallscale.theme")
    first = name(path)
    (package / "other" / "words.txt").write_text("two")  # not imported
    (package / "theme" / "__pycache__" / "x.pyc").write_text("two")
    assert name(path) == first
    (package / "theme" / "words.txt").write_text("two")
    assert name(path) != first


def test_a_module_beside_the_notebook_counts_too(write: Write) -> None:
    path = write("theme/nb", "def g():\n    import helper")
    (path.parent / "helper.py").write_text("x = 1\n")
    first = name(path)
    (path.parent / "helper.py").write_text("x = 2\n")
    assert name(path) != first


def test_versions_that_matter_count(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write("theme/nb", "x = 1")
    first = name(path)
    monkeypatch.setattr("smallscale.runs.plan.versions", lambda: {"torch": "0"})
    assert name(path) != first


def test_imports_are_followed_through_packages_relatives_and_functions() -> None:
    found = modules("def f():\n    from smallscale.notebook import disk_cache")
    assert {
        "smallscale",
        "smallscale.notebook",
        "smallscale.notebook.disk_cache",
        "smallscale.notebook.fingerprints",
    } <= set(found)
    assert "torch" not in found
    assert "smallscale.runs" not in found
    assert "smallscale.notebook.fingerprints" in modules(
        "from . import fingerprints", package="smallscale.notebook"
    )


def test_bare_keeps_what_a_program_does() -> None:
    assert bare("def f():\n    'doc'\n    return 1") == bare(
        "def f():\n    return 1  # one"
    )
    assert bare("x = 'doc'") != bare("x = 'dok'")
    assert bare("def f():\n    'doc'") == bare("def f():\n    pass")
