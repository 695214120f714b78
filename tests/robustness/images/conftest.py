"""Digits, and a small network that reads them, trained once for all these tests."""

import pytest

from smallscale.datasets.digits import digits
from smallscale.models.classifiers import small_cnn
from smallscale.training.loop import train_classifier


@pytest.fixture(scope="session")
def digit_test_set():
    d = digits()
    return d.images[d.test][:80], d.labels[d.test][:80]


@pytest.fixture(scope="session")
def digit_model():
    d = digits()
    return train_classifier(
        small_cnn((1, 8, 8)), d.images[d.train], d.labels[d.train], epochs=8
    )
