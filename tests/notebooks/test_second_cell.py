"""By hand, in a kernel: does the second cell refuse what the command refuses?"""

import math
import re
from pathlib import Path
from typing import Any, NamedTuple

import nbformat
import pytest
from nbclient import NotebookClient

from smallscale.runs import Refused
from smallscale.runs.catalogue import Notebook, find_all
from smallscale.runs.parameters import Parameter, Value, check_parameters, grid
from tests.conftest import ROOT

NOTEBOOKS = find_all(ROOT)
STANDS = {"scale": "tiny"}  # a change that is allowed


class Case(NamedTuple):
    """One parameter as somebody has edited it, and what is to be said about it."""

    notebook: str
    name: str
    value: Value
    sentence: str


def cases(notebook: Notebook) -> list[Case]:
    """Return wrong values of each of a notebook's parameters."""
    return [
        Case(notebook.name, name, value, sentence(notebook, parameter, value))
        for name, parameter in notebook.parameters.items()
        for value in wrong_values(parameter)
    ]


def wrong_values(parameter: Parameter) -> list[Value]:
    """Return values out of the range, of no choice, of another type, of no path."""
    if parameter.kind is bool:
        return [1, "yes"]
    if parameter.kind is str:
        return ["no such thing", 3] if parameter.choices or parameter.path else [3]
    wrong: list[Value] = ["x", True]
    if parameter.kind is int:
        wrong.append(1.5)
    else:
        wrong.append(math.pi * 1e9)
    if math.isfinite(parameter.high):
        wrong += [int(parameter.high) + 1, int(parameter.low) - 1]
    return wrong


def sentence(notebook: Notebook, parameter: Parameter, value: Value) -> str:
    """Return what the command says to this value, given as a word."""
    if parameter.kind is str and not isinstance(value, str):
        # Every word of a command line is a text, so the command has nothing to refuse.
        allowed = parameter.allowed
        if not parameter.choices:
            return f"{parameter.name}=3 has the wrong type; allowed is {allowed}"
    try:
        grid(notebook.parameters, {parameter.name: str(value)}, notebook.path.parent)
    except Refused as refusal:
        return str(refusal)
    return ""


def edited(notebook: Notebook, name: str, value: Value) -> str:
    """Return the parameters cell with this parameter's literal changed."""
    cell = notebook.cells[notebook.parameters_at].text
    text, count = re.subn(
        rf"^({name}: \w+ = )(?:\"[^\"]*\"|\S+)",
        lambda found: f"{found[1]}{value!r}",
        cell,
        flags=re.M,
    )
    assert count == 1
    return text


@pytest.fixture(scope="module")
def executed() -> list[tuple[Case, list[Any]]]:
    """Each case, and the errors that the second cell then ended in.

    One kernel runs them all, each notebook's own two cells after another, in the
    folder of the notebooks, so that it need import the libraries only once.
    """
    wanted = [case for notebook in NOTEBOOKS.values() for case in cases(notebook)]
    wanted += [
        Case(notebook.name, name, value, "")
        for notebook in NOTEBOOKS.values()
        for name, value in STANDS.items()
    ]
    node = nbformat.v4.new_notebook()
    for case in wanted:
        notebook = NOTEBOOKS[case.notebook]
        first, second = edited(notebook, case.name, case.value), notebook.code[1]
        node.cells += map(nbformat.v4.new_code_cell, (first, second))
    NotebookClient(
        node,
        timeout=300,
        allow_errors=True,
        resources={"metadata": {"path": str(ROOT / "notebooks")}},
    ).execute()
    for cell in node.cells[::2]:
        assert cell.outputs == [], "the first cell only declares"
    seconds = [cell.outputs for cell in node.cells[1::2]]
    return list(zip(wanted, seconds, strict=True))


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_the_second_cell_says_what_the_command_says(
    name: str, executed: list[tuple[Case, list[Any]]]
) -> None:
    for case, outputs in executed:
        if case.notebook == name and case.sentence:
            said = [(output.get("ename"), output.get("evalue")) for output in outputs]
            assert said == [("ValueError", case.sentence)], case


def test_wrong_values_of_every_kind_were_tried(
    executed: list[tuple[Case, list[Any]]],
) -> None:
    said = "\n".join(case.sentence for case, _ in executed)
    for words in (
        "is out of range; allowed is a number in",
        "is out of range; allowed is a whole number in",
        "has the wrong type; allowed is a whole number",
        "has the wrong type; allowed is true or false",
        "is not allowed; allowed is one of: tiny, small, medium, full",
        "does not exist; allowed is the path of a folder",
        "does not exist; allowed is the path of a file",
        "data=3 has the wrong type; allowed is a folder",
    ):
        assert words in said


def test_what_is_allowed_passes_in_silence(
    executed: list[tuple[Case, list[Any]]],
) -> None:
    passed = [outputs for case, outputs in executed if not case.sentence]
    assert len(passed) == len(NOTEBOOKS)
    assert not any(passed)


def test_the_second_cell_of_every_notebook_asks() -> None:
    for notebook in NOTEBOOKS.values():
        assert re.search(r"^check_parameters\(\)$", notebook.code[1], re.M)


PARAMETERS = """\
scale: str = "small"  # one of: tiny, small
eps: float = 0.1  # radius [0, 1]
seed: int = 0  # random seed
"""
CHECK = "from smallscale.runs.parameters import check_parameters\ncheck_parameters()"


def outcome(tmp_path: Path, *cells: str) -> str:
    """Return the last error's words after these cells, empty if there is none."""
    node = nbformat.v4.new_notebook(cells=list(map(nbformat.v4.new_code_cell, cells)))
    folder = {"metadata": {"path": str(tmp_path)}}
    NotebookClient(node, timeout=60, allow_errors=True, resources=folder).execute()
    errors = [o for o in node.cells[-1].outputs if o.output_type == "error"]
    return errors[-1].evalue if errors else ""


@pytest.mark.parametrize(
    ("cells", "words"),
    [
        # The value counts, wherever it was set; and the last declaration.
        ((PARAMETERS, "eps = 7", CHECK), "eps=7.0 is out of range; allowed is a"),
        ((PARAMETERS, PARAMETERS.replace("1]", "9]"), "eps = 7", CHECK), ""),
        ((PARAMETERS.replace("0.1", "10 * 0.7"), CHECK), "eps=7.0 is out of range"),
        ((PARAMETERS.replace("0.1", "float('nan')"), CHECK), "eps=nan is not finite"),
        ((PARAMETERS.replace("= 0.1", "= 1"), CHECK), ""),
        ((PARAMETERS.replace("0.1", "'0.1'"), CHECK), "eps='0.1' has the wrong type"),
        ((PARAMETERS, "del seed", CHECK), "seed has no value; run the parameters cell"),
        (("1", CHECK), "no cell has declared the parameters; run the first code cell"),
        ((f"{PARAMETERS}x = 3", CHECK), "line 4 of the parameters cell is not of the"),
        ((PARAMETERS, "x: int = 3", "%%time\n", CHECK), ""),
    ],
)
def test_the_check_reads_the_cell_as_the_kernel_ran_it(
    tmp_path: Path, cells: tuple[str, ...], words: str
) -> None:
    said = outcome(tmp_path, *cells)
    assert words in said
    assert bool(words) == bool(said)


def test_a_script_made_of_a_notebook_has_nothing_to_check() -> None:
    check_parameters()  # no kernel runs here
