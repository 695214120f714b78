"""How much of a run is only starting up? papermill's command against `smallscale run`, cold and warm.

The notebook imports torch, transformers and pyplot, and does nothing more. Everything is counted from the call of
the command to its end. The three ways take turns, five times each, so that a busy moment hits all alike.

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
MANY = 60  # more than get a page unasked

IMPORTS = "import torch\nimport matplotlib.pyplot as plt\nfrom transformers import LlamaForCausalLM"
PARAMETERS = "seed: int = 0  # random seed"


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        notebook = nbformat.v4.new_notebook(
            metadata={
                "kernelspec": {
                    "name": "python3",
                    "display_name": "Python 3",
                    "language": "python",
                }
            }
        )
        parameters = nbformat.v4.new_code_cell(
            PARAMETERS, metadata={"tags": ["parameters"]}
        )
        notebook.cells = [parameters, nbformat.v4.new_code_cell(IMPORTS)]
        nbformat.write(notebook, folder / "nothing.ipynb")
        report(folder)


def report(folder: Path) -> None:
    """One table: medians, and ratios to papermill in this very run."""
    times: dict[str, list[float]] = {}
    for round in range(ROUNDS):
        print(f"round {round + 1} of {ROUNDS}", file=sys.stderr)
        for way, command in {
            "papermill, one run": papermill(folder, round),
            "smallscale, one run, cold": smallscale(folder, 1, "--cold"),
            "smallscale, one run, warm": smallscale(folder, 1),
            f"smallscale, {GRID} runs, --workers 2": smallscale(
                folder, GRID, "--workers", "2"
            ),
            f"smallscale, {GRID} runs, one at a time": smallscale(folder, GRID),
        }.items():
            times.setdefault(way, []).append(clock(folder, command))
    print(f"{GRID} papermill calls in a row", file=sys.stderr)
    row = sum(clock(folder, papermill(folder, k)) for k in range(GRID))
    many = clock(folder, smallscale(folder, MANY))
    own = statistics.median(
        float(line["seconds"])
        for line in csv.DictReader((folder / "out" / "runs.csv").open())
    )

    median = {way: statistics.median(values) for way, values in times.items()}
    single, cold, warm, sweep, line = median.values()
    table = Table(
        "what",
        "seconds",
        "ratio to papermill",
        title=f"{os.cpu_count()} cores, medians of {ROUNDS}",
    )
    table.add_row("papermill, one run", f"{single:.2f}", "1")
    table.add_row("smallscale, one run, cold", f"{cold:.2f}", f"{single / cold:.1f}")
    table.add_row("smallscale, one run, warm", f"{warm:.2f}", f"{single / warm:.1f}")
    table.add_row(f"papermill, {GRID} runs in a row (once)", f"{row:.2f}", "1")
    table.add_row(
        f"smallscale, {GRID} runs, --workers 2",
        f"{sweep:.2f}",
        f"{row / sweep:.1f}   (wanted: 5)",
    )
    with_page = (line - warm) / (GRID - 1)
    without = (many - warm) / (MANY - 1)
    for words, further, wanted in (
        ("with its page", with_page, 1.1),
        (f"of {MANY}, no page", without, 0.7),
    ):
        beyond = (
            f"{further - own:.2f} beyond the notebook's own {own:.2f}, wanted {wanted}"
        )
        table.add_row(
            f"each further run, {words}",
            f"{further:.2f}",
            f"{single / further:.1f}   ({beyond})",
        )
    Console(width=120).print(table)


def papermill(folder: Path, seed: int) -> list[str]:
    """papermill's command for one run."""
    paths = [str(folder / "nothing.ipynb"), str(folder / "done.ipynb")]
    return [
        sys.executable,
        "-m",
        "papermill",
        *paths,
        "-p",
        "seed",
        str(seed),
        "--no-progress-bar",
    ]


def smallscale(folder: Path, runs: int, *options: str) -> list[str]:
    """smallscale's command for so many runs."""
    words = [
        "run",
        str(folder / "nothing.ipynb"),
        "-p",
        f"seed=1:{runs}:1",
        "--out",
        str(folder / "out"),
    ]
    return [sys.executable, "-m", "smallscale.runs.command", *words, *options]


def clock(folder: Path, command: list[str]) -> float:
    """Seconds from the command's call to its end; nothing of an earlier run is there to be reused."""
    shutil.rmtree(folder / "out", ignore_errors=True)
    begin = time.monotonic()
    subprocess.run(command, check=True, cwd=folder, capture_output=True)
    return time.monotonic() - begin


if __name__ == "__main__":
    main()
