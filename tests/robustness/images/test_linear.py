"""Is the straight-line guess exact where the model is a straight line?"""

import pytest
import torch
from torch import nn

from smallscale.robustness import fgsm
from smallscale.robustness.images.linear import (
    falls_per_eps,
    linear_classifier,
    right_if_linear,
)
from smallscale.training import correct
from tests.robustness.images.helpers import linear, network, read, some_images


@pytest.mark.parametrize("eps", [0.0, 0.02, 0.1, 0.4])
def test_exact_for_two_classes_even_where_black_and_white_stop_a_pixel(eps):
    """For two classes and a linear model FGSM is the worst change there is."""
    model, images = linear(), some_images(60)
    images = (2 * images - 0.5).clamp(0, 1)  # many pixels are black or white
    labels = read(model, images)
    labels[:5] = 1 - labels[:5]
    right = right_if_linear(model, images, labels, eps)
    assert torch.equal(right, correct(model, fgsm(model, images, labels, eps), labels))
    assert not right[:5].any()


def test_by_hand():
    """z_0 - z_1 = 3a - 4b + 0.6 is 0.1 at (0.5, 0.5), and falls by 7 eps."""
    model = nn.Sequential(nn.Flatten(), nn.Linear(2, 2)).eval()
    model[1].weight.data = torch.tensor([[3.0, -4.0], [0.0, 0.0]])
    model[1].bias.data = torch.tensor([0.6, 0.0])
    image = torch.full((1, 1, 1, 2), 0.5)
    assert right_if_linear(model, image, [0], 0.1 / 7 - 1e-4).item()
    assert not right_if_linear(model, image, [0], 0.1 / 7 + 1e-4).item()


def test_every_other_class_is_a_danger():
    """Each class alone must be able to decide."""
    model, images = linear(4), some_images(40)
    labels = read(model, images)
    right = right_if_linear(model, images, labels, 0.05)
    weight, gaps = model[1].weight, model(images)
    expected = torch.ones(40, dtype=torch.bool)
    for i, y in enumerate(labels.tolist()):
        for j in range(4):
            w = (weight[y] - weight[j]).view_as(images[i])
            lowest = (images[i] - 0.05 * w.sign()).clamp(0, 1)
            fall = (w * (images[i] - lowest)).sum()
            expected[i] &= bool(gaps[i, y] - gaps[i, j] - fall > 0) or j == y
    assert torch.equal(right, expected)
    assert 0 < right.sum() < 40


def test_the_images_are_left_alone():
    model, images = network(), some_images(4)
    before = images.clone()
    right_if_linear(model, images, [0, 1, 2, 0], 0.1)
    assert torch.equal(images, before)
    assert not images.requires_grad
    assert all(p.grad is None for p in model.parameters())


def test_norms_of_the_differences_of_weights():
    model = nn.Sequential(nn.Flatten(), nn.Linear(2, 3))
    model[1].weight.data = torch.tensor([[3.0, 0.0], [0.0, 4.0], [0.0, 0.0]])
    worst, typical = falls_per_eps(model)
    assert worst == pytest.approx((7 + 3 + 4) / 3)
    assert typical == pytest.approx((5 + 3 + 4) / 3)


def test_repeated_pixels_double_the_ratio():
    images, labels = some_images(40), torch.arange(40) % 10
    wide = images.repeat_interleave(2, 2).repeat_interleave(2, 3)
    ratios = []
    for each in (images, wide):
        worst, typical = falls_per_eps(linear_classifier(each, labels, epochs=1))
        ratios.append(worst / typical)
    assert ratios[1] == pytest.approx(2 * ratios[0], rel=1e-2)


@pytest.mark.parametrize("bad", [3, 9, 2000])
def test_an_image_without_finite_logits_is_named_wherever_it_stands(bad):
    model = nn.Sequential(nn.Flatten(), nn.Linear(4, 2)).eval()
    images = torch.full((2001, 1, 2, 2), 0.5)
    images[bad] = 0.75
    broken = nn.Sequential(model, Broken(float(model(images[bad : bad + 1])[0, 0])))
    with pytest.raises(ValueError, match=rf"model .*finite.*\b{bad}\b"):
        right_if_linear(broken, images, torch.zeros(2001, dtype=torch.long), 0.1)


class Broken(nn.Module):
    """Returns NaN in place of one answer."""

    def __init__(self, where: float) -> None:
        super().__init__()
        self.where = where

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        near = (x[:, :1] - self.where).abs() < 1e-6
        return torch.where(near, torch.nan, x)
