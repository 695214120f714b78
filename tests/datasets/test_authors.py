"""Is each text its author's, and is code all that is kept of the standard library?"""

from pathlib import Path

import pytest

from smallscale.datasets.authors import CONTRIBUTORS, authors, bare_code


def test_the_standard_library_by_its_packages() -> None:
    found = authors()
    assert list(found.texts) == list(CONTRIBUTORS)
    for texts in found.texts.values():
        assert sum(map(len, texts.values())) > 150_000
        assert all(text.strip() and text.isascii() for text in texts.values())
    everything = [
        name for texts in [*found.texts.values(), found.elsewhere] for name in texts
    ]
    assert len(everything) == len(set(everything))
    assert not any("/test" in name for name in everything)
    assert len(found.elsewhere) > 20


def test_bare_code_keeps_code_alone() -> None:
    text = (
        '"""Doc."""\n# a comment\n\ndef f(x):\n    """Doc."""\n\n'
        'class A:\n    "doc"\n    y = (1 +\n  2)\n    z = "é"\n'
    )
    assert bare_code(text) == "def f(x):\n    pass\nclass A:\n    y = 1 + 2\n"
    assert bare_code("") == ""
    assert bare_code('def f():\n    ""\n') == "def f():\n    pass\n"
    assert bare_code(f"x = {'1' * 116}\ny = {'1' * 117}\n") == f"x = {'1' * 116}\n"
    with pytest.raises(SyntaxError):
        bare_code("def")


def folder_of(tmp_path: Path, texts: dict[str, str | bytes]) -> Path:
    for name, text in texts.items():
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return tmp_path


def test_a_folder_of_authors(tmp_path: Path) -> None:
    five = "one\ntwo\nthree\nfour\nfive\n"
    folder = folder_of(
        tmp_path,
        {
            "ann/a.txt": five,
            "ann/deep/b.md": "short",
            "ann/.hidden": "no",
            "ann/picture.png": b"\x89PNG\xff\0",
            "ann/nul.txt": b"a\0b",
            "bob/<b>.txt": "é, not run: __import__('os')",
            ".git/config": "no",
            "loose.txt": "no author",
        },
    )
    (tmp_path / "bob" / "link.txt").symlink_to(tmp_path / "ann" / "a.txt")
    (tmp_path / "bob" / "up").symlink_to(tmp_path / "ann")
    found = authors(folder)
    assert found.texts == {
        "ann": {"a.txt": "one\ntwo\nthree\nfour\n", "deep/b.md": "short"},
        "bob": {"<b>.txt": "é, not run: __import__('os')"},
    }
    assert found.elsewhere == {"ann/a.txt": "five\n"}
    assert found.name == tmp_path.name


def test_folders_that_are_not_several_authors_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="is not a folder"):
        authors(tmp_path / "none")
    with pytest.raises(ValueError, match="2 to 10 subfolders"):
        authors(folder_of(tmp_path, {"only/a.txt": "text"}))
    with pytest.raises(ValueError, match=r"empty.* holds no text"):
        authors(folder_of(tmp_path, {"empty/a.txt": " \n"}))
    folder_of(tmp_path, {f"{k}/a.txt": "text" for k in range(11)})
    with pytest.raises(ValueError, match="2 to 10 subfolders"):
        authors(tmp_path)
