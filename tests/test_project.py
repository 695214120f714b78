"""The lists that must agree, and what the house's floors may import."""

import ast
import re
import tomllib
from pathlib import Path

import pytest
import yaml

from tests.conftest import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
LIB = ROOT / "lib" / "smallscale"
GROUND = {  # every floor that is no theme, and what it may stand on
    "__init__.py": set(),
    "core": set(),
    "datasets": {"core"},
    "models": {"core"},
    "training": {"core"},
    "votes": {"core"},
    "notebook": {"core"},
    "runs": {"core", "models", "notebook"},
}
THEMES_MAY_USE = {"core", "datasets", "models", "training", "votes"}
HELPERS = {"exercises", "explorer"}  # these of a theme's files may use the notebook kit


def plain(requirement: str) -> str:
    return re.split(r"[^\w.-]", requirement.strip())[0].lower().replace("_", "-")


def test_environment_yml_installs_pyprojects_list_through_pip() -> None:
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    python, pip, piped = environment["dependencies"]
    assert environment["channels"] == ["conda-forge"]
    assert python == "python=" + PROJECT["requires-python"].removeprefix(">=")
    assert pip == "pip"
    assert piped == {"pip": ["--constraint constraints.txt", "--editable ."]}


def test_every_dependency_is_pinned_at_a_version_that_it_allows() -> None:
    from packaging.requirements import Requirement

    lines = (ROOT / "constraints.txt").read_text().lower().splitlines()
    pins = dict(line.split("==") for line in lines if "==" in line)
    assert pins["torch"] == "2.13.0"
    extras = PROJECT["optional-dependencies"]
    pinned = [name for name in extras if name not in ("teach", "mlflow")]
    for text in [
        *PROJECT["dependencies"],
        *(text for name in pinned for text in extras[name]),
    ]:
        requirement = Requirement(text)
        if requirement.name != "smallscale":
            pin = pins[requirement.name.lower()]
            assert requirement.specifier.contains(pin), f"{text} is pinned at {pin}"


def imported(path: Path) -> set[str]:
    """What a module imports of smallscale: {"robustness.images.attacks", …}."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(
            "smallscale."
        ):
            names.add((node.module or "").removeprefix("smallscale."))
        elif isinstance(node, ast.Import):
            names |= {
                a.name.removeprefix("smallscale.")
                for a in node.names
                if a.name.startswith("smallscale.")
            }
    return names


@pytest.mark.parametrize(
    "path", sorted(LIB.rglob("*.py")), ids=lambda path: path.relative_to(LIB).as_posix()
)
def test_the_floors_of_the_house_hold(path: Path) -> None:
    floor = path.relative_to(LIB).parts[0]
    below = {name.split(".")[0] for name in imported(path)} - {floor}
    allowed = GROUND.get(floor, THEMES_MAY_USE)
    if floor not in GROUND:  # a theme
        allowed |= {"dpo"} if floor == "values" else set()
        allowed |= {"notebook"} if path.stem in HELPERS else set()
    assert below <= allowed, f"{floor} imports {below - allowed}"


UNPICKLING = {"pickle", "_pickle", "cloudpickle", "dill", "marshal", "shelve"}


def test_nothing_unpickles_or_evaluates() -> None:
    for path in LIB.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            name = getattr(node, "id", None) or getattr(node, "attr", None)
            calls = isinstance(node, (ast.Name, ast.Attribute)) and name in {
                "exec",
                "pickle",
                "unpickle",
            }
            assert not calls, f"{path.name} names {name}"
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                assert node.func.id != "eval", path.name
            if isinstance(node, (ast.Import, ast.ImportFrom)):
                modules = {getattr(node, "module", None), *(a.name for a in node.names)}
                assert not modules & UNPICKLING, f"{path.name} imports {modules}"
