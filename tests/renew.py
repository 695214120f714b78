"""Execute notebooks in place, and keep of their outputs what a reader looks at.

`make notebooks` calls it. It drops what a run writes to standard error, progress bars,
widgets without the kernel that would move them (their still pictures stay), and the
metadata of the editor and the machine.
"""

import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient

from smallscale.core.folders import RUN_FOLDER

WIDGET = "application/vnd.jupyter.widget-view+json"
# As JupyterLab writes it, so that opening and saving a notebook changes nothing.
METADATA = {
    "kernelspec": {
        "display_name": "Python 3 (ipykernel)",
        "language": "python",
        "name": "python3",
    },
    "language_info": {
        "codemirror_mode": {"name": "ipython", "version": 3},
        "file_extension": ".py",
        "mimetype": "text/x-python",
        "name": "python",
        "nbconvert_exporter": "python",
        "pygments_lexer": "ipython3",
        "version": "3.11.7",
    },
}


def strip(notebook: Any) -> None:
    """Remove from an executed notebook what is noise to a reader, in place."""
    notebook.metadata = nbformat.from_dict(METADATA)
    for cell in notebook.cells:
        cell.metadata = kept_metadata(cell.metadata)
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if is_read(output)]


def kept_metadata(metadata: Any) -> dict[str, Any]:
    """Return of a cell's metadata its tags, and whether its code is folded."""
    kept: dict[str, Any] = {}
    if metadata.get("jupyter", {}).get("source_hidden"):
        kept["jupyter"] = {"source_hidden": True}
    if metadata.get("tags"):
        kept["tags"] = metadata["tags"]
    return kept


def is_read(output: Any) -> bool:
    """Take the live widget out of an output; return whether anything is left of it."""
    if output.get("name") == "stderr":
        return False
    if "data" not in output:
        return True
    output.data.pop(WIDGET, None)
    return bool(output.data)


def main(paths: list[str]) -> None:
    """Execute and strip each of these notebooks."""
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    with tempfile.TemporaryDirectory() as folder:
        os.environ[RUN_FOLDER] = folder  # no output names one of this machine
        _renew(paths)


def _renew(paths: list[str]) -> None:
    for path in map(Path, paths):
        print(path, flush=True)
        notebook = nbformat.read(path, as_version=4)
        folder = {"metadata": {"path": str(path.parent)}}
        client = NotebookClient(
            notebook,
            resources=folder,
            timeout=None,
            store_widget_state=False,
            coalesce_streams=True,
        )
        client.execute()
        strip(notebook)
        nbformat.validate(notebook)
        nbformat.write(notebook, path)


if __name__ == "__main__":
    main(sys.argv[1:])
