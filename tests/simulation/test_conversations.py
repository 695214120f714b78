"""Circles of people, in orders and pairs that a plain loop finds as well."""

from collections import defaultdict

import numpy as np
import pytest

from smallscale.simulation import Town
from smallscale.simulation.conversations import (
    ATTENTION,
    _by_place_then_luck,
    _without_own_news,
    stand_in_circles,
)
from smallscale.simulation.counter_rng import random_bits


def test_sorting_by_one_number_is_sorting_by_place_and_luck() -> None:
    ids = np.arange(5000)
    luck = random_bits(ids, 0, 3, "meet")
    place = (random_bits(ids, 1) % np.uint64(700)).astype(np.int32)
    plain = np.lexsort((luck, place))
    assert _by_place_then_luck(place, luck).tolist() == plain.tolist()


@pytest.mark.parametrize("people", [25, 130])
def test_neighbours_are_those_of_a_plain_circle(people: int) -> None:
    town = Town(people, seed=1).run(13)
    luck = random_bits(town.ids, town.seed, town.step, "meet")
    standing = defaultdict(list)
    for row in sorted(town.awake().tolist(), key=lambda row: luck[row]):
        standing[int(town.place[row])].append(row)
    circles = stand_in_circles(town)
    following = np.full((ATTENTION, people), -1)
    pairs = set()
    for circle in standing.values():
        for position, row in enumerate(circle):
            for k in range(1, min(ATTENTION, len(circle) - 1) + 1):
                following[k - 1, row] = circle[(position + k) % len(circle)]
        for position in range(0, len(circle) - 1, 2):
            pairs.add((circle[position], circle[position + 1]))
    assert circles.following.tolist() == following.tolist()
    found = zip(circles.first.tolist(), circles.second.tolist(), strict=True)
    assert set(found) == pairs
    assert len(pairs) > 5


@pytest.mark.parametrize("people", [25, 60])
def test_nobody_is_told_their_own_news(people: int) -> None:
    told = 0
    for seed in range(4):
        town = Town(people, seed=seed).run(48)
        for _, first, second, first_topic, second_topic in town.log.tolist():
            for hearer, topic in ((second, first_topic), (first, second_topic)):
                if 0 < topic <= len(town.world.facts):
                    told += 1
                    assert hearer != town.world.sources[topic]
    assert told > 50


def test_a_mind_without_the_listener_s_own_news() -> None:
    town = Town()
    ines = town.world.sources[1]
    minds = np.array([[0, 1, 1], [1, 2, 2], [2, 5, 3]])
    left = _without_own_news(town, minds, np.array([ines, ines, 0]))
    assert left.T.tolist() == [[0, 0, 2], [0, 2, 5], [1, 2, 3]]
