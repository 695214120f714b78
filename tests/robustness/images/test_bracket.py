"""Does the bracket hold every bound of its one table, in order?"""

import torch
from torch import nn

from smallscale.core.intervals import binomial_interval
from smallscale.robustness import autoattack, certified, fgsm, pgd
from smallscale.robustness.images import bracket
from smallscale.robustness.images.bracket import (
    AUTOATTACK,
    BRACKET,
    CERTIFICATES,
    CROWN,
    FGSM,
    IBP,
    PGD,
    robustness_bracket,
)
from smallscale.training import correct
from tests.robustness.images.helpers import some_images


def relu_network() -> nn.Sequential:
    torch.manual_seed(0)
    layers = [nn.Flatten(), nn.Linear(16, 20), nn.ReLU(), nn.Linear(20, 3)]
    return nn.Sequential(*layers).eval()


def a_batch(model: nn.Module) -> tuple[torch.Tensor, torch.Tensor]:
    images = some_images(30)
    labels = model(images).argmax(1)
    labels[:3] = (labels[:3] + 1) % 3
    return images, labels


def test_the_bracket_is_what_each_bound_says():
    """What is skipped as decided changes no share."""
    model = relu_network()
    images, labels = a_batch(model)
    table = robustness_bracket(model, images, labels, [0.02, 0.1], steps=5)
    assert table.bound.tolist() == 2 * list(BRACKET)
    assert table.eps.tolist() == [0.02] * len(BRACKET) + [0.1] * len(BRACKET)
    share = table.set_index(["eps", "bound"]).share
    for eps in (0.02, 0.1):
        many_steps = pgd(model, images, labels, eps, steps=5, random_start=True)
        expected = {
            IBP: certified(model, images, labels, eps, method="ibp"),
            CROWN: certified(model, images, labels, eps),
            AUTOATTACK: correct(model, autoattack(model, images, labels, eps), labels)
            & correct(model, many_steps, labels),
            PGD: correct(model, many_steps, labels),
            FGSM: correct(model, fgsm(model, images, labels, eps), labels),
        }
        for name, holds in expected.items():
            assert share[eps, name] == holds.double().mean(), name
    first = table.iloc[0]
    kept = round(first.share * 30)
    assert (first.low, first.high) == binomial_interval(kept, 30)


def test_what_is_decided_is_not_asked_of_the_dearer_bounds(monkeypatch):
    model = relu_network()
    images, labels = a_batch(model)
    asked = {"crown": 0, "autoattack": 0}

    def counted_certificate(model, x, y, eps, method="crown"):
        if method == "crown":
            asked["crown"] += len(x)
        return certified(model, x, y, eps, method=method)

    def counted_attack(model, x, y, eps):
        asked["autoattack"] += len(x)
        return autoattack(model, x, y, eps)

    monkeypatch.setattr(bracket, "certified", counted_certificate)
    monkeypatch.setattr(bracket, "autoattack", counted_attack)
    table = robustness_bracket(model, images, labels, [0.1], steps=5)
    kept = (table.set_index("bound").share * 30).round().astype(int)
    assert asked["crown"] == kept[PGD] - kept[IBP] < 30
    assert asked["autoattack"] == kept[PGD] - kept[CROWN] < asked["crown"]


def test_certificates_come_first_and_names_are_unique():
    assert BRACKET[: len(CERTIFICATES)] == CERTIFICATES
    assert len(set(BRACKET)) == len(BRACKET)
