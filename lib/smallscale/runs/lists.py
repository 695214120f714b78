"""Which runs does a file list? A table of CSV, or a list or a grid in YAML.

A CSV file has the parameters' names in its first row and a run in each other row; an
empty field leaves a parameter at its default. A YAML file holds a list of runs, each
`name: value`, or one mapping `name: [values]`, which is a grid. Values are plain: a
comma or a colon in them means nothing. Nothing in the file is run.
"""

import csv
import io
import itertools
import math
import re
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any, cast

from smallscale.runs import Refused, refusing
from smallscale.runs.parameters import MOST_VALUES, TYPES, Parameter, Value

Row = Mapping[str, Value]  # what one run is given; the rest stays at its default
ODD_NUMBER = re.compile(r":|^[-+]?0[0-7_]+$")  # in base 60, or in base 8
FORMATS = "give a .csv, .yaml or .yml file"


def read_rows(file: Path) -> list[Row]:
    """Return the runs that a file lists, as parameters by name.

    Values of CSV are texts, and become what each parameter is. Raises Refused, with the
    row that is wrong, for a file that cannot be read, that holds something else, or
    that lists nothing or more than 100,000 runs.
    """
    with refusing(f"--params {file} cannot be read: ", OSError, UnicodeDecodeError):
        text = file.read_bytes().decode("utf-8-sig")
    readers = {".csv": _from_csv, ".yaml": _from_yaml, ".yml": _from_yaml}
    if file.suffix.lower() not in readers:
        raise Refused(f"--params {file} has an unknown ending; {FORMATS}")
    with refusing(f"--params {file}: ", Refused):
        rows = readers[file.suffix.lower()](text)
        if not rows:
            raise Refused("it lists no run")
        if len(rows) > MOST_VALUES:
            raise Refused(f"it lists more than {MOST_VALUES:,} runs")
    return rows


def _from_csv(text: str) -> list[Row]:
    with refusing("it is not CSV: ", csv.Error):
        lines = list(csv.reader(io.StringIO(text, newline=""), strict=True))
    if not lines:
        return []
    names = [name.strip() for name in lines[0]]
    if not all(names) or len(set(names)) < len(names):
        raise Refused("its first row must hold the parameters' names, each once")
    rows: list[Row] = []
    for number, line in enumerate(lines[1:], 2):
        if not any(field.strip() for field in line):
            continue
        if len(line) != len(names):
            raise Refused(
                f"row {number} has {len(line)} fields, and the first has {len(names)}"
            )
        given = zip(names, map(str.strip, line), strict=True)
        rows.append({name: field for name, field in given if field})
    return rows


def _from_yaml(text: str) -> list[Row]:
    import yaml  # takes a while to import

    try:
        _no_surprise(yaml.compose(text, Loader=yaml.SafeLoader), set())
        content = yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f", line {mark.line + 1}" if mark else ""
        raise Refused(f"it is not YAML: {error.problem}{where}") from None
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        why = " ".join(str(error).split())
        raise Refused(f"it is not YAML: {why}") from None
    if isinstance(content, dict):
        return _grid(content)
    if not isinstance(content, list):
        raise Refused("it must hold a list of runs, or a mapping of names to values")
    return [_row(item, f"item {number}") for number, item in enumerate(content, 1)]


def _no_surprise(node: Any, seen: set[int]) -> None:
    """Refuse what YAML would silently take for something else than it looks like.

    Of a name that a mapping gives twice it takes the last, 1:30 is 90 to it, and 010
    is 8. seen: the nodes that are known; one may stand in a file many times.
    """
    if node is None or id(node) in seen:
        return
    seen.add(id(node))
    if isinstance(node.value, str):
        if node.tag.endswith((":int", ":float")) and ODD_NUMBER.search(node.value):
            raise Refused(
                f"{node.value} is another number in YAML than it looks like; write it "
                "plainly, or put it in quotes"
            )
        return
    names: set[Any] = set()
    for inner in node.value:
        pair = inner if isinstance(inner, tuple) else ()
        if pair and isinstance(pair[0].value, str):
            if pair[0].value in names:
                raise Refused(f"{pair[0].value} is given twice in one mapping")
            names.add(pair[0].value)
        for part in pair or (inner,):
            _no_surprise(part, seen)


def _row(item: Any, where: str) -> Row:
    if not isinstance(item, dict):
        raise Refused(f"{where} must be a mapping of names to values")
    return {_name(name): _value(name, value, where) for name, value in item.items()}


def _grid(content: Mapping[Any, Any]) -> list[Row]:
    """Return all combinations of the values of a mapping, the last name fastest."""
    lists = {
        _name(name): values if isinstance(values, list) else [values]
        for name, values in content.items()
    }
    size = math.prod(map(len, lists.values()))
    if size > MOST_VALUES:
        raise Refused(f"it is a grid of {size:,} runs; at most {MOST_VALUES:,} go")
    for name, values in lists.items():
        for value in values:
            _value(name, value, "the grid")
    return [
        dict(zip(lists, values, strict=True))
        for values in itertools.product(*lists.values())
        if lists
    ]


def _name(name: Any) -> str:
    if not isinstance(name, str):
        raise Refused(f"{name!r} is no parameter's name")
    return name


def _value(name: Any, value: Any, where: str) -> Value:
    """Return a value of YAML; Refused for a date, a list in a list, or none at all."""
    if isinstance(value, date):
        raise Refused(f"{name} in {where} is a date; put it in quotes")
    if not isinstance(value, tuple(TYPES.values())):
        raise Refused(f"{name} in {where} must be text, a number, true or false")
    return cast(Value, value)


def given(parameter: Parameter, value: Value) -> Value:
    """Return a listed value as the parameter's type, or raise Refused.

    A text becomes what the parameter is, as on the command line. A number or a truth
    value must be of the parameter's type already; a whole number is also a float.
    """
    if isinstance(value, str):
        return parameter.convert(value)
    if parameter.kind is float and type(value) is int:
        return float(value)
    if type(value) is not parameter.kind:
        raise Refused(
            f"{parameter.name}={value!r} has the wrong type; allowed is "
            f"{parameter.allowed}"
        )
    return value
