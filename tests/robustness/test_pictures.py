"""Is a picture of squares the image it shows?"""

import numpy as np
import torch

from smallscale.robustness.pictures import (
    BLACK,
    WHITE,
    grey,
    image_slider,
    mixed,
    picture,
    probabilities,
)


def test_colours_are_mixed_by_share():
    colours = mixed(np.array([[0.0, 1.0, 0.5]]), (255, 0, 16), BLACK)
    assert colours == [["#000000", "#ff0010", "#800008"]]
    two = np.array([[WHITE, BLACK]])
    assert mixed(np.ones((1, 2)), two) == [["#ffffff", "#000000"]]


def test_the_squares_of_a_colour_are_one_path():
    drawn = picture("c", [["#000000", "#ffffff"], ["#ffffff", "#ffffff"]])
    assert (drawn.caption, drawn.height, drawn.width) == ("c", 2, 2)
    assert drawn.paths == {
        "#000000": "M0 0h1v1h-1z",
        "#ffffff": "M1 0h1v1h-1zM0 1h1v1h-1zM1 1h1v1h-1z",
    }


def test_grey_is_the_mean_over_channels():
    images = torch.tensor([0.0, 0.5, 1.0]).view(1, 3, 1, 1).repeat(2, 1, 1, 4)
    assert grey(images).tolist() == [[[0.5] * 4]] * 2


def test_probabilities_are_softmax_of_each_change():
    changed = torch.tensor([[[0.0, 0.0]], [[0.0, 3.0]]]).view(2, 1, 1, 1, 2)
    found = probabilities(lambda x: x.flatten(1), changed)
    assert found.shape == (2, 1, 2)
    assert found[0, 0].tolist() == [0.5, 0.5]
    np.testing.assert_allclose(found[1, 0, 1], 1 / (1 + np.exp(-3)), rtol=1e-6)


def test_the_slider_names_images_by_number_and_label():
    slider = image_slider(torch.tensor([7, 2]), 1)
    assert list(slider.options) == [("1: a 7", 0), ("2: a 2", 1)]
    assert slider.value == 1
