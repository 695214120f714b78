"""How much true reward does a policy get for how far it went? What people are shown, and a run looked at as it goes."""

import copy
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from torch import Tensor, nn

from smallscale.dpo.reviews import Reviews, distribution, judged_pairs, measure
from smallscale.dpo.training import Answers, all_logps, train_preferences


@dataclass(frozen=True)
class Judged:
    """What the reference wrote and what people preferred. texts: each once; logps: theirs under the reference.

    pairs, held: (n, 2) and (m, 2) positions in texts, chosen first; held ones are not trained on.
    start: (reviews + 1,) the reference's own distribution.
    """

    start: np.ndarray
    texts: Answers
    logps: Tensor
    pairs: np.ndarray
    held: np.ndarray

    @property
    def identical(self) -> int:
        """How many of the pairs hold one text twice: they are kept, and teach nothing."""
        return int((self.pairs[:, 0] == self.pairs[:, 1]).sum())


def judge(
    reference: nn.Module,
    world: Reviews,
    n: int,
    *,
    held: int = 500,
    flip: float = 0.0,
    polished: bool = False,
    seed: int = 0,
) -> Judged:
    """n pairs to train on and `held` to look at, of texts that the reference writes, as in `judged_pairs`."""
    texts, pairs = judged_pairs(reference, world, n + held, flip=flip, polished=polished, seed=seed)
    return Judged(distribution(reference, world), texts, all_logps(reference, texts), pairs[held:], pairs[:held])


def follow(
    reference: nn.Module,
    world: Reviews,
    judged: Judged,
    *,
    beta: float,
    steps: int,
    looks: Iterable[int] = (),
    **options: Any,
) -> tuple[pd.DataFrame, dict[int, np.ndarray]]:
    """Train a copy of the reference with `train_preferences`, and look at it after these steps, and the last.

    options: what `train_preferences` takes beside. Returned: a row for each look, and its whole distribution (n + 1,).
    Columns: beta, step, what `measure` says, on (the mean reward of what is a review), and on the held-out pairs
    accuracy (chosen reward strictly higher; of pairs of two texts), chosen and rejected (mean log-probabilities).
    """
    policy, rows, seen = copy.deepcopy(reference), [], {}
    at = {*looks, steps}
    two = judged.held[judged.held[:, 0] != judged.held[:, 1]]
    used, where = np.unique(two, return_inverse=True)
    where, fixed = where.reshape(two.shape), judged.logps[used].double().numpy()

    def look(step: int, policy: nn.Module) -> None:
        if step not in at:
            return
        seen[step] = p = distribution(policy, world) if step else judged.start
        logps = all_logps(policy, judged.texts[used]).double().numpy()
        chosen, rejected = logps[where].mean(0)
        gain = (logps - fixed)[where]
        rows.append(
            {
                "beta": beta,
                "step": step,
                **measure(p, judged.start, world),
                "on": float(p[:-1] @ world.reward / max(p[:-1].sum(), 1e-12)),
                "accuracy": float((gain[:, 0] > gain[:, 1]).mean()),
                "chosen": float(chosen),
                "rejected": float(rejected),
            }
        )

    train_preferences(
        policy, judged.texts, judged.pairs, beta=beta, steps=steps, reference=judged.logps, watch=look, **options
    )
    return pd.DataFrame(rows), seen
