"""Inside a kernel: what did this run need, and is the command that started it still there?"""

import atexit
import json
import os
import signal
import sys
import threading
import time
from contextlib import suppress


def report() -> str:
    """The kernel's peak memory in MB (its largest child's added) and its GPU's name, as JSON."""
    torch = sys.modules.get("torch")
    gpu = torch.cuda.get_device_name() if torch and torch.cuda.is_available() else None
    return json.dumps({"peak_mb": _peak_mb(), "gpu": gpu})


def _peak_mb() -> float:
    if sys.platform == "win32":
        import psutil

        return psutil.Process().memory_info().peak_wset / 1e6
    import resource

    unit = 1 if sys.platform == "darwin" else 1024  # macOS counts bytes, Linux KiB
    own, child = (
        resource.getrusage(who).ru_maxrss
        for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    return round((own + child) * unit / 1e6, 1)


def end_with_parent() -> None:
    """An ordinary kernel's lifeline (POSIX): when it ends or the command is gone, everything it started ends too."""
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
    """Kill every process below this one, or below the one with this id."""
    import psutil

    with suppress(psutil.Error):
        for process in psutil.Process(pid).children(recursive=True):
            with suppress(psutil.Error):
                process.kill()
