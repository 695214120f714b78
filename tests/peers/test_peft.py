"""Adapters against peft: the same outputs, gradients and merged weights."""

from typing import Any

import pytest
import torch

from smallscale.models import small_transformer
from smallscale.models.adapters import adapters, add_adapters, merge_adapters

peft = pytest.importorskip("peft")
IDS = torch.tensor([[3, 5, 7, 2], [1, 1, 4, 9]])
TARGETS = ["q_proj", "v_proj", "down_proj"]


def loss(model: Any) -> torch.Tensor:
    found: torch.Tensor = model(input_ids=IDS, labels=IDS).loss
    return found


def test_outputs_gradients_and_merged_weights_are_pefts() -> None:
    ours = small_transformer(20, length=8, width=16)
    add_adapters(ours, rank=3, alpha=5, targets=TARGETS)
    theirs: Any = peft.get_peft_model(
        small_transformer(20, length=8, width=16),
        peft.LoraConfig(
            r=3, lora_alpha=5, target_modules=TARGETS, task_type="CAUSAL_LM"
        ),
    )
    layers = [m for m in theirs.modules() if isinstance(m, peft.tuners.lora.Linear)]
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for mine, other in zip(adapters(ours), layers, strict=True):
            mine.B.copy_(torch.randn(mine.B.shape, generator=generator))
            other.lora_A["default"].weight.copy_(mine.A)
            other.lora_B["default"].weight.copy_(mine.B)
    torch.testing.assert_close(loss(ours), loss(theirs))
    loss(ours).backward()
    loss(theirs).backward()
    for mine, other in zip(adapters(ours), layers, strict=True):
        torch.testing.assert_close(mine.A.grad, other.lora_A["default"].weight.grad)
        torch.testing.assert_close(mine.B.grad, other.lora_B["default"].weight.grad)
    merge_adapters(ours)
    merged = theirs.merge_and_unload()
    torch.testing.assert_close(ours.state_dict(), merged.state_dict())
