"""What does a sweep cost? Its overhead a run, its memory, and starting it again.

The notebook imports nothing but Python and computes nothing, or sleeps. Everything is
counted from the call of the command to its end, on whatever else the machine does.

    python benchmarks/sweeps.py            # all of it, half an hour on two cores
    python benchmarks/sweeps.py --few      # a tenth of the runs
"""

import argparse
import csv
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import nbformat
import psutil
from rich.console import Console
from rich.table import Table

PARAMETERS = "seed: int = 0  # random seed\npause: float = 0.0  # seconds [0, 60]"
WORK = "import time\ntime.sleep(pause)\nresult = seed * 2"
PAUSE = 1.0  # seconds, of the runs that one and two workers do
SLEEPING = 16  # such runs
PAPERMILL = """\
import sys, time
import papermill
begin = time.monotonic()
for seed in range(int(sys.argv[3])):
    papermill.execute_notebook(
        sys.argv[1], sys.argv[2], parameters={"seed": seed}, progress_bar=False
    )
print(time.monotonic() - begin)
"""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--few", action="store_true", help="a tenth of the runs")
    runs = 100 if parser.parse_args().few else 1000
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_notebook(folder / "little.ipynb")
        Console(width=120).print(measure(folder, runs))


def write_notebook(path: Path) -> None:
    """Write the notebook that does nothing, or waits."""
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    notebook = nbformat.v4.new_notebook(metadata={"kernelspec": kernel})
    notebook.cells = [
        nbformat.v4.new_code_cell(PARAMETERS, metadata={"tags": ["parameters"]}),
        nbformat.v4.new_code_cell(WORK),
    ]
    nbformat.write(notebook, path)


def measure(folder: Path, runs: int) -> Table:
    """Return one table."""
    table = Table("what", "measured", title=f"{os.cpu_count()} cores, {os.uname()[4]}")
    add = table_row(table)

    one, _ = sweep(folder, "one", SLEEPING, "-p", f"pause={PAUSE}")
    two, _ = sweep(folder, "two", SLEEPING, "-p", f"pause={PAUSE}", "--workers", "2")
    words = f"{SLEEPING} runs of {PAUSE:g} s: one worker, two, ratio"
    add(words, f"{one:.1f} s, {two:.1f} s, {one / two:.2f}")

    tenth, small_peak = sweep(folder, "tenth", runs // 10, "--workers", "2")
    all_of_them, peak = sweep(folder, "all", runs, "--workers", "2")
    own = notebook_seconds(folder / "all" / "runs.csv")
    again, again_peak = sweep(folder, "all", runs, "--workers", "2")
    alone, _ = sweep(folder, "alone", runs // 10)
    words = f"{runs} runs, two workers: a minute, seconds each beyond its own {own:.2f}"
    each = 2 * all_of_them / runs - own
    add(words, f"{60 * runs / all_of_them:.0f}, {each:.2f}")
    started, _ = sweep(folder, "start", 1)
    each = (alone - started) / (runs // 10 - 1) - own
    add(f"{runs // 10} runs, one worker: seconds each beyond its own", f"{each:.2f}")
    add(
        f"{runs // 10} runs, two workers: runs a minute",
        f"{600 / tenth * runs / 100:.0f}",
    )
    peaks = f"{small_peak:.0f}, {peak:.0f} MB"
    add(f"peak memory of the command at {runs // 10} and {runs} runs", peaks)
    add(f"{runs} finished runs started again", f"{again:.1f} s, {again_peak:.0f} MB")

    few = max(10, runs // 25)
    seconds = papermill(folder, few)
    ours = 60 * runs / all_of_them
    theirs = 60 * few / seconds
    words = f"papermill's API, {few} runs in a loop: runs a minute, ratio"
    add(words, f"{theirs:.0f}, {ours / theirs:.1f}")
    return table


def table_row(table: Table) -> Callable[[str, str], None]:
    """Return what adds a row, and prints it at once."""

    def add(what: str, measured: str) -> None:
        print(f"{what}: {measured}", file=sys.stderr, flush=True)
        table.add_row(what, measured)

    return add


def sweep(folder: Path, out: str, runs: int, *options: str) -> tuple[float, float]:
    """Do a sweep; return its seconds, and the most memory that its command used, MB."""
    words = [sys.executable, "-m", "smallscale.runs", "run", "little.ipynb"]
    words += ["--seeds", str(runs), "--out", str(folder / out), *options]
    begin = time.monotonic()
    process = subprocess.Popen(
        words, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    peak = 0.0
    over = threading.Event()

    def look() -> None:
        nonlocal peak
        watched = psutil.Process(process.pid)
        while not over.wait(0.1):
            try:
                peak = max(peak, watched.memory_info().rss / 1e6)
            except psutil.Error:
                return

    looking = threading.Thread(target=look)
    looking.start()
    _, errors = process.communicate()
    seconds = time.monotonic() - begin
    over.set()
    looking.join()
    assert process.returncode == 0, errors
    return seconds, peak


def notebook_seconds(table: Path) -> float:
    """Return the median of the seconds that the runs of this table took."""
    with table.open(newline="") as file:
        return statistics.median(float(row["seconds"]) for row in csv.DictReader(file))


def papermill(folder: Path, runs: int) -> float:
    """Return the seconds of so many runs by papermill's API, its imports aside."""
    words = [sys.executable, "-c", PAPERMILL, "little.ipynb", "done.ipynb", str(runs)]
    done = subprocess.run(words, cwd=folder, check=True, capture_output=True, text=True)
    return float(done.stdout)


if __name__ == "__main__":
    main()
