"""Does a signal end the command with a word while it is still being imported?"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import environment

pytestmark = pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")

# In place of typer, which the command imports: it tells that it is, and goes on.
SLOW = """\
import pathlib, time
pathlib.Path(__file__).with_name("here").touch()
try:
    time.sleep(60)
except BaseException:  # as some modules do that are imported
    time.sleep(60)
"""


def heed() -> None:
    """Be as a command in the foreground is, also where the tests are not."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


def ended(
    tmp_path: Path, number: int, before: Callable[[], object] = heed
) -> subprocess.CompletedProcess[bytes]:
    """Send a signal while the command is importing, and return how it ended."""
    (tmp_path / "typer.py").write_text(SLOW)
    path = os.pathsep.join([str(tmp_path), *sys.path])
    process = subprocess.Popen(
        [sys.executable, "-m", "smallscale.runs", "--version"],
        env={**environment(), "PYTHONPATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        preexec_fn=before,
    )
    try:
        for _ in range(600):
            if (tmp_path / "here").exists():
                break
            time.sleep(0.05)
        process.send_signal(number)
        out, err = process.communicate(timeout=10)
    finally:
        process.kill()
    return subprocess.CompletedProcess([], process.returncode, out, err)


@pytest.mark.parametrize(
    ("number", "word"),
    [(signal.SIGTERM, b"terminated"), (signal.SIGINT, b"interrupted")],
)
def test_a_signal_that_comes_early_ends_it_with_a_line(
    tmp_path: Path, number: int, word: bytes
) -> None:
    done = ended(tmp_path, number)
    assert done.returncode == 128 + number
    assert done.stderr == b"smallscale: " + word + b"\n"
    assert done.stdout == b""


def test_what_a_caller_ignores_stays_ignored(tmp_path: Path) -> None:
    def ignore() -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)

    with pytest.raises(subprocess.TimeoutExpired):
        ended(tmp_path, signal.SIGINT, ignore)


def test_the_command_finds_the_signals_as_they_were() -> None:
    code = (
        "import signal; from smallscale.runs import command, entry\n"
        "command.main = lambda: print(signal.getsignal(signal.SIGINT) is "
        "signal.default_int_handler, signal.getsignal(signal.SIGTERM) is "
        "signal.SIG_DFL)\n"
        "entry.main()"
    )
    words = [sys.executable, "-c", code]
    done = subprocess.run(
        words, env=environment(), preexec_fn=heed, capture_output=True, text=True
    )
    assert done.stdout == "True True\n", done.stderr
