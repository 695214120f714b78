"""What has this machine, and what is missing for which notebook?"""

import importlib.metadata
import os
import platform
import re
import shutil
import sys
from collections.abc import Iterable, Iterator

import psutil

from smallscale.runs import Refused, warm
from smallscale.runs.catalogue import Notebook

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
GIB = 2**30


def examine(notebooks: Iterable[Notebook]) -> Iterator[str]:
    """Yield one line for each finding."""
    system = f"{platform.system()} {platform.machine()}"
    memory = psutil.virtual_memory()
    free = f"{memory.available / GIB:.1f} free"
    yield f"python        {platform.python_version()} on {system}"
    yield f"cores         {os.cpu_count()}"
    yield f"memory        {memory.total / GIB:.1f} GiB, {free}"
    yield f"GPU           {_gpu()}"
    yield f"browser       {_browser()}"
    yield f"warm kernels  {_warm_kernels()}"
    yield f"smollm2       {_language_model()}"
    extras = _missing_by_extra()
    for extra, missing in extras.items():
        yield f"{extra:<13} {_verdict(missing, extra)}"
    for notebook in notebooks:
        yield f"{notebook.name}: {_examine_notebook(notebook, extras)}"


def _gpu() -> str:
    import torch

    if torch.cuda.is_available():
        memory = torch.cuda.get_device_properties(0).total_memory
        return f"{torch.cuda.get_device_name()}, {memory / GIB:.0f} GiB"
    if torch.backends.mps.is_available():
        return "Apple's, through mps"
    return "none: everything runs on the CPU"


def _browser() -> str:
    for name in BROWSERS:
        path = shutil.which(name)
        if path:
            return path
    return "none: the browser tests, which look for chromium, are skipped"


def _warm_kernels() -> str:
    if warm.SUPPORTED:
        return "yes"
    return f"no, ordinary ones: {sys.platform} has no safe fork"


def _language_model() -> str:
    from smallscale.models import smollm2

    if smollm2.is_here():
        return "ready"
    return f"not here, so what needs it is left out; {smollm2.CURE}"


def _missing_by_extra() -> dict[str, list[str]]:
    """Return the optional dependencies that are not installed, by extra."""
    extras: dict[str, list[str]] = {}
    for requirement in importlib.metadata.requires("smallscale") or ():
        found = re.match(r"([\w.-]+).*extra == ['\"](\w+)", requirement)
        if not found or found[1] == "smallscale":
            continue
        missing = extras.setdefault(found[2], [])
        try:
            importlib.metadata.version(found[1])
        except importlib.metadata.PackageNotFoundError:
            missing.append(found[1])
    return extras


def _examine_notebook(notebook: Notebook, extras: dict[str, list[str]]) -> str:
    """Say whether the notebook can run here, or what it lacks and how to get it."""
    try:
        _ = notebook.parameters  # reading them says what is wrong with the file
        missing = notebook.missing
    except Refused as error:
        return str(error)
    cures = [extra for extra in extras if set(missing) & set(extras[extra])]
    return _verdict(missing, cures[0] if cures else None)


def _verdict(missing: list[str], extra: str | None) -> str:
    if not missing:
        return "ready"
    cure = f"; pip install 'smallscale[{extra}]'" if extra else ""
    return f"missing: {', '.join(missing)}{cure}"
