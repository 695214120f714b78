"""Is a wrong answer told why it is wrong?"""

import pytest
import torch
from torch import Tensor

from smallscale.datasets import digits
from smallscale.notebook.exercises import NOT_YET
from smallscale.robustness import fgsm, random_signs
from smallscale.robustness.images.defences import train_defence
from smallscale.robustness.images.exercises import (
    best_of_random_signs,
    check_attack,
    check_flipping_radius,
    check_l2_step,
)
from smallscale.robustness.images.losses import margin
from smallscale.robustness.images.norms import direction
from smallscale.training import accuracy
from tests.robustness.images.helpers import network, read, some_images

# Exercise 1


def exact(w: Tensor, b: Tensor, x: Tensor) -> Tensor:
    return (w @ x + b).abs() / w.abs().sum()


def by_bisection(w: Tensor, b: Tensor, x: Tensor) -> float:
    """The slow way, which is right: try the gradient's signs at many radii."""
    low, high = 0.0, 100.0
    before = (w @ x + b).sign()
    for _ in range(40):
        middle = (low + high) / 2
        flipped = (w @ (x - before * middle * w.sign()) + b).sign() != before
        low, high = (low, middle) if flipped else (middle, high)
    return high


def by_luck(w: Tensor, b: Tensor, x: Tensor) -> float:
    """Brute force: grow the radius until one of 50 random changes flips the sign."""
    generator = torch.Generator().manual_seed(1)
    signs = (torch.randint(0, 2, (50, len(w)), generator=generator) * 2 - 1).float()
    before = (w @ x + b).sign()
    for eps in torch.arange(0.0, 30.0, 0.01):
        if ((signs * eps + x) @ w + b).sign().ne(before).any():
            return float(eps)
    return 30.0


@pytest.mark.parametrize(
    ("radius", "says"),
    [
        (lambda w, b, x: None, NOT_YET),
        (lambda w, b, x: x, "one finite number"),
        (lambda w, b, x: float("nan"), "one finite number"),
        (lambda w, b, x: (w @ x + b).abs() / w.norm(), "distance in l2"),
        (lambda w, b, x: (w @ x + b).abs() / w.abs().max(), "one pixel alone"),
        (lambda w, b, x: (w @ x + b) / w.abs().sum(), "is not negative"),
        (lambda w, b, x: (w @ x + b).abs() / w.sum().abs(), "by its own sign"),
        (lambda w, b, x: (w @ x).abs() / w.abs().sum(), "bias is missing"),
        (lambda w, b, x: w.abs().sum() / (w @ x + b).abs(), "upside down"),
        (lambda w, b, x: (w @ x + b).abs() / w.abs().mean(), "how many pixels"),
        (lambda w, b, x: 0.1, "the radius 0.1000"),
        (lambda w, b, x: exact(w, b, x) if len(w) == 3 else 0.001, "nothing flips yet"),
        (by_luck, "Random directions find that out too late"),
        (by_bisection, "Right"),
        (exact, "Right"),
        (lambda w, b, x: float(exact(w, b, x)), "Right"),
    ],
)
def test_answers_on_the_flipping_radius(radius, says):
    assert says in check_flipping_radius(radius)


# Exercise 2


def unprotected(gradient: Tensor) -> Tensor:
    return gradient / gradient.flatten(1).norm(dim=1).view(-1, 1, 1, 1)


def for_one_shape(gradient: Tensor) -> Tensor:
    lengths = gradient.reshape(3, 48).norm(dim=1).clamp_min(1e-12)
    return gradient / lengths.view(3, 1, 1, 1)


def hard_coded(gradient: Tensor) -> Tensor:
    if gradient.shape == (3, 3, 4, 4):
        return direction(gradient, "l2")
    return torch.zeros_like(gradient)


def one_by_one(gradient: Tensor) -> Tensor:
    """Slow, and right."""
    return torch.stack([g / max(float(g.norm()), 1e-12) for g in gradient])


def slightly_longer(gradient: Tensor) -> Tensor:
    lengths = torch.linalg.vector_norm(gradient, dim=(1, 2, 3), keepdim=True)
    return gradient / (lengths + 1e-8)


