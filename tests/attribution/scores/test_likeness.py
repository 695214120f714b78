"""Are settings that one model's code would serve to another seen to differ?"""

import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from smallscale.attribution import retrain
from smallscale.attribution.scores.likeness import unlike
from tests.attribution.scores.small_problems import CONFIG, cross_entropy, examples


class Holder(nn.Module):
    """Holds any setting, and uses it where inputs are above 2 alone."""

    def __init__(self, setting: Any, use: Callable[[Any], Any] = lambda _: 1.0) -> None:
        super().__init__()
        self.layer = nn.Linear(5, 3, dtype=torch.float64)
        self.setting = setting
        self.use = use

    def forward(self, x: Tensor) -> Tensor:
        scale = torch.as_tensor(self.use(self.setting), dtype=x.dtype)
        outputs: Tensor = self.layer(x) * torch.where(x[:, :1] > 2, scale, 1.0)
        return outputs


def times(factor: float) -> Callable[[Any], Any]:
    return lambda value: factor * value


def by_default(value: float, factor: float) -> Callable[[float], float]:
    def scaled(value: float = value, *, factor: float = factor) -> float:
        return value * factor

    return scaled


class Plain:
    def __init__(self, value: Any) -> None:
        self.value = value

    def method(self) -> Any:
        return self.value


class Slotted:
    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value


@dataclass
class Fields:
    value: Any


class Word(str):
    """A text of a class of its own."""


def in_a_circle(value: Any) -> list[Any]:
    circle: list[Any] = [value]
    circle.append(circle)
    return circle


MAKERS: dict[str, Callable[[int], Any]] = {
    "array": lambda k: np.array([1.0, k]),
    "array with nan": lambda k: np.array([np.nan, k]),
    "array of objects": lambda k: np.array([None, {"a": k}], dtype=object),
    "array of texts": lambda k: np.array(["a", str(k)]),
    "numpy number": np.float32,
    "tensor with nan": lambda k: torch.tensor([torch.nan, k]),
    "sparse tensor": lambda k: torch.tensor([0.0, 1.0, k + 1]).to_sparse(),
    "set": lambda k: {"a", k},
    "set within another": lambda k: {*range(k + 1)},
    "set of objects": lambda k: {Plain(k)},
    "frozenset": lambda k: frozenset([k, (k, k)]),
    "lambda": lambda k: (lambda x: x + 1) if k else (lambda x: x + 2),
    "closure": times,
    "defaults": lambda k: by_default(k, 1.0),
    "keyword defaults": lambda k: by_default(1.0, k),
    "partial": lambda k: partial(torch.clamp, min=k),
    "method": lambda k: Plain(k).method,
    "builtin": lambda k: torch.relu if k else torch.tanh,
    "class": lambda k: Plain if k else Fields,
    "object": lambda k: Plain({"a": [np.array(k)]}),
    "slots": lambda k: Slotted({k}),
    "dataclass of arrays": lambda k: Fields(np.array([1, k])),
    "path": lambda k: Path(str(k)),
    "range": lambda k: range(k + 1),
    "text of a class": lambda k: Word(str(k)),
    "deque": lambda k: deque([1, k]),
    "nested": lambda k: {"a": [(1, {k}, np.array([k]))]},
    "circle": in_a_circle,
    "torch generator": lambda k: torch.Generator().manual_seed(k),
    "numpy generator": np.random.default_rng,
    "python generator": random.Random,
    "type": lambda k: torch.float32 if k else torch.float64,
    "unregistered module": lambda k: [nn.LeakyReLU(0.1 + k)],
    "inner code": lambda k: (
        (lambda x: [y + 1 for y in x]) if k else (lambda x: [y + 2 for y in x])
    ),
}


@pytest.mark.parametrize("kind", MAKERS)
def test_settings_of_every_kind_are_compared_by_what_they_hold(kind: str) -> None:
    make = MAKERS[kind]
    assert unlike(Holder(make(1)), Holder(make(0))) == "setting"
    assert unlike(Holder(make(0)), Holder(make(1))) == "setting"
    assert unlike(Holder(make(1)), Holder(make(1))) == ""


def test_functions_written_twice_are_the_same_where_their_code_and_globals_are() -> (
    None
):
    source = "def act(x):\n    return [factor * each for each in x]"

    def made(factor: float, lines_before: int = 0) -> Any:
        names: dict[str, Any] = {"factor": factor, "other": object()}
        exec("\n" * lines_before + source, names)
        return names["act"]

    assert unlike(Holder(made(2.0)), Holder(made(2.0, lines_before=7))) == ""
    assert unlike(Holder(made(2.0)), Holder(made(3.0))) == "setting"


def test_a_part_is_as_its_namesake_is_and_has_weights_of_its_own() -> None:
    def held(part: str) -> Holder:
        model = Holder(None)
        model.other = nn.Linear(5, 3)
        model.setting = [getattr(model, part)]  # unregistered, in a list
        return model

    assert unlike(held("layer"), held("layer")) == ""
    assert unlike(held("layer"), held("other")) == "setting"


def test_hooks_are_compared() -> None:
    def hooked(factor: float) -> nn.Module:
        model = Holder(None)
        model.layer.register_forward_hook(lambda part, x, out: factor * out)
        return model

    assert unlike(hooked(2.0), hooked(2.0)) == ""
    assert unlike(hooked(2.0), hooked(3.0)) == "layer.forward_hooks"


@pytest.mark.parametrize(
    ("make", "use"),
    [
        (lambda k: np.array([k]), lambda value: float(value[0])),
        (lambda k: {float(k)}, lambda value: next(iter(value))),
        (lambda k: lambda: float(k), lambda value: value()),
    ],
)
def test_what_shows_in_late_examples_alone_is_refused(
    make: Callable[[int], Any], use: Callable[[Any], Any]
) -> None:
    x, y = examples()
    x = x.clamp(max=1)
    x[12:, 0] = 3
    with pytest.raises(ValueError, match="model 1 has another setting"):
        retrain([Holder(make(k), use) for k in (1, 30)], cross_entropy, (x, y), CONFIG)
    retrain([Holder(make(3), use) for _ in range(2)], cross_entropy, (x, y), CONFIG)
