"""Does small work take one thread, and do the caller's threads come back?"""

from collections.abc import Iterator

import pytest
import torch
from torch import nn

from smallscale.core.devices import (
    SMALL_IMAGE,
    SMALL_MODEL,
    default_device,
    few_threads,
    fitting_threads,
    place,
    threads,
)


@pytest.fixture(autouse=True)
def two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def inside(context: object) -> int:
    with context:  # type: ignore[attr-defined]
        return torch.get_num_threads()


def test_threads_sets_them_and_puts_them_back() -> None:
    assert inside(threads(1)) == 1
    assert torch.get_num_threads() == 2


def test_threads_come_back_after_an_error() -> None:
    with pytest.raises(KeyError), threads(1):
        raise KeyError
    assert torch.get_num_threads() == 2


def test_contexts_in_one_another_come_back_in_order() -> None:
    with threads(1):
        assert inside(threads(2)) == 2
        assert torch.get_num_threads() == 1


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((5, SMALL_IMAGE), 1),
        ((5, SMALL_IMAGE + 1), 2),
        ((5000, 1, 8, 8), 1),  # it is the size of one image that counts
        ((1, 1, 28, 28), 2),
        ((0, 1, 28, 28), 1),
    ],
)
def test_small_images_take_one_thread(shape: tuple[int, ...], expected: int) -> None:
    assert inside(fitting_threads(torch.zeros(shape))) == expected
    assert torch.get_num_threads() == 2


@pytest.mark.parametrize(
    ("parameters", "expected"), [(SMALL_MODEL - 1, 1), (SMALL_MODEL, 2)]
)
def test_a_small_model_takes_one_thread(parameters: int, expected: int) -> None:
    model = nn.Module()
    model.register_parameter("w", nn.Parameter(torch.zeros(parameters)))
    assert inside(few_threads(model)) == expected
    assert torch.get_num_threads() == 2


def test_a_large_model_goes_to_the_device_that_the_environment_names(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    large = nn.Linear(1_000, 1_000)
    monkeypatch.setenv("SMALLSCALE_DEVICE", "meta")
    assert default_device() == torch.device("meta")
    assert place(large) is large
    assert large.weight.device.type == "meta"
    assert place(nn.Linear(2, 2)).weight.device.type == "meta"


def test_a_small_model_stays_where_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SMALLSCALE_DEVICE", raising=False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert default_device() == torch.device("cuda")
    assert place(nn.Linear(2, 2)).weight.device.type == "cpu"


def test_an_unknown_device_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SMALLSCALE_DEVICE", "toaster")
    with pytest.raises(ValueError, match="SMALLSCALE_DEVICE must name a torch device"):
        default_device()
