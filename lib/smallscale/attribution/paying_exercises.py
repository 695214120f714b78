"""Is the answer right, and if not, why? Checks for the exercises on paying contributors; each returns a sentence."""

from collections.abc import Callable
from typing import Any

import numpy as np

from smallscale.attribution.games import banzhaf_of, shapley_of
from smallscale.attribution.market import Sales, Texts, clone, split

NOT_YET = "Not answered yet."


def check_gain(guess: float | None, measured: float, *, within: float = 0.15) -> str:
    """Compare a guess of an attacker's gain, a factor, with the one that was measured."""
    if guess is None:
        return NOT_YET
    if abs(guess - measured) <= within:
        return f"Right: measured was {measured:.2f}."
    if guess < measured:
        return f"Measured was {measured:.2f}, not {guess:.2f}. Each new name still takes a little from all the others."
    return (
        f"Measured was {measured:.2f}, not {guess:.2f}. The copies share what the original was worth; they only come "
        "before the others more often, and there is less and less to take."
    )


def check_banzhaf(rule: Callable[[np.ndarray], Any]) -> str:
    """Check a function of the values (2^n,) of all coalitions, player i in coalition c where bit i of c is set."""
    table = np.random.default_rng(0).normal(size=8).cumsum()
    answer = rule(table.copy())
    if answer is None:
        return NOT_YET
    found, right = np.asarray(answer, dtype=float), banzhaf_of(table)
    if found.shape != (3,):
        return f"For a table of 8 coalitions there must be 3 values, one for each player; got shape {found.shape}."
    if np.allclose(found, right):
        return "Right: the mean over all coalitions without the player of what it adds."
    if np.allclose(found, shapley_of(table)):
        return "That is Shapley's value, where all orders count alike. For Banzhaf's all coalitions do."
    if np.allclose(found, -right):
        return "The sign is wrong: the coalition with the player comes first, the one without is taken away."
    if np.allclose(found, right / right.sum()):
        return "These are shares that sum to 1. The value itself need not; leave normalising to the payment."
    for factor, words in (
        (4, "The sum is right; the mean divides it by the number of coalitions without the player."),
        (0.5, "The coalitions without the player are half of all: divide by 2^(n-1), not 2^n."),
    ):
        if np.allclose(found, factor * right):
            return words
    return "The values differ; for player i go through every c whose bit i is 0, and compare c with c + 2^i."


def check_rule(
    rule: Callable[[Sales, Texts], Any], sales: Sales, texts: Texts, attacker: str, *, most: float, far: float
) -> str:
    """Check a rule (sales, texts) -> values (names,), which must resist cloning and splitting and stay fair.

    most: the gain an attack may have; far: how far the honest shares may be from Shapley's, as the sum of
    differences.
    """

    def shares(submitted: Texts) -> np.ndarray | None:
        answer = rule(sales, submitted)
        if answer is None:
            return None
        values = np.asarray(answer, dtype=float).clip(0)
        return values / values.sum()

    before = shares(texts)
    if before is None:
        return NOT_YET
    if before.shape != (len(texts),) or not np.isfinite(before).all():
        return f"The rule must give {len(texts)} finite numbers, one for each name, not all below 0."
    own = list(texts).index(attacker)
    for words, market in (("cloning", clone(texts, attacker, 2)), ("splitting", split(texts, attacker, 2))):
        after = shares(market.texts)
        mine = [market.owner[name] == attacker for name in market.texts]
        gain = float(after[mine].sum() / before[own]) if after is not None else np.inf
        if gain > most:
            return f"{words.capitalize()} pays: {sum(mine)} names multiply the attacker's share by {gain:.2f}."
    fair = shapley_of_names(sales, texts)
    distance = float(np.abs(before - fair).sum())
    if distance > far:
        return (
            f"It resists both attacks, but the honest shares are {distance:.2f} from Shapley's; {far:.2f} is allowed."
        )
    return f"Right: neither attack pays, and the honest shares are {distance:.2f} from Shapley's."


def shapley_of_names(sales: Sales, texts: Texts) -> np.ndarray:
    """Shapley's shares (names,) of the pot."""
    values = sales.values(texts)["Shapley"].clip(0)
    return values / values.sum()
