"""Which document does a kernel execute, and what did it show? A notebook, made whole.

Formats before 4.5 lack what editors and executors ask for; outputs of an earlier run
are not this one's; claims come back in the outputs.
"""

import copy
import re
from dataclasses import dataclass, field
from typing import Any

import nbformat

from smallscale.notebook.claims import CLAIMS
from smallscale.runs.catalogue import INJECTED, Notebook
from smallscale.runs.plan import Task
from smallscale.runs.record import Claim, MetricDetail, read_as

CELL_ID = re.compile(r"[a-zA-Z0-9-_]{1,64}")


def executable(notebook: Notebook) -> Any:
    """Return the notebook that was read as nbformat's, without outputs, in format 4.5.

    A run that fails must not show the committed outputs as its own. An older format has
    no ids of cells, and editors leave out what a cell must have.
    """
    document = copy.deepcopy(notebook.document)
    metadata = document.get("metadata")
    document["metadata"] = metadata if isinstance(metadata, dict) else {}
    document["nbformat"] = int(document["nbformat"])  # 4.0 is no whole number
    minor = document.get("nbformat_minor")
    document["nbformat_minor"] = max(minor, 5) if isinstance(minor, int) else 5
    ids: set[str] = set()
    cells = []
    for cell in document["cells"]:
        whole = _whole_cell(cell, ids)
        if INJECTED not in whole["metadata"].get("tags", []):
            cells.append(whole)
    document["cells"] = cells
    return nbformat.from_dict(document)


def _whole_cell(cell: dict[str, Any], ids: set[str]) -> dict[str, Any]:
    """Return a cell of JSON with all that format 4.5 asks for; note its id in `ids`."""
    kind = cell["cell_type"]
    metadata = dict(cell.get("metadata") or {})
    if not isinstance(metadata.get("tags", []), list):
        del metadata["tags"]
    whole: dict[str, Any] = {
        "cell_type": kind,
        "id": _free_id(cell.get("id"), ids),
        "metadata": metadata,
        "source": "".join(cell["source"]),
    }
    if kind == "code":
        whole |= {"outputs": [], "execution_count": None}
    elif cell.get("attachments"):
        whole["attachments"] = cell["attachments"]
    return whole


def _free_id(wanted: Any, taken: set[str]) -> str:
    """Return a cell's id, or a new one where it has none, or one that is no id."""
    name = wanted if isinstance(wanted, str) and CELL_ID.fullmatch(wanted) else ""
    number = len(taken)
    while not name or name in taken:
        name = f"cell-{number}"
        number += 1
    taken.add(name)
    return name


def inject_parameters(notebook: Any, task: Task) -> None:
    """Put the run's parameters below the declared ones, as papermill does."""
    lines = [f"{name} = {value!r}" for name, value in task.parameters.items()]
    cell = nbformat.v4.new_code_cell("\n".join(lines), metadata={"tags": [INJECTED]})
    cell.id = _free_id("parameters-of-this-run", {cell.id for cell in notebook.cells})
    notebook.cells.insert(task.notebook.parameters_at + 1, cell)


def drop_empty_streams(notebook: Any) -> None:
    """Remove the empty output that a finished progress bar leaves behind."""
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = [
                output for output in cell.outputs if output.get("text", "some").strip()
            ]


@dataclass(frozen=True)
class ShownClaims:
    """What a notebook's table of claims hands on (`smallscale.notebook.claims`)."""

    claims: list[Claim]
    metrics: dict[str, float | None]
    details: dict[str, MetricDetail] = field(default_factory=dict)


def read_claims(notebook: Any) -> tuple[list[Claim], dict[str, float | None]]:
    """Return the claims and metrics that the executed notebook shows.

    See `read_shown`.
    """
    shown = read_shown(notebook)
    return shown.claims, shown.metrics


def read_shown(notebook: Any) -> ShownClaims:
    """Return the claims and metrics that the executed notebook shows, with details.

    Of a claim that is stated twice the last counts. Raises DamagedRecord where an
    output that should hold claims holds something else.
    """
    claims: dict[str, Claim] = {}
    metrics: dict[str, float | None] = {}
    details: dict[str, MetricDetail] = {}
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            if CLAIMS in output.get("data", {}):
                shown = read_as(ShownClaims, output["data"][CLAIMS], "the table")
                claims |= {claim.statement: claim for claim in shown.claims}
                metrics |= shown.metrics
                details |= shown.details
    return ShownClaims(list(claims.values()), metrics, details)
