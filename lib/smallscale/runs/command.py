"""The command `smallscale`: list, run, results, doctor, model."""

import importlib.metadata
import importlib.util
import os
import signal
import sys
import textwrap
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from smallscale.notebook.scale import SCALES
from smallscale.runs import Refused, refusing
from smallscale.runs.asked import asked_values, having, listed_runs, shard_of
from smallscale.runs.catalogue import Notebook, choose, find_all, words_for
from smallscale.runs.plan import Plan, plan
from smallscale.runs.progress import ProgressReporter, console, count
from smallscale.runs.record import RunRecord, claims_held, passed
from smallscale.runs.results import Results
from smallscale.runs.table import csv_line, rows, table

WIDTH = 80  # columns that a terminal has at least


def _complete_notebook(incomplete: str) -> Iterator[str]:
    """Yield what a shell may complete a notebook's name to."""
    return (word for word in words_for(Path.cwd()) if word.startswith(incomplete))


def _complete_scale(incomplete: str) -> Iterator[str]:
    """Yield what a shell may complete a scale to."""
    return (scale for scale in SCALES if scale.startswith(incomplete))


def _print_version(asked: bool) -> None:
    """Print the version and end, where it was asked for."""
    if asked:
        print(f"smallscale {importlib.metadata.version('smallscale')}")
        raise typer.Exit


app = typer.Typer(
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # its markup reads a:b:step as an emoji
    context_settings={"help_option_names": ["-h", "--help"]},
)
NOTEBOOK: Any = typer.Argument(
    metavar="NOTEBOOK",
    help="A path, a name, its last part, a theme, or all.",
    autocompletion=_complete_notebook,
)
NotebookNames = Annotated[list[str], NOTEBOOK]
OptionalNotebookNames = Annotated[list[str] | None, NOTEBOOK]


def _results_folder(value: str | Path) -> Path:
    """Return `--out` as a path, as it was given; Refused where it can be none."""
    if not str(value):
        raise Refused("--out is empty; give the folder where results are kept")
    # Nobody's home, a circle of links, too long a name, a null byte.
    with refusing(
        f"--out {value} is no path of a folder: ", OSError, RuntimeError, ValueError
    ):
        Path(value).expanduser().resolve().is_dir()
    return Path(value)


Out = Annotated[
    Path,
    typer.Option(
        "--out",
        metavar="DIR",
        help="Where results are kept.",
        parser=_results_folder,
    ),
]
RESULTS = Path("results")
TABLE_RUNS = 50  # up to so many runs, a terminal is shown their table at the end
PYTHON_TYPE = "<list[str]>"  # what typer says of an argument that may be several
PYTHON_TYPE_BLANK = " " * len(f" {PYTHON_TYPE}")
UsageError: Any = typer.BadParameter.__mro__[1]  # click's, wherever typer keeps it


@app.callback(invoke_without_command=True)
def smallscale(
    context: typer.Context,
    version: Annotated[
        bool,
        typer.Option(
            "--version",
            callback=_print_version,
            is_eager=True,
            help="Print the version and exit.",
        ),
    ] = False,
) -> None:
    """Run research notebooks, over a grid of parameters, and keep the results."""
    with refusing(
        "the folder that this command was started in is gone; go to another", OSError
    ):
        Path.cwd()
    if context.invoked_subcommand is None:
        print(context.get_help())
        raise typer.Exit(2)


class _Command(TyperCommand):
    """A command whose help names its arguments as people write them."""

    def get_help(self, ctx: Any) -> str:
        """Return the help without braces and types of Python around arguments."""
        text = super().get_help(ctx).replace("{NOTEBOOK}", "NOTEBOOK")
        return text.replace(f"NOTEBOOK {PYTHON_TYPE}", f"NOTEBOOK{PYTHON_TYPE_BLANK}")


@app.command("list", cls=_Command)
def list_(notebooks: OptionalNotebookNames = None) -> None:
    """Print the notebooks; of named ones, the parameters.

    Without names it prints every notebook there is.
    """
    if notebooks:
        chosen = choose(notebooks, Path.cwd(), _tell)
    else:
        chosen = list(find_all(Path.cwd(), _tell).values())
    if not notebooks:
        chosen = [notebook for notebook in chosen if _is_sound(notebook)]
    if not chosen:
        raise Refused(
            "there is no notebooks/ folder here, above, or where smallscale was "
            "installed from"
        )
    width = max(len(notebook.name) for notebook in chosen)
    for notebook in chosen:
        print(_wrapped(f"{notebook.name:<{width}}  {notebook.title}", width + 2))
        if notebooks:
            _print_parameters(notebook)


def _is_sound(notebook: Notebook) -> bool:
    """Tell whether a notebook can be read; say so where it cannot."""
    try:
        notebook.cells  # noqa: B018 -- reading them is the question
    except Refused as refusal:
        _tell(str(refusal))
        return False
    return True


