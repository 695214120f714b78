"""Does an adapter change what it should, and nothing else?"""

from typing import Any

import pytest
import torch
from torch import nn

from smallscale.models import small_transformer
from smallscale.models.adapters import (
    LowRank,
    adapter_weights,
    adapters,
    add_adapters,
    load_adapter_weights,
    merge_adapters,
    without_adapters,
)

IDS = torch.tensor([[3, 5, 7, 2]])


def logits(model: Any) -> torch.Tensor:
    found: torch.Tensor = model(input_ids=IDS).logits
    return found


def trained(seed: int = 0) -> tuple[Any, list[nn.Parameter]]:
    """A model with adapters that were changed at random."""
    model = small_transformer(20, length=8, width=16)
    parameters = add_adapters(model, rank=2, alpha=6, seed=seed)
    with torch.no_grad():
        for parameter in parameters:
            parameter += 0.1
    return model, parameters


def test_one_layer_by_hand() -> None:
    linear = nn.Linear(2, 1)
    linear.weight.data = torch.tensor([[1.0, 2.0]])
    linear.bias.data = torch.tensor([0.5])
    layer = LowRank(linear, rank=1, alpha=3)
    layer.A.data = torch.tensor([[1.0, -1.0]])
    layer.B.data = torch.tensor([[2.0]])
    # W x + b = 1·4 + 2·1 + .5, and 3/1 · 2 · (4 - 1) = 18
    assert layer(torch.tensor([[4.0, 1.0]])).item() == 6.5 + 18
    assert layer.change().tolist() == [[6.0, -6.0]]


def test_a_model_begins_as_it_was_and_only_the_adapters_are_trained() -> None:
    model = small_transformer(20, length=8, width=16)
    before = logits(model)
    parameters = add_adapters(model, rank=2, targets=["q_proj", "down_proj"])
    assert torch.equal(logits(model), before)
    assert len(adapters(model)) == 4  # two in each of two layers
    able = [p for p in model.parameters() if p.requires_grad]
    assert {id(p) for p in able} == {id(p) for p in parameters}
    logits(model).sum().backward()
    assert all(p.grad is not None for p in parameters)


def test_without_adapters_is_the_model_before_and_merged_is_the_one_after() -> None:
    before = logits(small_transformer(20, length=8, width=16))
    model, _ = trained()
    after = logits(model)
    assert not torch.allclose(after, before)
    with without_adapters(model):
        assert torch.equal(logits(model), before)
    assert torch.equal(logits(model), after)
    merge_adapters(model)
    assert adapters(model) == []
    torch.testing.assert_close(logits(model), after)
    reloaded = small_transformer(20, length=8, width=16)
    reloaded.load_state_dict(model.state_dict())  # the names are the model's again


def test_adapters_are_kept_and_put_back() -> None:
    model, _ = trained()
    after = logits(model)
    kept = adapter_weights(model)
    other = small_transformer(20, length=8, width=16)
    add_adapters(other, rank=2, alpha=6, seed=9)
    load_adapter_weights(other, kept)
    assert torch.equal(logits(other), after)
    with pytest.raises(ValueError, match="of the same shapes"):
        load_adapter_weights(other, {**kept, "0.A": torch.ones(1, 16)})
    with pytest.raises(ValueError, match="as many adapters"):
        load_adapter_weights(other, {"0.A": kept["0.A"]})


def test_the_seed_sets_where_they_begin_and_nothing_global_moves() -> None:
    state = torch.get_rng_state()
    first, second, other = (
        adapter_weights(trained(seed)[0])["0.A"] for seed in (1, 1, 2)
    )
    assert torch.equal(first, second)
    assert not torch.equal(first, other)
    assert torch.equal(torch.get_rng_state(), state)


def test_adapters_of_a_model_in_bfloat16_train_in_float32() -> None:
    model = small_transformer(20, length=8, width=16).bfloat16()
    parameters = add_adapters(model, rank=2)
    assert {p.dtype for p in parameters} == {torch.float32}
    assert logits(model).dtype == torch.bfloat16


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"targets": ["query"]}, "down_proj, gate_proj, k_proj"),
        ({"rank": 0}, "rank"),
        ({"alpha": 0}, "alpha"),
    ],
)
def test_what_cannot_be_added_is_refused(options: Any, said: str) -> None:
    model = small_transformer(20, length=8, width=16)
    with pytest.raises(ValueError, match=said):
        add_adapters(model, **options)
    assert all(p.requires_grad for p in model.parameters())


def test_no_adapters_upon_adapters() -> None:
    model, _ = trained()
    with pytest.raises(ValueError, match="merge them first"):
        add_adapters(model)
