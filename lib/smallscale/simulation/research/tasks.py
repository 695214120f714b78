"""What is to be improved? Tasks in folders, and labels that no folder holds.

A task's data is drawn from a real set by seed. The labels of the test rows are neither
in the workspace nor in any other file: they are drawn again when a score is due.
"""

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_diabetes, load_wine

from smallscale.core.validation import one_of, require
from smallscale.datasets import digits
from smallscale.datasets.tabular import tumours

FOLDER = Path(__file__).parent / "tasks"
NAMES = ("outliers", "imbalance", "undertrained", "leak", "slow-loop")
FILES = ("README.txt", "train.py.txt", "task.json")
Array = NDArray[np.float64]


class Edit(NamedTuple):
    """A change of train.py: the one place where old stands becomes new."""

    name: str
    old: str
    new: str


class Data(NamedTuple):
    """The rows of a task.

    train: (n, columns + 1), the last column is the target. test: (m, columns).
    labels: (m,), which the agent never sees.
    """

    train: Array
    test: Array
    labels: Array


class Task(NamedTuple):
    """A task as its folder describes it.

    better_by: the share of the baseline's score by which an answer has to be lower.
    expert: the names of the edits that whoever wrote the task would make.
    """

    name: str
    readme: str
    code: str
    metric: str
    better_by: float
    edits: tuple[Edit, ...]
    expert: tuple[str, ...]


def load_task(name: str, folder: Path | None = None) -> Task:
    """Return a task by its name, or from a folder of that form.

    Raises ValueError for a name that is unknown, and for a folder in which a file is
    missing or damaged.

    >>> load_task("leak").metric
    'share wrong'
    """
    folder = FOLDER / one_of("task", name, NAMES) if folder is None else folder
    missing = [file for file in FILES if not (folder / file).is_file()]
    listed = ", ".join(missing)
    require(not missing, f"the folder of task {name} has no {listed}")
    readme, code, described = (
        (folder / file).read_text(encoding="utf-8") for file in FILES
    )
    try:
        described = json.loads(described)
        edits = tuple(Edit(**edit) for edit in described["edits"])
        expert = tuple(described["expert"])
        better_by = float(described["better_by"])
        task = Task(name, readme, code, described["metric"], better_by, edits, expert)
    except (ValueError, TypeError, LookupError) as error:
        raise ValueError(f"task.json of task {name} is damaged: {error}") from error
    for edit in edits:
        found = code.count(edit.old)
        told = f"edit {edit.name!r} of task {name} fits {found} places, not one"
        require(found == 1, told)
    return task


def draw(name: str, seed: int) -> Data:
    """Return the rows of a task for this seed."""
    random = np.random.default_rng([seed, NAMES.index(one_of("task", name, NAMES))])
    return _DRAWN_BY[name](random)


@cache
def _digit_rows() -> tuple[Array, Array]:
    known = digits("")
    pixels = (known.images.flatten(1) * 16).round().double().numpy()
    return pixels, known.labels.double().numpy()


@cache
def _tumour_rows() -> tuple[Array, Array]:
    (x, y), (more_x, more_y) = tumours()
    return np.vstack([x, more_x]), np.concatenate([y, more_y])


def _split(
    x: Array,
    y: Array,
    n_train: int,
    n_test: int,
    random: np.random.Generator,
) -> Data:
    order = random.permutation(len(x))
    train, test = order[:n_train], order[n_train : n_train + n_test]
    return Data(np.column_stack([x[train], y[train]]), x[test], y[test])


def _outliers(random: np.random.Generator) -> Data:
    x, y = load_diabetes(return_X_y=True)
    data = _split(x, y, 300, 142, random)
    data.train[random.random(300) < 0.1, -1] *= 10
    return data


def _imbalance(random: np.random.Generator) -> Data:
    data = _split(*_tumour_rows(), 350, 219, random)
    malignant = np.flatnonzero(data.train[:, -1] == 0)
    return data._replace(train=np.delete(data.train, malignant[12:], axis=0))


def _undertrained(random: np.random.Generator) -> Data:
    return _split(*_digit_rows(), 800, 500, random)


def _leak(random: np.random.Generator) -> Data:
    x, y = load_wine(return_X_y=True)
    data = _split(x, y, 100, 78, random)
    shelf = 10 + 10 * data.train[:, -1] + random.normal(0, 1, 100)
    return data._replace(
        train=np.insert(data.train, 13, shelf, axis=1),
        test=np.column_stack([data.test, np.zeros(78)]),
    )


def _slow_loop(random: np.random.Generator) -> Data:
    data = _split(*_digit_rows(), 200, 100, random)
    x, y = data.train[:, :-1], data.train[:, -1].astype(int)
    far = ((data.test[:, None] - x) ** 2).sum(2)
    nearest = np.argsort(far, axis=1, kind="stable")[:, :3]
    now = np.array([np.bincount(row).argmax() for row in y[nearest]], dtype=float)
    return data._replace(labels=now)


_DRAWN_BY: dict[str, Callable[[np.random.Generator], Data]] = {
    "outliers": _outliers,
    "imbalance": _imbalance,
    "undertrained": _undertrained,
    "leak": _leak,
    "slow-loop": _slow_loop,
}


def score(name: str, predictions: Array, labels: Array, seconds: float) -> float:
    """Return how bad the predictions are; lower is better.

    predictions, labels: (m,). seconds: of processor time, which only slow-loop counts;
    there a prediction that differs from the old code's makes the score infinite.
    """
    wrong = predictions != labels
    if name == "outliers":
        return float(np.sqrt(np.mean((predictions - labels) ** 2)))
    if name == "imbalance":
        return float(np.mean([wrong[labels == k].mean() for k in (0, 1)]))
    if name == "slow-loop":
        return float("inf") if wrong.any() else seconds
    return float(wrong.mean())
