"""What runs inside a kernel: a report on itself, and its end when the command ends."""

import atexit
import json
import os
import signal
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path


def report(places: list[str]) -> str:
    """Return as JSON what the kernel used.

    That is its peak memory in MB, the name of its GPU, if any, and the files of the
    modules it has loaded, those below one of these places (or of this package) aside.
    """
    torch = sys.modules.get("torch")
    gpu = torch.cuda.get_device_name() if torch and torch.cuda.is_available() else None
    files = _files([*places, str(Path(__file__).parents[1])])
    return json.dumps({"peak_mb": _peak_mb(), "gpu": gpu, "files": files})


def _files(places: list[str]) -> list[str]:
    """Return the files of the loaded modules that lie below none of these places.

    A module without a spec was not imported but made on the spot, by code that counts.
    """
    known = tuple(place + os.sep for place in places)
    files = set()
    for module in list(sys.modules.values()):
        file = getattr(module, "__file__", None)
        if isinstance(file, str) and getattr(module, "__spec__", None):
            path = os.path.abspath(file)
            by_link = os.path.realpath(file)
            if not (path.startswith(known) or by_link.startswith(known)):
                files.add(path)
    return sorted(files)


def _peak_mb() -> float:
    """Return the peak memory of this process plus that of its largest child, in MB."""
    if sys.platform == "win32":
        import psutil

        return psutil.Process().memory_info().peak_wset / 1e6
    import resource

    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    child = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    unit = 1 if sys.platform == "darwin" else 1024  # macOS counts bytes, Linux KiB
    return round((own + child) * unit / 1e6, 1)


def end_with_parent() -> None:
    """Tie an ordinary kernel to the command that started it (POSIX).

    When the kernel ends, everything it started ends with it; when the command is gone,
    the kernel ends too.
    """
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.2)
        end_all()

    threading.Thread(target=watch, daemon=True, name="lifeline").start()
    atexit.register(kill_descendants)


def end_all() -> None:
    """End this process, its group and its descendants."""
    kill_descendants()
    os.killpg(0, signal.SIGKILL)


def kill_descendants(pid: int | None = None) -> None:
    """Kill every process below the one with this id, or below this one."""
    import psutil

    with suppress(psutil.Error):
        for process in psutil.Process(pid).children(recursive=True):
            with suppress(psutil.Error):
                process.kill()
