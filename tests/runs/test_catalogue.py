"""Is the notebook found that was meant, by whatever name it is asked for?"""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from smallscale.runs import Refused, catalogue
from smallscale.runs.catalogue import choose, find_all
from tests.conftest import ROOT

Write = Callable[..., Path]
Smallscale = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def folder(write: Write, tmp_path: Path) -> Path:
    """A folder with three notebooks in two themes, and one that lies outside."""
    for name in ("images/attack", "images/defence", "text/attack"):
        write(name, "1")
    outside = tmp_path / "outside.ipynb"
    outside.write_bytes(write("images/attack", "1").read_bytes())
    return tmp_path


@pytest.mark.parametrize(
    ("words", "names"),
    [
        (["all"], ["images/attack", "images/defence", "text/attack"]),
        (["images"], ["images/attack", "images/defence"]),
        (["images/"], ["images/attack", "images/defence"]),
        (["text/attack", "images/attack"], ["text/attack", "images/attack"]),
        (["images/attack.ipynb"], ["images/attack"]),
        (["notebooks/images/attack.ipynb"], ["images/attack"]),
        (["defence"], ["images/defence"]),
        (["outside.ipynb"], ["outside"]),
        (["images/defence", "images"], ["images/defence", "images/attack"]),
    ],
)
def test_notebooks_are_asked_for_by_path_name_last_part_theme_or_all(
    folder: Path, words: list[str], names: list[str]
) -> None:
    assert [notebook.name for notebook in choose(words, folder)] == names


@pytest.mark.parametrize(
    ("word", "message"),
    [
        (
            "images/atack",
            "there is no notebook 'images/atack' (did you mean 'images/attack'?); "
            "`smallscale list` prints them",
        ),
        (
            "imges",
            "there is no notebook 'imges' (did you mean 'images'?); "
            "`smallscale list` prints them",
        ),
        (
            "attack",  # the last part of two names
            "'attack' may be images/attack or text/attack; write one of these names",
        ),
        ("xyz", "there is no notebook 'xyz'; `smallscale list` prints them"),
    ],
)
def test_what_is_not_there_is_refused_with_the_nearest_name(
    folder: Path, word: str, message: str
) -> None:
    with pytest.raises(Refused) as refusal:
        choose([word], folder)
    assert str(refusal.value) == message


def test_themes_are_the_folders_there_are(write: Write, tmp_path: Path) -> None:
    write("a-new-theme/nb", "1")
    (notebook,) = choose(["a-new-theme"], tmp_path)
    assert notebook.name == "a-new-theme/nb"


def test_checkpoints_are_no_notebooks(write: Write, tmp_path: Path) -> None:
    write("theme/nb", "1")
    write("theme/.ipynb_checkpoints/nb-checkpoint", "1")
    assert list(find_all(tmp_path)) == ["theme/nb"]


# ---- notebooks that have moved -------------------------------------------------------

OLD = "dpo/collective-constitution"
NEW = "values/collective-constitution"


def test_every_name_that_has_moved_leads_to_a_notebook_that_is_there() -> None:
    known = find_all(ROOT)
    for old, new in catalogue.MOVED.items():
        assert old not in known
        assert new in known


@pytest.mark.parametrize(
    "word", [OLD, f"{OLD}.ipynb", f"notebooks/{OLD}.ipynb", f"./notebooks/{OLD}.ipynb"]
)
def test_a_notebook_that_has_moved_answers_to_its_old_name_and_says_where_it_went(
    write: Write, smallscale: Smallscale, word: str
) -> None:
    write(NEW, "1", title="On constitutions")
    listed = smallscale("list", word)
    assert listed.returncode == 0
    assert listed.stdout.startswith(f"{NEW}  On constitutions\n")
    assert listed.stderr == f"smallscale: {word} has moved: it is {NEW} now\n"


def test_a_notebook_that_has_moved_runs_under_its_old_name(
    write: Write, smallscale: Smallscale
) -> None:
    write(NEW, "1")
    ran = smallscale("run", OLD)
    assert ran.returncode == 0
    assert "1 run, 0 failed" in ran.stdout
    assert ran.stderr == f"smallscale: {OLD} has moved: it is {NEW} now\n"
    again = smallscale("run", NEW)
    assert "nothing to do: 1 run completed before" in again.stdout
    assert not again.stderr


def test_a_notebook_that_stands_under_the_old_name_is_itself(
    write: Write, tmp_path: Path
) -> None:
    write(OLD, "1")
    write(NEW, "2")
    told: list[str] = []
    (notebook,) = choose([OLD], tmp_path, told.append)
    assert notebook.name == OLD
    assert not told


def test_a_name_that_has_moved_to_where_nothing_stands_is_refused(
    write: Write, tmp_path: Path
) -> None:
    write("theme/nb", "1")
    with pytest.raises(Refused, match=f"there is no notebook '{OLD}'"):
        choose([OLD], tmp_path)
