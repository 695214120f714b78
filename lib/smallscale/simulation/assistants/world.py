"""Who lives in the town, and what is there to read before anything is ranked?"""

from typing import NamedTuple

import numpy as np

from smallscale.core.validation import finite_number, whole_number
from smallscale.simulation.assistants.news import (
    GROUPS,
    TRUTH,
    News,
    make_news,
    vocabulary,
    word_counts,
)
from smallscale.simulation.assistants.taste import word_directions

ITEMS = 30  # of news a day, beside the fact source's
RANK = 8  # numbers that describe a text
LEARNING_DAYS = 15  # of feeds by chance, before the days that count
START_MEAN = 50.0  # million: what people think at first that the tram will cost
START_SPREAD = 12.0
LEAST, MOST = 0.0, 120.0  # million: what anybody can believe


class World(NamedTuple):
    """A town before anything is ranked: all of it is the same under all rules.

    news: of LEARNING_DAYS and then of the days that count; the last item of each day is
    the fact source's. features: (days, items + 1, RANK + 1), what each text looks like
    to the assistants. belief: (people,) in million. likes: (people, groups), how much
    one likes to read about each group. luck: (days, people, items + 1), uniform
    numbers that decide what is opened. lots: (days, people, items), uniform numbers
    that decide what a feed by chance shows. seed: of what else is drawn.
    """

    news: News
    features: np.ndarray
    belief: np.ndarray
    likes: np.ndarray
    luck: np.ndarray
    lots: np.ndarray
    seed: int


def make_world(
    people: int = 120, days: int = 60, *, start: float = START_MEAN, seed: int = 0
) -> World:
    """Return a town of some people and its news for some days, after the days on which
    the assistants learn.

    start: the mean of first beliefs, in million; they are normal, with a spread of 12,
    where the truth is 60.
    Raises ValueError for fewer than 4 people, no days, and a start that nobody can
    believe.
    """
    people = whole_number("people", people, least=4)
    days = whole_number("days", days, least=1) + LEARNING_DAYS
    start = finite_number("start", start, least=LEAST, most=MOST)
    rng = np.random.default_rng([seed, 0])
    news = _with_fact_source(make_news(days, ITEMS, seed=seed), rng)
    return World(
        news=news,
        features=_features(news),
        belief=rng.normal(start, START_SPREAD, people).clip(LEAST, MOST),
        likes=rng.normal(size=(people, len(GROUPS))),
        luck=rng.random((days, people, ITEMS + 1)),
        lots=rng.random((days, people, ITEMS)),
        seed=seed,
    )


def _features(news: News) -> np.ndarray:
    """Return each text's place on the leading directions of the learning days' texts,
    and a 1, (days, items, RANK + 1)."""
    texts = [text for of_day in news.texts for text in of_day]
    days, items = news.claim.shape
    past = LEARNING_DAYS * items
    counts = word_counts(texts, vocabulary(texts[:past]))
    centred = counts - counts[:past].mean(0)
    places = centred @ word_directions(counts[:past], RANK)
    return np.column_stack([places, np.ones(len(texts))]).reshape(days, items, -1)


def _with_fact_source(news: News, rng: np.random.Generator) -> News:
    """Return the news with one item more a day, from the office that measures."""
    days = len(news.claim)
    claim = (TRUTH + rng.normal(scale=0.5, size=(days, 1))).round()
    group = rng.integers(len(GROUPS), size=(days, 1))
    texts = [
        [*of_day, f"The audit office puts the planned tram at {fact:.0f} million."]
        for of_day, fact in zip(news.texts, claim[:, 0], strict=True)
    ]
    return News(
        np.hstack([news.claim, claim]),
        np.hstack([news.heat, np.zeros((days, 1))]),
        np.hstack([news.group, group]),
        texts,
    )
