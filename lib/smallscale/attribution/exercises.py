"""Is the answer right, and if not, why? Checks for the exercises of the theme's notebooks; each returns a sentence."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from smallscale.attribution.checks import as_array
from smallscale.attribution.markets.games import banzhaf_of, shapley_of
from smallscale.attribution.markets.market import Sales, Texts, clone, split
from smallscale.attribution.scores.lds import lds

NOT_YET = "Not answered yet."


def check_influence(answer: Callable[[Tensor, Tensor, Tensor, float], Any]) -> str:
    """Check influence(train_gradients (n, p), test_gradients (m, p), H (p, p), weight_decay) -> scores (n, m)."""
    generator = torch.Generator().manual_seed(0)
    train, test, root = (
        torch.randn(*shape, generator=generator) for shape in ((7, 3), (2, 3), (3, 3))
    )
    matrix = root @ root.T + torch.eye(3)
    right = train @ torch.linalg.inv(matrix + 0.5 * torch.eye(3)) @ test.T / 7
    sayings = {
        "Right: gradient, inverse, gradient, and the weight that removing takes away.": right,
        "The scores lie on their side: a row for each training point, a column for each test point.": right.T,
        "The sign is wrong: positive means that the point helps, so that the loss is higher without it.": -right,
        "Too large by n: in a mean over n a point has weight 1/n, and that is what removing takes away.": 7
        * right,
        "The penalty has a Hessian too: weight_decay times I.": train
        @ torch.linalg.inv(matrix)
        @ test.T
        / 7,
        "That is the dot product of the gradients: the inverse of H between them is missing.": train
        @ test.T
        / 7,
    }
    shape = "The scores must be (n, m): a row for each training point, a column for each test point"
    otherwise = "The scores differ from the equation's; write it out for one training and one test point."
    return _told(
        answer(train.clone(), test.clone(), matrix.clone(), 0.5),
        sayings,
        shape,
        otherwise,
    )


def check_banzhaf(rule: Callable[[np.ndarray], Any]) -> str:
    """Check a function of the values (2^n,) of all coalitions, player i in coalition c where bit i of c is set."""
    table = np.random.default_rng(0).normal(size=8).cumsum()
    right = banzhaf_of(table)
    sayings = {
        "Right: the mean over all coalitions without the player of what it adds.": right,
        "That is Shapley's value, where all orders count alike. For Banzhaf's all coalitions do.": shapley_of(
            table
        ),
        "The sign is wrong: the coalition with the player comes first, the one without is taken away.": -right,
        "These are shares that sum to 1; leave normalising to the payment.": right
        / right.sum(),
        "The sum is right; the mean divides it by the number of coalitions without the player.": 4
        * right,
        "The coalitions without the player are half of all: divide by 2^(n-1), not 2^n.": right
        / 2,
    }
    shape = "For a table of 8 coalitions there must be 3 values, one for each player"
    otherwise = "The values differ; for player i go through every c whose bit i is 0, and compare c with c + 2^i."
    return _told(rule(table.copy()), sayings, shape, otherwise)


def check_scores(scores: Any, masks: Any, outputs: Any, *, beat: float) -> str:
    """Check scores (n_train, n_test) of the reader's own method: an LDS above `beat`."""
    if scores is None:
        return NOT_YET
    try:
        reached = lds(scores, masks, outputs)
    except ValueError as error:
        return f"These cannot be scored: {error}."
    if reached < -beat:
        return f"The LDS is {reached:.2f}: right but for the sign. Positive means that the training point helps."
    return f"{'Right: the' if reached > beat else 'The'} LDS is {reached:.2f}, and the goal is above {beat:.2f}."


def check_rule(
    rule: Callable[[Sales, Texts], Any],
    sales: Sales,
    texts: Texts,
    attacker: str,
    *,
    most: float,
    far: float,
) -> str:
    """Check a rule (sales, texts) -> values (names,), which must resist cloning and splitting and stay fair.

    most: the gain an attack may have; far: how far the honest shares may be from Shapley's, as the sum of
    differences.
    """

    def shares(values: Any) -> np.ndarray:
        positive = np.asarray(values, dtype=float).clip(0)
        return positive / positive.sum()

    honest = rule(sales, texts)
    if honest is None:
        return NOT_YET
    before = shares(honest)
    if before.shape != (len(texts),) or not np.isfinite(before).all():
        return f"The rule must give {len(texts)} finite numbers, one for each name, not all below 0."
    for words, market in (
        ("Cloning", clone(texts, attacker, 2)),
        ("Splitting", split(texts, attacker, 2)),
    ):
        mine = [owner == attacker for owner in market.owner.values()]
        gain = (
            shares(rule(sales, market.texts))[mine].sum()
            / before[list(texts).index(attacker)]
        )
        if not gain <= most:
            return f"{words} pays: {sum(mine)} names multiply the attacker's share by {gain:.2f}."
    distance = np.abs(before - shares(sales.values(texts)["Shapley"])).sum()
    verdict = f"neither attack pays, and the honest shares are {distance:.2f} from Shapley's; {far:.2f} is allowed."
    return f"{'Right' if distance <= far else 'Not yet fair'}: {verdict}"


def _told(answer: Any, sayings: Mapping[str, Any], shape: str, otherwise: str) -> str:
    """What belongs to the values that the answer equals, of sayings whose first is right; or what is wrong with it."""
    if answer is None:
        return NOT_YET
    found, right = as_array(answer).astype(float), next(iter(sayings.values()))
    if sorted(found.shape) != sorted(right.shape):
        return f"{shape}; got shape {found.shape}."
    known = (
        w
        for w, v in sayings.items()
        if found.shape == v.shape and np.allclose(found, as_array(v), atol=1e-5)
    )
    return next(known, otherwise)
