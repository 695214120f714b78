"""Is the answer right, and if not, why? Checks for the exercises on payments."""

from collections.abc import Callable
from typing import Any

import numpy as np

from smallscale.attribution.markets.games import banzhaf_of, shapley_of
from smallscale.attribution.markets.market import Texts, clone, split
from smallscale.attribution.markets.valuation import ValuationModel
from smallscale.core.validation import as_array
from smallscale.notebook.exercises import NOT_YET, matching_message

# (what was sold, the texts by name) -> values (names,)
Rule = Callable[[ValuationModel, Texts], Any]


def check_banzhaf(answer: Callable[[np.ndarray], Any]) -> str:
    """Return a sentence on a function that computes Banzhaf values from a table.

    answer(values (2^n,) of all coalitions, player i in coalition c where bit i of c is
    set) -> (n,). It is tried on one table of three players.

    >>> check_banzhaf(lambda table: None)
    'Not answered yet.'
    """
    table = np.random.default_rng(0).normal(size=8).cumsum()
    right = banzhaf_of(table)
    messages = {
        "Right: the mean over all coalitions without the player of what it "
        "adds.": right,
        "That is Shapley's value, where all orders count alike. For Banzhaf's all "
        "coalitions do.": shapley_of(table),
        "The sign is wrong: the coalition with the player comes first, the one without "
        "is taken away.": -right,
        "These are shares that sum to 1; leave normalising to the payment.": right
        / right.sum(),
        "The sum is right; the mean divides it by the number of coalitions without the "
        "player.": 4 * right,
        "The coalitions without the player are half of all: divide by 2^(n-1), not "
        "2^n.": right / 2,
    }
    return matching_message(
        answer(table.copy()),
        messages,
        shape="For a table of 8 coalitions there must be 3 values, one a player.",
        otherwise="The values differ; for player i go through every c whose bit i is "
        "0, and compare c with c + 2^i.",
    )


def check_rule(
    rule: Rule,
    valuation: ValuationModel,
    texts: Texts,
    attacker: str,
    *,
    largest_gain: float,
    largest_distance: float,
) -> str:
    """Return a sentence on a rule that must resist attacks, and stay fair.

    The attacks are cloning and splitting.

    rule(valuation, texts) -> values (names,). attacker: who clones and splits.
    largest_gain: what an attack may multiply the attacker's share by. largest_distance:
    how far the honest shares may be from Shapley's, as the sum of absolute differences.
    """
    honest = rule(valuation, texts)
    if honest is None:
        return NOT_YET
    before = _shares(honest)
    if before.shape != (len(texts),) or not np.isfinite(before).all():
        return (
            f"The rule must give {len(texts)} finite numbers, one for each name, not "
            "all below 0."
        )
    honest_share = before[list(texts).index(attacker)]
    attacks = {
        "Cloning": clone(texts, attacker, 2),
        "Splitting": split(texts, attacker),
    }
    for attack, market in attacks.items():
        after = _shares(rule(valuation, market.texts))
        mine = [owner == attacker for owner in market.owner.values()]
        gain = after[mine].sum() / honest_share
        if not gain <= largest_gain:
            return (
                f"{attack} pays: {sum(mine)} names multiply the attacker's share by "
                f"{gain:.2f}."
            )
    fair = _shares(valuation.values(texts)["Shapley"])
    distance = np.abs(before - fair).sum()
    verdict = "Right" if distance <= largest_distance else "Not yet fair"
    return (
        f"{verdict}: neither attack pays, and the honest shares are {distance:.2f} "
        f"from Shapley's; {largest_distance:.2f} is allowed."
    )


def _shares(values: Any) -> np.ndarray:
    """Return values as shares of their sum; a negative one counts as 0."""
    positive = as_array("values", values).astype(float).clip(0)
    return np.asarray(positive / positive.sum())
