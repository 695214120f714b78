"""Is a model the same whatever else is in the stack?"""

import numpy as np
import pytest
import torch

from smallscale.attribution.markets import batched_transformers
from smallscale.attribution.markets.batched_transformers import (
    EMBEDDING,
    Stack,
    coalition_log_likelihood,
    new_transformers,
    token_losses,
    train_coalitions,
)
from smallscale.attribution.markets.games import membership
from smallscale.attribution.markets.proxies import (
    per_completion,
)
from smallscale.models.transformer import small_transformer

VOCABULARY, CONTEXT = 7, 12


@pytest.fixture(autouse=True)
def short_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batched_transformers, "CONTEXT", CONTEXT)


def cycle(step: int, length: int = 300) -> np.ndarray:
    return np.arange(length) * step % VOCABULARY


LIBRARIES = [[cycle(1)], [cycle(2), cycle(2)], [cycle(3)]]


def trained(members: object, steps: int = 60, seed: int = 0) -> dict[str, torch.Tensor]:
    return train_coalitions(LIBRARIES, members, VOCABULARY, steps=steps, seed=seed)


def perturbed(models: int) -> Stack:
    """A stack of models that differ."""
    generator = torch.Generator().manual_seed(1)
    return {
        name: (p + 0.3 * torch.randn(p.shape, generator=generator)).detach()
        for name, p in new_transformers(models, VOCABULARY).items()
    }


def random_windows(*shape: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(2)
    return torch.randint(VOCABULARY, (*shape, CONTEXT), generator=generator)


def test_each_model_of_a_stack_is_the_plain_transformer_alone() -> None:
    stack, windows = perturbed(3), random_windows(3, 4)
    losses = token_losses(stack, windows)
    assert losses.shape == (3, 4, CONTEXT - 1)
    plain = small_transformer(
        VOCABULARY,
        length=CONTEXT,
        width=32,
        heads=2,
        layers=2,
        tie_word_embeddings=True,
    )
    for k in range(3):
        own = {name: p[k] for name, p in stack.items()}
        plain.load_state_dict(own, strict=False)
        with torch.no_grad():
            log_p = plain(windows[k]).logits.log_softmax(-1)
        expected = -log_p[:, :-1].gather(-1, windows[k][:, 1:, None]).squeeze(-1)
        torch.testing.assert_close(losses[k], expected, atol=1e-5, rtol=1e-4)


def test_no_token_is_predicted_from_a_later_one() -> None:
    stack, windows = perturbed(2), random_windows(2, 4)
    later = windows.clone()
    later[:, :, 6:] = (later[:, :, 6:] + 1) % VOCABULARY
    before, after = token_losses(stack, windows), token_losses(stack, later)
    torch.testing.assert_close(before[:, :, :5], after[:, :, :5])
    assert not torch.allclose(before[:, :, 5:], after[:, :, 5:], atol=1e-2)


def test_all_start_alike_and_as_the_seed_says() -> None:
    stack = new_transformers(2, VOCABULARY, seed=3)
    other = new_transformers(1, VOCABULARY, seed=4)
    for p in stack.values():
        assert torch.equal(p[0], p[1])
    assert not torch.equal(stack[EMBEDDING][0], other[EMBEDDING][0])


def test_a_model_is_the_same_in_any_stack_and_a_second_time() -> None:
    members = membership(3)[1:]
    everybody = np.concatenate([members, members])  # more than one program
    state = torch.get_rng_state()
    stack, single = trained(everybody, steps=5), trained(members[4:5], steps=5)
    for name, p in single.items():
        assert torch.allclose(stack[name][4], p[0], atol=1e-4)
        assert torch.allclose(stack[name][11], p[0], atol=1e-4)
    assert torch.equal(state, torch.get_rng_state())


def test_each_model_learns_its_own_coalition() -> None:
    stack = trained([[1, 0, 0], [0, 1, 0], [1, 1, 0]], steps=150)
    windows = np.stack([cycle(1, CONTEXT), cycle(2, CONTEXT), cycle(3, CONTEXT)])
    log_p = per_completion(
        coalition_log_likelihood(stack, windows, 4), 3
    )  # (models, windows)
    assert log_p.shape == (3, 3)
    assert log_p[0, 0] > -0.1 > log_p[0, 1]
    assert log_p[1, 1] > -0.1 > log_p[1, 0]
    assert log_p[2, :2].min() > -0.2
    assert log_p[:, 2].max() < -1


def test_authors_are_read_as_often_as_they_are_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    texts = [torch.full((400,), 0), torch.full((100,), 1), torch.full((500,), 2)]
    inside = torch.tensor(
        [[True, True, False], [False, True, True], [True, True, True]]
    )
    monkeypatch.setattr(batched_transformers, "BATCH", 6000)
    rows = batched_transformers.draw_batch(
        texts, inside, torch.Generator().manual_seed(0)
    )[:, :, 0]
    assert (rows[0] == 1).float().mean() == pytest.approx(0.2, abs=0.02)
    assert (rows[1] == 2).float().mean() == pytest.approx(5 / 6, abs=0.02)
    assert not (rows[0] == 2).any()
    # Wherever everybody's window is one of the coalition's authors, the coalition reads
    # the same one.
    for model, absent in ((0, 2), (1, 0)):
        same = rows[2] != absent
        assert (rows[model][same] == rows[2][same]).all()


def test_stacks_that_cannot_be_trained_are_refused() -> None:
    with pytest.raises(ValueError, match="members must be"):
        trained([[0, 0, 0]])
    with pytest.raises(ValueError, match="members must be"):
        trained([[1, 0]])
    with pytest.raises(ValueError, match="libraries must hold"):
        train_coalitions([[cycle(1, 12)], []], [[1, 1]], VOCABULARY)
