"""The command `smallscale`: list, run, results, doctor."""

import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from smallscale.runs import Refused
from smallscale.runs.catalogue import choose, find_all
from smallscale.runs.plan import plan
from smallscale.runs.progress import ProgressReporter, console, count
from smallscale.runs.record import RunRecord, claims_held, passed
from smallscale.runs.results import Results, rows, table

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # its markup reads a:b:step as an emoji
    help="Run the bundle's notebooks, over a grid of parameters if you like, and keep what came of it.",
)
Out = Annotated[
    Path, typer.Option("--out", metavar="DIR", help="Where results are kept.")
]
Notebooks = Annotated[
    list[str],
    typer.Argument(metavar="NOTEBOOK…", help="A path, a name, a theme, or all."),
]
RESULTS = Path("results")
UsageError: Any = typer.BadParameter.__mro__[1]  # click's, wherever typer keeps it


@app.command("list")
def list_(
    notebooks: Annotated[
        list[str] | None, typer.Argument(metavar="[NOTEBOOK…]")
    ] = None,
) -> None:
    """Print the notebooks and what each asks; of the named ones, their parameters too."""
    chosen = (
        choose(notebooks, Path.cwd())
        if notebooks
        else list(find_all(Path.cwd()).values())
    )
    if not chosen:
        raise Refused(
            "there is no notebooks/ folder here, above, or where smallscale was installed from"
        )
    width = max(len(notebook.name) for notebook in chosen)
    for notebook in chosen:
        print(f"{notebook.name:<{width}}  {notebook.title}")
        for parameter in notebook.parameters.values() if notebooks else ():
            print(f"    {parameter.name} = {parameter.default!r}  {parameter.help}")


@app.command()
def run(
    notebooks: Notebooks,
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
        str | None, typer.Option(metavar="S", help="tiny, small, medium or full.")
    ] = None,
    workers: Annotated[
        int, typer.Option(min=1, metavar="N", help="How many runs at a time.")
    ] = 1,
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
    """Run notebooks with every combination of the values given. What was completed before is not repeated."""
    chosen = choose(notebooks, Path.cwd())
    asked = _asked(parameters or [], scale)
    results = Results(out.expanduser().absolute())
    todo = plan(chosen, asked, Path.cwd(), results, fresh=fresh)
    total = len(todo.done) + len(todo.todo)
    records: list[RunRecord] = []
    if todo.todo:
        results.prepare()
        from smallscale.runs.sweep import (
            run_sweep,  # what talks to kernels takes a while to import
        )

        progress = ProgressReporter(len(todo.todo))
        records = progress.records
        try:
            with progress.bar:
                run_sweep(
                    todo,
                    results,
                    progress,
                    workers=workers,
                    timeout=timeout,
                    html=html,
                    warm=not cold,
                )
        except KeyboardInterrupt:
            kept = len(todo.done) + len(records)
            print(
                f"interrupted: {kept} of {total} runs are kept in {out}",
                file=sys.stderr,
            )
            raise typer.Exit(130) from None
    else:
        results.ensure_outputs()
        print(f"nothing to do: {count(total, 'run')} completed before")
    if console.is_terminal and 1 < len(records) <= 50:
        print(_table(records))
    everything = todo.done + records
    failed = sum(record.status != "completed" for record in everything)
    held, judged = map(sum, zip(*map(claims_held, everything), strict=True))
    print(
        f"{count(total, 'run')}, {failed} failed; {held} of {count(judged, 'judged claim')} held"
    )
    print(f"gallery: {out / 'index.html'}\ntable:   {out / 'runs.csv'}")
    raise typer.Exit(0 if all(map(passed, everything)) else 1)


@app.command()
def results(out: Out = RESULTS) -> None:
    """Print the table of runs: for a reader on a terminal, as CSV into a pipe."""
    folder = out.expanduser().absolute()
    if not (folder / "runs").is_dir():
        raise Refused(f"--out {out} holds no results; `smallscale run` makes them")
    records = Results(folder).current()
    if console.is_terminal:
        print(_table(records))
    else:
        print(table(records), end="")


@app.command()
def doctor() -> None:
    """Say what this machine has, and what is missing for which notebook."""
    from smallscale.runs.doctor import examine

    for line in examine(find_all(Path.cwd()).values()):
        print(line)


def main() -> None:
    """Run the command; what it refuses is one line and exit code 2."""
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="replace")  # type: ignore[union-attr]  # a Windows pipe may not know "…"
    try:
        sys.exit(app(standalone_mode=False) or 0)
    except UsageError as error:
        if message := error.format_message().rstrip(
            "."
        ):  # else it was asked for nothing, and printed the help
            print(
                f"smallscale: {message}; `smallscale --help` says what there is",
                file=sys.stderr,
            )
        sys.exit(2)
    except Refused as error:
        print(f"smallscale: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:  # `smallscale results | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _asked(parameters: list[str], scale: str | None) -> dict[str, str]:
    asked: dict[str, str] = {}
    for text in [*parameters, *([] if scale is None else [f"scale={scale}"])]:
        name, equals, values = text.partition("=")
        name = name.strip()
        if not equals or not name:
            raise Refused(f"-p {text} is not of the form name=value")
        if name in asked:
            raise Refused(f"{name} is given twice; write its values as one comma list")
        asked[name] = values
    return asked


def _table(records: list[RunRecord]) -> str:
    """What differs between the runs, and what they measured; `runs.csv` has the rest."""
    import pandas as pd

    def shown(heading: str, *cells: object) -> bool:
        differs = len(set(map(str, cells))) > 1
        return heading in ("claims", "seconds") or (
            differs and heading not in ("run", "peak_mb")
        )

    headings, *lines = zip(
        *(column for column in zip(*rows(records), strict=True) if shown(*column)),
        strict=True,
    )
    frame = pd.DataFrame(lines, columns=list(headings))
    return frame.to_string(
        index=False, na_rep="", float_format="{:.3g}".format, line_width=console.width
    )


if __name__ == "__main__":
    main()
