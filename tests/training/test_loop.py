"""Does training learn, repeat itself, and refuse what cannot be trained?"""

import math
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

from smallscale.datasets.digits import digits
from smallscale.models.classifiers import small_cnn
from smallscale.robustness import pgd
from smallscale.training.evaluation import accuracy
from smallscale.training.loop import in_single_precision, minimise, train_classifier
from smallscale.training.optimizers import late_decay, make_optimizer
from tests.fake_device import fake_device


@pytest.fixture(scope="module")
def data():
    return digits()


def test_a_cnn_reads_digits(data):
    model = train_classifier(
        small_cnn((1, 8, 8)),
        data.images[data.train],
        data.labels[data.train],
        epochs=15,
    )
    assert not model.training
    assert accuracy(model, data.images[data.test], data.labels[data.test]) >= 0.95


def test_adversarial_training_makes_it_robust(data):
    """Madry et al. 2018, eq. 2.1: trained on the worst images near by, it holds."""
    x, y = data.images[data.train][:500], data.labels[data.train][:500]
    test_x, test_y = data.images[data.test][:200], data.labels[data.test][:200]
    attack = partial(pgd, eps=0.1, steps=5)
    robust = {}
    for name, perturb in (("standard", None), ("adversarial", attack)):
        model = train_classifier(small_cnn((1, 8, 8)), x, y, epochs=12, perturb=perturb)
        robust[name] = accuracy(model, attack(model, test_x, test_y), test_y)
    assert robust["adversarial"] > robust["standard"] + 0.1


def test_the_same_seed_gives_the_same_model_and_no_global_state_moves(data):
    def train(seed: int) -> torch.Tensor:
        model = nn.Sequential(nn.Flatten(), nn.Dropout(0.3), nn.Linear(64, 10))
        model.load_state_dict(
            {"2.weight": torch.zeros(10, 64), "2.bias": torch.zeros(10)}
        )
        before = torch.get_rng_state()
        numpy_before = np.random.get_state()[1].copy()  # noqa: NPY002
        train_classifier(
            model, data.images[:100], data.labels[:100], epochs=2, seed=seed
        )
        assert torch.equal(torch.get_rng_state(), before)
        assert (np.random.get_state()[1] == numpy_before).all()  # noqa: NPY002
        return model[2].weight

    # Each model's layers are drawn from the global generator: it moves in between.
    first = train(0)
    assert torch.equal(train(0), first)
    assert not torch.equal(train(1), first)


def test_perturb_meets_the_model_in_eval_mode_and_its_images_are_trained_on():
    seen = []

    def perturb(model, images, labels):
        assert not model.training
        assert len(images) == len(labels)
        seen.append(len(images))
        return torch.zeros_like(images)

    model = nn.Sequential(nn.Flatten(), nn.Linear(4, 2))
    weight = model[1].weight.clone()
    train_classifier(
        model,
        torch.rand(10, 1, 2, 2),
        torch.arange(10) % 2,
        epochs=2,
        batch_size=4,
        perturb=perturb,
    )
    assert seen == [4, 4, 2, 4, 4, 2]
    assert torch.equal(
        model[1].weight, weight
    )  # zero images: only the bias could learn


def test_weight_decay_is_the_penalty_it_says():
    """Two images of zeros, one of each label.

    Cross-entropy is least at equal biases, and the penalty weight_decay/2·θ² pulls both
    to 0; without it they stay where they are, equal.
    """
    images, labels = np.zeros((2, 1, 1, 1)), [0, 1]
    biases = {}
    for decay in (0.0, 0.5):
        model = nn.Sequential(nn.Flatten(), nn.Linear(1, 2))
        model.load_state_dict({"1.weight": torch.zeros(2, 1), "1.bias": torch.ones(2)})
        train_classifier(model, images, labels, epochs=200, lr=0.05, weight_decay=decay)
        biases[decay] = model[1].bias.tolist()
    assert biases[0.0] == [1, 1]
    assert biases[0.5] == pytest.approx([0, 0], abs=0.02)


def test_progress_is_a_bar_with_the_given_name(capsys):
    arguments = (
        nn.Sequential(nn.Flatten(), nn.Linear(4, 2)),
        torch.rand(4, 1, 2, 2),
        [0, 1, 0, 1],
    )
    train_classifier(*arguments, epochs=1)
    assert capsys.readouterr().err == ""
    train_classifier(*arguments, epochs=1, progress="a standard CNN")
    assert "a standard CNN" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"labels": [0, 1]},
            "images and labels must have the same length, at least 1; got 4 and 2",
        ),
        ({"images": torch.rand(0, 1, 2, 2), "labels": []}, "at least 1; got 0 and 0"),
        ({"epochs": 1.5}, "epochs must be a whole number, at least 1; got 1.5"),
        ({"epochs": 0}, "epochs must be a whole number, at least 1; got 0"),
        ({"batch_size": 0}, "batch_size must be a whole number, at least 1; got 0"),
        (
            {"labels": [0.9, 1, 0, 1]},
            r"labels must be classes .*; got \[0.899.*\]: give",
        ),
        ({"labels": [0, -100, 0, 1]}, r"labels must be classes .*; got \[-100\]"),
        ({"labels": [0, math.nan, 0, 1]}, r"labels must be classes .*; got \[nan\]"),
        ({"labels": [[0], [1], [0], [1]]}, r"labels must be classes .*\(4, 1\)"),
        ({"labels": [0, 2, 0, 1]}, r"labels must lie in 0..1, the model's .*; got 2"),
        ({"images": torch.full((4, 1, 2, 2), math.nan)}, "images must be finite"),
    ],
)
def test_what_cannot_be_trained_is_refused(change, message):
    arguments = {
        "images": torch.rand(4, 1, 2, 2),
        "labels": [0, 1, 0, 1],
        "epochs": 1,
    } | change
    with pytest.raises(ValueError, match=message):
        train_classifier(nn.Sequential(nn.Flatten(), nn.Linear(4, 2)), **arguments)


