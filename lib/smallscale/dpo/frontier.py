"""How much true reward does a policy get for how far it went? What people are shown, and a run looked at as it goes."""

import copy
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from torch import Tensor, nn

from smallscale.dpo.policy_training import Answers, all_logps, train_preferences
from smallscale.dpo.reviews import Reviews, distribution, judged_pairs, measure


class Judged(NamedTuple):
    """What the reference wrote and what people preferred. texts: each once; logps: theirs under the reference.

    pairs, held: (n, 2) and (m, 2) positions in texts, chosen first; held ones, of two texts each, are not trained on.
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
    reference: nn.Module, world: Reviews, n: int, *, held: int = 500, seed: int = 0
) -> Judged:
    """n pairs to train on, and `held` to look at, of texts that the reference writes, as in `judged_pairs`."""
    texts, pairs = judged_pairs(reference, world, n + held, seed=seed)
    two = pairs[:held][pairs[:held, 0] != pairs[:held, 1]]
    return Judged(
        distribution(reference, world),
        texts,
        all_logps(reference, texts),
        pairs[held:],
        two,
    )


def flipped(judged: Judged, share: float, *, seed: int = 0) -> Judged:
    """The same, each label that is trained on turned around with probability `share`; held-out ones stay true."""
    turned = np.random.default_rng(seed).random(len(judged.pairs)) < share
    return judged._replace(
        pairs=np.where(turned[:, None], judged.pairs[:, ::-1], judged.pairs)
    )


def moved(judged: Judged, world: Reviews, policy: Any) -> tuple[float, float]:
    """How much the log-probability of held-out chosen and rejected answers rises from the reference to `policy`.

    policy: (n + 1,) as from `distribution`. Means over pairs; texts that are no review move as all of them together.
    """
    texts = zip(
        judged.texts.ids.tolist(), judged.texts.mask.sum(1).tolist(), strict=True
    )
    places = np.array(
        [world.place.get(tuple(ids[1:length]), -1) for ids, length in texts]
    )
    chosen, rejected = np.log(np.asarray(policy) / judged.start)[
        places[judged.held]
    ].mean(0)
    return float(chosen), float(rejected)


def follow(
    reference: nn.Module,
    world: Reviews,
    judged: Judged,
    *,
    steps: int,
    looks: Iterable[int] = (),
    **options: Any,
) -> tuple[pd.DataFrame, dict[int, np.ndarray]]:
    """Train a copy of the reference with `train_preferences`, and look at it after these steps, and the last.

    options: what `train_preferences` takes beside, beta among it. Returned: a row for each look, and its whole
    distribution (n + 1,).
    Columns: beta, step, what `measure` says, on (the mean reward of what is a review), and on the held-out pairs
    accuracy (chosen reward strictly higher), chosen and rejected (mean log-probabilities).
    """
    policy, at = copy.deepcopy(reference), {*looks, steps}
    rows: list[dict[str, float]] = []
    seen: dict[int, np.ndarray] = {}
    used, where = np.unique(judged.held, return_inverse=True)
    fixed = judged.logps[used].double().numpy()

    def look(step: int, policy: nn.Module) -> None:
        if step not in at:
            return
        seen[step] = p = distribution(policy, world) if step else judged.start
        logps = all_logps(policy, judged.texts[used]).double().numpy()
        right = np.subtract(*(logps - fixed)[where].T) > 0
        row = {"beta": options["beta"], "step": step, **measure(p, judged.start, world)}
        row |= {
            "on": float(p[:-1] @ world.reward / max(p[:-1].sum(), 1e-12)),
            "accuracy": float(right.mean()),
        }
        rows.append(
            row
            | dict(
                zip(("chosen", "rejected"), logps[where].mean(0).tolist(), strict=True)
            )
        )

    options |= {"steps": steps, "reference": judged.logps, "watch": look}
    train_preferences(policy, judged.texts, judged.pairs, **options)
    return pd.DataFrame(rows), seen
