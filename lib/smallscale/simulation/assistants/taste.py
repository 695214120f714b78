"""What does this reader like? A taste fitted to what they chose, from the words alone.

A text is described by a few numbers (latent semantic analysis, Deerwester et al. 1990),
and each reader's taste is a weight on each of them: a low-rank model of who likes which
word, as recommenders use.
"""

from typing import NamedTuple

import numpy as np

PENALTY = 20.0  # on a person's own weights: about as many choices as one waits for


class Tastes(NamedTuple):
    """shared: (features,) everybody's weights. own: (people, features), what each
    person's weights differ from these by."""

    shared: np.ndarray
    own: np.ndarray

    def weights(self, alpha: float) -> np.ndarray:
        """Return each person's weights, (people, features): shared + alpha * own."""
        return self.shared + alpha * self.own


def word_directions(counts: np.ndarray, rank: int) -> np.ndarray:
    """Return the directions in which texts differ most, (words, rank): the leading
    right singular vectors of the centred word counts, (texts, words)."""
    centred = counts - counts.mean(0)
    _, directions = np.linalg.eigh(centred.T @ centred)  # in increasing order
    leading: np.ndarray = directions[:, ::-1][:, :rank]
    return leading


def fit_tastes(
    squares: np.ndarray, products: np.ndarray, penalty: float = PENALTY
) -> Tastes:
    """Return the tastes that best foretell clicks y from features f of what was shown:
        shared   minimises  sum over all people of (y - f·w)^2 + |w|^2
        own_i    minimises  sum of (y - f·(shared + own_i))^2 + penalty |own_i|^2

    squares: (people, features, features), each person's sum of f f^T. products:
    (people, features), each person's sum of y f. A day's choices are added to these
    sums, so that nothing else need be kept. A person who chose nothing yet has the
    shared taste.
    """
    identity = np.eye(squares.shape[-1])
    shared = np.linalg.solve(squares.sum(0) + identity, products.sum(0))
    left_over = products - squares @ shared
    ridge = squares + penalty * identity
    own = np.linalg.solve(ridge, left_over[..., None])[..., 0]
    return Tastes(shared, own)


def camps(own: np.ndarray) -> np.ndarray:
    """Return who is in which of two camps, True or False, (people,): the sign of the
    leading principal component of people's own weights.

    Which of the two is True means nothing.
    """
    centred = own - own.mean(0)
    _, directions = np.linalg.eigh(centred.T @ centred)
    camp: np.ndarray = centred @ directions[:, -1] > 0
    return camp
