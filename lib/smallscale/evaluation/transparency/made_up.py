"""What would an index look like whose truth is known? Made-up developers, made-up
indicators.

No name here is a real developer's. Some indicators are coins: whether a developer
satisfies them has nothing to do with how open it is. A method that finds the
indicators that tell developers apart must leave them out.
"""

from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.special import expit

from smallscale.core.validation import finite_number, whole_number
from smallscale.evaluation.transparency.editions import DOMAINS
from smallscale.evaluation.transparency.separation import item_rest_correlation

SIZES = (32, 33, 35)  # of the first two editions' domains


class MadeUp(NamedTuple):
    """scores: (indicators, developers) of 0 and 1. domains: by indicator. coin: by
    indicator, whether it is one."""

    scores: pd.DataFrame
    domains: pd.Series
    coin: pd.Series


def made_up_index(
    developers: int = 12,
    *,
    sizes: tuple[int, ...] = SIZES,
    coins: float = 0.2,
    seed: int = 0,
) -> MadeUp:
    """Return the scores of developers that do not exist, drawn from a known truth.

    Developer d has openness o_d and in each domain a leaning of its own, l_dk;
    indicator i of domain k has a difficulty b_i (Rasch 1960):

        P(x_id = 1) = sigmoid(1.5 (o_d + l_dk / 2 - b_i)),  of a coin sigmoid(-1.5 b_i)

    o, l and b are standard normal. coins: the share of indicators that are coins.
    """
    developers = whole_number("developers", developers, least=3)
    coins = finite_number("coins", coins, least=0, most=1)
    random = np.random.default_rng(seed)
    names = [
        name for name, size in zip(DOMAINS, sizes, strict=True) for _ in range(size)
    ]
    domain = np.repeat(np.arange(len(sizes)), sizes)
    openness = random.normal(size=developers)
    leaning = random.normal(size=(len(sizes), developers)) / 2
    difficulty = random.normal(size=len(names))
    coin = random.permutation(np.arange(len(names)) < round(coins * len(names)))
    ability = np.where(coin[:, None], 0.0, openness + leaning[domain])
    chance = expit(1.5 * (ability - difficulty[:, None]))
    scores = (random.random(chance.shape) < chance).astype(int)
    index = pd.Index(
        [f"made-up {name.lower()} {i}" for i, name in enumerate(names, 1)],
        name="indicator",
    )
    columns = [f"Made-up {i}" for i in range(1, developers + 1)]
    return MadeUp(
        pd.DataFrame(scores, index, columns),
        pd.Series(names, index, name="domain"),
        pd.Series(coin, index, name="coin"),
    )


def told_from_coins(made: MadeUp) -> float:
    """Return how often an indicator's correlation with the rest exceeds a coin's.

    Over all pairs of an indicator that depends on openness and a coin, ties counting
    one half: 1 if every such indicator is above every coin, 1/2 if it is luck. An
    indicator without a correlation counts as 0.
    """
    correlation = np.nan_to_num(item_rest_correlation(made.scores))
    coin = made.coin.to_numpy()
    gap = correlation[~coin][:, None] - correlation[coin][None]
    return float(((gap > 0) + (gap == 0) / 2).mean())
