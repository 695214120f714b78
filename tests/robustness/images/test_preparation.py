"""Is refused what cannot be attacked, and warned of what would mislead?"""

import math
import warnings

import pytest
import torch
from torch import nn

from smallscale.robustness import fgsm, pgd
from tests.robustness.images.helpers import network, some_images


def test_the_model_is_put_back_when_the_attack_is_refused():
    model = network().train()
    with (
        pytest.warns(UserWarning, match="training mode"),
        pytest.raises(ValueError, match="labels"),
    ):
        pgd(model, some_images(1), [3], 0.1)
    assert all(module.training for module in model.modules())


def test_outputs_that_look_like_probabilities_are_warned_of():
    model = nn.Sequential(network(), nn.Softmax(dim=1)).eval()
    with pytest.warns(UserWarning, match="look like probabilities") as caught:
        pgd(model, some_images(3), [0, 1, 2], 0.1, steps=2)
    assert len(caught) == 1
    assert caught[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pgd(
            nn.Sequential(network(), nn.LogSoftmax(dim=1)).eval(),
            some_images(3),
            [0, 1, 2],
            0.1,
            steps=2,
        )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"eps": -0.1}, r"eps must be a finite number, at least 0; got -0\.1"),
        ({"eps": math.nan}, "eps must be a finite number"),
        ({"eps": math.inf}, "eps must be a finite number"),
        ({"eps": None}, "eps must be a finite number"),
        ({"norm": "l1"}, "norm must be one of linf, l2; got 'l1'"),
        ({"bounds": (1.0, 0.0)}, "bounds must be .*low < high"),
        ({"bounds": (0.0, math.nan)}, "bounds must be .*low < high"),
        (
            {"images": some_images(3) * 2},
            r"images must lie within bounds \[0, 1\].*normalise inside the model",
        ),
        ({"images": some_images(3) - 0.5}, "images must lie within bounds"),
        (
            {"images": torch.full((3, 1, 4, 4), math.nan)},
            "images must lie within bounds",
        ),
        (
            {"images": torch.ones(3, 1, 4, 4, dtype=torch.uint8)},
            "images must be floating-point",
        ),
        (
            {"images": torch.ones(3)},
            r"images must be floating-point, \(batch, channels",
        ),
        (
            {"labels": [0, 1]},
            r"labels must be whole numbers, one for each image: \(3,\)",
        ),
        (
            {"labels": [[0], [1], [2]]},
            "labels must be whole numbers, one for each image",
        ),
        ({"labels": 1}, "labels must be whole numbers, one for each image"),
        ({"labels": [0.0, 1.0, 2.0]}, "labels must be whole numbers"),
        ({"labels": [True, False, True]}, "labels must be whole numbers"),
        (
            {"labels": [0, 1, 3]},
            r"labels must lie in 0\.\.2, the model's classes; got 0\.\.3",
        ),
        ({"labels": [0, 1, -1]}, r"labels must lie in 0\.\.2"),
        ({"model": nn.Identity()}, r"model must return logits \(batch, classes\)"),
        (
            {"model": nn.Sequential(nn.Flatten(), nn.Linear(16, 1))},
            "at least 2 classes",
        ),
        ({"model": lambda x: x.flatten(1) / 0}, "model must return finite logits"),
        ({"model": lambda x: x.flatten(1).detach()}, "model must be differentiable"),
    ],
)
@pytest.mark.parametrize("attack", [fgsm, pgd])
@pytest.mark.filterwarnings("ignore:the model is in training mode")
def test_what_cannot_be_right_is_refused_in_one_line(attack, change, message):
    arguments = {
        "model": network(),
        "images": some_images(3),
        "labels": [0, 1, 2],
        "eps": 0.1,
    } | change
    with pytest.raises(ValueError, match=message) as error:
        attack(**arguments)
    assert "\n" not in str(error.value)
