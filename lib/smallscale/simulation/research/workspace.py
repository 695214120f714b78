"""What may an agent do? Seven actions in a folder, a budget, and a trace of each step.

The actions are the paper's: list, read, write, edit, execute, undo, final answer.
"""

import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

from smallscale.core.validation import finite_number, whole_number
from smallscale.simulation.research.judge import CODE, DATA, Judge, lay_out
from smallscale.simulation.research.sandbox import run_code

ACTIONS = ("list", "read", "write", "edit", "execute", "undo", "final answer")
NEEDS = {
    "read": ("file",),
    "write": ("file", "text"),
    "edit": ("file", "old", "new"),
    "execute": ("file",),
}
MOST_TEXT = 20_000  # characters that are written or read
PRINTED = re.compile(r"^validation error: ([0-9.]+)", re.M)


class Step(NamedTuple):
    """A step of a trace. code: train.py after it. fault: what went wrong, or empty."""

    action: str
    arguments: dict[str, str]
    observation: str
    fault: str
    words: str
    code: str
    seconds: float


class Refused(Exception):
    """An action that is not carried out; its text is told to the agent."""


def inside(workspace: Path, file: object) -> Path:
    """Return the path of a file in the workspace, after links and .. are resolved.

    Raises Refused for one that lies elsewhere.
    """
    if not isinstance(file, str) or not file or "\0" in file:
        raise Refused("file must be the name of a file")
    path = (workspace / file).resolve()
    if workspace.resolve() not in path.parents:
        raise Refused("the file lies outside the workspace")
    return path


class Episode:
    """A task, a workspace and a budget, for one agent: `with Episode(...) as episode`.

    steps: how many actions; seconds: of running code, on the clock. An action that is
    refused costs a step like any other. trace: every Step.
    """

    def __init__(self, judge: Judge, *, steps: int = 40, seconds: float = 30) -> None:
        self.judge = judge
        self.steps_left = whole_number("steps", steps)
        self.seconds_left = finite_number("seconds", seconds, above=0)
        self.trace: list[Step] = []
        self.finished = False
        self._folder = tempfile.TemporaryDirectory()
        self.workspace = Path(self._folder.name).resolve()
        lay_out(judge.task, self.workspace, judge.seed)
        self._undo: list[tuple[Path, str | None]] = []

    def __enter__(self) -> "Episode":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        self._folder.cleanup()

    @property
    def over(self) -> bool:
        """Whether the agent answered or a budget is used up."""
        return self.finished or self.steps_left < 1 or self.seconds_left <= 0

    @property
    def code(self) -> str:
        """The text of train.py; empty where it is gone or is no text."""
        path = self.workspace / CODE
        try:
            if path.is_symlink() or path.stat().st_size > MOST_TEXT:
                return ""
            return path.read_text(encoding="utf-8")
        except (OSError, ValueError):
            return ""

    def act(
        self, action: str, arguments: Mapping[str, Any] | None = None, words: str = ""
    ) -> str:
        """Take one step, note it in the trace, and return what the agent is told."""
        if self.over:
            return "the episode is over"
        self.steps_left -= 1
        given = dict(arguments or {})
        before = self.seconds_left
        try:
            observation, fault = self._carry_out(action, given), ""
        except Refused as error:
            observation, fault = f"refused: {error}", str(error)
        except (OSError, ValueError) as error:
            fault = f"{type(error).__name__} in the workspace"
            observation = f"refused: {fault}"
        shown = {name: str(value) for name, value in given.items()}
        passed = before - self.seconds_left
        step = Step(action, shown, observation, fault, words, self.code, passed)
        self.trace.append(step)
        return observation

    def fault(self, kind: str, words: str = "") -> str:
        """Note a reply that is no action, or none that came. It costs a step."""
        if self.over:
            return "the episode is over"
        self.steps_left -= 1
        told = f"refused: {kind}"
        self.trace.append(Step("none", {}, told, kind, words, self.code, 0.0))
        return told

    def _carry_out(self, action: str, given: dict[str, Any]) -> str:
        if action not in ACTIONS:
            raise Refused(f"no such action; there are {', '.join(ACTIONS)}")
        for name in NEEDS.get(action, ()):
            if not isinstance(given.get(name), str):
                raise Refused(f"{action} needs a text {name!r}")
        if action == "list":
            return "\n".join(sorted(path.name for path in self.workspace.iterdir()))
        if action == "final answer":
            self.finished = True
            return "the episode is over"
        if action == "undo":
            return self._take_back()
        path = inside(self.workspace, given["file"])
        if action == "write":
            return self._write(path, given["text"])
        if not path.is_file() or path.stat().st_size > 50 * MOST_TEXT:
            raise Refused("there is no such file of a size that can be read")
        if action == "execute":
            return self._execute(path)
        text = path.read_text(encoding="utf-8")
        if action == "read":
            return text[:MOST_TEXT]
        found = text.count(given["old"]) if given["old"] else 0
        if found != 1:
            raise Refused(f"the edit does not apply: old fits {found} places, not one")
        return self._write(path, text.replace(given["old"], given["new"]))

    def _write(self, path: Path, text: str) -> str:
        if path.name in DATA:
            raise Refused("the data is not to be changed")
        if len(text) > MOST_TEXT:
            raise Refused(f"a file has at most {MOST_TEXT} characters")
        old = path.read_text(encoding="utf-8") if path.is_file() else None
        try:
            content = text.encode()
        except UnicodeEncodeError as error:
            raise Refused("the text holds half of a surrogate pair") from error
        path.write_bytes(content)  # which empties the file first
        self._undo.append((path, old))
        return "written"

    def _take_back(self) -> str:
        if not self._undo:
            raise Refused("nothing to undo")
        path, old = self._undo.pop()
        path = inside(self.workspace, str(path))  # code may have put a link there
        if old is None:
            path.unlink(missing_ok=True)
        else:
            path.write_text(old, encoding="utf-8")
        return "undone"

    def _execute(self, path: Path) -> str:
        file = str(path.relative_to(self.workspace))
        outcome = run_code(self.workspace, file, seconds=min(10.0, self.seconds_left))
        self.seconds_left -= outcome.seconds
        return f"{outcome.status}\n{outcome.output}".rstrip()


def printed_error(observation: str) -> float:
    """Return the validation error that the code printed; infinite where there is none.

    It is the code's own word, and only a hint: nothing is scored by it.
    """
    found = PRINTED.findall(observation)
    try:
        return float(found[-1]) if found else float("inf")
    except ValueError:
        return float("inf")
