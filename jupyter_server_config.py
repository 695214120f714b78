"""JupyterLab leaves alone what a notebook says of its kernel, with --config=this file.

Otherwise each notebook that is opened and saved would get the version of the reader's
Python, and git would show a change. `make lab` and the README's line name this file.
"""

import json
from contextlib import suppress
from pathlib import Path


def keep_kernel(model, path, contents_manager, **_):
    """Keep the metadata of the same kernel as the file has it."""
    if model["type"] != "notebook":
        return
    metadata = model["content"]["metadata"]
    with suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
        file = Path(contents_manager.root_dir, *path.strip("/").split("/"))
        before = json.loads(file.read_text(encoding="utf-8"))["metadata"]
        if before["kernelspec"]["name"] == metadata["kernelspec"]["name"]:
            for name in ("kernelspec", "language_info"):
                metadata[name] = before[name]


c = get_config()  # noqa: F821
c.FileContentsManager.pre_save_hook = keep_kernel
