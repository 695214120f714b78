"""Is the answer right, and if not, why? The exercises on the transparency index.

Each check takes an answer and returns a sentence.
"""

from collections.abc import Callable, Mapping
from numbers import Integral
from typing import Any

import numpy as np
from scipy.stats import spearmanr

from smallscale.core.intervals import binomial_interval
from smallscale.core.validation import as_float
from smallscale.evaluation.transparency.cards import card_key
from smallscale.evaluation.transparency.made_up import made_up_index
from smallscale.notebook.exercises import NOT_YET

SHORT = 20  # indicators of a short form
SEEN = 12  # developers that the short form is chosen on
UNSEEN = 60
UNSEEN_SEEDS = range(100, 110)
GOAL = 0.93


def check_smallest_lead(lead: float | None) -> str:
    """Check the smallest whole lead that is apart where one developer's yeses are part
    of the other's: of 100 indicators in one domain, d > 1.96 sqrt(d - d^2 / 100)."""
    if lead is None:
        return NOT_YET
    answers = {
        4: "Right: 4. The two differ on 4 indicators alone, and d > 1.96² (1 - d/100) "
        "from d = 3.7 on. Unrelated developers near 50 need 14.",
        3: "Almost: at 3 the standard error is 1.71, and 1.96 of them are more than 3.",
        14: "That is for two unrelated developers near 50, who differ on about 50 "
        "indicators. Nested ones differ on as many as the lead, and no more.",
        10: "That is the half of one total's own interval near 50. The difference of "
        "two developers who share their yeses is surer than either total.",
        20: "That is where two developers share as little as they can: D = 100. Take "
        "D = |a - b|.",
        2: "1.96 is the number of standard errors. Multiply it by the lead's error.",
        1: "A lead of 1 has a standard error of about 1, and must exceed 1.96 of them.",
        5: "5 is apart, and a smaller lead is too: put d = 4 into d > 1.96 sqrt(d - "
        "d²/100).",
    }
    number = as_float(lead)
    if number in answers:
        return answers[int(number)]
    return (
        "Put D = d into the equation, with one domain of 100, and look for the "
        "smallest whole d with d > 1.96 sqrt(d - d²/100)."
    )


def check_cards(scores: Mapping[str, Mapping[str, Any]] | None) -> str:
    """Check scores of the three cards: model -> indicator -> 0 or 1.

    The first answer that differs from the key is told with its reason.
    """
    if scores is None:
        return NOT_YET
    key = card_key()
    if not isinstance(scores, Mapping):
        return "Give a dictionary: model -> {indicator: 0 or 1}."
    given = []
    for row in key.itertuples():
        answers = scores.get(row.model)
        if not isinstance(answers, Mapping) or row.indicator not in answers:
            return f"{row.model}: no score for {row.indicator}."
        score = answers[row.indicator]
        if score is None:
            return NOT_YET
        if not isinstance(score, (Integral, np.bool_)) or score not in (0, 1):
            return f"{row.model}, {row.indicator}: a score is 0 or 1; got {score!r}."
        given.append(int(score))
    right = np.array(given) == key.score.to_numpy()
    if right.all():
        return _card_totals(given)
    told = f"{right.sum()} of {len(right)} agree with the key. "
    if len(set(given)) == 1:
        told += "One answer for all needs no card: read them one by one. "
    first = key[~right].iloc[0]
    said = "discloses it" if first.score else "does not disclose it"
    return f"{told}{first.model}, {first.indicator}: the card {said}. {first.reason}"


def _card_totals(given: list[int]) -> str:
    """Return each model's total and its interval, in words."""
    key = card_key().assign(score=given)
    told = []
    for model, scores in key.groupby("model", sort=False).score:
        low, high = binomial_interval(int(scores.sum()), len(scores))
        n = len(scores)
        told.append(f"{model} {scores.sum()} of {n} ({low * n:.0f} to {high * n:.0f})")
    return (
        f"Right. {'; '.join(told)}. In brackets, what other twelve questions could "
        "have given: so few questions rank nobody."
    )


def check_short_form(choose: Callable[[np.ndarray], Any]) -> str:
    """Check choose(scores) -> 20 different rows of scores (100 indicators, 12
    developers) of 0 and 1.

    On ten made-up indexes, the chosen twenty must order sixty developers that nobody
    has seen as all hundred do: Spearman's correlation above .93 on average. Indicators
    are shuffled, so their place tells nothing.
    """
    reached = []
    picked = []
    for seed in UNSEEN_SEEDS:
        made = made_up_index(SEEN + UNSEEN, seed=seed)
        order = np.random.default_rng(seed).permutation(len(made.scores))
        x = made.scores.to_numpy()[order]
        rows = choose(x[:, :SEEN].copy())
        if rows is None:
            return NOT_YET
        chosen = _row_numbers(rows, len(x))
        if chosen is None:
            return (
                f"Return {SHORT} different whole numbers from 0 to {len(x) - 1}; got "
                f"{' '.join(repr(rows).split())[:60]}."
            )
        picked.append(sorted(chosen))
        totals = x[:, SEEN:].sum(0)
        reached.append(spearmanr(x[chosen][:, SEEN:].sum(0), totals).statistic)
    mean = float(np.nanmean(reached))
    error = float(np.nanstd(reached, ddof=1) / len(reached) ** 0.5)
    told = f"the short forms order new developers with correlation {mean:.3f} ± "
    told += f"{1.96 * error:.3f}"
    if mean > GOAL:
        return f"Right: {told}, above {GOAL}."
    if all(each == picked[0] for each in picked):
        return (
            f"The same rows every time, and {told}: the indicators are shuffled, so "
            "look at their scores."
        )
    return (
        f"Inside the rules, but {told}; the goal is above {GOAL}. Twenty at random "
        "reach about .90: an indicator that is a coin, or that nearly all or nearly "
        "none satisfy, is a place lost."
    )


def _row_numbers(rows: Any, count: int) -> list[int] | None:
    """Return the rows as whole numbers, or None where they are not as asked."""
    try:
        numbers = np.asarray(rows)
    except (TypeError, ValueError):
        return None
    if numbers.ndim != 1 or numbers.dtype.kind not in "iu":
        return None
    chosen: list[int] = numbers.tolist()
    inside = all(0 <= row < count for row in chosen)
    right = inside and len(chosen) == SHORT and len(set(chosen)) == SHORT
    return chosen if right else None
