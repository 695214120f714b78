"""Is the ensemble at least as strong as the strongest attack foolbox has for the same
ball?
"""

import pytest
import torch

from smallscale.datasets.digits import digits
from smallscale.models.classifiers import small_cnn
from smallscale.robustness.images.autoattack import autoattack
from smallscale.training.evaluation import predict_logits
from smallscale.training.loop import train_classifier

foolbox = pytest.importorskip(
    "foolbox", reason="foolbox is not installed: pip install 'smallscale[peers]'"
)

SIZES = {"linf": 0.1, "l2": 0.8}


def strongest(model, images, labels, eps, norm):
    """Per image, whether it is still read right after every attack of foolbox: five
    restarts of PGD, and others.
    """
    rates = {"rel_stepsize": 2.5 / 40, "steps": 40}
    attacks = {
        "linf": [foolbox.attacks.LinfPGD(**rates)] * 5
        + [
            foolbox.attacks.LinfBasicIterativeAttack(**rates),
            foolbox.attacks.LinfDeepFoolAttack(),
        ],
        "l2": [foolbox.attacks.L2PGD(**rates)] * 5
        + [
            foolbox.attacks.L2BasicIterativeAttack(**rates),
            foolbox.attacks.L2DeepFoolAttack(),
        ],
    }
    wrapped = foolbox.PyTorchModel(model, bounds=(0, 1), device="cpu")
    torch.manual_seed(0)  # foolbox draws its starts from the global generator
    return ~torch.stack(
        [attack(wrapped, images, labels, epsilons=eps)[2] for attack in attacks[norm]]
    ).any(0)


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_at_least_as_strong_as_all_of_theirs_together(norm):
    data = digits()
    images, labels = data.images[data.test], data.labels[data.test]
    model = train_classifier(
        small_cnn((1, 8, 8)),
        data.images[data.train],
        data.labels[data.train],
        epochs=15,
    )
    theirs = strongest(model, images, labels, SIZES[norm], norm).double().mean()
    found = autoattack(model, images, labels, SIZES[norm], norm=norm)
    ours = (predict_logits(model, found).argmax(1) == labels).double().mean()
    assert ours <= theirs
