"""How good is the answer? Run anew on fresh data, and scored outside the workspace.

Predictions are read as numbers from a text file: nothing is unpickled or evaluated.
"""

import io
import math
import os
import stat
import tempfile
from pathlib import Path
from typing import NamedTuple

import numpy as np

from smallscale.core.validation import require
from smallscale.simulation.research.sandbox import run_code
from smallscale.simulation.research.tasks import Array, Task, draw, score

CODE = "train.py"
PREDICTIONS = "predictions.csv"
DATA = ("train.csv", "test.csv")
MOST_BYTES = 1 << 20  # of the predictions
LONGEST_RUN = 10.0  # seconds


class Verdict(NamedTuple):
    """A score, lower is better and infinite without valid predictions, and why."""

    score: float
    reason: str


def lay_out(task: Task, workspace: Path, seed: int) -> None:
    """Write what an agent is given: the data without labels, the README, the code."""
    data = draw(task.name, seed)
    np.savetxt(workspace / "train.csv", data.train, delimiter=",", fmt="%.9g")
    np.savetxt(workspace / "test.csv", data.test, delimiter=",", fmt="%.9g")
    (workspace / "README.txt").write_text(task.readme, encoding="utf-8")
    (workspace / CODE).write_text(task.code, encoding="utf-8")


class Judge:
    """Scores code for a task and a seed. The same code is not run twice."""

    def __init__(self, task: Task, seed: int) -> None:
        self.task = task
        self.seed = seed
        self._known: dict[str, Verdict] = {}
        self.baseline = self.judge(task.code)

    def judge(self, code: str) -> Verdict:
        """Run train.py on fresh data in a new workspace, and score what it predicts.

        The labels are drawn after the run has ended and all its processes are gone.
        """
        if code not in self._known:
            self._known[code] = self._judge(code)
        return self._known[code]

    def _judge(self, code: str) -> Verdict:
        with tempfile.TemporaryDirectory() as folder:
            workspace = Path(folder).resolve()
            lay_out(self.task, workspace, self.seed)
            (workspace / CODE).write_text(code, encoding="utf-8")
            outcome = run_code(workspace, CODE, seconds=LONGEST_RUN)
            if outcome.status != "done":
                return Verdict(math.inf, outcome.status)
            labels = draw(self.task.name, self.seed).labels
            try:
                predictions = read_predictions(workspace / PREDICTIONS, len(labels))
            except ValueError as error:
                return Verdict(math.inf, str(error))
        used = outcome.processor_seconds
        return Verdict(score(self.task.name, predictions, labels, used), "scored")

    def gain(self, verdict: Verdict) -> float:
        """Return the share of the baseline's score that was taken away.

        A failed answer counts as no gain and no loss.
        """
        if not math.isfinite(verdict.score):
            return 0.0
        return 1 - verdict.score / self.baseline.score

    def success(self, verdict: Verdict) -> bool:
        """Return whether the score is lower than the baseline's by enough."""
        return self.gain(verdict) > self.task.better_by


def read_predictions(path: Path, rows: int) -> Array:
    """Return the numbers of a file, (rows,). Raises ValueError for anything else."""
    try:
        plain = stat.S_ISREG(os.lstat(path).st_mode)
    except OSError:
        plain = False
    require(plain, "there are no predictions in a plain file")
    with path.open("rb") as opened:  # no process is left that could change it
        text = opened.read(MOST_BYTES + 1)
    if len(text) > MOST_BYTES:
        raise ValueError("the predictions are too long")
    if not text.strip():
        raise ValueError("the predictions are empty")
    try:
        found = np.loadtxt(io.BytesIO(text), ndmin=1)
    except ValueError as error:
        raise ValueError("the predictions are not numbers, one a row") from error
    if found.shape != (rows,) or not np.isfinite(found).all():
        raise ValueError(f"the predictions are not {rows} finite numbers")
    return found