def _print_parameters(notebook: Notebook) -> None:
    for parameter in notebook.parameters.values():
        line = f"    {parameter.name} = {parameter.default!r}  {parameter.help}"
        print(_wrapped(line, 8))


def _wrapped(line: str, indent: int) -> str:
    """Return a line as lines that fit a terminal, all but the first indented."""
    return textwrap.fill(
        line,
        WIDTH,
        subsequent_indent=" " * min(indent, WIDTH // 2),
        break_long_words=False,  # such as a path, which is to be copied
        break_on_hyphens=False,
    )


@app.command(cls=_Command)
def run(
    notebooks: NotebookNames,
    parameters: Annotated[
        list[str] | None,
        typer.Option(
            "-p",
            "--parameter",
            metavar="NAME=VALUE[,VALUE…]",
            help="Values, or a range a:b:step.",
        ),
    ] = None,
    scale: Annotated[
        str | None,
        typer.Option(
            metavar="S",
            help="tiny, small, medium or full.",
            autocompletion=_complete_scale,
        ),
    ] = None,
    params: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="A list of runs in CSV or YAML, or a grid in YAML."
        ),
    ] = None,
    seeds: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Seeds 0 to N-1.")
    ] = None,
    shard: Annotated[
        str | None,
        typer.Option(metavar="I/N", help="Only the I-th of N parts of all runs."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only print which runs there are.")
    ] = False,
    workers: Annotated[
        int, typer.Option(min=1, metavar="N", help="How many runs at a time, here.")
    ] = 1,
    scheduler: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS", help="A Dask cluster's scheduler, tcp://host:8786."
        ),
    ] = None,
    timeout: Annotated[
        float | None,
        typer.Option(min=0.001, metavar="S", help="Seconds a run may take."),
    ] = None,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Also repeat what was completed before.")
    ] = False,
    html: Annotated[
        bool,
        typer.Option("--html", help="A page for each run, however many there are."),
    ] = False,
    cold: Annotated[
        bool, typer.Option("--cold", help="Ordinary kernels, started one by one.")
    ] = False,
    out: Out = RESULTS,
) -> None:
    """Run notebooks with all combinations of values.

    What was completed before is not repeated. Of several notebooks, those run that have
    the parameters given.
    """
    asked = asked_values(parameters or [], scale, seeds)
    listed = listed_runs(params, asked)
    names = dict.fromkeys([*asked, *(name for row in listed.rows for name in row)])
    chosen = having(names, choose(notebooks, Path.cwd(), _tell), _tell)
    results = _open(out)
    work = plan(
        chosen,
        asked,
        Path.cwd(),
        results,
        fresh=fresh,
        listed=listed if params else None,
        shard=shard_of(shard),
    )
    if dry_run:
        print(_planned(work))
        raise typer.Exit(0)
    with refusing(f"--out {out} cannot be written: ", OSError):
        results.recall(work.done)
    if work.todo:
        # Imported here: what talks to kernels takes a while to import.
        from smallscale.runs.sweep import SchedulerLost, run_sweep

        _check_cluster(scheduler)
        results.prepare()
        progress = ProgressReporter(len(work.todo))
        try:
            with progress.bar:
                run_sweep(
                    work,
                    results,
                    progress,
                    workers=workers,
                    timeout=timeout,
                    html=html,
                    warm=not cold,
                    scheduler=scheduler,
                )
        except KeyboardInterrupt:
            _tell(_interrupted(work, progress.records, out))
            raise typer.Exit(130) from None
        except SchedulerLost as lost:
            _tell(f"{lost}; {_interrupted(work, progress.records, out)}")
            raise typer.Exit(1) from None
        except OSError as failure:  # a full disk; nobody who reads the output
            kept = _interrupted(work, progress.records, out)
            _tell(f"{failure.strerror or failure}; {kept}")
            _silence_output()
            raise typer.Exit(1) from None
        new = progress.records
    else:
        with refusing(f"--out {out} cannot be written: ", OSError):
            results.ensure_outputs()
        print(f"nothing to do: {count(len(work.done), 'run')} completed before")
        new = []
    if console.is_terminal and 1 < len(new) <= TABLE_RUNS:
        print(_table(new))
    _print_summary(work.done + new, out)
    raise typer.Exit(0 if all(map(passed, work.done + new)) else 1)


@app.command()
def results(out: Out = RESULTS) -> None:
    """Print the table of runs; into a pipe, as CSV."""
    if not (out.expanduser() / "runs").is_dir():
        raise Refused(f"--out {out} holds no results; `smallscale run` makes them")
    records = _open(out).current()
    if console.is_terminal:
        print(_table(records))
    else:
        print(table(records), end="")


