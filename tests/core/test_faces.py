"""Does a face show its functions, whatever modules were imported, in any order?"""

import subprocess
import sys

import pytest

from smallscale.core.faces import Face

SHADOWED = [
    ("smallscale.kernels", "attention"),
    ("smallscale.datasets", "digits"),
    ("smallscale.datasets", "authors"),
]


@pytest.mark.parametrize(("package", "name"), SHADOWED)
@pytest.mark.parametrize(
    "first",
    [
        "",
        "import sys, {package}.{name} as _\n"
        "sys.modules['{package}'].{name} = sys.modules['{package}.{name}']",
    ],
)
def test_the_function_is_shown_after_its_module_was_imported(
    package: str, name: str, first: str
) -> None:
    code = (
        first.format(package=package, name=name)
        + f"\nfrom {package} import {name}"
        + f"\nprint(callable({name}), {name}.__module__)"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert run.stdout.split() == ["True", f"{package}.{name}"]


def test_a_face_can_otherwise_be_changed_as_any_module() -> None:
    face, module = Face("face"), Face("face.module")
    face.__dict__["function"] = len
    face.function = module
    assert face.function is len
    face.function = max  # a test may put another function in its place
    assert face.function is max
    face.other = module
    assert face.other is module
