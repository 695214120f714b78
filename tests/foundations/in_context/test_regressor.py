"""Is the transformer causal, does it learn, and is one seed one model?"""

import pytest
import torch
from torch import Generator, Tensor

from smallscale.foundations.in_context.functions import draw_prompts, relative_error
from smallscale.foundations.in_context.regressor import (
    TOKENS,
    InContextRegressor,
    train_regressor,
)


def prompts(n: int = 64, points: int = 6, dimensions: int = 2) -> tuple[Tensor, Tensor]:
    generator = Generator().manual_seed(5)
    drawn = draw_prompts(n, points, dimensions, generator=generator)
    return drawn.x, drawn.shown


@pytest.mark.parametrize("tokens", TOKENS)
def test_a_prediction_depends_on_what_came_before_and_on_nothing_else(
    tokens: str,
) -> None:
    x, y = prompts(8)
    model = InContextRegressor(2, 6, width=16, layers=2, heads=2, tokens=tokens).eval()
    before = model(x, y)
    for i in range(6):
        later = y.clone()
        later[:, i:] += 3.0  # its own answer, and all that follow
        inputs = x.clone()
        inputs[:, i + 1 :] -= 2.0
        after = model(inputs, later)
        assert torch.equal(after[:, : i + 1], before[:, : i + 1])
        if i < 5:
            assert (after[:, i + 1] != before[:, i + 1]).any()
        earlier = y.clone()
        if i:
            earlier[:, i - 1] += 3.0  # an example does count
            assert (model(x, earlier)[:, i] != before[:, i]).any()


@pytest.mark.parametrize("tokens", TOKENS)
def test_every_example_counts_and_a_short_prompt_is_the_start_of_a_long_one(
    tokens: str,
) -> None:
    x, y = prompts(4)
    model = InContextRegressor(2, 6, width=16, layers=2, heads=2, tokens=tokens).eval()
    long = model(x, y)
    for k in range(1, 7):
        short = model(x[:, :k], y[:, :k])
        assert torch.allclose(short, long[:, :k], atol=1e-5)


def test_it_learns_lines_and_one_seed_is_one_model() -> None:
    def trained(seed: int, curriculum: bool) -> InContextRegressor:
        model = InContextRegressor(1, 5, width=32, layers=2, heads=2, seed=seed)
        return train_regressor(model, steps=150, curriculum=curriculum, seed=seed)

    test = draw_prompts(500, 5, 1, generator=Generator().manual_seed(9))
    model = trained(0, curriculum=True)
    assert not model.training
    with torch.no_grad():
        error = relative_error(model(test.x, test.shown), test)
    assert error[0] == pytest.approx(1, abs=0.2)  # it knows nothing yet
    assert error[4] < 0.2
    same, other = trained(0, curriculum=True), trained(1, curriculum=True)
    first, *_ = model.parameters()
    assert torch.equal(first, next(same.parameters()))
    assert not torch.equal(first, next(other.parameters()))


def test_the_curriculum_begins_with_one_dimension(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[tuple[Tensor, Tensor]] = []
    forward = InContextRegressor.forward

    def watched(self: InContextRegressor, x: Tensor, y: Tensor) -> Tensor:
        seen.append((x, y))
        return forward(self, x, y)

    monkeypatch.setattr(InContextRegressor, "forward", watched)
    model = InContextRegressor(4, 3, width=8, layers=1, heads=1)
    train_regressor(model, steps=16, batch=5, curriculum=True)
    used = [int((x != 0).any(0).any(0).sum()) for x, _ in seen]
    assert used == [1, 1, 2, 2, 3, 3, 4, 4] + [4] * 8
    # The answers are those of the inputs that are left.
    x, y = seen[0]
    ratio = y / x[..., 0]
    assert torch.allclose(ratio, ratio[:, :1].expand_as(ratio), rtol=1e-3)


def test_it_is_watched_on_the_way() -> None:
    steps: list[int] = []
    model = InContextRegressor(1, 2, width=8, layers=1, heads=1)
    train_regressor(
        model,
        steps=5,
        batch=2,
        every=2,
        watch=lambda step, seen: steps.append(step if not seen.training else -1),
    )
    assert steps == [0, 2, 4, 5]


def test_what_it_cannot_read_is_refused() -> None:
    model = InContextRegressor(2, 3, width=8, layers=1, heads=1)
    for x, y in (
        (torch.zeros(1, 4, 2), torch.zeros(1, 4)),
        (torch.zeros(1, 2, 3), torch.zeros(1, 2)),
        (torch.zeros(1, 2, 2), torch.zeros(1, 3)),
        (torch.zeros(2, 2), torch.zeros(2, 2)),
        (torch.zeros(1, 0, 2), torch.zeros(1, 0)),
    ):
        with pytest.raises(ValueError, match=r"x must be \(n, points, 2\)"):
            model(x, y)
    with pytest.raises(ValueError, match="tokens must be one of"):
        InContextRegressor(2, 3, tokens="words")
