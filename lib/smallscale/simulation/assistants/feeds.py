"""What does an assistant show its reader? Feeds, ranked by a taste that it learns."""

from collections.abc import Callable
from typing import Any

import numpy as np

from smallscale.core.validation import as_array, finite, require
from smallscale.simulation.assistants.news import TRUTH
from smallscale.simulation.assistants.rules import Rules
from smallscale.simulation.assistants.taste import Tastes, camps, fit_tastes
from smallscale.simulation.assistants.world import ITEMS, LEARNING_DAYS, World

Ranking = Callable[[np.ndarray], Any]
PLACES = 5  # of a day's items in a feed
FRONT_PAGE = 2  # places in every feed that are the same for all
CHECKED = 1 / 3  # share of the learning days' items that a fact checker looked at


class Assistants:
    """The assistants of a town: what they have learnt, and the feeds they make.

    ranking: a function of the clicks that tastes foretell, (people, items), which
    returns the scores, of the same shape, that rank in place of the objective.
    """

    def __init__(self, world: World, rules: Rules, ranking: Ranking | None) -> None:
        self.world = world
        self.rules = rules
        self.ranking = ranking
        people, features = len(world.belief), world.features.shape[-1]
        self.squares = np.zeros((people, features, features))
        self.products = np.zeros((people, features))
        self.rng = np.random.default_rng([world.seed, 2])
        self.error_weights = foretold_error(world, self.rng)
        self.swapped = self.rng.permutation(people)

    def feeds(self, day: int) -> np.ndarray:
        """Return the items that each person is shown on a day, (people, PLACES)."""
        tastes = fit_tastes(self.squares, self.products)
        items = self.world.features[day, :ITEMS]
        if day < LEARNING_DAYS:
            return filled_places(self.world.lots[day], items @ tastes.shared, "none")
        if self.rules.objective == "chance":
            scores = self.world.lots[day]
        elif self.ranking is not None:
            clicks = tastes.weights(self.rules.alpha) @ items.T
            scores = _checked_scores(self.ranking(clicks), clicks.shape)
        else:
            scores = feed_scores(items, tastes, self.error_weights, self.rules)
        if self.rules.reader == "swapped daily":
            self.swapped = self.rng.permutation(len(scores))
        if self.rules.reader != "own":
            scores = scores[self.swapped]
        shared = items @ tastes.shared
        return filled_places(scores, shared, self.rules.intervention)

    def learn(self, day: int, shown: np.ndarray, opened: np.ndarray) -> None:
        """Add what each person opened, of what was shown, to what is known of them."""
        seen = self.world.features[day, shown]  # (people, places, features)
        self.squares += seen.transpose(0, 2, 1) @ seen
        self.products += (opened[..., None] * seen).sum(1)


def feed_scores(
    items: np.ndarray, tastes: Tastes, error_weights: np.ndarray, rules: Rules
) -> np.ndarray:
    """Return how each item f of a day ranks for each person i, (people, items): by the
    click that the taste foretells, or by the error that the words foretell,
        engagement = f · (shared + alpha own_i),    truth = -f · v.

    Bridging adds the smaller of the two camps' mean foretold clicks. What is added is
    first scaled to spread 1 over the day's items.
    items: (items, features). error_weights v: (features,).
    """
    engagement = tastes.weights(rules.alpha) @ items.T
    truth = np.tile(-(items @ error_weights), (len(engagement), 1))
    if rules.objective == "truth":
        scores = truth
    elif rules.objective == "both":
        scores = standard(engagement) + standard(truth)
    else:
        scores = engagement
    if rules.intervention == "bridging":
        camp = camps(tastes.own)
        foretold = tastes.weights(1.0) @ items.T
        both_camps = np.minimum(foretold[camp].mean(0), foretold[~camp].mean(0))
        scores = standard(scores) + standard(both_camps)
    return scores


def filled_places(
    scores: np.ndarray, shared: np.ndarray, intervention: str
) -> np.ndarray:
    """Return the items that each person is shown, (people, PLACES): after what the
    intervention puts into the first places, those of the highest score.

    scores: (people, items). shared: (items,) the clicks that the shared taste
    foretells, from which a front page is made. The fact source is the item after the
    last.
    """
    people, items = scores.shape
    same = np.empty(0, dtype=int)
    if intervention == "front page":
        same = np.argsort(-shared, kind="stable")[:FRONT_PAGE]
        scores = scores.copy()
        scores[:, same] = -np.inf
    elif intervention == "fact source":
        same = np.array([items])
    best = np.argsort(-scores, axis=1, kind="stable")[:, : PLACES - len(same)]
    return np.hstack([np.tile(same, (people, 1)), best])


def standard(scores: np.ndarray) -> np.ndarray:
    """Return scores with mean 0 and spread 1 over the items, their last axis; of equal
    scores all are 0."""
    centred = scores - scores.mean(-1, keepdims=True)
    scaled: np.ndarray = centred / np.maximum(centred.std(-1, keepdims=True), 1e-9)
    return scaled


def foretold_error(world: World, rng: np.random.Generator) -> np.ndarray:
    """Return weights v on features such that f · v foretells how far an item's claim is
    from the truth, (features,): a ridge fit to the items of the learning days that a
    fact checker looked at, a third of them."""
    past = slice(0, LEARNING_DAYS)
    features = world.features[past].reshape(-1, world.features.shape[-1])
    error = np.abs(world.news.claim[past] - TRUTH).ravel()
    checked = rng.random(len(error)) < CHECKED
    some = features[checked]
    ridge = some.T @ some + np.eye(some.shape[1])
    weights: np.ndarray = np.linalg.solve(ridge, some.T @ error[checked])
    return weights


def _checked_scores(scores: Any, shape: tuple[int, ...]) -> np.ndarray:
    """Return a ranking's scores as an array, or refuse them."""
    array = as_array("scores", scores, dtype=float)
    wanted = f"scores must be {shape}, a number for each person and item"
    require(array.shape == shape, f"{wanted}; got shape {array.shape}")
    finite("scores", array)
    return array
