"""The town's days: closed forms where there are some, and what must not matter."""

from typing import Any

import numpy as np
import pytest

from smallscale.simulation.assistants import Rules, World, live, make_world
from smallscale.simulation.assistants.life import CONFIDENCE, RATE, liking, moved
from smallscale.simulation.assistants.world import LEARNING_DAYS

SMALL = {"people": 30, "days": 6}


@pytest.fixture(scope="module")
def world() -> World:
    return make_world(**SMALL, seed=5)


def test_one_claim_that_all_read_pulls_to_friedkin_and_johnsens_fixed_point() -> None:
    """x = (1 - h)(x + r (c - x)) + h x0 has x = ((1 - h) r c + h x0) / ((1 - h) r + h).
    Iterated, a step is moved(); the fixed point is that of one listener to one source
    who never moves."""
    first = np.array([10.0, 50.0, 100.0])
    claims = np.full((3, 5), 60.0)
    opened = np.ones((3, 5), dtype=bool)
    rules = Rules(hold=0.1)
    belief = first
    for _ in range(500):
        belief = moved(belief, first, claims, opened, rules)
    pull = 0.9 * RATE
    assert belief == pytest.approx((pull * 60 + 0.1 * first) / (pull + 0.1))


def test_moves_by_hand() -> None:
    belief = np.array([50.0])
    claims = np.array([[60.0, 90.0, 0.0, 0.0, 0.0]])
    opened = np.array([[True, True, False, False, False]])
    after = {
        influence: moved(
            belief, belief, claims, opened, Rules(influence=influence, hold=0.0)
        )[0]
        for influence in ("pull", "bounded", "repulsion", "none")
    }
    share = RATE / 5
    assert after["pull"] == pytest.approx(50 + share * (10 + 40))
    assert after["bounded"] == pytest.approx(50 + share * 10)
    assert after["repulsion"] == pytest.approx(50 + share * (10 - CONFIDENCE / 2))
    assert after["none"] == 50


def test_nobody_believes_what_nobody_can() -> None:
    belief = np.array([1.0])
    claims = np.full((1, 5), 100.0)
    opened = np.ones((1, 5), dtype=bool)
    rules = Rules(influence="repulsion", hold=0.0)
    for _ in range(20):
        belief = moved(belief, belief, claims, opened, rules)
    assert belief.tolist() == [0.0]


def test_liking_by_hand() -> None:
    liked = liking(
        np.array([[50.0, 65.0]]), np.array([[1, 0]]), np.array([50.0]),
        np.array([[0.25, -1.0]]),
    )  # fmt: skip
    assert liked[0, 0] == pytest.approx(2.5 - 1.0)
    assert liked[0, 1] == pytest.approx(2.5 * np.exp(-0.5) + 0.25)


@pytest.mark.parametrize(
    "rules",
    [
        Rules(),
        Rules(alpha=0.0),
        Rules(intervention="bridging"),
        Rules(intervention="front page", influence="repulsion"),
        Rules(objective="both", intervention="fact source"),
        Rules(objective="chance"),
    ],
)
def test_the_order_of_people_changes_nothing(world: World, rules: Rules) -> None:
    order = np.random.default_rng(0).permutation(len(world.belief))
    turned = world._replace(
        belief=world.belief[order],
        likes=world.likes[order],
        luck=world.luck[:, order],
        lots=world.lots[:, order],
    )
    one, other = live(world, rules), live(turned, rules)
    assert one.belief[:, order] == pytest.approx(other.belief, abs=1e-9)
    assert one.clicks == pytest.approx(other.clicks)
    assert one.overlap == pytest.approx(other.overlap)


def test_the_same_world_and_rules_are_the_same_life(world: World) -> None:
    first = live(world, Rules())
    again = live(make_world(**SMALL, seed=5), Rules())
    assert np.array_equal(first.belief, again.belief)
    other = live(make_world(**SMALL, seed=6), Rules())
    assert not np.array_equal(first.belief, other.belief)


def test_a_shared_taste_shows_all_the_same_and_truth_has_no_use_for_alpha(
    world: World,
) -> None:
    assert live(world, Rules(alpha=0.0)).overlap == 1.0
    assert live(world, Rules(alpha=1.0)).overlap < 0.6
    one, other = (live(world, Rules(alpha=a, objective="truth")) for a in (0.0, 1.0))
    assert np.array_equal(one.belief, other.belief)
    assert one.overlap == 1.0


def test_without_influence_nobody_moves(world: World) -> None:
    lived = live(world, Rules(influence="none"))
    assert np.allclose(lived.belief, world.belief)
    assert lived.belief.shape == (SMALL["days"] + 1, SMALL["people"])


def test_whoever_holds_on_to_everything_stays(world: World) -> None:
    assert np.allclose(live(world, Rules(hold=1.0)).belief[-1], world.belief)


def test_truth_is_shown_with_less_error_and_engagement_is_opened_more() -> None:
    world = make_world(60, 30, seed=1)
    truth = live(world, Rules(objective="truth"))
    clicks = live(world, Rules())
    chance = live(world, Rules(objective="chance"))
    assert truth.shown_error < chance.shown_error
    assert clicks.clicks > truth.clicks > 0
    assert clicks.clicks > chance.clicks


def test_a_ranking_by_the_foretold_clicks_is_engagement(world: World) -> None:
    plain = live(world, Rules())
    ranked = live(world, Rules(), lambda clicks: clicks)
    assert np.array_equal(plain.belief, ranked.belief)
    turned = live(world, Rules(), lambda clicks: -clicks)
    assert turned.clicks < plain.clicks


def test_swapped_readers_get_another_persons_feed(world: World) -> None:
    own, once, daily = (
        live(world, Rules(reader=r)) for r in ("own", "swapped once", "swapped daily")
    )
    assert own.clicks > once.clicks
    assert own.clicks > daily.clicks
    assert not np.array_equal(once.belief, daily.belief)


def test_learning_days_move_nobody_and_are_not_counted(world: World) -> None:
    lived = live(world, Rules())
    assert np.array_equal(lived.belief[0], world.belief)
    assert len(lived.belief) == len(world.features) - LEARNING_DAYS + 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"alpha": 1.1}, "alpha must be a finite number, at least 0 and at most 1"),
        ({"alpha": "1"}, "alpha must be"),
        ({"objective": "money"}, "objective must be one of engagement, truth, both"),
        ({"intervention": "ban"}, "intervention must be one of none, front page"),
        ({"influence": "push"}, "influence must be one of pull, bounded, repulsion"),
        ({"reader": "nobody"}, "reader must be one of own, swapped once"),
        ({"hold": -0.1}, "hold must be a finite number, at least 0"),
        ({"heat": np.inf}, "heat must be a finite number"),
    ],
)
def test_rules_that_cannot_be_say_why(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Rules(**change)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"people": 3}, "people must be a whole number, at least 4"),
        ({"days": 0}, "days must be a whole number, at least 1"),
        ({"start": 121}, "start must be a finite number, at least 0 and at most 120"),
    ],
)
def test_towns_that_cannot_be_say_why(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make_world(**change)
