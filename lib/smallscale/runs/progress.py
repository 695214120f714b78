"""What is said while runs go on? A line a run; on a terminal, a bar with time left."""

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from smallscale.runs.record import RunRecord, claims_held
from smallscale.runs.terminal_text import shortened


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

    def __init__(self, total: int) -> None:
        self.total = total
        self.records: list[RunRecord] = []  # of the runs that are over
        self.shares: dict[str, float] = {}  # of its cells that each run has done
        self.bar = Progress(
            TextColumn("{task.fields[runs]}"),
            BarColumn(),
            TimeRemainingColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self.task = self.bar.add_task("", total=total, runs=f"0/{total}")
        if self.bar.disable:
            print(f"{count(total, 'run')} to do", flush=True)

    def share(self, run: str, share: float) -> None:
        """Tell that a run has done this share of its cells."""
        self.shares[run] = share
        runs = f"{len(self.records)}/{self.total} runs"
        self.bar.update(self.task, completed=sum(self.shares.values()), runs=runs)

    def over(self, record: RunRecord) -> None:
        """Tell that a run is over, and how it went."""
        self.records.append(record)
        console.print(self._line(record), markup=False)
        self.share(record.run, 1)

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
