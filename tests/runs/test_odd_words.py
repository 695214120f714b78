"""Whatever words, folders and streams the command is given, it answers in one line."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import command

Write = Callable[..., Path]
Smallscale = Callable[..., subprocess.CompletedProcess[str]]

LONG = "a" * 300
posix = pytest.mark.skipif(sys.platform == "win32", reason="POSIX paths and streams")


@posix
@pytest.mark.parametrize(
    "words",
    [
        ["list", "~nobody-of-this-name/x"],
        ["list", LONG],
        ["list", "loop"],
        ["run", "~nobody-of-this-name/x"],
        ["run", "theme/nb", "--out", "~nobody-of-this-name/x"],
        ["run", "theme/nb", "--out", LONG],
        ["run", "theme/nb", "--out", "loop"],
        ["run", "theme/nb", "--out", ""],
        ["results", "--out", LONG],
        ["run", "theme/nb", "-p", f"data={LONG}"],
        ["run", "theme/nb", "-p", "data=loop"],
        ["run", "theme/nb", "-p", "eps=0:1:1e-999999999"],
        ["run", "theme/nb", "-p", "eps=0:1e99999999:1"],
        ["run", "theme/nb", "-p", "eps=0:1e999999999999999999999:1"],
        ["run", "theme/nb", "-p", "seed=0:1:1e-99999"],
        ["run", "theme/nb", "-p", "seed=\u0661\u0662"],
        ["run", "theme/nb", "-p", "seed=\u0661:\u0662:\u0661"],
        ["run", "theme/nb", "-p", "eps=\u0660.\u0661"],
    ],
)
def test_odd_words_are_refused_in_one_line(
    write: Write, smallscale: Smallscale, tmp_path: Path, words: list[str]
) -> None:
    write("theme/nb", "1")
    (tmp_path / "loop").symlink_to("loop")
    done = smallscale(*words)
    assert done.returncode == 2, done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert {path.name for path in tmp_path.iterdir()} == {"notebooks", "loop"}


@posix
def test_in_a_folder_that_is_gone_it_says_so(tmp_path: Path) -> None:
    for words in (["list"], ["run", "all"], ["results"]):
        shell = 'mkdir gone && cd gone && rmdir ../gone && exec "$@"'
        done = subprocess.run(
            ["sh", "-c", shell, "sh", *command(*words)],
            cwd=tmp_path,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 2
        assert done.stderr.endswith("is gone; go to another\n")
        assert len(done.stderr.splitlines()) == 1


@posix
def test_what_is_no_file_is_named_and_the_other_notebooks_go_on(
    write: Write, smallscale: Smallscale, tmp_path: Path
) -> None:
    folder = write("theme/nb", "1").parent
    (folder / "dangling.ipynb").symlink_to("nowhere")
    (folder / "folder.ipynb").mkdir()
    (folder / "broken.ipynb").write_text("{")
    listed = smallscale("list")
    assert listed.returncode == 0
    assert listed.stdout.split() == ["theme/nb", "A", "title"]
    for name in ("dangling", "folder", "broken"):
        assert f"{name}.ipynb" in listed.stderr
    (folder / "broken.ipynb").unlink()
    done = smallscale("run", "theme")
    assert done.returncode == 0
    assert "1 run, 0 failed" in done.stdout
    assert len(done.stderr.splitlines()) == 2
    assert not smallscale("run", "theme/nb").stderr


@pytest.mark.skipif(sys.platform != "linux", reason="file names are bytes there")
def test_a_notebook_whose_name_is_not_utf_8_is_refused_before_it_runs(
    write: Write, smallscale: Smallscale, tmp_path: Path
) -> None:
    path = write("theme/nb", "1")
    odd = os.fsdecode(b"caf\xe9.ipynb")
    (path.parent / odd).write_bytes(path.read_bytes())
    (tmp_path / odd).write_bytes(path.read_bytes())
    refused = smallscale("run", odd)
    assert refused.returncode == 2
    assert "not UTF-8" in refused.stderr
    assert not (tmp_path / "results").exists()
    assert smallscale("run", "all").returncode == 0


@posix
@pytest.mark.parametrize("redirection", [">&-", "<&- >&- 2>&-", "> /dev/full"])
def test_output_that_leads_nowhere_is_no_traceback(
    write: Write, tmp_path: Path, redirection: str
) -> None:
    if "full" in redirection and not Path("/dev/full").exists():
        pytest.skip("there is no /dev/full")
    write("theme/nb", "print(1)")
    for words in (["list"], ["run", "all", "--cold"]):
        done = subprocess.run(
            ["sh", "-c", f'exec "$@" {redirection}', "sh", *command(*words)],
            cwd=tmp_path,
            capture_output=True,
            text=True,
        )
        assert done.returncode == ("full" in redirection)
        assert len(done.stderr.splitlines()) == ("full" in redirection)


@posix
def test_a_reader_that_goes_ends_the_sweep_with_a_word(
    write: Write, tmp_path: Path
) -> None:
    write("theme/nb", "import time; time.sleep(0.2)")
    process = subprocess.Popen(
        command("run", "all", "-p", "seed=0,1,2,3,4"),
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    assert process.stderr
    process.stdout.readline()
    process.stdout.close()
    errors = process.stderr.read()
    assert process.wait() == 1
    assert "interrupted: 1 of 5 runs are kept in results" in errors
    assert len(errors.splitlines()) == 1
    assert len((tmp_path / "results" / "runs.jsonl").read_text().splitlines()) == 1


@posix
def test_sigterm_while_it_plans_is_one_line_and_exit_143(
    write: Write, tmp_path: Path
) -> None:
    write("theme/nb", "1")
    data = tmp_path / "data"
    data.mkdir()
    with (data / "large").open("wb") as file:
        file.truncate(1 << 36)  # takes a while to hash, and no room on the disk
    process = subprocess.Popen(
        command("run", "all", "-p", "data=data"),
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    time.sleep(3)
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 143
    assert errors == "smallscale: terminated\n"
