"""Is a step computed once, and again as soon as what it depends on has changed?"""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from smallscale.notebook import remember
from smallscale.notebook.disk_cache import cache_folder, value_hash

calls: list[Any] = []
FACTOR = 2


def double(x: Any, *, bias: float = 0.0) -> Any:
    record(x)
    return x * FACTOR + bias


def record(x: Any) -> None:
    os.environ["SMALLSCALE_TEST_CALLS"] = str(
        int(os.environ.get("SMALLSCALE_TEST_CALLS", "0")) + 1
    )


@pytest.fixture
def count(monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    monkeypatch.setenv("SMALLSCALE_TEST_CALLS", "0")
    return lambda: int(os.environ["SMALLSCALE_TEST_CALLS"])


def test_the_second_call_reads_the_first_ones_result(count: Callable[[], int]) -> None:
    x = torch.arange(3.0)
    first, second = remember(double)(x), remember(double)(x)
    assert torch.equal(first, second)
    assert torch.equal(first, 2 * x)
    assert count() == 1


def test_an_argument_by_name_or_at_its_default_is_the_same_step(
    count: Callable[[], int],
) -> None:
    remember(double)(1.5)
    remember(double)(x=1.5, bias=0.0)
    assert count() == 1
    remember(double)(1.5, bias=1.0)
    assert count() == 2


def test_another_argument_dtype_or_shape_is_another_step(
    count: Callable[[], int],
) -> None:
    for x in (
        torch.zeros(2),
        torch.zeros(2, 1),
        torch.zeros(2, dtype=torch.float64),
        np.zeros(2),
        [0.0, 0.0],
        0,
        0.0,
    ):
        remember(double)(x) if not isinstance(x, list) else remember(double)(
            np.array([[0.0], [0.0]])
        )
    assert count() == 7


def test_a_global_that_the_code_names_counts(
    count: Callable[[], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert remember(double)(1.0) == 2
    monkeypatch.setattr(sys.modules[__name__], "FACTOR", 3)
    assert remember(double)(1.0) == 3


def test_a_helper_in_the_same_file_counts(
    count: Callable[[], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    remember(double)(1.0)

    def other(x: Any) -> None:
        raise AssertionError("called")

    monkeypatch.setattr(sys.modules[__name__], "record", other)
    with pytest.raises(AssertionError, match="called"):
        remember(double)(1.0)


def test_a_closure_counts() -> None:
    def scaled(by: float) -> Callable[[float], float]:
        return lambda x: x * by

    assert remember(scaled(2.0))(1.0) == 2
    assert remember(scaled(3.0))(1.0) == 3


def test_a_model_counts_by_its_weights_and_layers() -> None:
    def weight(model: torch.nn.Module) -> float:
        return float(sum(p.detach().sum() for p in model.parameters()))

    model = torch.nn.Linear(2, 2)
    before = remember(weight)(model)
    with torch.no_grad():
        model.weight += 1
    assert remember(weight)(model) == pytest.approx(before + 4)
    assert value_hash(
        torch.nn.Conv2d(1, 1, 3, padding=1).requires_grad_(False)
    ) != value_hash(torch.nn.Conv2d(1, 1, 3))


def test_a_path_counts_by_what_it_holds(tmp_path: Path) -> None:
    def length(path: Path) -> int:
        return len(path.read_text())

    (tmp_path / "a").write_text("12")
    assert remember(length)(tmp_path / "a") == 2
    (tmp_path / "a").write_text("123")
    assert remember(length)(tmp_path / "a") == 3


leaves = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(st.characters(codec="utf-8"))
)
trees = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner)
        | st.tuples(inner, inner)
        | st.dictionaries(st.text() | st.integers(), inner)
    ),
    max_leaves=8,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(trees)
def test_what_comes_back_is_what_was_returned_types_and_all(tree: Any) -> None:
    def same(value: Any) -> Any:
        return value

    for _ in range(2):
        back = remember(same)(tree)
        assert back == tree
        assert repr(back) == repr(tree)


@pytest.mark.parametrize(
    "value",
    [
        torch.tensor(1.5, dtype=torch.bfloat16),
        torch.empty(0, 3),
        torch.arange(6).reshape(2, 3).T,
        torch.tensor([True, False]),
    ],
)
def test_tensors_come_back_in_shape_and_dtype(value: torch.Tensor) -> None:
    def same(v: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"v": v}

    for _ in range(2):
        back = remember(same)(value)["v"]
        assert back.dtype == value.dtype
        assert torch.equal(back, value)


@pytest.mark.parametrize(
    "value", [np.arange(3), np.float32(1.5), np.zeros((2, 0)), np.array(2.0)]
)
def test_arrays_stay_arrays(value: Any) -> None:
    def same(v: Any) -> Any:
        return v

    for _ in range(2):
        back = remember(same)(value)
        assert type(back) is type(value)
        assert back.dtype == value.dtype
        assert np.array_equal(back, value)


def test_a_damaged_file_is_computed_again(count: Callable[[], int]) -> None:
    remember(double)(1.0)
    (file,) = cache_folder().glob("*.safetensors")
    for damage in (b"", b"\x80\x04nonsense", file.read_bytes()[:-3]):
        file.write_bytes(damage)
        assert remember(double)(1.0) == 2
    assert remember(double)(1.0) == 2
    assert count() == 4


def test_what_cannot_be_stored_is_handed_back_with_a_warning() -> None:
    def model() -> Any:
        return torch.nn.Linear(1, 1)

    with pytest.warns(
        UserWarning, match=r"did not keep the result of model: a Linear .* state_dict"
    ):
        assert isinstance(remember(model)(), torch.nn.Linear)


def test_an_argument_without_content_is_refused() -> None:
    with pytest.raises(TypeError, match="cannot tell a Generator by its content"):
        remember(double)(torch.Generator())


def test_another_process_reads_it(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        "import sys\n"
        "from smallscale.notebook import remember\n"
        "def step(x):\n"
        "    print('computed')\n"
        "    return {'x': x}\n"
        "print(remember(step)(float(sys.argv[1])))\n"
    )
    run = [sys.executable, str(program), "1.5"]
    outputs = [
        subprocess.run(run, capture_output=True, text=True, check=True).stdout
        for _ in range(2)
    ]
    assert outputs == ["computed\n{'x': 1.5}\n", "{'x': 1.5}\n"]
