"""Is the answer right, and if not, why? Checks for the exercises on payments."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from smallscale.attribution.markets.games import banzhaf_of, shapley_of
from smallscale.attribution.markets.market import (
    Texts,
    clone,
    poison,
    split,
)
from smallscale.attribution.markets.payments import payouts
from smallscale.attribution.markets.proxies import alone, left_out
from smallscale.attribution.markets.valuation import ValuationModel
from smallscale.core.validation import as_array
from smallscale.notebook.exercises import NOT_YET, matching_message

# (what was sold, the texts by name) -> values (names,)
Rule = Callable[[ValuationModel, Texts], Any]


# A pot and values on which every mistake that is told below gives something else: the
# exact shares are the values themselves, but 0 for the last.
POT = 101
VALUES = (36.3, 25.45, 22.4, 16.85, -1.0)
OTHER_POT = 1000
OTHER_VALUES = (0.2, 0.2, 0.2)


def check_payouts(answer: Callable[[list[float], int], Any]) -> str:
    """Return a sentence on a function that divides a pot in whole cents.

    answer(values, pot) -> list of cents, by the largest remainder; a negative value
    counts as 0. It is tried on five owners, and then on three equal ones.

    >>> check_payouts(lambda values, pot: None)
    'Not answered yet.'
    """
    found = answer(list(VALUES), POT)
    if found is None:
        return NOT_YET
    cents = as_array("answer", found).astype(float)
    if cents.shape != (len(VALUES),):
        return f"For {len(VALUES)} values there must be {len(VALUES)} payments."
    if (cents != cents.round()).any():
        return "These are not whole cents: round each share down first."
    if (cents < 0).any():
        return "Somebody has to pay in: count a negative value as 0."
    if (cents == cents[0]).all() or cents[-1] > 0:
        return "The owner of the negative value is paid: count that value as 0."
    missing = POT - int(cents.sum())
    if missing:
        what = "missing" if missing > 0 else "paid twice"
        return (
            f"The payments do not add up: of {POT} cents, {abs(missing)} are {what}. "
            "Rounding down leaves some over, and rounding to the nearest need not fit."
        )
    if (cents != payouts(VALUES, POT)).any():
        return (
            "They add up, but the cents left over go to the largest remainders: to "
            "those whose share was cut most by rounding down."
        )
    equal = np.asarray(answer(list(OTHER_VALUES), OTHER_POT), dtype=float)
    if equal.shape != (3,) or sorted(equal) != [333, 333, 334]:
        return (
            f"Right for five owners, and not for three equal ones and {OTHER_POT} "
            "cents: two get 333, and one gets 334."
        )
    return "Right: whole cents, all of them, to the largest remainders."


def check_banzhaf(answer: Callable[[np.ndarray], Any]) -> str:
    """Return a sentence on a function that computes Banzhaf values from a table.

    answer(values (2^n,) of all coalitions, player i in coalition c where bit i of c is
    set) -> (n,). It is tried on a table of three players, and on one of four.

    >>> check_banzhaf(lambda table: None)
    'Not answered yet.'
    """
    random = np.random.default_rng(0)
    table = random.normal(size=8).cumsum()
    right = banzhaf_of(table)
    correct = "Right: the mean over all coalitions without the player of what it adds."
    messages = {
        correct: right,
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
        "The players stand in reverse: player 0 is the lowest bit, 1, and not the "
        "highest.": right[::-1],
        "That is what is lost when only this player leaves; the other coalitions count "
        "as well.": left_out(table),
        "That is what the player is worth alone; the other coalitions count as "
        "well.": alone(table),
    }
    said = matching_message(
        answer(table.copy()),
        messages,
        shape="For a table of 8 coalitions there must be 3 values, one a player.",
        otherwise="The values differ; for player i go through every c whose bit i is "
        "0, and compare c with c + 2^i.",
    )
    if said != correct:
        return said
    larger = random.normal(size=16).cumsum()
    found = np.asarray(answer(larger.copy()), dtype=float)
    if found.shape != (4,) or not np.allclose(found, banzhaf_of(larger), atol=1e-5):
        return (
            "Right for three players, and not for four: take the number of players "
            "from the length of the table, 2^n."
        )
    return said


def check_rule(
    rule: Rule,
    valuation: ValuationModel,
    texts: Texts,
    attackers: Sequence[str],
    *,
    largest_gain: float,
    largest_distance: float,
    largest_nonsense: float = 0.05,
) -> str:
    """Return a sentence on a rule that must resist attacks, and stay fair.

    The attacks are cloning twice, splitting in two and in three, and a newcomer's
    words in random order. The rule sees neither the authors' names nor those of their
    documents, only the texts.

    rule(valuation, texts) -> values (names,). attackers: who clones and splits, and
    whose words are shuffled. largest_gain: what an attack may multiply the attacker's
    share by. largest_distance: how far the honest shares may be from Shapley's, as the
    sum of absolute differences. largest_nonsense: the most that shuffled words may get,
    as a share.
    """
    honest = rule(valuation, _anonymous(texts))
    if honest is None:
        return NOT_YET
    before = as_array("values", honest).astype(float)
    if before.shape != (len(texts),) or not np.isfinite(before).all():
        return f"The rule must give {len(texts)} finite numbers, one for each name."
    if not (before > 0).any():
        return "The rule pays nobody: at least one value must be above 0."
    before = _shares(before)
    fair = _shares(valuation.values(texts)["Shapley"])
    distance = np.abs(before - fair).sum()
    for attacker in attackers:
        honest_share = before[list(texts).index(attacker)]
        if honest_share == 0:
            return f"The rule pays {attacker}, who wrote much, nothing."
        attacks = {
            "Cloning": clone(texts, attacker, 2),
            "Splitting in two": split(texts, attacker),
            "Splitting in three": split(texts, attacker, 3),
        }
        for attack, market in attacks.items():
            after = _shares(rule(valuation, _anonymous(market.texts)))
            mine = [owner == attacker for owner in market.owner.values()]
            if after.shape != (len(mine),):
                return f"For {len(mine)} names there must be {len(mine)} values."
            gain = after[mine].sum() / honest_share
            if not gain <= largest_gain:
                return (
                    f"{attack} pays {attacker}: {sum(mine)} names multiply the share "
                    f"by {gain:.2f}."
                )
        vandal = _shares(rule(valuation, _anonymous(poison(texts, attacker).texts)))
        if not vandal[-1] <= largest_nonsense:
            return (
                f"Nonsense pays: {attacker}'s words in random order get "
                f"{vandal[-1]:.0%} of the pot."
            )
    if distance > largest_distance:
        return (
            f"Not yet fair: no attack pays, but the honest shares are {distance:.3f} "
            f"from Shapley's; {largest_distance:.3f} is allowed."
        )
    return (
        f"Right: no attack pays, and the honest shares are {distance:.3f} from "
        f"Shapley's; {largest_distance:.3f} is allowed."
    )


def _anonymous(texts: Texts) -> dict[str, dict[str, str]]:
    """Return the texts under numbers: no name tells who is whose clone."""
    return {
        f"name {k}": {f"document {j}": text for j, text in enumerate(each.values())}
        for k, each in enumerate(texts.values())
    }


def _shares(values: Any) -> np.ndarray:
    """Return values as shares of their sum; a negative one counts as 0."""
    positive = as_array("values", values).astype(float).clip(0)
    return np.asarray(positive / positive.sum())
