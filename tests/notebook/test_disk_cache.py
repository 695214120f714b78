"""Is a step computed once, and again as soon as what it depends on has changed?"""

import _bisect
import abc
import builtins
import copy
import ctypes
import decimal
import enum
import fractions
import functools
import importlib
import inspect
import os
import pickle
import random
import struct
import subprocess
import sys
import threading
import warnings
from collections import Counter, OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch.utils._python_dispatch import TorchDispatchMode

from smallscale.notebook import libraries, remember
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


@pytest.mark.parametrize("requires_grad", [False, True])
@pytest.mark.parametrize("kind", [torch.Tensor, torch.nn.Parameter])
def test_what_takes_gradients_comes_back_as_it_was(
    kind: type[torch.Tensor], requires_grad: bool
) -> None:
    def learnt() -> list[Any]:
        x = kind(torch.ones(2)).requires_grad_(requires_grad)
        if requires_grad:
            (3 * x).sum().backward()
        return [x]

    for _ in range(2):
        (back,) = remember(learnt)()
        assert type(back) is kind
        assert back.requires_grad == requires_grad
        assert back.tolist() == [1, 1]
        assert (back.grad is None) if not requires_grad else (back.grad == 3).all()


def test_a_result_with_its_graph_is_handed_back_with_a_warning() -> None:
    def product() -> torch.Tensor:
        return 3 * torch.ones(1, requires_grad=True)

    with pytest.warns(UserWarning, match=r"of product: a tensor with the graph .*\)$"):
        assert remember(product)().grad_fn is not None


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


