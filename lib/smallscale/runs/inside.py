"""What did this run need? Asked inside the kernel, when its last cell is done."""

import json
import sys


def report() -> str:
    """The kernel's peak memory in MB (its largest child's added) and its GPU's name, as JSON."""
    gpu = None
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        gpu = torch.cuda.get_device_name()
    return json.dumps({"peak_mb": _peak_mb(), "gpu": gpu})


def _peak_mb() -> float:
    if sys.platform == "win32":
        import psutil

        return psutil.Process().memory_info().peak_wset / 1e6
    import resource

    unit = 1 if sys.platform == "darwin" else 1024  # macOS counts bytes, Linux KiB
    own, child = (resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return round((own + child) * unit / 1e6, 1)
