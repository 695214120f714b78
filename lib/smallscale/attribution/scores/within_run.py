"""Does a derivative of one run foresee what that run does without some of its images?

The control for scores of one run: the same start and the same batches, and only the
weights of the images that are taken out differ (Ilyas and Engstrom 2025).
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import nn

from smallscale.attribution.scores.curvature import influence
from smallscale.attribution.scores.lds import as_masks, lds, margins, random_subsets
from smallscale.attribution.scores.loss_checks import Loss
from smallscale.attribution.scores.metagradient import metagradient
from smallscale.attribution.scores.retraining import member, retrain, stack_outputs
from smallscale.attribution.scores.training_config import TrainingConfig
from smallscale.core.validation import require


class WithinRun(NamedTuple):
    """What was measured within one run.

    smoothness: the correlation of the effects of halving the weights of the first
    share's images and of then setting them to 0, over its draws and the test points; 1
    on a straight line (Engstrom et al. 2025). lds: the rows of a table with the columns
    method, dropped and LDS.
    """

    smoothness: float
    lds: pd.DataFrame


def within_run(
    start: nn.Module,
    loss: Loss,
    train: Any,
    test: Any,
    config: TrainingConfig,
    *,
    shares: Sequence[float],
    draws: int,
    damping: float = 0.0,
) -> WithinRun:
    """Take random shares of the images out of one run, and judge two scores by it.

    The scores are the metagradient of the run and the influence of the network at its
    end, with the run's weight decay and this damping. Each is judged by its LDS on the
    margins of the networks from which a share was taken out.
    train, test: (inputs, targets), targets classes. shares: of the images, in (0, 1),
    each drawn `draws` times from config.seed. Raises ValueError for no share.
    """
    require(len(shares) > 0, "shares must hold at least one; got none")
    n = len(train[0])
    kept = [random_subsets(n, draws, 1 - s, seed=config.seed) for s in shares]
    masks = [as_masks(rows, n).float() for rows in kept]
    by_half = (1 + masks[0]) / 2
    weights = torch.cat([torch.ones(1, n), by_half, *masks])
    stack = retrain(start, loss, train, config, weights=weights)
    outputs = margins(stack_outputs(start, stack, test[0]), test[1])
    full, half, *out = torch.split(outputs, [1, draws] + [draws] * len(shares))
    halves = (half - full).flatten(), (out[0] - half).flatten()
    smoothness = float(np.corrcoef(*halves)[0, 1])
    settings = {"weight_decay": config.weight_decay, "damping": damping}
    scores = {
        "metagradient": metagradient(start, loss, train, test, config=config),
        "influence": influence(member(start, stack), loss, train, test, **settings),
    }
    rows = [
        {"method": method, "dropped": share, "LDS": lds(each, mask, found)}
        for method, each in scores.items()
        for share, mask, found in zip(shares, masks, out, strict=True)
    ]
    return WithinRun(smoothness, pd.DataFrame(rows))
