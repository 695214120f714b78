"""Does the fake device refuse what a GPU refuses, and compute what the CPU computes?"""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from tests.fake_device import fake_device


def test_it_computes_what_the_cpu_computes() -> None:
    numbers = torch.arange(6.0).reshape(2, 3)
    layer = nn.Linear(3, 2)
    expected = layer(numbers)
    F.cross_entropy(expected, torch.tensor([0, 1])).backward()
    gradient = layer.weight.grad
    layer.zero_grad()
    with fake_device() as device:
        there = layer.to(device)(numbers.to(device))
        assert there.device == torch.device(device)
        assert torch.equal(there.cpu(), expected)
        F.cross_entropy(there, torch.tensor([0, 1]).to(device)).backward()
        assert torch.equal(layer.weight.grad.cpu(), gradient)
        assert there.tolist() == expected.tolist()
        assert torch.ones(2, device=device).device == there.device


def test_what_lies_on_two_devices_does_not_meet() -> None:
    numbers = torch.arange(6.0).reshape(2, 3)
    with fake_device() as device:
        there = numbers.to(device)
        layer = nn.Linear(3, 2).to(device)
        for meet in (
            lambda: there + numbers,
            lambda: layer(numbers),
            lambda: torch.cat([numbers, there]),
            lambda: numbers[there > 1],
            lambda: there.multinomial(1, generator=torch.Generator()),
        ):
            with pytest.raises(RuntimeError):
                meet()
        with pytest.raises(RuntimeError, match="numpy"):
            there.numpy()
        # What CUDA allows.
        assert (there + torch.tensor(1.0)).tolist() == (numbers + 1).tolist()
        assert there[torch.tensor([1])].tolist() == numbers[[1]].tolist()
        assert torch.zeros(2, 3).copy_(there).tolist() == numbers.tolist()