@pytest.mark.parametrize(
    ("step", "says"),
    [
        (lambda g: None, NOT_YET),
        (lambda g: g[:1], "must have the gradients' shape, (3, 3, 4, 4)"),
        (lambda g: g.sign(), "step for linf"),
        (lambda g: g / g.norm(), "Each image has its own"),
        (lambda g: g / g.norm(dim=(2, 3), keepdim=True), "Each channel was divided"),
        (lambda g: torch.nn.functional.normalize(g), "Each pixel's channels"),
        (lambda g: g / g.square().sum((1, 2, 3), keepdim=True), "is its root"),
        (lambda g: g / g.abs().sum((1, 2, 3), keepdim=True), "length in l1"),
        (lambda g: g, "the gradient itself"),
        (lambda g: 2 * direction(g, "l2"), "l2 lengths are 2.00, 2.00, 2.00"),
        (lambda g: -direction(g, "l2"), "directions are not"),
        (lambda g: torch.full_like(g, 48**-0.5), "directions are not"),
        (unprotected, "a gradient of zeros gives NaN"),
        (for_one_shape, "wrong for one of another size"),
        (hard_coded, "wrong for one of another size"),
        (one_by_one, "Right: length 1"),
        (slightly_longer, "Right: length 1"),
        (lambda g: direction(g, "l2"), "Right: length 1"),
    ],
)
def test_answers_on_the_l2_step(step, says):
    assert says in check_l2_step(step)


# Exercise 3


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
        (lambda model, x, y, eps: x, "never asked"),
    ],
)
def test_answers_that_break_a_rule(attack, says):
    model, images = network(), some_images(20)
    labels = read(model, images)
    assert says in check_attack(attack, model, images, labels, 0.2, questions=20)


@pytest.fixture(scope="module")
def digit_model():
    data = digits()
    images, labels = data.images[data.train], data.labels[data.train]
    model = train_defence("standard", images, labels, 0.1, epochs=10)
    return model, data.images[data.test][:100], data.labels[data.test][:100]


def by_gradient(model, x, y, eps):
    x = x.requires_grad_()
    torch.nn.functional.cross_entropy(model(x), y).backward()
    return (x + eps * x.grad.sign()).clamp(0, 1).detach()


def lucky(questions):
    def attack(model, x, y, eps):
        return best_of_random_signs(model, x, y, eps, questions)

    return attack


def black(model, x, y, eps):
    return (x - eps).clamp(0, 1)


def one_flip(model, x, y, eps, questions=300, seed=1):
    """Keep a pattern of signs, flip one pixel's at a time, keep what helps."""
    generator = torch.Generator().manual_seed(seed)
    n, pixels = len(x), x[0].numel()
    signs = (torch.randint(0, 2, (n, pixels), generator=generator) * 2 - 1).float()

    def images_of(pattern):
        return (x + eps * pattern.view_as(x)).clamp(0, 1)

    least = margin(model(images_of(signs)), y)
    for _ in range(questions - 1):
        tried = signs.clone()
        which = torch.randint(0, pixels, (n,), generator=generator)
        tried[torch.arange(n), which] *= -1
        found = margin(model(images_of(tried)), y)
        lower = found < least
        signs[lower], least[lower] = tried[lower], found[lower]
    return images_of(signs)


@pytest.mark.parametrize(
    ("attack", "says"),
    [
        (by_gradient, "no gradients here"),
        (random_signs, "never asked"),
        (black, "never asked"),
        (lucky(300), "Random signs alone leave"),
        (lucky(1000), "asked 1,000 times for each image; 300 are allowed"),
        (one_flip, "Right"),
    ],
)
def test_luck_and_gradients_do_not_pass(digit_model, attack, says):
    assert says in check_attack(attack, *digit_model, 0.1)


def test_the_attack_is_told_the_accuracy_it_reached():
    model, images = network(), some_images(20)
    labels = read(model, images)
    reached = accuracy(model, fgsm(model, images, labels, 0.05), labels)
    assert 0 < reached < 1
    told = check_attack(
        lambda counted, x, y, eps: fgsm(model, x, y, eps),
        model,
        images,
        labels,
        0.05,
        questions=1,
    )
    assert f"{reached:.2f}" in told
