"""How much of a run is only starting up? papermill's command against `smallscale run`.

The notebook imports torch, transformers and pyplot, and does nothing more. Everything
is counted from the call of the command to its end. The ways of running it take turns,
five times each, so that a busy moment hits all alike.

    python benchmarks/warm_kernels.py
"""

import csv
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import nbformat
from rich.console import Console
from rich.table import Table

ROUNDS = 5
GRID = 8  # runs in the sweep
MANY = 60  # more runs than get a page unasked

PARAMETERS = "seed: int = 0  # random seed"
IMPORTS = """\
import torch
import matplotlib.pyplot as plt
from transformers import LlamaForCausalLM"""

# The ways of running it.
PAPERMILL = "papermill, one run"
COLD = "smallscale, one run, cold"
WARM = "smallscale, one run, warm"
SWEEP = f"smallscale, {GRID} runs, --workers 2"
IN_LINE = f"smallscale, {GRID} runs, one at a time"


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_notebook(folder / "nothing.ipynb")
        Console(width=120).print(measure(folder))


def write_notebook(path: Path) -> None:
    """Write the notebook that only imports."""
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    notebook = nbformat.v4.new_notebook(metadata={"kernelspec": kernel})
    notebook.cells = [
        nbformat.v4.new_code_cell(PARAMETERS, metadata={"tags": ["parameters"]}),
        nbformat.v4.new_code_cell(IMPORTS),
    ]
    nbformat.write(notebook, path)


def measure(folder: Path) -> Table:
    """Return one table: medians, and ratios to papermill in this very run."""
    times: dict[str, list[float]] = {}
    for round in range(ROUNDS):
        print(f"round {round + 1} of {ROUNDS}", file=sys.stderr)
        commands = {
            PAPERMILL: papermill(folder, round),
            COLD: smallscale(folder, 1, "--cold"),
            WARM: smallscale(folder, 1),
            SWEEP: smallscale(folder, GRID, "--workers", "2"),
            IN_LINE: smallscale(folder, GRID),
        }
        for way, command in commands.items():
            times.setdefault(way, []).append(clock(folder, command))
    median = {way: statistics.median(values) for way, values in times.items()}
    print(f"{GRID} papermill calls in a row", file=sys.stderr)
    row = sum(clock(folder, papermill(folder, seed)) for seed in range(GRID))
    many = clock(folder, smallscale(folder, MANY))
    own = notebook_seconds(folder / "out" / "runs.csv")

    single = median[PAPERMILL]
    table = Table(
        "what",
        "seconds",
        "ratio to papermill",
        title=f"{os.cpu_count()} cores, medians of {ROUNDS}",
    )
    for way in (PAPERMILL, COLD, WARM):
        table.add_row(way, f"{median[way]:.2f}", f"{single / median[way]:.1f}")
    table.add_row(f"papermill, {GRID} runs in a row (once)", f"{row:.2f}", "1")
    ratio = f"{row / median[SWEEP]:.1f}   (wanted: 5)"
    table.add_row(SWEEP, f"{median[SWEEP]:.2f}", ratio)
    further = {
        "with its page": (median[IN_LINE] - median[WARM]) / (GRID - 1),
        f"of {MANY}, no page": (many - median[WARM]) / (MANY - 1),
    }
    wanted = {"with its page": 1.1, f"of {MANY}, no page": 0.7}
    for words, seconds in further.items():
        beyond = (
            f"{seconds - own:.2f} beyond the notebook's own {own:.2f}, "
            f"wanted {wanted[words]}"
        )
        ratio = f"{single / seconds:.1f}   ({beyond})"
        table.add_row(f"each further run, {words}", f"{seconds:.2f}", ratio)
    return table


def notebook_seconds(table: Path) -> float:
    """Return the median of the seconds that the runs of this table took."""
    with table.open(newline="") as file:
        return statistics.median(float(row["seconds"]) for row in csv.DictReader(file))


def papermill(folder: Path, seed: int) -> list[str]:
    """Return papermill's command for one run."""
    return [
        sys.executable,
        "-m",
        "papermill",
        str(folder / "nothing.ipynb"),
        str(folder / "done.ipynb"),
        "-p",
        "seed",
        str(seed),
        "--no-progress-bar",
    ]


def smallscale(folder: Path, runs: int, *options: str) -> list[str]:
    """Return smallscale's command for so many runs."""
    return [
        sys.executable,
        "-m",
        "smallscale.runs.command",
        "run",
        str(folder / "nothing.ipynb"),
        "-p",
        f"seed=1:{runs}:1",
        "--out",
        str(folder / "out"),
        *options,
    ]


def clock(folder: Path, command: list[str]) -> float:
    """Return the seconds from the command's call to its end.

    What an earlier run left is removed, so that nothing of it can be reused.
    """
    shutil.rmtree(folder / "out", ignore_errors=True)
    begin = time.monotonic()
    subprocess.run(command, check=True, cwd=folder, capture_output=True)
    return time.monotonic() - begin


if __name__ == "__main__":
    main()
