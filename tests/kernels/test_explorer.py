"""Do the widgets say what they show, and open at an interesting state?"""

import torch

from smallscale.kernels import elements_moved, fast_memory
from smallscale.kernels.explorer import tile_stepper, traffic_explorer
from smallscale.notebook import explore


def test_the_stepper_walks_every_tile_and_ends_at_the_true_sum() -> None:
    q, k, v = torch.randn(
        3, 1, 1, 12, 4, generator=torch.Generator().manual_seed(0)
    ).unbind()
    box = explore(*tile_stepper(q, k, v, block=4))
    sight, step, view = box.children
    assert (sight.value, step.max) == ("causal", 6)
    assert "it rose" in view.value  # an interesting state to start from
    sight.value = "full"
    assert step.max == 9
    step.value = 9
    scores = q[0, 0, -1] @ k[0, 0].T / 2
    assert f"maximum {scores.max():.3f}" in view.value
    assert f"sum {(scores - scores.max()).exp().sum():.3f}" in view.value
    assert "Step 9 of 9: query tile 3 meets key tile 3." in view.value
    # The last tile's output and lse are not yet written.
    moved = elements_moved("tiled", 12, 4, 4) - 4 * 4 - 4
    assert f"Moved so far: {moved:,}." in view.value
    sight.value = "causal"  # fewer steps: the slider stays in range
    assert step.value == 6
    assert 'role="img"' in view.value


def test_the_traffic_explorer_counts_predicts_and_says_what_fits() -> None:
    box = explore(
        *traffic_explorer(
            64, 4, [4, 16, 64], [fast_memory(4, size) for size in (4, 16, 64)]
        )
    )
    block, keys, memory, view = box.children
    assert "which do not fit into" in view.value
    block.value = 16
    moved = elements_moved("tiled", 64, 4, 16)
    assert f"{moved:,} predicted, {moved:,} counted" in view.value
    assert "which do not fit into" in view.value  # 64 keys are still held at once
    keys.value = 16
    assert "and fit into" in view.value
    assert f"{moved:,} predicted, {moved:,} counted" in view.value  # keys cost nothing
    memory.value = fast_memory(4, 4)
    assert "which do not fit" in view.value
    keys.value = 4
    assert f"{elements_moved('tiled', 64, 4, 4):,}, the best that fits" in view.value
