"""Can a model be asked as if it were elsewhere? It is served on this machine."""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.error import URLError
from urllib.request import ProxyHandler, build_opener

from smallscale.models.served import ServerFailed

LONGEST_START = 180  # seconds
STOP = 30  # seconds that a server has to end by itself


def serve_command() -> str | None:
    """Return the command `transformers` of this Python or of the path, or None."""
    beside = Path(sys.executable).parent
    path = f"{beside}{os.pathsep}{os.environ.get('PATH', '')}"
    return shutil.which("transformers", path=path)


@contextmanager
def serving(folder: str | os.PathLike[str]) -> Iterator[str]:
    """Start `transformers serve` for a saved model, and yield its address.

    folder: of the model and its tokenizer, which is also the model's name there. It
    listens on the loopback address alone, computes in float32 on the processor, and is
    stopped at the end, however that comes.
    Raises ServerFailed where there is no such command, and where it ends or does not
    answer, with what it said last.
    """
    command = serve_command()
    if command is None:
        raise ServerFailed(
            "transformers serve is missing: pip install 'smallscale[llm]'"
        )
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    asked = [command, "serve", str(folder), "--host", "127.0.0.1", "--port", str(port)]
    asked += ["--device", "cpu", "--dtype", "float32"]
    with tempfile.TemporaryDirectory() as home:
        (Path(home) / "hub").mkdir()
        log = Path(home) / "log"
        with log.open("w", encoding="utf-8") as stream:
            server = subprocess.Popen(
                asked,
                env={**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": home},
                stdout=stream,
                stderr=subprocess.STDOUT,
            )
        try:
            _wait_for(server, f"http://127.0.0.1:{port}/v1/models", log)
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            server.terminate()
            try:
                server.wait(timeout=STOP)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()


def _wait_for(server: subprocess.Popen[bytes], address: str, log: Path) -> None:
    """Return when the server answers; raise ServerFailed when it will not."""
    opener = build_opener(ProxyHandler({}))  # loopback is asked without a proxy
    end = time.monotonic() + LONGEST_START
    while time.monotonic() < end and server.poll() is None:
        try:
            with opener.open(address, timeout=1):
                return
        except (URLError, OSError):
            time.sleep(0.2)
    said = log.read_text(encoding="utf-8", errors="replace").strip()[-200:]
    raise ServerFailed(
        f"transformers serve did not answer: {said or 'it said nothing'}"
    )
