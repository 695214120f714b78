"""Do the attacks agree with foolbox, where the rules coincide, and are they at least as
strong?
"""

import pytest
import torch

from smallscale.datasets.digits import digits
from smallscale.models.classifiers import small_cnn
from smallscale.robustness import fgsm, pgd
from smallscale.training.evaluation import accuracy
from smallscale.training.loop import train_classifier

foolbox = pytest.importorskip(
    "foolbox", reason="foolbox is not installed: pip install 'smallscale[peers]'"
)

STEPS, SIZES = 40, {"linf": 0.1, "l2": 0.8}


@pytest.fixture(scope="module")
def data():
    return digits()


@pytest.fixture(scope="module")
def model(data):
    return train_classifier(
        small_cnn((1, 8, 8)),
        data.images[data.train],
        data.labels[data.train],
        epochs=15,
    )


@pytest.fixture(scope="module")
def test_set(data):
    return data.images[data.test], data.labels[data.test]


def theirs(attack, model, images, labels, eps):
    wrapped = foolbox.PyTorchModel(model, bounds=(0, 1), device="cpu")
    return attack(wrapped, images, labels, epsilons=eps)[1]


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_fgsm_is_the_same(model, test_set, norm):
    attack = {
        "linf": foolbox.attacks.LinfFastGradientAttack,
        "l2": foolbox.attacks.L2FastGradientAttack,
    }[norm]
    images, labels = test_set
    expected = theirs(attack(), model, images, labels, SIZES[norm])
    torch.testing.assert_close(
        fgsm(model, images, labels, SIZES[norm], norm=norm), expected, atol=1e-6, rtol=0
    )


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_pgd_visits_the_same_points_and_keeps_the_worst(model, test_set, norm):
    """From the image itself, after 1, 2 and 5 steps, foolbox's point is ours wherever
    the last is the worst.
    """
    attack = {"linf": foolbox.attacks.LinfPGD, "l2": foolbox.attacks.L2PGD}[norm]
    images, labels = test_set[0][:100], test_set[1][:100]
    eps, size = SIZES[norm], SIZES[norm] / 8
    for steps in (1, 2, 5):
        expected = theirs(
            attack(steps=steps, abs_stepsize=size, random_start=False),
            model,
            images,
            labels,
            eps,
        )
        ours = pgd(model, images, labels, eps, norm=norm, steps=steps, step_size=size)
        same = (ours - expected).flatten(1).abs().amax(1) < 1e-5
        assert (
            same.float().mean() >= 0.98
        )  # within five short steps nearly every loss still climbs
        loss = torch.nn.CrossEntropyLoss(reduction="none")
        with torch.no_grad():
            assert (loss(model(ours), labels) >= loss(model(expected), labels) - 1e-4)[
                ~same
            ].all()


@pytest.mark.parametrize("random_start", [False, True])
@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_pgd_is_at_least_as_strong(model, test_set, norm, random_start):
    attack = {"linf": foolbox.attacks.LinfPGD, "l2": foolbox.attacks.L2PGD}[norm]
    images, labels = test_set
    eps, size = SIZES[norm], 2.5 * SIZES[norm] / STEPS
    torch.manual_seed(0)  # foolbox draws its starts from the global generator
    expected = theirs(
        attack(steps=STEPS, abs_stepsize=size, random_start=random_start),
        model,
        images,
        labels,
        eps,
    )
    ours = pgd(model, images, labels, eps, norm=norm, steps=STEPS, step_size=size)
    assert accuracy(model, ours, labels) <= accuracy(model, expected, labels) + 0.005


def test_targeted_pgd_is_at_least_as_strong(model, test_set):
    images, labels = test_set
    targets = (labels + 1) % 10
    attack = foolbox.attacks.LinfPGD(
        steps=STEPS, abs_stepsize=2.5 * 0.2 / STEPS, random_start=False
    )
    expected = theirs(
        attack, model, images, foolbox.criteria.TargetedMisclassification(targets), 0.2
    )
    ours = pgd(model, images, targets, 0.2, targeted=True)
    assert accuracy(model, ours, targets) >= accuracy(model, expected, targets) - 0.005
