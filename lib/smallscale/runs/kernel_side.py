"""What runs inside a kernel: a report on itself, and its end when the command ends."""

import atexit
import json
import os
import signal
import sys
import threading
import time
from contextlib import suppress


def report() -> str:
    """Return as JSON the kernel's peak memory in MB and the name of its GPU, if any."""
    torch = sys.modules.get("torch")
    gpu = torch.cuda.get_device_name() if torch and torch.cuda.is_available() else None
    return json.dumps({"peak_mb": _peak_mb(), "gpu": gpu})


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
