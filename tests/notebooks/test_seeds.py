"""Does what holds at two values of `seed` rest on runs of their own?"""

import re

import pytest

from smallscale.runs.catalogue import find_all
from tests.conftest import ROOT

NOTEBOOKS = find_all(ROOT)
# range(seed, seed + n), or seed + k in a loop: n - 1 of n runs are the next seed's too.
SHARED = re.compile(r"range\(\s*seed\b|\[seed, seed\b|\bseed \+ [a-z]\w*\b")
# What a language model says is recorded for three seeds alone, and the page says so.
RECORDED = {
    "robustness/adversarial-reading": "neighbouring values of `seed` share questions",
    "simulation/town-in-words": "neighbouring values of `seed` share towns",
}


def shared(code: list[str]) -> list[str]:
    return [line for text in code for line in text.splitlines() if SHARED.search(line)]


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_neighbouring_seeds_share_no_run(name: str) -> None:
    notebook = NOTEBOOKS[name]
    found = shared([cell.text for cell in notebook.cells if cell.kind == "code"])
    if name in RECORDED:
        assert len(found) == 1
        assert RECORDED[name] in " ".join(" ".join(notebook.markdown).split())
    else:
        assert not found, f"replicate_seeds in {found}"


@pytest.mark.parametrize(
    "line",
    ["range(seed, 9)", "range(\n seed, 9)", "x(seed=seed + k)", "[seed, seed + 1]"],
)
def test_what_shares_runs_is_found(line: str) -> None:
    assert SHARED.search(line)


@pytest.mark.parametrize("line", ["f(seed=seed + 2)", "range(1000 * seed, 9)"])
def test_what_shares_none_is_left_alone(line: str) -> None:
    assert not SHARED.search(line)
