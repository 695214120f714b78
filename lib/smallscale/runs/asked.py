"""What do the words of `smallscale run` ask for? Values, lists, seeds, a part."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from smallscale.runs import Refused
from smallscale.runs.catalogue import Notebook
from smallscale.runs.lists import read_rows
from smallscale.runs.parameters import near, unknown
from smallscale.runs.plan import Listed, Shard

LONGEST_SHARD = 20  # characters; nobody splits a sweep into more parts


def asked_values(
    parameters: list[str], scale: str | None, seeds: int | None
) -> dict[str, str]:
    """Return the values asked for as texts, by name.

    `--scale S` is `-p scale=S`, and `--seeds 3` is `-p seed=0:2:1`.
    """
    texts = list(parameters)
    if scale is not None:
        texts.append(f"scale={scale}")
    if seeds is not None:
        texts.append(f"seed=0:{seeds - 1}:1")
    asked: dict[str, str] = {}
    for text in texts:
        name, equals, values = text.partition("=")
        name = name.strip()
        if not equals or not name:
            raise Refused(f"-p {text} is not of the form name=value")
        if name in asked:
            raise Refused(f"{name} is given twice; write its values as one comma list")
        asked[name] = values
    return asked


def listed_runs(file: Path | None, asked: Mapping[str, str]) -> Listed:
    """Return the runs that `--params` lists; none where it is not given.

    Raises Refused for a name that the command line gives as well.
    """
    if file is None:
        return Listed([], Path.cwd())
    rows = read_rows(file.expanduser())
    for name in asked:
        if any(name in row for row in rows):
            raise Refused(f"{name} is given both on the command line and in {file}")
    return Listed(rows, file.expanduser().absolute().parent)


def shard_of(text: str | None) -> Shard | None:
    """Return which part of the runs `--shard 2/10` asks for."""
    if text is None:
        return None
    number, slash, parts = text.partition("/")
    short = text.isascii() and len(text) <= LONGEST_SHARD
    digits = short and number.isdecimal() and parts.isdecimal()
    if not slash or not digits or not 1 <= int(number) <= int(parts):
        raise Refused(
            f"--shard {text} is no part; write I/N with I from 1 to N, such as 2/10"
        )
    return Shard(int(number), int(parts))


def having(
    asked: Iterable[str], notebooks: list[Notebook], tell: Callable[[str], None]
) -> list[Notebook]:
    """Return the notebooks that have every parameter asked for, and tell the others.

    Raises Refused where none of them has.
    """
    every = {name: None for notebook in notebooks for name in notebook.parameters}
    for name in asked:
        if len(notebooks) > 1 and name not in every:
            raise Refused(
                f"none of these {len(notebooks)} notebooks has a parameter {name!r}"
                f"{near(name, every)}; they have: {', '.join(every)}"
            )
        if name not in every:
            raise unknown(name, notebooks[0].parameters, notebooks[0].name)
    lacking = {
        notebook.name: [name for name in asked if name not in notebook.parameters]
        for notebook in notebooks
    }
    having = [notebook for notebook in notebooks if not lacking[notebook.name]]
    if not having:
        raise Refused(f"no notebook has all of these parameters: {', '.join(asked)}")
    for notebook, names in lacking.items():
        if names:
            tell(f"{notebook} has no parameter {names[0]!r} and is left out")
    return having
