"""What becomes of the town? Day after day people are shown news, open some, and move.

A day: items are written, each reader's assistant shows a few of them, the reader opens
some, and moves by what was read. The assistant learns from what was opened.
"""

from typing import NamedTuple

import numpy as np

from smallscale.simulation.assistants.feeds import PLACES, Assistants, Ranking
from smallscale.simulation.assistants.measures import (
    bimodality,
    exposure_overlap,
    valley,
)
from smallscale.simulation.assistants.news import TRUTH
from smallscale.simulation.assistants.rules import Rules
from smallscale.simulation.assistants.world import LEARNING_DAYS, LEAST, MOST, World

NARROW = 15.0  # million: how far from one's own belief a claim may be to be liked
CLOSE = 2.5  # how much a claim that is close is liked
DISLIKE = -2.5  # nobody opens everything
RATE = 0.15  # how far a belief moves towards what was read, if all was opened
CONFIDENCE = 20.0  # million: beyond it, bounded readers stay and others recoil
RECOIL = 0.5  # how far one recoils, of CONFIDENCE
VALLEY_WIDTH = 3.0  # million: of the curve that smooths opinions
LAST_DAYS = 10  # over which what is shown and opened is averaged


class Lived(NamedTuple):
    """What came of a world under some rules.

    belief: (days + 1, people), from the first day that counts on. The others are means
    over the last ten days: overlap, the share of one's feed that another person was
    shown too; clicks for each reader and day, which are the operator's income;
    satisfaction, how much readers like what they are shown, heat left out; and
    shown_error, how far from the truth that is, in million.
    """

    belief: np.ndarray
    overlap: float
    clicks: float
    satisfaction: float
    shown_error: float

    def measures(self) -> dict[str, float]:
        """Return by name how divided and how wrong people are on the last day, and what
        the last ten days were worth."""
        last = self.belief[-1]
        return {
            "spread": float(last.std()),
            "valley": valley(last, VALLEY_WIDTH),
            "bimodality": bimodality(last),
            "overlap": self.overlap,
            "mean": float(last.mean()),
            "error": float(np.abs(last - TRUTH).mean()),
            "clicks": self.clicks,
            "satisfaction": self.satisfaction,
        }


def live(world: World, rules: Rules, ranking: Ranking | None = None) -> Lived:
    """Return what becomes of a world under some rules, day by day.

    All people move at once, and chance is drawn beforehand for each day, person and
    item, so two sets of rules meet the same town, the same news and the same luck, and
    the order in which people are listed changes nothing.
    ranking: as in `Assistants`. Raises ValueError for one whose scores are not numbers
    of the shape that it was given.
    """
    assistants = learnt(world, rules, ranking)
    belief = world.belief
    beliefs, last_days = [belief], []
    for day in range(LEARNING_DAYS, len(world.features)):
        shown = assistants.feeds(day)
        claims = world.news.claim[day, shown]
        liked, opened = reading(world, day, belief, shown, rules)
        assistants.learn(day, shown, opened)
        belief = moved(belief, world.belief, claims, opened, rules)
        beliefs.append(belief)
        overlap = exposure_overlap(shown, world.features.shape[1])
        error = np.abs(claims - TRUTH).mean()
        last_days.append([overlap, opened.sum(1).mean(), liked.mean(), error])
    return Lived(np.array(beliefs), *np.mean(last_days[-LAST_DAYS:], axis=0).tolist())


def learnt(world: World, rules: Rules, ranking: Ranking | None = None) -> Assistants:
    """Return the assistants after the learning days, on which feeds are by chance and
    beliefs stay."""
    assistants = Assistants(world, rules, ranking)
    for day in range(LEARNING_DAYS):
        shown = assistants.feeds(day)
        _, opened = reading(world, day, world.belief, shown, rules)
        assistants.learn(day, shown, opened)
    return assistants


def reading(
    world: World, day: int, belief: np.ndarray, shown: np.ndarray, rules: Rules
) -> tuple[np.ndarray, np.ndarray]:
    """Return how much people like what they are shown, and what they open of it,
    (people, places) each: an item is opened with probability
        sigmoid(-2.5 + liking + heat of the rules · heat of the item).
    """
    news = world.news
    liked = liking(news.claim[day, shown], news.group[day, shown], belief, world.likes)
    drawn = DISLIKE + liked + rules.heat * news.heat[day, shown]
    luck = np.take_along_axis(world.luck[day], shown, axis=1)
    opened: np.ndarray = luck < 1 / (1 + np.exp(-drawn))
    return liked, opened


def liking(
    claims: np.ndarray, groups: np.ndarray, belief: np.ndarray, likes: np.ndarray
) -> np.ndarray:
    """Return how much each person likes each item shown, (people, places): claims close
    to one's own belief, and groups that one likes to read about,
        2.5 exp(-(claim - belief)^2 / (2 · 15^2)) + likes[group].

    claims, groups: (people, places). belief: (people,). likes: (people, groups).
    """
    away = (claims - belief[:, None]) / NARROW
    of_groups = np.take_along_axis(likes, groups, axis=1)
    liked: np.ndarray = CLOSE * np.exp(-(away**2) / 2) + of_groups
    return liked


def moved(
    belief: np.ndarray,
    first: np.ndarray,
    claims: np.ndarray,
    opened: np.ndarray,
    rules: Rules,
) -> np.ndarray:
    """Return people's beliefs after a day's reading: each claim that was opened moves
    its reader, and everybody holds on a little to their first belief x0,
        x <- (1 - hold) [x + RATE / PLACES · sum of g(claim - x)] + hold x0.

    Pull has g(d) = d. Bounded and repelled readers move so within CONFIDENCE only;
    beyond, the first stay, and the second recoil, by RECOIL * CONFIDENCE.
    belief, first: (people,). claims, opened: (people, places).
    """
    away = claims - belief[:, None]
    far = np.abs(away) > CONFIDENCE
    if rules.influence == "none":
        away = np.zeros_like(away)
    elif rules.influence == "bounded":
        away = np.where(far, 0.0, away)
    elif rules.influence == "repulsion":
        away = np.where(far, -RECOIL * CONFIDENCE * np.sign(away), away)
    after = belief + RATE / PLACES * (away * opened).sum(1)
    held: np.ndarray = (1 - rules.hold) * after + rules.hold * first
    return held.clip(LEAST, MOST)
