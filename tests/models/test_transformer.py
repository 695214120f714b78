"""Is the one small transformer of the shape it promises, causal, and its seed?"""

import pytest
import torch

from smallscale.models.transformer import small_transformer


def logits(model: torch.nn.Module, tokens: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        result: torch.Tensor = model(input_ids=tokens).logits
    return result


def test_it_has_the_sizes_that_were_asked_for() -> None:
    model = small_transformer(30, length=12, width=16, layers=3, heads=2)
    config = model.config
    assert config.vocab_size == 30
    assert config.max_position_embeddings == 12
    assert (config.hidden_size, config.intermediate_size) == (16, 32)
    assert (config.num_hidden_layers, config.num_attention_heads) == (3, 2)
    assert logits(model, torch.zeros(2, 12, dtype=torch.long)).shape == (2, 12, 30)
    assert not any(module.training for module in model.modules())


def test_other_options_of_the_configuration_are_passed_on_and_go_first() -> None:
    model = small_transformer(
        30, length=12, tie_word_embeddings=True, intermediate_size=24
    )
    assert model.lm_head.weight is model.model.embed_tokens.weight
    assert model.config.intermediate_size == 24


def test_a_token_sees_no_later_one() -> None:
    model = small_transformer(30, length=8)
    tokens = torch.arange(8)[None]
    changed = tokens.clone()
    changed[0, 5:] = 20
    before, after = logits(model, tokens), logits(model, changed)
    torch.testing.assert_close(before[:, :5], after[:, :5])
    assert not torch.allclose(before[:, 5:], after[:, 5:])


def test_the_same_seed_gives_the_same_weights_and_no_global_state_moves() -> None:
    before = torch.get_rng_state()
    first = small_transformer(30, length=8, seed=3)
    assert torch.equal(torch.get_rng_state(), before)
    torch.rand(5)
    again = small_transformer(30, length=8, seed=3)
    other = small_transformer(30, length=8, seed=4)
    pairs = zip(first.parameters(), again.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)
    assert not torch.equal(first.lm_head.weight, other.lm_head.weight)


@pytest.mark.parametrize("name", ["vocabulary", "length", "width", "layers", "heads"])
@pytest.mark.parametrize("wrong", [0, 2.0, True, "4"])
def test_a_size_that_cannot_be_is_named(name: str, wrong: object) -> None:
    sizes: dict[str, object] = {"vocabulary": 30, "length": 8, name: wrong}
    with pytest.raises(
        ValueError, match=f"^{name} must be a whole number, at least 1; got {wrong!r}$"
    ):
        small_transformer(**sizes)  # type: ignore[arg-type]