def test_processes_that_ask_at_once_compute_it_once(tmp_path: Path) -> None:
    """Four ask at the same moment; one of them computes, and the others wait for it."""
    program = tmp_path / "program.py"
    program.write_text(
        "import sys, time\n"
        "from pathlib import Path\n"
        "from smallscale.notebook import remember\n"
        "def step(x):\n"
        "    print('computed', flush=True)\n"
        "    time.sleep(0.5)\n"
        "    return {'x': x}\n"
        "asked = remember(step)\n"
        "print('ready', flush=True)\n"
        "sys.stdin.readline()\n"
        "print(asked(1.5))\n"
    )
    processes = [
        subprocess.Popen(
            [sys.executable, str(program)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(4)
    ]
    for process in processes:
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin
        process.stdin.write("go\n")
        process.stdin.flush()
    outputs = [process.communicate(timeout=120)[0] for process in processes]
    assert sorted(outputs) == ["computed\n{'x': 1.5}\n", *["{'x': 1.5}\n"] * 3]


def test_who_dies_while_computing_leaves_it_to_the_next(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        "import os, sys\n"
        "from smallscale.notebook import remember\n"
        "def step(x):\n"
        "    if not os.path.exists(x):\n"
        "        open(x, 'w').close()\n"
        "        os.kill(os.getpid(), 9)\n"
        "    return x\n"
        "print(remember(step)(sys.argv[1]))\n"
    )
    run = [sys.executable, str(program), str(tmp_path / "mark")]
    assert subprocess.run(run, capture_output=True).returncode != 0
    done = subprocess.run(run, capture_output=True, text=True, check=True)
    assert done.stdout == f"{tmp_path / 'mark'}\n"


# ---- what tells two values apart -----------------------------------------------------


def plus_one(x: int) -> int:
    return x + 1


def plus_hundred(x: int) -> int:
    return x + 100


def compare(function: Callable[[int], int], x: int) -> int:
    """Call the function; `plus_one` is met in this code before the argument is."""
    return function(x) + 0 * plus_one(x)


def test_two_functions_in_one_key_count_each_by_itself() -> None:
    assert remember(compare)(plus_one, 1) == 2
    assert remember(compare)(plus_hundred, 1) == 101
    one, hundred = plus_one, plus_hundred
    keys = {
        value_hash(a, b, c)
        for a, b, c in [
            (one, one, hundred),
            (one, hundred, one),
            (hundred, one, one),
            (one, hundred, hundred),
        ]
    }
    assert len(keys) == 4


def doubling(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def wrapper(*args: Any) -> Any:
        return 2 * function(*args)

    return wrapper


def passing(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def wrapper(*args: Any) -> Any:
        return function(*args)

    return wrapper


def class_with(number: int) -> type:
    """Return a class that calls its base's method, which returns the number."""

    class Base:
        def run(self) -> int:
            return number

    class Middle(Base):
        pass

    class Leaf(Middle):
        __slots__ = ("slot",)

        def __call__(self) -> int:
            return self.run()

    return Leaf


def class_with_value(number: int) -> type:
    class Holder:
        value = number

    return Holder


def class_with_property(number: int) -> type:
    class Holder:
        @property
        def value(self) -> int:
            return number

    return Holder


def with_slot(number: int) -> Any:
    made = class_with(0)()
    made.slot = number
    return made


def with_default(number: int) -> Callable[..., int]:
    def function(x: int = number, *, y: int = number) -> int:
        return x + y

    return function


def nested(text: str) -> Callable[[], Callable[[], int]]:
    """Return a function whose only own part is in a function within it."""
    space: dict[str, Any] = {"__name__": "__main__"}
    exec(
        f"def outer():\n    def inner():\n        return {text}\n    return inner",
        space,
    )
    return space["outer"]  # type: ignore[no-any-return]


def mutual(step: int) -> Callable[[int], bool]:
    """Return `even`, which calls `odd`, which calls `even` with n - step."""
    space: dict[str, Any] = {"__name__": "__main__"}
    exec(
        "def even(n): return n == 0 or odd(n - 1)\n"
        f"def odd(n): return n != 0 and even(n - {step})",
        space,
    )
    return space["even"]  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (doubling(plus_one), passing(plus_one)),
        (passing(plus_one), passing(plus_hundred)),
        (doubling(passing(plus_one)), doubling(passing(plus_hundred))),
        (torch.no_grad()(plus_one), torch.no_grad()(plus_hundred)),
        (functools.lru_cache(plus_one), functools.lru_cache(plus_hundred)),
        (functools.partial(plus_one, 1), functools.partial(plus_hundred, 1)),
        (functools.partial(plus_one, 1), functools.partial(plus_one, 2)),
        (class_with(1), class_with(2)),
        (class_with(1)(), class_with(2)()),
        (class_with(1)().run, class_with(2)().run),
        (class_with_value(1), class_with_value(2)),
        (class_with_property(1), class_with_property(2)),
        (with_slot(1), with_slot(2)),
        (with_default(1), with_default(2)),
        (nested("1"), nested("1.0")),
        (nested("True"), nested("1")),
        (nested("0.0"), nested("-0.0")),
        (mutual(1), mutual(2)),
        (np.vectorize(plus_one), np.vectorize(plus_hundred)),
        (np.sin, np.cos),
        (torch.relu, torch.sigmoid),
        ([].append, [1].append),
    ],
)
def test_code_counts_by_what_it_runs(one: Any, other: Any) -> None:
    assert value_hash(one) != value_hash(other)
    assert value_hash(one) == value_hash(one)


def test_a_helpers_helper_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    def top(x: float) -> Any:
        return double(x)  # which calls `record`, which is not named here

    before = value_hash(top)
    monkeypatch.setattr(sys.modules[__name__], "record", plus_one)
    assert value_hash(top) != before


def test_recursion_has_one_hash_whatever_was_hashed_before() -> None:
    even = mutual(1)
    before = value_hash(even)
    value_hash(even.__globals__["odd"])
    even(100)
    assert value_hash(even) == before == value_hash(mutual(1))


def test_comments_docstrings_and_places_do_not_count() -> None:
    plain: dict[str, Any] = {}
    told: dict[str, Any] = {}
    exec("def f(x):\n    return x + 1", plain)
    exec('\n\n# more\ndef f(x):\n    "It adds."\n    return x + 1  # one', told)
    if sys.version_info < (3, 13):
        assert value_hash(plain["f"]) == value_hash(told["f"])
    exec('def f(x):\n    "It adds 1."\n    return x + 1', plain)
    assert value_hash(plain["f"]) == value_hash(told["f"])


def test_the_loaded_code_counts_and_not_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    file = tmp_path / "edited_helper.py"
    file.write_text("def helper(x):\n    return x + 1\n")
    helpers = importlib.import_module("edited_helper")

    def step(x: int) -> Any:
        return helpers.helper(x)

    assert remember(step)(1) == 2
    file.write_text("def helper(x):\n    return x + 1000\n")
    before = value_hash(step)
    assert remember(step)(1) == 2
    importlib.reload(helpers)
    assert value_hash(step) != before
    assert remember(step)(1) == 1001


def test_an_import_within_a_function_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("made_helper")
    monkeypatch.setitem(sys.modules, "made_helper", module)
    module.helper = plus_one  # type: ignore[attr-defined]

    def step(x: int) -> Any:
        from made_helper import helper

        return helper(x)

    assert remember(step)(1) == 2
    module.helper = plus_hundred  # type: ignore[attr-defined]
    assert remember(step)(1) == 101


def test_a_patched_library_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    def step(x: torch.Tensor) -> torch.Tensor:
        return torch.relu(x)

    before = value_hash(step), value_hash(torch.nn.ReLU)
    monkeypatch.setattr(torch, "relu", plus_one)
    monkeypatch.setattr(torch.nn.ReLU, "forward", plus_hundred)
    assert value_hash(step) != before[0]
    assert value_hash(torch.nn.ReLU) != before[1]


def forgetting(self: Any, x: torch.Tensor) -> torch.Tensor:
    return x * 0


@pytest.mark.parametrize(
    "body",
    [
        "import torch.nn.functional as F; return F.relu(x)",
        "from torch.nn import functional as F; return F.relu(x)",
        "from torch.nn.functional import relu; return relu(x)",
        "from torch.nn.functional import relu as r, gelu; return r(x)",
        "import torch.nn.functional; return torch.nn.functional.relu(x)",
        "import torch; return (lambda y: torch.nn.functional.relu(y))(x)",
        "from torch import nn; return nn.ReLU()(x)",
        "from torch.nn import ReLU; return ReLU()(x)",
    ],
)
def test_a_patched_library_that_is_imported_within_a_function_counts(
    body: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = made(f"def f(x):\n    {body}")
    assert remember(step)(torch.ones(1)) == 1
    if "ReLU" in body:
        monkeypatch.setattr(torch.nn.ReLU, "forward", forgetting)
    else:
        monkeypatch.setattr(torch.nn.functional, "relu", lambda x: x * 0)
    assert remember(step)(torch.ones(1)) == 0


def test_a_value_that_was_set_on_an_imported_library_counts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    step = made("def f(x):\n    import torch as t\n    return t.GAIN * x")
    for gain in (2, 3):
        monkeypatch.setattr(torch, "GAIN", gain, raising=False)
        assert remember(step)(3) == 3 * gain


def test_an_import_within_a_function_is_the_same_step_before_and_after_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    step = made(
        "def f(x):\n    from calendar import Calendar, isleap\n    return isleap(x)"
    )
    monkeypatch.delitem(sys.modules, "calendar", raising=False)
    before = value_hash(step)
    assert step(2024)
    assert value_hash(step) == before


class Scaled(torch.nn.Module):
    def __init__(self, gain: float = 1.0) -> None:
        super().__init__()
        self.gain = gain
        self.inner = torch.nn.Linear(2, 2, bias=False)
        torch.nn.init.ones_(self.inner.weight)
        self.register_buffer("shift", torch.zeros(1), persistent=False)


def changed(change: Callable[[Any], Any]) -> Scaled:
    model = Scaled()
    change(model)
    return model


def tie(model: Any) -> None:
    model.inner.other = model.inner.weight


def untie(model: Any) -> None:
    model.inner.other = torch.nn.Parameter(model.inner.weight.detach().clone())


def test_a_model_counts_by_all_that_it_holds() -> None:
    models = [
        Scaled(),
        Scaled(5.0),
        changed(lambda m: m.shift.add_(1)),
        changed(lambda m: m.inner.eval()),
        changed(lambda m: m.inner.weight.requires_grad_(False)),
        changed(lambda m: m.register_forward_hook(lambda *_: None)),
        changed(lambda m: m.register_forward_hook(lambda *_: 1)),
        changed(lambda m: setattr(m, "forward", plus_one)),
        changed(lambda m: m.register_buffer("shift", torch.zeros(1))),
        changed(tie),
        changed(untie),
    ]
    assert len({value_hash(model) for model in models}) == len(models)
    # Hooks are numbered anew in each process; that does not count.
    hooked = changed(lambda m: m.register_forward_hook(plus_one))
    again = changed(lambda m: m.register_forward_hook(plus_one))
    assert value_hash(hooked) == value_hash(again)
    assert value_hash(Scaled()) == value_hash(copy.deepcopy(Scaled()))


@dataclass
class Point:
    x: int


class Colour(enum.IntEnum):
    RED = 1
    BLUE = 2


def nan_with(payload: int) -> float:
    (number,) = struct.unpack("<d", struct.pack("<Q", 0x7FF8_0000_0000_0000 | payload))
    return float(number)


FIELDS = [("a", "i1"), ("b", "f8")]
TABLE = pd.DataFrame({"a": [1, 2], "b": ["x", None]})
DIFFERENT: list[tuple[Any, Any]] = [
    (1, True),
    (1, 1.0),
    (0.0, -0.0),
    (nan_with(0), nan_with(1)),
    ("a", b"a"),
    ([1], (1,)),
    ({1, 2}, {1, 3}),
    ({1}, {True}),
    ({"a": 1, "b": 2}, {"b": 2, "a": 1}),  # code sees the order
    (Point(1), Point(2)),
    (Colour.RED, Colour.BLUE),
    (Colour.RED, 1),
    (datetime(2020, 1, 1), datetime(2020, 1, 1, tzinfo=UTC)),
    (datetime(2020, 1, 1), datetime(2020, 1, 1, fold=1)),
    (Decimal("1.0"), Decimal("1.00")),
    (deque([1], 3), deque([1], 4)),
    (np.array([0.0]), np.array([-0.0])),
    (np.ma.array([1, 2], mask=[0, 1]), np.ma.array([1, 2], mask=[1, 0])),
    (np.ma.array([1, 2], mask=[0, 0]), np.array([1, 2])),
    (np.array([1, "a"], object), np.array([1, "b"], object)),
    (np.array([(1, 2.0)], FIELDS), np.array([(1, 3.0)], FIELDS)),
    (np.arange(3, dtype="<i4"), np.arange(3, dtype=">i4")),
    (TABLE, TABLE.set_axis([5, 6])),
    (TABLE, TABLE.rename(columns={"a": "z"})),
    (TABLE, TABLE.astype({"a": "int32"})),
    (TABLE, TABLE.rename_axis("name")),
    (TABLE, TABLE.assign(b=["x", "y"])),
    (pd.Series([1], name="a"), pd.Series([1], name="b")),
    (pd.Series([1, None], dtype="Int64"), pd.Series([2, None], dtype="Int64")),
    (torch.zeros(2), torch.zeros(2, dtype=torch.bfloat16)),
    (torch.zeros(2).bfloat16(), torch.ones(2).bfloat16()),
    (torch.tensor([1 + 1j]), torch.tensor([1 + 1j]).conj()),
    (torch.eye(2).to_sparse(), 2 * torch.eye(2).to_sparse()),
    (torch.eye(2).to_sparse(), torch.eye(2)),
    (torch.zeros(2), torch.zeros(2, requires_grad=True)),
]


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_values_that_differ_have_other_hashes(one: Any, other: Any) -> None:
    assert value_hash(one) != value_hash(other)
    for value in (one, other):
        assert value_hash(copy.deepcopy(value)) == value_hash(value)


def test_attributes_of_a_table_count() -> None:
    told = TABLE.copy()
    told.attrs["unit"] = "m"
    assert value_hash(told) != value_hash(TABLE)


def test_order_of_sets_strides_and_cycles_do_not_count() -> None:
    assert value_hash({"a", "b", "c"}) == value_hash({"c", "b", "a"})
    grid = np.arange(6).reshape(2, 3)
    assert value_hash(grid.T) == value_hash(grid.T.copy())
    tensor = torch.from_numpy(grid)
    assert value_hash(tensor.T) == value_hash(tensor.T.contiguous())
    rings: list[list[Any]] = [[1], [1]]
    for ring in rings:
        ring.append(ring)
    assert value_hash(rings[0]) == value_hash(rings[1])


def test_depth_has_no_limit() -> None:
    deep: list[Any] = []
    for _ in range(10_000):
        deep = [deep]
    assert value_hash(deep) != value_hash([deep])


@pytest.mark.parametrize(
    ("value", "name"),
    [
        ((x for x in "a"), "generator"),
        (iter([1]), "list_iterator"),
        (random.Random(1), "Random"),
        (np.random.default_rng(0), "Generator"),
        (np.random.RandomState(0), "RandomState"),
        (np.random.default_rng(0).normal, "method"),
        (np.random.rand, "method"),
        (random.random, "builtin_function_or_method"),
        (torch.compile(plus_one), "function"),
        (ctypes.CDLL(None).abs, "_FuncPtr"),
        (threading.Lock(), "lock"),
        (np.frompyfunc(plus_one, 1, 1), "ufunc"),
        (torch.zeros(1, device="meta"), "Tensor"),
    ],
)
def test_what_has_no_content_is_refused_by_name(value: Any, name: str) -> None:
    with pytest.raises(TypeError, match=rf"cannot tell a {name} .*the argument x"):
        remember(double)([value])


def test_a_global_generator_is_refused() -> None:
    def draw() -> Any:
        return np.random.rand()  # noqa: NPY002

    with pytest.raises(TypeError, match=r"the global np\.random\.rand of draw"):
        remember(draw)()


def test_compiled_code_that_no_library_brings_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = value_hash(_bisect.insort_left), value_hash(Decimal.exp)
    assert len(set(before)) == 2
    monkeypatch.setattr(
        "smallscale.notebook.libraries._is_installed",
        lambda top: top not in ("_bisect", "decimal"),
    )
    for compiled in (_bisect.insort_left, Decimal.exp, Decimal):
        with pytest.raises(TypeError, match="by its content"):
            value_hash(compiled)


def test_a_module_beside_the_notebook_is_no_library_whatever_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.delitem(sys.modules, "this", raising=False)
    file = tmp_path / "this.py"  # Python has a module of this name
    hashes = set()
    for number in (1, 20):
        file.write_text(f"def helper(x):\n    return x + {number}\n")
        monkeypatch.delitem(sys.modules, "this", raising=False)
        importlib.invalidate_caches()
        libraries._is_installed.cache_clear()
        helper = importlib.import_module("this").helper
        assert helper(1) == 1 + number
        hashes.add(value_hash(helper))
    assert len(hashes) == 2
    monkeypatch.delitem(sys.modules, "this")
    libraries._is_installed.cache_clear()


def test_an_import_in_a_long_function_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("made_helper")
    monkeypatch.setitem(sys.modules, "made_helper", module)
    module.helper = plus_one  # type: ignore[attr-defined]
    numbers = ", ".join(f"{n}.5" for n in range(300))
    space: dict[str, Any] = {"__name__": "__main__"}
    exec(
        f"def step(x):\n    x + sum([a * 0 for a in ({numbers},)])\n"
        + "".join(f"    v{n} = 's{n}'\n" for n in range(300))
        + "    from made_helper import helper\n    return helper(x)",
        space,
    )
    assert remember(space["step"])(1) == 2
    module.helper = plus_hundred  # type: ignore[attr-defined]
    assert remember(space["step"])(1) == 101


def test_the_modes_of_torch_count() -> None:
    def product(x: torch.Tensor) -> str:
        y = x @ x
        return f"{y.dtype} {y.is_inference()}"

    x = torch.ones(2, 2)
    assert remember(product)(x) == "torch.float32 False"
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert remember(product)(x) == "torch.bfloat16 False"
    with torch.inference_mode():
        assert remember(product)(x) == "torch.float32 True"


@pytest.mark.parametrize(
    "part",
    [
        torch.backends,
        torch.backends.mkldnn.matmul,
        torch.backends.mkldnn.conv,
        torch.backends.cuda.matmul,
        torch.backends.cudnn,
    ],
    ids=["all", "matmul", "conv", "cuda matmul", "cudnn"],
)
def test_the_precision_of_each_part_of_torch_counts(
    part: Any, count: Callable[[], int]
) -> None:
    remember(double)(1.0)
    before = part.fp32_precision
    part.fp32_precision = "tf32"  # torch now has no one precision for matmul to tell
    try:
        for _ in range(2):
            remember(double)(1.0)
            assert count() == 2
    finally:
        part.fp32_precision = before


def test_the_modes_of_floating_point_numbers_count() -> None:
    def half(x: torch.Tensor) -> float:
        return float(x / 2)

    smallest = torch.tensor(torch.finfo(torch.float32).tiny)
    assert remember(half)(smallest) > 0
    torch.set_flush_denormal(True)
    try:
        assert remember(half)(smallest) == 0
    finally:
        torch.set_flush_denormal(False)

    def by_nothing() -> str:
        try:
            return str(np.float64(1) / np.float64(0))
        except FloatingPointError:
            return "an error"

    with np.errstate(divide="ignore"):
        assert remember(by_nothing)() == "inf"
    with np.errstate(divide="raise"):
        assert remember(by_nothing)() == "an error"


def test_an_open_file_is_refused(tmp_path: Path) -> None:
    with (tmp_path / "a").open("w") as file, pytest.raises(TypeError, match="TextIO"):
        value_hash(file)


# ---- what code reads that does not stand in its names --------------------------------


def made(code: str, name: str = "f") -> Any:
    """Return what this code defines under the name."""
    space: dict[str, Any] = {"__name__": "__main__", "functools": functools}
    exec(code, space)
    return space[name]


TABLE_OF_NUMBERS = pd.DataFrame({"a": [1, 2, 3]})


@pytest.mark.parametrize(
    ("code", "argument"),
    [
        ("cut = {}\ndef f(df): return len(df.query('a > @cut'))", TABLE_OF_NUMBERS),
        (
            "cut = {}\ntext = 'a > @cut'\ndef f(df): return len(df.query(text))",
            TABLE_OF_NUMBERS,
        ),
        (
            "cut = {}\nimport pandas as pd\ndef f(x): return int(pd.eval('x * cut'))",
            3,
        ),
        ("def p():\n    '{}'\ndef f(x): return p.__doc__ + x", "x"),
        ("class P:\n    '{}'\ndef f(x): return P.__doc__.upper() + x", "x"),
        ("def p(x: '{}'): pass\ndef f(x): return p.__annotations__['x'] + x", "x"),
    ],
)
def test_what_a_text_or_a_docstring_says_counts(code: str, argument: Any) -> None:
    one, other = (made(code.format(number)) for number in (0, 2))
    assert one(argument) != other(argument)
    for step in (one, other):
        assert remember(step)(argument) == step(argument)


@pytest.mark.parametrize(
    ("body", "name"),
    [
        ("return eval('x * cut')", "eval"),
        ("exec('y = x * cut')", "exec"),
        ("return x * globals()['cut']", "globals"),
        ("import importlib\n    return importlib.import_module(x)", "import_module"),
        ("from importlib import import_module as get\n    get(x)", "import_module"),
        ("return __import__(x + x)", "__import__"),
        ("return [(lambda: eval('cut'))() for _ in x]", "eval"),
        ("return x.__doc__", "__doc__"),
        ("import inspect\n    return inspect.getdoc(x)", "getdoc"),
        ("import inspect\n    return inspect.getmodule(x).cut", "getmodule"),
        ("import sys\n    return sys.modules['made'].cut", r"sys\.modules"),
        ("from sys import modules\n    return modules['made'].cut", r"sys\.modules"),
        ("return sys.modules['made'].cut", r"sys\.modules"),
        ("return builtins.__dict__['cut']", "__dict__"),
        ("import pkgutil\n    return pkgutil.resolve_name('made:cut')", "resolve_name"),
        ("import pickle\n    return pickle.loads(b'cmade\\nf\\n.')()", "loads"),
        ("import builtins\n    return builtins.__dict__['cut']", "__dict__"),
        ("import builtins\n    return builtins.globals()['cut']", "globals"),
        ("import gc\n    return gc.get_objects()", "get_objects"),
    ],
)
def test_code_that_hides_what_it_uses_is_refused(body: str, name: str) -> None:
    step = made(f"import sys, builtins\ncut = 1\ndef f(x):\n    {body}")
    with pytest.raises(TypeError, match=rf"a function .*\(f\); .* {name} cannot be"):
        remember(step)(3)


def test_a_name_that_only_looks_like_it_is_not_refused() -> None:
    step = made(
        "def globals(): return 1\n"
        "def f(x):\n    x.eval()\n    'cut'\n    return globals()"
    )
    assert remember(step)(torch.nn.ReLU()) == 1


@pytest.mark.parametrize(
    ("edited", "body"),
    [
        ("__init__", "import made_pack.sub\n    return x * made_pack.gain"),
        (
            "__init__",
            "import made_pack.sub as s, made_pack as p\n    return x * p.gain",
        ),
        ("sub", "import made_pack.sub\n    return x * made_pack.sub.gain"),
        ("sub", "import made_pack.sub as sub\n    return x * sub.gain"),
        ("sub", "return x * get('made_pack.sub').gain"),
        ("__init__", "return x * get('made_pack').gain"),
        ("__init__", "return x * __import__('made_pack.sub').gain"),
        (
            "sub",
            "import importlib\n"
            "    return x * importlib.import_module('made_pack.sub').gain",
        ),
    ],
)
def test_an_edited_package_that_is_imported_within_a_function_counts(
    edited: str, body: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    body = body.replace("get(", "import_module(")
    step = made(f"from importlib import import_module\ndef f(x):\n    {body}")
    package = tmp_path / "made_pack"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "sub.py").touch()
    for gain in (1, 22):
        (package / f"{edited}.py").write_text(f"gain = {gain}\n")
        for module in ("made_pack", "made_pack.sub"):
            monkeypatch.delitem(sys.modules, module, raising=False)
        importlib.invalidate_caches()
        assert remember(step)(3) == 3 * gain


def test_a_module_that_no_release_installed_counts_by_its_content(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "site-packages"
    place.mkdir()
    monkeypatch.syspath_prepend(place)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    for gain in (1, 22):
        (place / "dropped_in.py").write_text(f"def times(x): return x * {gain}\n")
        monkeypatch.delitem(sys.modules, "dropped_in", raising=False)
        importlib.invalidate_caches()
        step = made("import dropped_in\ndef f(x): return dropped_in.times(x)")
        assert remember(step)(3) == 3 * gain
    monkeypatch.delitem(sys.modules, "dropped_in")


def test_a_release_from_a_folder_counts_by_its_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "site-packages"
    info = place / "from_folder-1.0.dist-info"
    info.mkdir(parents=True)
    (place / "from_folder.py").write_text("def times(x): return x\n")
    (info / "METADATA").write_text("Name: from_folder\nVersion: 1.0\n")
    (info / "direct_url.json").write_text('{"url": "file:///x", "dir_info": {}}')
    monkeypatch.syspath_prepend(place)
    importlib.invalidate_caches()
    times = importlib.import_module("from_folder").times
    hashes = set()
    for digest in ("sha256=1", "sha256=2", "sha256=1"):
        (info / "RECORD").write_text(f"from_folder.py,{digest},1\n")
        libraries._version.cache_clear()
        hashes.add(value_hash(times))
    assert len(hashes) == 2
    monkeypatch.delitem(sys.modules, "from_folder")


def test_wraps_over_a_cache_is_refused_and_under_it_counts() -> None:
    code = """
def scaled(f):
    {}
    def inner(x): return f(x) * {}
    return inner
@scaled
def f(x): return x
"""
    below = "@functools.wraps(f)\n    @functools.lru_cache"
    with pytest.raises(TypeError, match="put @lru_cache above @wraps"):
        remember(made(code.format(below, 2)))(3)
    above = "@functools.lru_cache\n    @functools.wraps(f)"
    assert remember(made(code.format(above, 2)))(3) == 6
    assert remember(made(code.format(above, 5)))(3) == 15


def test_a_copied_signature_is_not_believed() -> None:
    def one(x: int = 1) -> int:
        return x

    @functools.wraps(one)
    def ten(*args: int) -> int:
        return one(*args) if args else 10

    ten.__signature__ = inspect.signature(one)  # type: ignore[attr-defined]
    assert remember(ten)() == 10
    assert remember(ten)(1) == 1


def test_a_method_has_its_arguments_by_name(count: Callable[[], int]) -> None:
    class Doubling:
        def run(self, x: float) -> Any:
            return double(x)

    assert remember(Doubling().run)(1.5) == remember(Doubling().run)(x=1.5) == 3.0
    assert count() == 1


def test_what_others_put_into_python_and_its_libraries_counts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    step = made("def f(x): return x * GAIN")
    rest = made("import fractions\ndef f(x): return fractions.Fraction.gain * x")
    for gain in (2, 3):
        monkeypatch.setattr(builtins, "GAIN", gain, raising=False)
        monkeypatch.setattr(fractions.Fraction, "gain", gain, raising=False)
        assert remember(step)(3) == 3 * gain
        assert remember(rest)(3) == 3 * gain
    before = value_hash(torch.nn.ReLU())
    monkeypatch.setattr(torch.nn.Module, "__call__", plus_one)
    assert value_hash(torch.nn.ReLU()) != before


def test_hooks_of_all_modules_and_the_decimal_context_count() -> None:
    def run(model: torch.nn.Module) -> float:
        return float(model(torch.ones(1)))

    model = torch.nn.Identity()
    assert remember(run)(model) == 1
    hook = torch.nn.modules.module.register_module_forward_hook(lambda m, i, o: 7 * o)
    try:
        assert remember(run)(model) == 7
    finally:
        hook.remove()

    def third() -> str:
        return str(Decimal(1) / 3)

    with decimal.localcontext(prec=3):
        assert remember(third)() == "0.333"
    with decimal.localcontext(prec=5):
        assert remember(third)() == "0.33333"


def test_a_registered_subclass_counts() -> None:
    class Base(abc.ABC):  # noqa: B024
        pass

    class Other:
        pass

    def belongs(value: Any) -> bool:
        return isinstance(value, Base)

    assert remember(belongs)(Other()) is False
    Base.register(Other)
    assert remember(belongs)(Other()) is True


# ---- values that look the same -------------------------------------------------------


class Labelled(pd.DataFrame):
    _metadata: ClassVar = ["gain"]


class NamedPath(type(Path())):  # type: ignore[misc]
    __slots__ = ("gain",)


def option(gain: int) -> Any:
    class Option(enum.Enum):
        A = ("a", gain)

        def __new__(cls, name: str, gain: int) -> Any:
            made = object.__new__(cls)
            made._value_ = name
            made.gain = gain  # type: ignore[attr-defined]
            return made

    return Option.A


def with_gain(value: Any, gain: int) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pandas warns of attributes
        value.gain = gain
    return value


@pytest.mark.parametrize(
    "make",
    [
        option,
        lambda gain: with_gain(Labelled({"a": [1]}), gain),
        lambda gain: with_gain(pd.DataFrame({"a": [1]}), gain),
        lambda gain: with_gain(pd.Series([1]), gain),
        lambda gain: with_gain(OrderedDict(), gain),
        lambda gain: with_gain(Counter(), gain),
        lambda gain: with_gain(NamedPath("nowhere"), gain),
        lambda gain: pd.CategoricalDtype(
            [*(f"{n}" for n in range(100)), f"g{gain}", *(f"x{n}" for n in range(100))]
        ),
    ],
)
def test_what_was_set_on_a_value_counts(make: Callable[[int], Any]) -> None:
    assert value_hash(make(1)) != value_hash(make(2))
    assert value_hash(make(1)) == value_hash(make(1))


@pytest.mark.parametrize(
    "share",
    [
        lambda x: x.view(2, 2),
        lambda x: x.numpy(),
        lambda x: x.detach(),
        lambda x: x[1:],
        lambda x: x.flip(0).numpy()[::-1],
        lambda x: [x[0], x[:2]],
        lambda x: {(x[1:], 1)},
        lambda x: pickle.loads(pickle.dumps(x)),
    ],
)
@pytest.mark.parametrize("first", [0, 1])
def test_memory_that_two_share_counts(
    share: Callable[[torch.Tensor], Any], first: int
) -> None:
    def pair(shared: bool) -> list[Any]:
        x = torch.zeros(4)
        other = share(x if shared else x.clone())
        return [x, other] if first else [other, x]

    copied = share(torch.zeros(4))
    is_copy = isinstance(copied, torch.Tensor | np.ndarray) and not np.shares_memory(
        *map(np.asarray, pair(True))
    )
    assert (value_hash(pair(True)) == value_hash(pair(False))) == is_copy
    assert value_hash(pair(True)) == value_hash(pair(True))


def test_how_memory_is_shared_counts() -> None:
    def lying(choose: Callable[[Any], Any]) -> str:
        base = np.zeros((3, 3))
        return value_hash(choose(base))

    hashes = [
        lying(lambda a: (a, a[0])),
        lying(lambda a: (a, a[1])),
        lying(lambda a: (a, a[:, 0])),
        lying(lambda a: (a.T, a[0])),
        lying(lambda a: (a[0], a[2], a)),
        lying(lambda a: (a[0], a[1], a)),
        lying(lambda a: (a[0], a[2].copy(), a)),
        lying(lambda a: (a[0].copy(), a[2].copy(), a)),
        lying(lambda a: np.broadcast_to(a[0], (2, 3))),
        lying(lambda a: a[:2]),
    ]
    assert len(set(hashes)) == len(hashes)


def test_rows_of_one_array_are_as_good_as_copies() -> None:
    grid = np.arange(12.0).reshape(4, 3)
    assert value_hash(list(grid)) == value_hash([row.copy() for row in grid])
    table = pd.DataFrame(grid)
    assert value_hash(table) == value_hash(pd.DataFrame(np.asfortranarray(grid)))


def test_weights_that_share_memory_are_tied() -> None:
    def model(tied: bool) -> torch.nn.Module:
        layers = [torch.nn.Linear(2, 2, bias=False) for _ in range(2)]
        for layer in layers:
            torch.nn.init.ones_(layer.weight)
        if tied:
            layers[1].weight.data = layers[0].weight.data
        return torch.nn.Sequential(*layers)

    assert value_hash(model(True)) != value_hash(model(False))
    assert value_hash(model(True)) == value_hash(model(True))


def test_a_tensor_with_its_graph_is_refused() -> None:
    x = torch.ones(1, requires_grad=True)
    with pytest.raises(TypeError, match=r"a Tensor .*argument x.*detach\(\)"):
        remember(double)(2 * x)
    assert value_hash((2 * x).detach()) == value_hash(torch.full((1,), 2.0))


def test_a_set_tells_which_things_are_in_it() -> None:
    def hashed(choose: Callable[[Any, Any], Any]) -> str:
        return value_hash(*choose([1], torch.zeros(1)))

    class Thing:
        pass

    one, other = Thing(), Thing()
    hashes = [
        value_hash({one}, one, other),
        value_hash({other}, one, other),
        value_hash({(one, 1), (one, 2)}, one),
        value_hash({(one, 1), (other, 2)}, one),
        value_hash({one}, {one}),
        value_hash({one}, {other}),
        value_hash(one, {one, 1}),
        value_hash(one, {other, 1}),
        value_hash(frozenset({(1, frozenset({one}))}), one),
        value_hash(frozenset({(1, frozenset({other}))}), one),
    ]
    assert len(set(hashes)) == len(hashes)
    assert value_hash({one, (1, 2)}, one) == value_hash({(1, 2), other}, other)


def test_shared_parts_take_no_longer_than_their_number() -> None:
    for leaf in ((), [], frozenset()):
        pair: Any = leaf
        nest: Any = frozenset()
        for _ in range(60):  # each level would take twice as long as the last
            pair = (pair, pair)
            nest = frozenset([nest, (nest, 1)])
        assert value_hash(pair) != value_hash((pair, 1))
        assert value_hash(nest) != value_hash({nest})
    many = [[n] for n in range(5_000)], {(n, None) for n in range(5_000)}
    assert value_hash(many) == value_hash(copy.deepcopy(many))


def test_equal_tuples_are_the_same_whether_they_are_one_or_two() -> None:
    numbers = [1, (2, 3)]
    one, other = tuple(numbers), tuple(numbers)
    assert one is not other
    assert value_hash(one, one) == value_hash(one, other)
    assert value_hash(frozenset([one]), one) == value_hash(frozenset([one]), other)


def test_sets_that_are_nested_too_deeply_are_refused_with_the_cure() -> None:
    deep: Any = frozenset()
    for _ in range(20_000):
        deep = frozenset([deep])
    with pytest.raises(TypeError, match=r"nested so deeply .*lists or tuples"):
        remember(double)(deep)
    flat: Any = ()
    for _ in range(10_000):
        flat = (flat,)
    assert value_hash(flat) != value_hash((flat,))


def test_what_is_refused_in_a_set_is_told_by_name() -> None:
    with pytest.raises(TypeError, match=r"cannot tell a Generator .*the argument x"):
        remember(double)({torch.Generator()})


# ---- folders -------------------------------------------------------------------------


def test_empty_folders_count(tmp_path: Path) -> None:
    hashes = {value_hash(tmp_path)}
    for name in ("cat", "dog", "dog/a"):
        (tmp_path / name).mkdir()
        hashes.add(value_hash(tmp_path))
    (tmp_path / "dog" / "a").rmdir()
    (tmp_path / "dog" / "a").touch()
    hashes.add(value_hash(tmp_path))
    assert len(hashes) == 5


@pytest.mark.skipif(os.name == "nt", reason="links need a right there")
def test_each_link_to_a_folder_counts(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "1.txt").write_text("1")
    (tmp_path / "data").mkdir()
    hashes = {value_hash(tmp_path / "data")}
    for name, target in (("a", "x"), ("b", "x"), ("loop", "data"), ("no", "nothing")):
        (tmp_path / "data" / name).symlink_to(tmp_path / target)
        hashes.add(value_hash(tmp_path / "data"))
    (tmp_path / "data" / "b").rename(tmp_path / "data" / "c")
    hashes.add(value_hash(tmp_path / "data"))
    assert len(hashes) == 6
    (tmp_path / "x" / "1.txt").write_text("2")
    assert value_hash(tmp_path / "data") not in hashes


# ---- results -------------------------------------------------------------------------

DAYS = pd.date_range("2020", periods=3, freq="D")


@pytest.mark.parametrize(
    "table",
    [
        TABLE,
        pd.DataFrame(),
        pd.DataFrame({"x": DAYS, "y": np.float32([1, 2, 3])}, index=DAYS),
        pd.DataFrame([[1, 2]], columns=["a", "a"]),
        pd.DataFrame([[1, 2]], columns=pd.MultiIndex.from_tuples([("a", 1), ("b", 2)])),
        pd.Series(DAYS.tz_localize("Europe/Berlin"), name="when"),
        pd.Series(["a", "b", None], dtype="category"),
        pd.Series([1, None], dtype="Int64"),
        pd.Series([[1], {"a": 2}], dtype=object),
        pd.Index([1, 2], name="i"),
    ],
)
def test_tables_are_kept(table: Any) -> None:
    def same(value: Any) -> Any:
        return [value, np.ones(2), value]

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(2):
            back = remember(same)(table)
            assert value_hash(back[0]) == value_hash(table)
            assert back[2].equals(table)
            assert np.array_equal(back[1], np.ones(2))
    assert len(list(cache_folder().glob("*.safetensors"))) == 1


@pytest.mark.parametrize(
    "value",
    [
        1j,
        np.array([1j]),
        torch.ones(2, dtype=torch.complex64),
        torch.eye(2).to_sparse(),
        np.arange(3, dtype=">i4"),
        np.ma.array([1, 2], mask=[0, 1]),
        np.array([(1, 2.0)], FIELDS),
        Counter("a"),
        {1, 2},
        10**5000,
        pd.Series([1j]),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_cannot_be_kept_is_returned_with_one_warning(value: Any) -> None:
    def same(given: Any) -> Any:
        return given

    for _ in range(2):
        with pytest.warns(UserWarning, match="did not keep the result of same") as told:
            assert remember(same)(value) is value
        assert len(told) == 1
        assert told[0].filename == __file__
    assert not list(cache_folder().glob("*.part"))


@pytest.mark.parametrize("place", ["lock", "disk", "folder"])
def test_without_a_place_the_result_is_returned_with_one_warning(
    place: str, monkeypatch: pytest.MonkeyPatch, count: Callable[[], int]
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    remember(double)(1.0)
    if place == "lock":
        monkeypatch.setattr("filelock.FileLock.acquire", fail)
    elif place == "disk":
        monkeypatch.setattr("smallscale.notebook.stored_results.save_file", fail)
    else:
        monkeypatch.setattr(Path, "mkdir", fail)
    with pytest.warns(UserWarning, match="No space left") as told:
        assert remember(double)(2.0) == 4.0
    assert len(told) == 1
    assert told[0].filename == __file__
    # What is there is still read, without a word.
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert remember(double)(1.0) == 2.0
    assert count() == 2


def test_every_flipped_bit_is_noticed() -> None:
    def numbers(n: int) -> torch.Tensor:
        return torch.arange(n, dtype=torch.float64)

    right = remember(numbers)(20)
    (file,) = cache_folder().glob("*.safetensors")
    content = file.read_bytes()
    for place in range(0, len(content), 11):
        damaged = bytearray(content)
        damaged[place] ^= 4
        file.write_bytes(damaged)
        assert torch.equal(remember(numbers)(20), right)


def test_anothers_file_under_this_name_is_not_believed() -> None:
    remember(double)(1.0)
    (one,) = cache_folder().glob("*.safetensors")
    content = one.read_bytes()
    remember(double)(2.0)
    (two,) = set(cache_folder().glob("*.safetensors")) - {one}
    two.write_bytes(content)
    assert remember(double)(2.0) == 4.0


def test_a_hostile_file_is_never_run(tmp_path: Path) -> None:
    remember(double)(1.0)
    (file,) = cache_folder().glob("*.safetensors")
    made = tmp_path / "made"

    class Hostile:
        def __reduce__(self) -> Any:
            return Path.touch, (made,)

    for content in (
        pickle.dumps(Hostile()),
        b"\xff" * 8 + b"{}",  # a header longer than the file
        (2).to_bytes(8, "little") + b"{}",  # no metadata
    ):
        file.write_bytes(content)
        assert remember(double)(1.0) == 2.0
    torch.save(Hostile(), file)
    assert remember(double)(1.0) == 2.0
    assert not made.exists()
    file.unlink()
    os.mkfifo(file)  # opening it would wait for ever
    assert remember(double)(1.0) == 2.0


def test_processes_that_need_one_result_compute_it_once(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        "import pathlib, time, uuid\n"
        "from smallscale.notebook import remember\n"
        "def step(folder):\n"
        "    (pathlib.Path(folder) / uuid.uuid4().hex).touch()\n"
        "    time.sleep(1)\n"
        "    return list(range(1000))\n"
        f"print(sum(remember(step)({str(tmp_path / 'calls')!r})))\n"
    )
    (tmp_path / "calls").mkdir()
    runs = [
        subprocess.Popen([sys.executable, program], stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    assert [run.communicate()[0] for run in runs] == ["499500\n"] * 3
    assert len(list((tmp_path / "calls").iterdir())) == 1


def test_a_step_that_shows_a_bar_is_known_before_and_after_it() -> None:
    from smallscale.core.progress import ProgressBar

    def step(n: int) -> list[int]:
        return list(ProgressBar(range(n), desc="steps"))

    before = value_hash(step)
    assert remember(step)(3) == [0, 1, 2]
    assert value_hash(step) == before


def test_every_process_gives_a_model_and_a_step_the_same_hash() -> None:
    # What a process loaded before must not count, nor the order of its sets.
    program = (
        "import sys\n"
        "if sys.argv[1] == '2':\n"
        "    import scipy.stats, sklearn.linear_model, pandas\n"
        "from smallscale.models.transformer import small_transformer\n"
        "from smallscale.notebook.disk_cache import value_hash\n"
        "model = small_transformer(5, length=4, width=8, layers=1, heads=2)\n"
        "def lazy():\n"
        "    import pandas\n"
        "    from sklearn.linear_model import LogisticRegression\n"
        "    from scipy.special import expit\n"
        "    return pandas, expit, LogisticRegression\n"
        "print(value_hash(lazy))\n"
        "from numpy import add\n"
        "from scipy.special import expit\n"
        "from scipy.stats import beta\n"
        "def named(x):\n"
        "    return beta.ppf(expit(x), add(x, 1), 2)\n"
        "things = {'a', 'b', 'c'}, {str, int}\n"
        "print(value_hash(named, model, small_transformer, things))\n"
    )
    hashes = {
        subprocess.run(
            [sys.executable, "-c", program, seed],
            env=os.environ | {"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(hashes) == 1


def test_what_torch_notes_on_a_dispatch_mode_when_it_is_used_does_not_count() -> None:
    """Used once, its method holds a function that this process compiled."""

    seen = []

    class Counts(TorchDispatchMode):  # type: ignore[no-untyped-call]
        def __torch_dispatch__(
            self, func: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            seen.append(func)
            return func(*args, **(kwargs or {}))

    before = value_hash(Counts)
    importlib.import_module("torch._dynamo")

    with Counts():  # type: ignore[no-untyped-call]
        torch.ones(1)
    assert len(seen) == 1
    seen.clear()
    assert value_hash(Counts) == before


def test_a_path_in_the_home_folder_counts_by_what_it_holds(home: Path) -> None:
    def length(path: Path) -> int:
        return len(path.expanduser().read_text())

    for text in ("12", "123"):
        (home / "a").write_text(text)
        assert remember(length)(Path("~/a")) == len(text)


def test_the_cache_may_lie_in_the_home_folder(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SMALLSCALE_CACHE", "~/cache")
    remember(double)(1.0)
    assert list((home / "cache").glob("double-*"))
    assert not Path("~").exists()
