"""How much true reward does a policy get for how far it went from the reference?

What the reference wrote and people preferred, and a training run that is measured on
its way.
"""

import copy
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from torch import Tensor, nn

from smallscale.dpo.answers import Answers, all_logps
from smallscale.dpo.losses import gradient_weight
from smallscale.dpo.policy_training import train_preferences
from smallscale.dpo.reviews import (
    Reviews,
    measure,
    preference_pairs,
    review_distribution,
)


class PreferenceData(NamedTuple):
    """What the reference wrote, and what people preferred.

    reference: (reviews + 1,) the reference's own distribution.
    texts: what it wrote, each text once. logps: their log-probabilities under it.
    pairs, held_out: (n, 2) and (m, 2) positions in texts, the chosen one first. Those
    held out are of two different texts, and are not trained on.
    """

    reference: np.ndarray
    texts: Answers
    logps: Tensor
    pairs: np.ndarray
    held_out: np.ndarray

    @property
    def identical(self) -> int:
        """How many of the pairs hold one text twice; these teach nothing."""
        return int((self.pairs[:, 0] == self.pairs[:, 1]).sum())


class TrackedRun(NamedTuple):
    """A training run. table: a row for each measured step; policies: the distribution
    (reviews + 1,) at each of them."""

    table: pd.DataFrame
    policies: dict[int, np.ndarray]


def collect_preferences(
    reference: nn.Module, world: Reviews, n: int, *, held_out: int = 500, seed: int = 0
) -> PreferenceData:
    """Return n pairs to train on, of texts that the reference writes, and up to
    `held_out` others to measure on. Pairs are as in `preference_pairs`.
    """
    texts, pairs = preference_pairs(reference, world, n + held_out, seed=seed)
    first = pairs[:held_out]
    return PreferenceData(
        reference=review_distribution(reference, world),
        texts=texts,
        logps=all_logps(reference, texts),
        pairs=pairs[held_out:],
        held_out=first[first[:, 0] != first[:, 1]],
    )


def flip_labels(data: PreferenceData, share: float, *, seed: int = 0) -> PreferenceData:
    """Return the same data, each label that is trained on turned around with
    probability `share`. Those of held-out pairs stay true.
    """
    turned = np.random.default_rng(seed).random(len(data.pairs)) < share
    pairs = np.where(turned[:, None], data.pairs[:, ::-1], data.pairs)
    return data._replace(pairs=pairs)


class LogpChange(NamedTuple):
    """How much log-probabilities rise from the reference to a policy, in nats."""

    chosen: float
    rejected: float


def logp_change(data: PreferenceData, world: Reviews, policy: Any) -> LogpChange:
    """Return how much the log-probability of held-out chosen and rejected answers rises
    from the reference to `policy`: means over pairs.

    policy: (reviews + 1,), as from `review_distribution`. A text that is no review
    moves as all such texts together do.
    """
    rise = np.log(np.asarray(policy) / data.reference)  # (reviews + 1,)
    means = rise[text_places(data, world)[data.held_out]].mean(0)
    return LogpChange(chosen=float(means[0]), rejected=float(means[1]))


def text_places(data: PreferenceData, world: Reviews) -> np.ndarray:
    """Return where each of the data's texts stands in an array (reviews + 1,), as from
    `review_distribution`: (texts,), -1, the last place, for what is no review."""
    places = []
    for ids, mask in zip(data.texts.ids, data.texts.mask, strict=True):
        text = ids[mask.bool()].tolist()[1:]  # without the prompt
        places.append(world.place.get(tuple(text), -1))
    return np.array(places)


def pair_weights(
    data: PreferenceData, world: Reviews, policy: Any, beta: float
) -> pd.DataFrame:
    """Return how hard the gradient of DPO's loss pulls at each pair that is trained on,
    and what the pair is worth.

    policy: (reviews + 1,), as from `review_distribution`.
    Columns: weight, sigmoid(-beta h), as `gradient_weight` has it; gap, by how much the
    true reward of the chosen answer is higher.
    """
    places = text_places(data, world)[data.pairs]  # (n, 2)
    rise = np.log(np.asarray(policy) / data.reference)[places]  # (n, 2)
    reward = np.append(world.reward, world.failure)[places]  # (n, 2)
    weight = gradient_weight(rise[:, 0] - rise[:, 1], beta)
    return pd.DataFrame({"weight": weight, "gap": reward[:, 0] - reward[:, 1]})


def track_training(
    reference: nn.Module,
    world: Reviews,
    data: PreferenceData,
    *,
    steps: int,
    measure_at: Iterable[int] = (),
    **options: Any,
) -> TrackedRun:
    """Train a copy of the reference on the pairs, and measure it after some steps.

    measure_at: the steps, 0 the reference itself; the last one is always measured.
    options: what `train_preferences` takes beside, beta among it.
    Columns of the table: beta, step, what `measure` says, on (the mean reward of what
    is a review), and on the held-out pairs accuracy (the share whose chosen reward is
    strictly higher), margin (by how many nats more the chosen answer rose, the mean),
    chosen and rejected (mean log-probabilities).
    """
    policy = copy.deepcopy(reference)
    measured = {*measure_at, steps}
    rows: list[dict[str, float]] = []
    policies: dict[int, np.ndarray] = {}
    used, place = np.unique(data.held_out, return_inverse=True)
    held_out = place.reshape(data.held_out.shape)  # positions in used
    before = data.logps[used].double().numpy()

    def look(step: int, policy: nn.Module) -> None:
        if step not in measured:
            return
        p = review_distribution(policy, world) if step else data.reference
        policies[step] = p
        logps = all_logps(policy, data.texts[used]).double().numpy()
        moved = (logps - before)[held_out]  # (m, 2), proportional to the rewards
        chosen, rejected = logps[held_out].mean(0).tolist()
        rows.append(
            {
                "beta": options["beta"],
                "step": step,
                **measure(p, data.reference, world),
                "on": float(p[:-1] @ world.reward / max(p[:-1].sum(), 1e-12)),
                "accuracy": float((moved[:, 0] > moved[:, 1]).mean()),
                "margin": float((moved[:, 0] - moved[:, 1]).mean()),
                "chosen": chosen,
                "rejected": rejected,
            }
        )

    train_preferences(
        policy,
        data.texts,
        data.pairs,
        steps=steps,
        reference=data.logps,
        watch=look,
        **options,
    )
    return TrackedRun(pd.DataFrame(rows), policies)
