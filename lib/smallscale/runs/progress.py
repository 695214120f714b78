"""What is said while runs go on: a line a run; on a terminal a bar with the time left as well."""

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from smallscale.runs.record import RunRecord, claims_held

# Piped, lines stay whole: whoever reads them is a program.
console = Console(highlight=False, soft_wrap=True)


class ProgressReporter:
    """The runs of a sweep, told as they come."""

    def __init__(self, total: int) -> None:
        self.total, self.records, self.shares = (
            total,
            list[RunRecord](),
            dict[str, float](),
        )
        columns = TextColumn("{task.fields[runs]}"), BarColumn(), TimeRemainingColumn()
        self.bar = Progress(
            *columns, console=console, transient=True, disable=not console.is_terminal
        )
        self.task = self.bar.add_task("", total=total, runs=f"0/{total}")
        if self.bar.disable:
            print(f"{count(total, 'run')} to do", flush=True)

    def share(self, run: str, share: float) -> None:
        """A run has done this share of its cells."""
        self.shares[run] = share
        runs = f"{len(self.records)}/{self.total} runs"
        self.bar.update(self.task, completed=sum(self.shares.values()), runs=runs)

    def over(self, record: RunRecord) -> None:
        """A run is over."""
        self.records.append(record)
        held, judged = claims_held(record)
        claims = f", {held} of {judged} claims held" if judged else ""
        line = f"{len(self.records)}/{self.total} {record.status}: {record.run} {_given(record)}"
        line += f" ({record.seconds:.1f} s{claims})"
        if record.error:
            line += "\n    " + record.error.splitlines()[-1]
        console.print(line, markup=False)
        self.share(record.run, 1)


def count(number: int, noun: str) -> str:
    """1 run, 2 runs."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _given(record: RunRecord) -> str:
    """The parameters in short: a long text is cut."""
    texts = (
        f"{name}={value}" for name, value in record.parameters.items() if value != ""
    )
    return " ".join(text if len(text) <= 40 else text[:39] + "…" for text in texts)
