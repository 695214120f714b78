"""What has this machine, and what is missing for which notebook?"""

import importlib.metadata
import importlib.util
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


def examine(notebooks: Iterable[Notebook]) -> Iterator[str]:
    """One line a finding."""
    memory = psutil.virtual_memory()
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    yield f"python        {platform.python_version()} on {platform.system()} {platform.machine()}"
    yield f"cores         {os.cpu_count()}"
    yield f"memory        {memory.total / 2**30:.1f} GiB, {memory.available / 2**30:.1f} free"
    yield f"GPU           {_gpu()}"
    yield f"browser       {browser or 'none: the browser tests are skipped (chromium is what they look for)'}"
    yield f"warm kernels  {'yes' if warm.SUPPORTED else f'no, ordinary ones: {sys.platform} has no safe fork'}"
    extras = _extras()
    for extra, missing in extras.items():
        yield f"{extra:<13} {_lacking(missing, extra)}"
    for notebook in notebooks:
        try:
            _ = notebook.parameters
            lacks = notebook.missing
            cure = next(
                (
                    extra
                    for extra, missing in extras.items()
                    if set(lacks) & set(missing)
                ),
                None,
            )
            yield f"{notebook.name}: {_lacking(lacks, cure)}"
        except Refused as error:
            yield f"{notebook.name}: {error}"


def _lacking(missing: list[str], extra: str | None) -> str:
    if not missing:
        return "ready"
    cure = f"; pip install 'smallscale[{extra}]'" if extra else ""
    return f"missing: {', '.join(missing)}{cure}"


def _gpu() -> str:
    import torch

    if torch.cuda.is_available():
        return f"{torch.cuda.get_device_name()}, {torch.cuda.get_device_properties(0).total_memory / 2**30:.0f} GiB"
    return (
        "Apple's, through mps"
        if torch.backends.mps.is_available()
        else "none: everything runs on the CPU"
    )


def _extras() -> dict[str, list[str]]:
    """The optional dependencies that are not installed, by extra."""
    extras: dict[str, list[str]] = {}
    for requirement in importlib.metadata.requires("smallscale") or ():
        found = re.match(r"([\w.-]+).*extra == ['\"](\w+)", requirement)
        if found and found[1] != "smallscale":
            missing = extras.setdefault(found[2], [])
            try:
                importlib.metadata.version(found[1])
            except importlib.metadata.PackageNotFoundError:
                missing.append(found[1])
    return extras
