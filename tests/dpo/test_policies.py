"""Are the smallest policies what they are said to be?"""

import numpy as np
import pytest
import torch

from smallscale.dpo import (
    Tabular,
    answer_logps,
    padded_answers,
)
from smallscale.dpo.policies import END, START, small_policy


def test_a_tabular_policy_is_its_table() -> None:
    table = np.array([[0.2, 0.3, 0.5], [0.6, 0.3, 0.1]])
    texts = padded_answers([[0], [1]], [[2], [0]])
    assert answer_logps(Tabular(table), texts).exp().tolist() == pytest.approx(
        [0.5, 0.6]
    )
    assert Tabular(table).probabilities() == pytest.approx(table)
    for wrong in ([0.5, 0.5], [[0.5, 0.6]], [[1.0, 0.0]]):
        with pytest.raises(ValueError, match="probabilities above 0"):
            Tabular(wrong)


def test_the_small_policy_is_a_llama_of_two_layers_with_wide_weights() -> None:
    model = small_policy(14, length=16)
    assert sum(p.numel() for p in model.parameters()) == 84_032
    config = model.config
    sizes = (config.num_hidden_layers, config.num_attention_heads, config.hidden_size)
    assert sizes == (2, 4, 64)
    assert config.intermediate_size == 128
    assert config.max_position_embeddings == 16
    assert (config.bos_token_id, config.eos_token_id) == (START, END)
    assert not model.training
    weights = model.model.layers[0].self_attn.q_proj.weight
    assert weights.std().item() == pytest.approx(0.1, rel=0.1)


def test_the_seed_decides_the_small_policys_weights_and_nothing_else() -> None:
    state = torch.get_rng_state()
    first, same, other = (small_policy(14, length=16, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(first.lm_head.weight, same.lm_head.weight)
    assert not torch.equal(first.lm_head.weight, other.lm_head.weight)
    assert torch.equal(torch.get_rng_state(), state)
