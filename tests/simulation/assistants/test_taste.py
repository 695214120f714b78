"""Tastes: against ridge regression by another library, and planted directions."""

import numpy as np
from sklearn.linear_model import Ridge

from smallscale.simulation.assistants.taste import camps, fit_tastes, word_directions


def sums(features: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(people, choices, features), (people, choices) -> what fit_tastes takes."""
    squares = features.transpose(0, 2, 1) @ features
    return squares, (y[..., None] * features).sum(1)


def test_tastes_are_ridge_regressions_of_the_choices() -> None:
    rng = np.random.default_rng(0)
    features = rng.normal(size=(4, 30, 3))
    y = rng.random((4, 30)).round()
    tastes = fit_tastes(*sums(features, y), penalty=7.0)
    ridge = Ridge(alpha=1.0, fit_intercept=False)
    ridge.fit(features.reshape(-1, 3), y.ravel())
    np.testing.assert_allclose(tastes.shared, ridge.coef_, atol=1e-9)
    for person in range(4):
        left = y[person] - features[person] @ tastes.shared
        own = Ridge(alpha=7.0, fit_intercept=False).fit(features[person], left)
        np.testing.assert_allclose(tastes.own[person], own.coef_, atol=1e-9)


def test_alpha_goes_from_the_shared_taste_to_ones_own() -> None:
    rng = np.random.default_rng(1)
    tastes = fit_tastes(*sums(rng.normal(size=(3, 9, 2)), rng.random((3, 9))))
    assert np.array_equal(tastes.weights(0.0), np.tile(tastes.shared, (3, 1)))
    assert np.allclose(tastes.weights(1.0), tastes.shared + tastes.own)
    halfway = (tastes.weights(0.0) + tastes.weights(1.0)) / 2
    assert np.allclose(tastes.weights(0.5), halfway)


def test_who_chose_nothing_has_the_shared_taste() -> None:
    rng = np.random.default_rng(2)
    squares, products = sums(rng.normal(size=(3, 9, 2)), rng.random((3, 9)))
    squares[1], products[1] = 0.0, 0.0
    tastes = fit_tastes(squares, products)
    assert np.array_equal(tastes.own[1], np.zeros(2))
    assert np.abs(tastes.own[0]).min() > 0


def test_directions_are_the_right_singular_vectors() -> None:
    counts = np.random.default_rng(3).poisson(1.0, size=(40, 6)).astype(float)
    found = word_directions(counts, 2)
    _, _, vectors = np.linalg.svd(counts - counts.mean(0))
    assert np.allclose(np.abs((found * vectors[:2].T).sum(0)), 1)


def test_two_planted_camps_are_found_whatever_the_order() -> None:
    rng = np.random.default_rng(4)
    side = np.repeat([1, -1], [12, 8])
    own = np.outer(side, [2.0, -1.0, 0.0]) + rng.normal(scale=0.3, size=(20, 3))
    found = camps(own)
    assert np.array_equal(found, side > 0) or np.array_equal(found, side < 0)
    order = rng.permutation(20)
    again = camps(own[order])
    same = np.array_equal(again, found[order])
    assert same or np.array_equal(again, ~found[order])
