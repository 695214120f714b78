"""What is said while runs go on? A line a run; on a terminal, a bar with time left."""

import os
import socket
import time
from dataclasses import replace

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from smallscale.runs.plan import Task
from smallscale.runs.record import RunRecord, claims_held
from smallscale.runs.terminal_text import shortened
from smallscale.runs.under_way import Running, State


class _Console(Console):
    def on_broken_pipe(self) -> None:
        """Leave it to the command, which says what is kept; rich would end it."""
        raise


# Piped, lines stay whole: whoever reads them is a program.
console = _Console(highlight=False, soft_wrap=True)
LONGEST = 40  # characters of a parameter that a line shows
LONGEST_ERROR = 500  # characters of an error that a line shows


class ProgressReporter:
    """Tells how the runs of a sweep are coming along."""

    def __init__(self, total: int, *, before: int = 0, quiet: bool = False) -> None:
        self.total = total
        self.before = before  # runs that were completed before
        self.records: list[RunRecord] = []  # of the runs that are over
        self.shares: dict[str, float] = {}  # of its cells that each run has done
        self.started = time.time()
        self._begun = time.monotonic()
        self._at_work: dict[str, Running] = {}  # runs that the pool has been given
        self.bar = Progress(
            TextColumn("{task.fields[runs]}"),
            BarColumn(),
            TimeRemainingColumn(),
            console=console,
            transient=True,
            disable=quiet or not console.is_terminal,
        )
        self.task = self.bar.add_task("", total=total, runs=f"0/{total}")
        if self.bar.disable and not quiet:
            print(f"{count(total, 'run')} to do", flush=True)

    def handed_over(self, task: Task) -> None:
        """Tell that a run is at work, or soon will be."""
        parameters = dict(task.parameters)
        self._at_work[task.run] = Running(
            task.run, task.notebook.name, parameters, since=time.time()
        )

    def share(self, run: str, share: float) -> None:
        """Tell that a run has done this share of its cells."""
        if share == 0 and run in self._at_work:
            self._at_work[run] = replace(self._at_work[run], since=time.time())
        self.shares[run] = share
        self._move_bar()

    def _move_bar(self) -> None:
        runs = f"{len(self.records)}/{self.total} runs"
        self.bar.update(self.task, completed=self._done(), runs=runs)

    def _done(self) -> float:
        """Return how many runs are done, with parts of runs."""
        return len(self.records) + sum(list(self.shares.values()))

    def state(self) -> State:
        """Return how the sweep is coming along."""
        done = self._done()
        passed = time.monotonic() - self._begun
        return State(
            host=socket.gethostname(),
            pid=os.getpid(),
            started=self.started,
            total=self.total,
            done=len(self.records),
            failed=sum(record.status != "completed" for record in self.records),
            before=self.before,
            left_seconds=passed * (self.total - done) / done if done else None,
            running=[
                replace(running, share=self.shares.get(run))
                for run, running in list(self._at_work.items())
            ],
        )

    def over(self, record: RunRecord) -> None:
        """Tell that a run is over, and how it went."""
        self.records.append(record)
        self.shares.pop(record.run, None)
        self._at_work.pop(record.run, None)
        self.say(record)
        self._move_bar()

    def say(self, record: RunRecord) -> None:
        """Print what there is to say of a run that is over."""
        console.print(self._line(record), markup=False)

    def one_less(self) -> None:
        """Tell that there is one run less to do than was told."""
        self.total -= 1
        self.bar.update(self.task, total=self.total)

    def warn(self, line: str) -> None:
        """Tell what is wrong with the sweep as a whole."""
        console.print(f"smallscale: {line}", markup=False)

    def _line(self, record: RunRecord) -> str:
        held, judged = claims_held(record)
        claims = f", {held} of {judged} claims held" if judged else ""
        line = (
            f"{len(self.records)}/{self.total} {record.status}: {record.run} "
            f"{_parameters_in_short(record)} ({record.seconds:.1f} s{claims})"
        )
        if record.error:
            last = record.error.rstrip("\n").split("\n")[-1]
            line += f"\n    {shortened(_printable(last), LONGEST_ERROR)}"
        return line


def count(number: int, noun: str) -> str:
    """Return the number with its noun.

    >>> count(1, "run"), count(2, "run")
    ('1 run', '2 runs')
    """
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _parameters_in_short(record: RunRecord) -> str:
    texts = [
        _printable(f"{name}={value}")
        for name, value in record.parameters.items()
        if value != ""
    ]
    return " ".join(
        text if len(text) <= LONGEST else text[: LONGEST - 1] + "…" for text in texts
    )


def _printable(text: str) -> str:
    """Return the text with what would move a terminal's cursor written out."""
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode()
        for letter in text
    )
