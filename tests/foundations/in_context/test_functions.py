"""Are prompts drawn as stated, and do the baselines have the errors theory gives?"""

import numpy as np
import pytest
import torch
from sklearn.neighbors import KNeighborsRegressor
from torch import Generator

from smallscale.foundations.in_context.baselines import (
    averaging,
    lasso,
    least_squares,
    nearest_neighbours,
)
from smallscale.foundations.in_context.functions import (
    NOISE,
    draw_prompts,
    half_way,
    relative_error,
    share_solved,
)


def seeded(seed: int = 0) -> Generator:
    return Generator().manual_seed(seed)


def test_answers_are_the_functions_and_shifts_change_what_they_say() -> None:
    plain = draw_prompts(4000, 3, 5, generator=seeded())
    assert torch.allclose(plain.asked, (plain.x * plain.w[:, None]).sum(2), atol=1e-5)
    assert torch.equal(plain.shown, plain.asked)
    assert plain.asked.square().mean() == pytest.approx(5, rel=0.05)  # d
    large = draw_prompts(4, 3, 5, shift="inputs twice as large", generator=seeded())
    assert torch.equal(large.x, 2 * draw_prompts(4, 3, 5, generator=seeded()).x)
    half = draw_prompts(4, 3, 5, shift="half the inputs 0", generator=seeded())
    assert not half.x[..., 3:].any()
    assert half.x[..., :3].all()
    noisy = draw_prompts(4000, 3, 5, shift="noisy examples", generator=seeded())
    assert (noisy.shown - noisy.asked).std() == pytest.approx(NOISE, rel=0.05)


def test_sparse_functions_have_that_many_entries_in_any_place() -> None:
    drawn = draw_prompts(3000, 1, 6, kind="sparse", nonzero=2, generator=seeded())
    assert ((drawn.w != 0).sum(1) == 2).all()
    share = (drawn.w != 0).float().mean(0)
    assert torch.allclose(share, torch.full((6,), 1 / 3), atol=0.04)


def test_the_expected_error_of_least_squares() -> None:
    prompts = draw_prompts(20_000, 8, 5, generator=seeded())
    error = relative_error(least_squares(prompts.x, prompts.shown), prompts)
    closed_form = torch.tensor([1, 0.8, 0.6, 0.4, 0.2, 0, 0, 0])
    assert torch.allclose(error, closed_form, atol=0.03)


def test_least_squares_is_numpys_for_every_number_of_examples() -> None:
    prompts = draw_prompts(5, 7, 4, generator=seeded(3))
    x, y = prompts.x.double(), prompts.shown.double()
    said = least_squares(x, y)
    for row in range(5):
        for i in range(1, 7):
            w = np.linalg.lstsq(x[row, :i].numpy(), y[row, :i].numpy(), rcond=None)[0]
            assert said[row, i] == pytest.approx(float(x[row, i].numpy() @ w), abs=1e-6)
    assert not said[:, 0].any()


def test_neighbours_and_averages_by_hand() -> None:
    x = torch.tensor([[[0.0], [1.0], [5.0], [6.0], [5.4]]])
    y = torch.tensor([[1.0, 2.0, 3.0, 4.0, 0.0]])
    # The three nearest to 5.4 are 5, 6 and 1.
    assert nearest_neighbours(x, y)[0].tolist() == [0, 1, 1.5, 2, 3]
    # w is the mean of y x: 0, then 2/2, then 17/3, then 41/4.
    assert averaging(x, y)[0].tolist() == pytest.approx([0, 0, 5, 34, 55.35])
    prompts = draw_prompts(3, 9, 2, generator=seeded(1))
    said = nearest_neighbours(prompts.x, prompts.shown)
    for row in range(3):
        peer = KNeighborsRegressor(3).fit(prompts.x[row, :8], prompts.shown[row, :8])
        expected = peer.predict(prompts.x[row, 8:9])[0]
        assert said[row, 8] == pytest.approx(expected, abs=1e-5)


def test_the_lasso_needs_fewer_examples_of_a_sparse_function() -> None:
    prompts = draw_prompts(150, 9, 8, kind="sparse", generator=seeded(2))
    dense = relative_error(least_squares(prompts.x, prompts.shown), prompts)
    sparse = relative_error(lasso(prompts.x, prompts.shown), prompts)
    assert sparse[5] < 0.5 * dense[5]


def test_no_learner_sees_what_it_is_to_say() -> None:
    prompts = draw_prompts(4, 6, 3, generator=seeded())
    changed = prompts.shown.clone()
    changed[:, 3:] += 50
    for learner in (least_squares, nearest_neighbours, averaging, lasso):
        before, after = learner(prompts.x, prompts.shown), learner(prompts.x, changed)
        assert torch.allclose(before[:, :4], after[:, :4], atol=1e-4)
        assert not torch.allclose(before[:, 4:], after[:, 4:], atol=1e-1)


def test_an_error_is_a_share_of_that_of_answering_0() -> None:
    prompts = draw_prompts(5000, 4, 5, generator=seeded())
    zero = torch.zeros_like(prompts.asked)
    assert torch.allclose(relative_error(zero, prompts), torch.ones(4), atol=0.06)
    assert not relative_error(prompts.asked, prompts).any()


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"kind": "cubic"}, "kind must be one of"),
        ({"shift": "later"}, "shift must be one of"),
        ({"kind": "sparse", "nonzero": 9}, "nonzero must be a whole number"),
        ({"points": 0}, "points must be"),
        ({"dimensions": 0}, "dimensions must be"),
        ({"n": -1}, "n must be"),
    ],
)
def test_what_cannot_be_drawn_is_refused(wrong: dict[str, object], words: str) -> None:
    sizes: dict[str, object] = {"n": 2, "points": 3, "dimensions": 4}
    with pytest.raises(ValueError, match=words):
        draw_prompts(**(sizes | wrong), generator=seeded())  # type: ignore[arg-type]
    prompts = draw_prompts(2, 3, 4, generator=seeded())
    with pytest.raises(ValueError, match="predictions must be"):
        relative_error(torch.zeros(2, 4), prompts)


def test_a_function_is_solved_if_all_of_its_last_answers_are_close():
    prompts = draw_prompts(4, 5, 2, generator=seeded())
    said = prompts.asked.clone()
    said[:, 0] += 9  # not among the last
    said[1, 2] += 0.4
    said[2, 4] -= 0.6
    said[3, 3] += 9
    assert share_solved(said, prompts) == 0.5
    assert share_solved(said, prompts, within=0.3) == 0.25
    assert share_solved(said, prompts, last=1) == 0.75
    with pytest.raises(ValueError, match="within must be"):
        share_solved(said, prompts, within=0)


def test_half_way_is_the_first_step_at_or_beyond_it():
    assert half_way([0, 1, 2, 3], [0, 0.5, 0.4, 1]) == 1
    assert half_way([0, 1, 2, 3], [3, 2, 1, 1]) == 1
    assert half_way([5, 6], [1, 1]) == 5


def test_a_column_of_values_is_no_list():
    with pytest.raises(ValueError, match=r"values must be a list of numbers, \(n,\)"):
        half_way([0, 10], [[1.0], [0.0]])
