"""The command `smallscale`: list, run, watch, results, export, doctor, model."""

import importlib.metadata
import importlib.util
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from smallscale.notebook.scale import SCALES
from smallscale.runs import Refused, refusing
from smallscale.runs.asked import asked_values, having, listed_runs, shard_of
from smallscale.runs.catalogue import Notebook, choose, find_all, words_for
from smallscale.runs.perform import Ways, perform
from smallscale.runs.plan import plan
from smallscale.runs.progress import console, count
from smallscale.runs.results import Results
from smallscale.runs.search import goal_of, search_for
from smallscale.runs.shown import (
    planned,
    print_json_notebook,
    print_json_plan,
    print_json_rows,
    tell,
    terminal_table,
)
from smallscale.runs.streams import run_command
from smallscale.runs.table import table

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
Json = Annotated[
    bool, typer.Option("--json", help="One JSON object a line, for programs.")
]
RESULTS = Path("results")
PYTHON_TYPE = "<list[str]>"  # what typer says of an argument that may be several
PYTHON_TYPE_BLANK = " " * len(f" {PYTHON_TYPE}")


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
def list_(notebooks: OptionalNotebookNames = None, json: Json = False) -> None:
    """Print the notebooks; of named ones, the parameters.

    Without names it prints every notebook there is.
    """
    if notebooks:
        chosen = choose(notebooks, Path.cwd(), tell)
    else:
        chosen = list(find_all(Path.cwd(), tell).values())
    if not notebooks:
        chosen = [notebook for notebook in chosen if _is_sound(notebook)]
    if not chosen:
        raise Refused(
            "there is no notebooks/ folder here, above, or where smallscale was "
            "installed from"
        )
    if json:
        for notebook in chosen:
            print_json_notebook(notebook)
        return
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
        tell(str(refusal))
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
    search: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Let Optuna choose N runs by --metric."),
    ] = None,
    metric: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="What a search makes small."),
    ] = None,
    maximize: Annotated[
        bool, typer.Option("--maximize", help="It makes it large instead.")
    ] = False,
    json: Json = False,
    out: Out = RESULTS,
) -> None:
    """Run notebooks with all combinations of values.

    What was completed before is not repeated. Of several notebooks, those run that have
    the parameters given.
    """
    goal = goal_of(search, metric, maximize)
    if goal and (params or shard or dry_run or (seeds or 1) > 1):
        raise Refused(
            "--search chooses the runs itself: no --params, --shard, --dry-run or "
            "several --seeds beside it"
        )
    asked = asked_values(parameters or [], scale, seeds)
    listed = listed_runs(params, asked)
    names = dict.fromkeys([*asked, *(name for row in listed.rows for name in row)])
    chosen = having(names, choose(notebooks, Path.cwd(), tell), tell)
    results = _open(out)
    ways = Ways(workers, scheduler, timeout, fresh, html, not cold, json, out)
    if goal:
        found = search_for(goal, chosen, asked, Path.cwd(), results)
        raise typer.Exit(perform(found.plan, results, ways, found))
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
        print_json_plan(work) if json else print(planned(work))
        raise typer.Exit(0)
    raise typer.Exit(perform(work, results, ways))


@app.command()
def results(json: Json = False, out: Out = RESULTS) -> None:
    """Print the table of runs; into a pipe, as CSV."""
    _check_results(out)
    records = _open(out).current()
    if json:
        print_json_rows(records)
    elif console.is_terminal:
        print(terminal_table(records))
    else:
        print(table(records), end="")


@app.command()
def watch(
    once: Annotated[
        bool, typer.Option("--once", help="Show it as it is now, and end.")
    ] = False,
    every: Annotated[
        float, typer.Option(min=0.1, metavar="S", help="Seconds between two looks.")
    ] = 2.0,
    out: Out = RESULTS,
) -> None:
    """Show how the sweeps in a folder are coming along."""
    from smallscale.runs.watch import watch

    _check_results(out)
    watch(out.expanduser().absolute(), every=every, once=once)


@app.command()
def export(
    mlflow: Annotated[
        Path,
        typer.Option(metavar="DIR", help="MLflow's folder of runs, such as mlruns."),
    ],
    out: Out = RESULTS,
) -> None:
    """Write the runs into the files of MLflow."""
    from smallscale.runs.mlflow_files import export

    _check_results(out)
    new = export(_open(out), mlflow.expanduser().absolute())
    print(f"{count(new, 'run')} exported to {mlflow}")


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
    """Run the command."""
    run_command(app)


# ---- what the commands share ---------------------------------------------------------


def _open(out: Path) -> Results:
    """Open the results folder, and tell which records in it are damaged."""
    results = Results(out.expanduser().absolute())
    for path, reason in results.damaged.items():
        where = out / path.relative_to(results.folder)
        tell(f"{where} is damaged and does not count: {reason}")
    return results


def _check_results(out: Path) -> None:
    """Refuse a folder that no command has filled."""
    if not (out.expanduser() / "runs").is_dir():
        raise Refused(f"--out {out} holds no results; `smallscale run` makes them")


if __name__ == "__main__":
    main()
