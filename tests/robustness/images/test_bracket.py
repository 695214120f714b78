"""Does the bracket hold every bound of its one table, in order?"""

import torch
from torch import nn

from smallscale.core.intervals import binomial_interval
from smallscale.robustness import autoattack, certified, fgsm, pgd
from smallscale.robustness.images.bracket import BRACKET, robustness_bracket
from smallscale.training import accuracy
from tests.robustness.images.helpers import some_images


def relu_network() -> nn.Sequential:
    torch.manual_seed(0)
    layers = [nn.Flatten(), nn.Linear(16, 20), nn.ReLU(), nn.Linear(20, 3)]
    return nn.Sequential(*layers).eval()


def test_the_bracket_is_what_each_bound_says():
    model, images = relu_network(), some_images(30)
    labels = model(images).argmax(1)
    labels[:3] = (labels[:3] + 1) % 3
    table = robustness_bracket(model, images, labels, [0.02, 0.1], steps=5)
    assert table.bound.tolist() == 2 * [bound.name for bound in BRACKET]
    assert table.eps.tolist() == [0.02] * len(BRACKET) + [0.1] * len(BRACKET)
    share = table.set_index(["eps", "bound"]).share
    for eps in (0.02, 0.1):
        expected = {
            "IBP certificate": certified(model, images, labels, eps, method="ibp"),
            "CROWN certificate": certified(model, images, labels, eps),
        }
        attacked = {
            "AutoAttack": autoattack(model, images, labels, eps),
            "PGD": pgd(model, images, labels, eps, steps=5),
            "FGSM": fgsm(model, images, labels, eps),
        }
        for name, proved in expected.items():
            assert share[eps, name] == proved.double().mean()
        for name, found in attacked.items():
            assert share[eps, name] == accuracy(model, found, labels)
    first = table.iloc[0]
    kept = round(first.share * 30)
    assert (first.low, first.high) == binomial_interval(kept, 30)


def test_certificates_come_first_and_names_are_unique():
    kinds = [bound.kind for bound in BRACKET]
    assert kinds == sorted(kinds, reverse=True)
    assert set(kinds) == {"certificate", "attack"}
    assert len({bound.name for bound in BRACKET}) == len(BRACKET)
