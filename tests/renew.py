"""Execute notebooks in place, and keep of their outputs only what a reader looks at.

`make notebooks` calls it. Dropped are: what a run writes to standard error (progress bars), widgets without the
kernel that would move them, timings, and the editor's and the machine's metadata.
"""

import os
import sys
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient

WIDGET = "application/vnd.jupyter.widget-view+json"
KERNELSPEC = {"display_name": "Python 3", "language": "python", "name": "python3"}


def strip(notebook: Any) -> None:
    """Remove the noise of one execution from the notebook."""
    notebook.metadata = {"kernelspec": KERNELSPEC, "language_info": {"name": "python"}}
    for cell in notebook.cells:
        tags = cell.metadata.get("tags")
        cell.metadata = {"tags": tags} if tags else {}
        if cell.cell_type == "code":
            cell.outputs = [
                output for output in cell.outputs if output.get("name") != "stderr"
            ]
            for output in cell.outputs:
                output.get("data", {}).pop(WIDGET, None)


def main(paths: list[str]) -> None:
    """Execute and strip each of these notebooks."""
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    for path in map(Path, paths):
        print(path, flush=True)
        notebook = nbformat.read(path, as_version=4)
        folder = {"metadata": {"path": str(path.parent)}}
        NotebookClient(
            notebook, resources=folder, timeout=None, store_widget_state=False
        ).execute()
        strip(notebook)
        nbformat.validate(notebook)
        nbformat.write(notebook, path)


if __name__ == "__main__":
    main(sys.argv[1:])