@app.command()
def doctor() -> None:
    """Say what this machine has and what it lacks."""
    from smallscale.runs.doctor import examine

    for line in examine(find_all(Path.cwd()).values()):
        print(line)


@app.command()
def model() -> None:
    """Fetch the language model SmolLM2, 93 MB, unless it is here."""
    # Imported here: transformers takes a while to import.
    from smallscale.models.smollm2 import fetch_smollm2

    with refusing("no language model: ", ValueError):
        print(f"smollm2 is here: {fetch_smollm2()}")


def main() -> None:
    """Run the command; what it refuses is one line and exit code 2."""
    _open_closed_streams()
    for stream in (sys.stdout, sys.stderr):
        # A Windows pipe may not know "…".
        stream.reconfigure(errors="replace")  # type: ignore[union-attr]
    if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, _end_terminated)  # a sweep has its own way
    try:
        code = app(prog_name="smallscale", standalone_mode=False) or 0
        sys.stdout.flush()
        sys.exit(code)
    except UsageError as error:
        _tell(f"{error.format_message()} `smallscale --help` says what there is")
        sys.exit(2)
    except Refused as error:
        _tell(str(error))
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:  # `smallscale results | head`
        _silence_output()
    except OSError as failure:  # a full disk, to which the output was sent
        _silence_output()
        _tell(f"broke off: {failure}")
        sys.exit(1)


def _open_closed_streams() -> None:
    """Let what a caller has closed (`>&-`) lead to nowhere.

    The next file that is opened would take its place, and be printed into.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            nowhere = open(os.devnull, mode, encoding="utf-8")  # noqa: SIM115
            setattr(sys, name, nowhere)


def _silence_output() -> None:
    """Let standard output lead to nowhere: Python writes what is left at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _end_terminated(number: int, frame: object) -> None:
    """End the command at SIGTERM, with a word, before any run has started."""
    with suppress(OSError):
        _tell("terminated")
    sys.exit(128 + number)


# ---- what the commands share ---------------------------------------------------------


def _tell(line: str) -> None:
    """Print a line that is not a result."""
    print(f"smallscale: {line}", file=sys.stderr)


def _open(out: Path) -> Results:
    """Open the results folder, and tell which records in it are damaged."""
    results = Results(out.expanduser().absolute())
    for path, reason in results.damaged.items():
        where = out / path.relative_to(results.folder)
        _tell(f"{where} is damaged and does not count: {reason}")
    return results


def _check_cluster(scheduler: str | None) -> None:
    """Refuse a scheduler's address where Dask is not installed."""
    if scheduler is not None and not importlib.util.find_spec("distributed"):
        raise Refused("--scheduler needs Dask: pip install 'smallscale[cluster]'")


def _planned(work: Plan) -> str:
    """Return the table of runs that a command asks for, as CSV."""
    done = [("completed", record.run, record.parameters) for record in work.done]
    todo = [("to do", task.run, task.parameters) for task in work.todo]
    names = dict.fromkeys(name for _, _, given in done + todo for name in given)
    lines = [["status", "run", *names]]
    lines += [
        [status, run, *(str(given.get(name, "")) for name in names)]
        for status, run, given in done + todo
    ]
    return "".join(map(csv_line, lines)).rstrip("\n")


def _interrupted(work: Plan, new: list[RunRecord], out: Path) -> str:
    kept = len(work.done) + len(new)
    total = len(work.done) + len(work.todo)
    return f"interrupted: {kept} of {total} runs are kept in {out}"


def _print_summary(records: list[RunRecord], out: Path) -> None:
    """Say how the runs went, and where the results are."""
    counts = [claims_held(record) for record in records]
    held = sum(count.held for count in counts)
    judged = sum(count.judged for count in counts)
    failed = sum(record.status != "completed" for record in records)
    print(
        f"{count(len(records), 'run')}, {failed} failed; "
        f"{held} of {count(judged, 'judged claim')} held"
    )
    print(f"gallery: {out / 'index.html'}")
    print(f"table:   {out / 'runs.csv'}")


def _table(records: list[RunRecord]) -> str:
    """Return what differs between the runs, and what they measured, as a text.

    `runs.csv` has the rest.
    """
    import pandas as pd

    columns = zip(*rows(records), strict=True)
    shown = [column for column in columns if _is_shown(*column)]
    headings, *lines = zip(*shown, strict=True)
    frame = pd.DataFrame(lines, columns=list(headings))
    text: str = frame.to_string(
        index=False, na_rep="", float_format="{:.3g}".format, line_width=console.width
    )
    return text


def _is_shown(heading: str, *cells: object) -> bool:
    """Tell whether a terminal is shown this column of the table of runs."""
    if heading in ("claims", "seconds"):
        return True
    if heading in ("run", "peak_mb"):
        return False
    return len(set(map(str, cells))) > 1


if __name__ == "__main__":
    main()
