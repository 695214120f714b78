"""Does one bad file, word or output end a sweep? It is one failed run, or one line."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import command

Write = Callable[..., Path]
Smallscale = Callable[..., subprocess.CompletedProcess[str]]


def test_bad_helpers_claims_and_outputs_fail_their_runs_and_no_other(
    write: Write, smallscale: Smallscale, tmp_path: Path
) -> None:
    claims = "from smallscale.notebook.claims import CLAIMS\n"
    shows = "from IPython.display import display\n"
    for name, content in {
        "broken": b"def (",
        "latin": b"x = '\xe9'",
        "null": b"x = 1\0",
    }.items():
        path = write(f"bad/{name}", f"import own_{name}")
        (path.parent / f"own_{name}.py").write_bytes(content)
    write("bad/claims", f"{claims}{shows}display({{CLAIMS: 'none'}}, raw=True)")
    write("bad/error", "raise ValueError('1%|2/3 [' * 400_000)")
    write("good/line", "print('1%|2/3 [' * 10_000)\nprint('\\udcff')")
    write("good/plain", "1")
    done = smallscale("run", "all")
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    assert "7 runs, 5 failed" in done.stdout
    assert len(done.stdout) < 10_000
    for place in (tmp_path / "results" / "runs").iterdir():
        record = json.loads((place / "run.json").read_text())
        good = record["notebook"].startswith("good/")
        assert (record["status"] == "completed") == good
        assert len(record["error"]) < 20_000


@pytest.mark.skipif(sys.platform != "linux", reason="words of the command are bytes")
@pytest.mark.parametrize("word", [b"data=\xff", b"name\xff=1", b"scale=\xff"])
def test_a_word_that_is_not_utf_8_is_refused_in_one_line(
    write: Write, tmp_path: Path, word: bytes
) -> None:
    write("theme/nb", "1")
    words: list[str | bytes] = [*command("run", "all", "-p"), word]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "results").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX permissions")
def test_what_cannot_be_read_is_refused_in_one_line(
    write: Write, smallscale: Smallscale, tmp_path: Path
) -> None:
    if os.geteuid() == 0:
        pytest.skip("root reads everything")
    write("theme/nb", "1")
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "x").touch(mode=0)
    done = smallscale("run", "all", "-p", "data=images")
    assert done.returncode == 2
    assert "data=" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_bad_record_is_one_line_and_the_others_stand(
    write: Write, smallscale: Smallscale, tmp_path: Path
) -> None:
    write("theme/nb", "1")
    assert smallscale("run", "all", "-p", "seed=0,1,2,3").returncode == 0
    files = sorted(tmp_path.glob("results/runs/*/run.json"))
    files[0].write_bytes(b"\xff\xfe")
    files[1].write_text("[" * 100_000)
    files[2].unlink()
    files[2].mkdir()
    done = smallscale("results")
    assert done.returncode == 0
    assert len(done.stdout.splitlines()) == 2
    assert len(done.stderr.splitlines()) == 3
    assert "is damaged and does not count" in done.stderr


@pytest.mark.parametrize("words", [[], ["--cold"]])
def test_runs_side_by_side_write_into_folders_of_their_own(
    write: Write, smallscale: Smallscale, tmp_path: Path, words: list[str]
) -> None:
    write(
        "theme/nb",
        "import os, subprocess, time\nfrom pathlib import Path",
        "mine = Path(os.environ['SMALLSCALE_RUN_FOLDER'])\n"
        "(mine / 'out.txt').write_text(str(seed))\n"
        "time.sleep(1)\n"
        "subprocess.run('echo >> \"$SMALLSCALE_RUN_FOLDER/out.txt\"', shell=True)\n"
        "if seed == 2: raise ValueError",
    )
    smallscale("run", "all", "-p", "seed=0,1,2", "--workers", "3", *words)
    kept = {}
    for path in tmp_path.glob("results/runs/*/run.json"):
        record = json.loads(path.read_text())
        text = (path.parent / "files" / "out.txt").read_text()
        kept[record["parameters"]["seed"]] = (record["status"], text)
    assert kept == {
        0: ("completed", "0\n"),
        1: ("completed", "1\n"),
        2: ("failed", "2\n"),
    }
    assert not list(tmp_path.rglob("notebooks/**/out.txt"))
