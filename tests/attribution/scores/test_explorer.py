"""Is every network of the widget trained without what it says?"""

import numpy as np
import pytest
import torch
from torch import Tensor

from smallscale.attribution import TrainingConfig, cross_entropy, member, retrain
from smallscale.attribution.scores.explorer import (
    OTHER_COLOUR,
    READ_COLOUR,
    REMOVAL_ORDERS,
    TRUE_COLOUR,
    read_without,
    removal_explorer,
    removal_order,
    removal_scene,
)
from smallscale.models.classifiers import small_mlp
from smallscale.notebook import explore

CONFIG = TrainingConfig(epochs=2, batch_size=8)

COUNTS = (0, 1, 3)


def images(n: int, seed: int) -> tuple[Tensor, Tensor]:
    return torch.rand(
        n, 1, 4, 4, generator=torch.Generator().manual_seed(seed)
    ), torch.arange(n) % 3


TRAIN, TEST = images(20, 0), images(2, 1)

SCORES = torch.randn(20, 2, generator=torch.Generator().manual_seed(2))


def test_the_order_of_removal_is_by_score_and_random_for_all_alike() -> None:
    order = removal_order([[0.1], [0.3], [-0.2]])
    assert order.shape == (3, 3, 1)
    assert order[0, :, 0].tolist() == [1, 0, 2]
    assert order[1, :, 0].tolist() == [2, 0, 1]
    random = removal_order(SCORES)[2]
    assert torch.equal(random[:, 0], random[:, 1])
    assert sorted(random[:, 0].tolist()) == list(range(20))
    assert not torch.equal(random, removal_order(SCORES, seed=1)[2])


def test_each_network_was_trained_without_what_it_says() -> None:
    order = removal_order(SCORES)
    read = read_without(
        small_mlp(16, 3), cross_entropy, TRAIN, TEST[0], order, COUNTS, CONFIG
    )
    assert read.shape == (3, 3, 2, 3)
    for w, k, i in ((0, 0, 0), (0, 1, 1), (1, 2, 0), (2, 2, 1)):
        weights = torch.ones(1, 20)
        weights[0, order[w, : COUNTS[k], i]] = 0
        model = member(
            small_mlp(16, 3),
            retrain(small_mlp(16, 3), cross_entropy, TRAIN, CONFIG, weights=weights),
        )
        torch.testing.assert_close(
            read[w, k, i],
            model(TEST[0][i : i + 1]).softmax(1)[0].detach(),
            atol=1e-5,
            rtol=1e-4,
        )


def test_the_widget_opens_where_a_reading_is_put_right_and_answers_everywhere() -> None:
    readings = torch.full((3, 3, 2, 3), 0.1)
    readings[..., 2] = 0.8  # all read as 2, the test images are a 0 and a 1
    readings[1, 2, 1] = torch.tensor(
        [0.2, 0.7, 0.1]
    )  # without its three most harmful, the second is read right
    box = explore(
        *removal_explorer(TRAIN, TEST, removal_order(SCORES), COUNTS, readings)
    )
    image, way, count, view = box.children
    assert (image.value, way.value, count.value) == (1, "most harmful", 3)
    said = (
        "the network reads 2 with probability 0.80 (for 1: 0.10); without 3 training "
        "images (most harmful) 1 with probability 0.70 (for 1: 0.70)."
    )
    assert said in view.value
    assert view.value.count("<img") == 4
    for image.value in range(2):
        for way.value in REMOVAL_ORDERS:
            for count.value in COUNTS:
                assert (
                    f"A {image.value}; trained on all images the network reads 2"
                    in view.value
                )


def test_the_widget_opens_on_no_reading_that_was_right_from_the_start() -> None:
    readings = torch.full((3, 3, 2, 3), 0.1)
    readings[:, :, 0, 0] = readings[:, 0, 1, 2] = (
        0.8  # the 0 is always read right, the 1 at first as a 2
    )
    readings[:, 1:, 1, 1] = 0.8
    image, _, count, _ = explore(
        *removal_explorer(TRAIN, TEST, removal_order(SCORES), COUNTS, readings)
    ).children
    assert (image.value, count.value) == (1, 1)


def test_a_widget_where_nothing_helps_opens_on_the_most_removed() -> None:
    readings = torch.full((3, 3, 2, 3), 0.1)
    readings[..., 2] = 0.8
    _, _, count, _ = explore(
        *removal_explorer(TRAIN, TEST, removal_order(SCORES), COUNTS, readings)
    ).children
    assert count.value == 3


@pytest.mark.parametrize(
    ("way", "count", "words"),
    [
        ("most helpful", 1, "without 1 training image (most helpful) 1"),
        ("random", 5, "without 5 training images (random) 1"),
        ("most harmful", 5, "without 5 training images (most harmful) 1"),
    ],
)
def test_a_scene_is_a_sentence(way: str, count: int, words: str) -> None:
    before, after = np.array([0.75, 0.25]), np.array([0.25, 0.75])
    said = removal_scene(np.eye(4), 1, before, after, [(np.eye(4), 0)], way, count)
    assert "reads 0 with probability 0.75 (for 1: 0.25); " in said
    assert f"{words} with probability 0.75 (for 1: 0.75)." in said
    assert "the first 1 removed" in said
    assert "<figcaption>0</figcaption>" in said


def test_the_class_that_is_read_and_the_true_one_have_colours_of_their_own() -> None:
    said = removal_scene(
        np.eye(4),
        1,
        np.array([0.6, 0.3, 0.1]),
        np.array([0.6, 0.3, 0.1]),
        [],
        "random",
        0,
    )
    assert [
        said.count(colour) for colour in (TRUE_COLOUR, READ_COLOUR, OTHER_COLOUR)
    ] == [1, 1, 1]
    assert said.index(READ_COLOUR) < said.index(TRUE_COLOUR) < said.index(OTHER_COLOUR)


def test_a_scene_with_nothing_removed() -> None:
    said = removal_scene(
        np.eye(4), 1, np.array([0.75, 0.25]), np.array([0.75, 0.25]), [], "random", 0
    )
    assert "the network reads 0 with probability 0.75 (for 1: 0.25)." in said
    assert "removed" not in said.lower()
