"""Does the widget open before a flip, and say what it shows, computed beforehand?"""

import re
from xml.etree import ElementTree

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from smallscale.notebook import explore
from smallscale.robustness import attack_explorer
from smallscale.robustness.images.explorer import attack_scene
from smallscale.training.evaluation import predict_logits

GRID = [0, 0.05, 0.1, 0.15, 0.2, 0.25]


class Brightness(nn.Module):
    """Reads 0 in a dark image, 1 in a bright one: z = (0, 10·mean - 5)."""

    def __init__(self) -> None:
        super().__init__()
        self.eval()

    def forward(self, images: Tensor) -> Tensor:
        bright = 10 * images.flatten(1).mean(1) - 5
        return torch.stack([torch.zeros_like(bright), bright], dim=1)


def flat(*means: float, side: int = 4) -> Tensor:
    return torch.stack([torch.full((1, side, side), mean) for mean in means])


def parts(widget):
    return widget.children


def test_it_opens_one_notch_before_the_soonest_flip():
    """From 0.1, 0.38 and 0.34 the middle, 0.5, is 0.4, 0.12 and 0.16 away: flips at
    none, 0.15, 0.2 of the grid.
    """
    image, eps, view = parts(
        explore(*attack_explorer(Brightness(), flat(0.1, 0.38, 0.34), [0, 0, 0], GRID))
    )
    assert (image.value, eps.label) == (1, "0.1")
    assert "True 0, read as 0" in view.value
    eps.value += 1
    assert "True 0, read as 1" in view.value


def test_it_opens_on_no_image_that_is_wrong_at_the_start_or_the_first_notch():
    image, _, _ = parts(
        explore(*attack_explorer(Brightness(), flat(0.6, 0.48, 0.3), [0, 0, 0], GRID))
    )
    assert image.value == 2


def test_where_nothing_flips_it_opens_on_the_largest_radius():
    image, eps, _ = parts(
        explore(*attack_explorer(Brightness(), flat(0.1, 0.1), [0, 0], GRID))
    )
    assert (image.value, eps.value) == (0, len(GRID) - 1)


def test_the_sentence_is_what_the_model_says():
    model = Brightness()
    _, eps, view = parts(explore(*attack_explorer(model, flat(0.38), [0], GRID)))
    eps.value = 3  # 0.38 + 0.15 = 0.53: z = (0, 0.3)
    p = float(predict_logits(model, flat(0.53)).softmax(1)[0, 1])
    assert (
        f"True 0, read as 1 with probability {p:.2f} (0: {1 - p:.2f}); "
        "perturbation at most 0.15 per pixel." in view.value
    )
    eps.value = 0
    assert "no perturbation." in view.value


def test_the_picture_speaks():
    _, _, view = parts(explore(*attack_explorer(Brightness(), flat(0.38), [0], GRID)))
    page = ElementTree.fromstring(view.value.replace("<br>", "<br/>"))
    (svg,) = page.iter("svg")
    sentence = page.find(".//strong").text
    assert svg.get("role") == "img"
    assert svg.get("aria-label").startswith(sentence)
    assert re.search(r"Probabilities: 0 0\.\d\d, 1 0\.\d\d\.$", svg.get("aria-label"))
    assert svg.find("title").text == sentence
    assert "var(--jp-ui-font-color1, currentColor)" in page.get("style")
    words = [text.text for text in svg.iter("text")]
    assert any(
        re.fullmatch(r"0\.\d\d, true, read", text) for text in words
    )  # not by colour alone
    assert "change, 10 times as strong" in words


def test_controls_are_labelled():
    image, eps, _ = parts(
        explore(*attack_explorer(Brightness(), flat(0.38, 0.6), [0, 1], GRID))
    )
    assert (image.description, eps.description) == ("image", "eps")
    assert list(image.options) == [("1: a 0", 0), ("2: a 1", 1)]
    assert [label for label, _ in eps.options] == [
        "0",
        "0.05",
        "0.1",
        "0.15",
        "0.2",
        "0.25",
    ]


def test_colours_say_brighter_and_darker():
    before = np.array([[0.5, 0.5, 0.5]])
    page = attack_scene(
        before, np.array([[0.6, 0.4, 0.5]]), np.array([0.9, 0.1]), 0, 0.1, "linf"
    )
    orange, blue = "#d55e00", "#0072b2"
    assert f'<path fill="{orange}" d="M0 0h1v1h-1z"/>' in page
    assert f'<path fill="{blue}" d="M1 0h1v1h-1z"/>' in page
    assert '<path fill="#ffffff" d="M2 0h1v1h-1z"/>' in page


def test_l2_says_length():
    page = attack_scene(
        np.zeros((2, 2)), np.full((2, 2), 0.1), np.array([0.9, 0.1]), 0, 0.2, "l2"
    )
    assert "perturbation at most 0.2 in length." in page


def test_a_slider_asks_the_model_nothing():
    """What it shows was computed before: the model is gone, and it goes on."""
    model = Brightness()
    box = explore(*attack_explorer(model, flat(0.1, 0.38), [0, 0], GRID, steps=3))
    model.forward = None
    image, eps, view = parts(box)
    seen = set()
    for image.value in (0, 1):
        for eps.value in range(len(GRID)):
            seen.add(view.value)
    assert len(seen) == 2 * len(GRID)


@pytest.mark.parametrize(
    ("images", "grid", "message"),
    [
        (flat(0.4), [], "must not be empty"),
        (flat(0.4)[:0], GRID, "must not be empty"),
        (flat(0.4), [0, 0.2, 0.1], "eps_grid must increase"),
        (flat(0.4), [0, float("nan")], "eps_grid must increase"),
        (flat(0.4), [-0.1, 0.1], "eps must be a finite number, at least 0"),
    ],
)
def test_what_cannot_be_shown_is_refused(images, grid, message):
    with pytest.raises(ValueError, match=message):
        attack_explorer(Brightness(), images, [0] * len(images), grid)