def test_whole_numbers_of_every_type_are_classes():
    """Labels in double precision, as numpy's tables hold them, train as int64 ones."""
    images, labels = torch.eye(3), torch.tensor([2, 0, 1])

    def fitted(labels):
        model = nn.Linear(3, 3)
        nn.init.zeros_(model.weight)
        nn.init.zeros_(model.bias)
        return train_classifier(model, images, labels, epochs=2).weight

    right = fitted(labels)
    for same in (labels.double(), labels.numpy().astype("uint8"), [2.0, 0.0, 1.0]):
        assert torch.equal(fitted(same), right)


@pytest.mark.parametrize("kind", [list, np.array, torch.tensor])
def test_a_loss_of_ones_own_meets_its_targets_as_they_are(kind):
    """The mean of targets that all are .25 is .25; cut to whole numbers they are 0."""
    model = nn.Linear(1, 1)
    nn.init.zeros_(model.weight)
    nn.init.zeros_(model.bias)
    inputs, targets = torch.zeros(8, 1), kind([0.25] * 8)

    def squares(model, x, y, done):
        assert (y == 0.25).all()
        return (model(x).squeeze(1) - y).square().mean()

    train_classifier(model, inputs, targets, epochs=200, lr=0.02, loss=squares)
    assert model.bias.item() == pytest.approx(0.25, abs=0.01)


def test_a_loss_of_ones_own_takes_the_place_of_cross_entropy_and_is_told_the_time():
    images, labels = torch.rand(10, 4), torch.arange(10) % 3
    seen = []

    def loss(model, x, y, done):
        assert model.training
        seen.append(done)
        return nn.functional.cross_entropy(model(x), y)

    def fitted(**way):
        torch.manual_seed(0)
        return train_classifier(
            nn.Linear(4, 3), images, labels, epochs=2, batch_size=5, **way
        )

    assert torch.equal(fitted(loss=loss).weight, fitted().weight)
    assert seen == [0, 0.25, 0.5, 0.75]
    assert not torch.equal(
        fitted(loss=lambda *given: 2 * (loss(*given) - 1).square()).weight,
        fitted().weight,
    )


HALVES = (torch.bfloat16, torch.float16)


@pytest.mark.parametrize("half", HALVES)
def test_half_precision_becomes_single_and_nothing_else_changes(half):
    model = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3), nn.Linear(3, 2))
    model.to(half)
    model[2].double()
    model[2].bias = model[0].bias  # a tied parameter stays tied
    before = {name: value.double() for name, value in model.state_dict().items()}
    parameters = list(model.parameters())
    assert in_single_precision(model) is model
    assert all(a is b for a, b in zip(parameters, model.parameters(), strict=True))
    kinds = {name: value.dtype for name, value in model.state_dict().items()}
    assert kinds["0.weight"] == kinds["1.running_mean"] == torch.float32
    assert kinds["2.weight"] == torch.float64
    assert kinds["1.num_batches_tracked"] == torch.int64
    for name, value in model.state_dict().items():
        assert torch.equal(value.double(), before[name])


@pytest.mark.parametrize("half", HALVES)
def test_both_loops_train_in_single_precision(half):
    """A step of 1e-5 on weights of 1 moves no bfloat16. In float32 each one counts."""
    images, labels = torch.eye(2), torch.tensor([0, 1])
    for loop in ("minimise", "train_classifier"):
        model = nn.Linear(2, 2, bias=False, dtype=half)
        nn.init.ones_(model.weight)
        if loop == "minimise":
            optimizer = make_optimizer("adam", model.parameters(), lr=1e-5)
            rate = late_decay(optimizer, 20)
            right = model.forward
            minimise(model, lambda _, f=right: -f(images).diag().sum(), rate, steps=20)
        else:
            train_classifier(model, images, labels, epochs=20, lr=1e-5)
        assert model.weight.dtype == torch.float32
        moved = (model.weight.detach() - 1).diag()
        assert (moved > 5e-5).all()


def test_a_classifier_and_its_batches_meet_on_another_device(data):
    images, labels = data.images[data.train][:64], data.labels[data.train][:64]
    start = small_cnn((1, 8, 8))
    attack = partial(pgd, eps=0.1, steps=2)
    trained = train_classifier(
        small_cnn((1, 8, 8)), images, labels, epochs=2, perturb=attack
    )
    expected = accuracy(trained, images, labels)
    with fake_device() as device:
        model = start.to(device)
        train_classifier(model, images, labels, epochs=2, perturb=attack)
        for where in ("cpu", device):
            x, y = torch.as_tensor(images).to(where), torch.as_tensor(labels).to(where)
            assert accuracy(model, x, y) == pytest.approx(expected, abs=0.05)
