"""Is a wrong answer told why it is wrong?"""

import pytest
from torch import Tensor

from smallscale.notebook.exercises import NOT_YET
from smallscale.robustness import fgsm
from smallscale.robustness.images.exercises import check_attack, check_l2_step
from smallscale.robustness.images.norms import direction
from smallscale.training import accuracy
from tests.robustness.images.helpers import network, read, some_images


def unprotected(gradient: Tensor) -> Tensor:
    return gradient / gradient.flatten(1).norm(dim=1).view(-1, 1, 1, 1)


@pytest.mark.parametrize(
    ("step", "says"),
    [
        (lambda g: None, NOT_YET),
        (lambda g: g[:1], "must have the gradients' shape, (3, 1, 4, 4)"),
        (lambda g: g.sign(), "step for linf"),
        (lambda g: g / g.norm(), "Each image has its own"),
        (lambda g: 2 * direction(g, "l2"), "l2 lengths are 2.00, 2.00, 2.00"),
        (lambda g: -direction(g, "l2"), "directions are not"),
        (unprotected, "a gradient of zeros gives NaN"),
        (lambda g: direction(g, "l2"), "Right: length 1"),
    ],
)
def test_answers_on_the_l2_step(step, says):
    assert says in check_l2_step(step)


def beyond(model, x, y, eps):
    return x + 2 * eps


def into_the_dark(model, x, y, eps):
    return x - eps


@pytest.mark.parametrize(
    ("attack", "says"),
    [
        (lambda model, x, y, eps: None, NOT_YET),
        (lambda model, x, y, eps: x[:1], "tensor of the images' shape, (20, 1, 4, 4)"),
        (lambda model, x, y, eps: x / 0, "not finite"),
        (beyond, "A pixel changed by 0.400, outside the ball of radius 0.2"),
        (into_the_dark, "left [0, 1]"),
        (lambda model, x, y, eps: x, "accuracy is 1.00, and the goal is below 0.90"),
        (fgsm, "Right: accuracy fell to"),
    ],
)
def test_answers_on_the_attack(attack, says):
    model, images = network(), some_images(20)
    labels = read(model, images)
    assert says in check_attack(attack, model, images, labels, 0.2, beat=0.9)


def test_the_attack_is_told_the_accuracy_it_reached():
    model, images = network(), some_images(20)
    labels = read(model, images)
    reached = accuracy(model, fgsm(model, images, labels, 0.05), labels)
    assert 0 < reached < 1
    told = check_attack(fgsm, model, images, labels, 0.05, beat=reached)
    assert told.endswith(f"is {reached:.2f}, and the goal is below {reached:.2f}.")
