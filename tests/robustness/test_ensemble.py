"""Does the ensemble find what each of its attacks alone would miss, keep to its ball, and leave no image behind?"""

import math
import warnings

import pytest
import torch
from torch import Tensor, nn

import smallscale.robustness.images.autoattack as ensemble
from smallscale.datasets.digits import digits
from smallscale.models.classifiers import small_cnn
from smallscale.robustness import pgd
from smallscale.robustness.images.autoattack import (
    apgd,
    autoattack,
    checkpoints,
    square,
)
from smallscale.training.evaluation import predict_logits
from smallscale.training.loop import train_classifier

NORMS = pytest.mark.parametrize("norm", ["linf", "l2"])


def network(classes: int = 3, *, seed: int = 0) -> nn.Sequential:
    """A random nonlinear classifier of 1x4x4 images."""
    generator = torch.Generator().manual_seed(seed)
    net = nn.Sequential(
        nn.Flatten(), nn.Linear(16, 12), nn.Tanh(), nn.Linear(12, classes)
    )
    for parameter in net.parameters():
        nn.init.normal_(parameter, generator=generator)
    return net.eval()


def some_images(
    n: int, *, low: float = 0.0, high: float = 1.0, seed: int = 0
) -> Tensor:
    return low + (high - low) * torch.rand(
        n, 1, 4, 4, generator=torch.Generator().manual_seed(seed)
    )


def read(model, images: Tensor) -> Tensor:
    return predict_logits(model, images).argmax(1)


def length(change: Tensor, norm: str) -> Tensor:
    return (
        change.flatten(1).abs().amax(1)
        if norm == "linf"
        else change.flatten(1).norm(dim=1)
    )


def private(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def test_set():
    d = digits()
    return d.images[d.test][:80], d.labels[d.test][:80]


@pytest.fixture(scope="module")
def model():
    d = digits()
    return train_classifier(
        small_cnn((1, 8, 8)), d.images[d.train], d.labels[d.train], epochs=8
    )


# Strength


@NORMS
def test_a_linear_classifier_falls_exactly_where_its_margin_is_smaller(norm):
    """Robust where z_y - z_other > eps times the dual norm of w, for every image, where no bounds cut the ball."""
    model = nn.Sequential(nn.Flatten(), nn.Linear(16, 2)).eval()
    nn.init.normal_(model[1].weight, generator=private())
    images = some_images(60, low=0.4, high=0.6)
    logits = predict_logits(model, images)
    labels = logits.argmax(1)
    margin = (logits[:, 0] - logits[:, 1]).abs()
    w = model[1].weight[0] - model[1].weight[1]
    eps = (margin.median() / w.norm(p={"linf": 1, "l2": 2}[norm])).item()
    kept = read(model, autoattack(model, images, labels, eps, norm=norm)) == labels
    clear = (margin / margin.median() - 1).abs() > 0.02
    assert torch.equal(kept[clear], (margin > margin.median())[clear])
    assert 0.3 < kept.float().mean() < 0.7


@pytest.mark.parametrize(("norm", "eps"), [("linf", 0.1), ("l2", 0.6)])
def test_no_weaker_than_pgd(model, test_set, norm, eps):
    images, labels = test_set
    ours = read(model, autoattack(model, images, labels, eps, norm=norm)) == labels
    theirs = (
        read(model, pgd(model, images, labels, eps, norm=norm, restarts=5)) == labels
    )
    assert ours.double().mean() <= theirs.double().mean() + 0.005


@NORMS
@pytest.mark.parametrize("loss", ["ce", "dlr"])
def test_one_ascent_beats_pgd_at_as_many_steps(model, test_set, norm, loss):
    images, labels = test_set
    eps = {"linf": 0.1, "l2": 0.6}[norm]
    found = apgd(model, images, labels, images, eps, norm, (0.0, 1.0), loss)
    plain = pgd(model, images, labels, eps, norm=norm, steps=100, loss=loss)
    shares = [
        float((read(model, each) == labels).double().mean()) for each in (found, plain)
    ]
    assert shares[0] <= shares[1] + 0.02


@NORMS
def test_square_alone_comes_near_the_gradient(model, test_set, norm):
    images, labels = test_set
    eps = {"linf": 0.1, "l2": 0.8}[norm]
    found = square(model, images, labels, eps, norm, (0.0, 1.0), private())
    white = float(
        (read(model, pgd(model, images, labels, eps, norm=norm)) == labels)
        .double()
        .mean()
    )
    black = float((read(model, found) == labels).double().mean())
    assert length(found - images, norm).max() <= eps + 1e-6
    assert black <= white + {"linf": 0.03, "l2": 0.15}[norm]


def test_each_attack_finds_what_the_others_cannot(model, test_set, monkeypatch):
    """Scaled logits blind cross-entropy, not DLR; rounded inputs blind both, not Square; plain logits blind none."""
    images, labels = test_set[0][:25], test_set[1][:25]

    def loud(images):
        return 1e4 * model(images)

    class Steps(torch.autograd.Function):
        @staticmethod
        def forward(ctx, images):
            return (images * 16).round() / 16

        @staticmethod
        def backward(ctx, gradient):
            return torch.zeros_like(gradient)

    def stepped(images):
        return model(Steps.apply(images))

    def kept(attacked, found):
        return float((read(attacked, found) == labels).double().mean())

    start, ball = images, (0.1, "linf", (0.0, 1.0))
    truth = kept(model, autoattack(model, images, labels, 0.1))
    assert kept(loud, apgd(loud, images, labels, start, *ball, "ce")) >= truth + 0.15
    assert kept(loud, apgd(loud, images, labels, start, *ball, "dlr")) <= truth + 0.05
    assert kept(stepped, pgd(stepped, images, labels, 0.1)) == kept(stepped, images)
    assert kept(stepped, autoattack(stepped, images, labels, 0.1)) <= truth + 0.05
    monkeypatch.setattr(ensemble, "QUERIES", 1)  # Square as good as left out
    assert kept(loud, autoattack(loud, images, labels, 0.1)) <= truth + 0.05


# How an ascent steps


def test_the_checkpoints_are_the_papers():
    """p: 0, .22, then each gap .03 shorter than the last, at least .06 (Croce and Hein 2020, section 3.2)."""
    expected = [22, 41, 57, 70, 80, 87, 93, 99]
    found = [place for place in checkpoints(100) if place <= 100]
    assert all(
        abs(a - b) <= 1 for a, b in zip(found, expected, strict=True)
    )  # .41 · 100 may round to 42
    assert next(iter(checkpoints(100).values())) == 22


def valley(images):
    """One pixel a: class 0 but for |a - .53| < .04, the nearer to .53 the surer."""
    a = images.flatten()
    return torch.stack([5 * (a - 0.53).abs() - 0.2, 0 * a], 1)


def test_the_step_halves_where_the_loss_stops_rising():
    """Steps of 2 eps = .2 from .5 jump over the bottom for ever; halved eight times they end beside it."""
    visited = []

    def deep(images):
        visited.append(float(images.detach()))
        return valley(images) + torch.tensor(
            [1.0, 0.0]
        )  # nothing fools it, so that it walks to the end

    x = torch.full((1, 1, 1, 1), 0.5)
    best = apgd(deep, x, torch.tensor([0]), x, 0.1, "linf", (0.0, 1.0), "ce")
    assert float(best) == pytest.approx(0.53, abs=0.002)
    assert max(abs(a - 0.53) for a in visited[-5:]) < 0.01
    assert max(abs(a - 0.53) for a in visited[2:20]) > 0.05


def test_an_ascent_that_walks_on_keeps_its_success(monkeypatch):
    """From .45 the first step ends at .55, which fools, the second at .425, which does not; .9 keeps it walking."""
    monkeypatch.setattr(ensemble, "STEPS", 2)
    monkeypatch.setattr(
        ensemble, "checkpoints", lambda steps: {}
    )  # nothing sends it back to its best point
    x = torch.tensor([0.45, 0.9]).reshape(2, 1, 1, 1)
    found = apgd(valley, x, torch.tensor([0, 0]), x, 0.1, "linf", (0.0, 1.0), "ce")
    assert float(found[0]) == pytest.approx(0.55)


# The ball, and each image for itself


@NORMS
@pytest.mark.parametrize("eps", [0.02, 0.3, 2.0])
def test_every_image_stays_in_the_ball_or_is_the_original(norm, eps, monkeypatch):
    monkeypatch.setattr(ensemble, "QUERIES", 100)
    for seed in range(3):
        model, images = network(seed=seed), some_images(8, seed=seed)
        labels = read(model, images)
        labels[0] = (labels[0] + 1) % 3  # one that is read wrong from the start
        found = autoattack(model, images, labels, eps, norm=norm)
        assert length(found - images, norm).max() <= eps + 1e-6
        assert found.min() >= 0
        assert found.max() <= 1
        robust = read(model, found) == labels
        assert torch.equal(found[robust], images[robust])
        assert torch.equal(found[0], images[0])


@NORMS
def test_eps_zero_and_an_empty_batch(norm):
    images, labels = some_images(6), torch.arange(6) % 3
    found = autoattack(network(), images, labels, 0, norm=norm)
    assert torch.equal(found, images)
    assert found.data_ptr() != images.data_ptr()
    assert autoattack(network(), images[:0], [], 0.1, norm=norm).shape == (0, 1, 4, 4)


@NORMS
def test_no_image_depends_on_the_others(norm, monkeypatch):
    monkeypatch.setattr(ensemble, "QUERIES", 60)
    monkeypatch.setattr(ensemble, "STEPS", 20)
    model, images = network(seed=3).double(), some_images(7).double()
    labels = read(model, images)
    eps = {"linf": 0.06, "l2": 0.25}[norm]
    together = autoattack(model, images, labels, eps, norm=norm)
    alone = [
        autoattack(model, images[i : i + 1], labels[i : i + 1], eps, norm=norm)
        for i in range(7)
    ]
    torch.testing.assert_close(torch.cat(alone), together, atol=1e-9, rtol=0)
    assert 0 < (together == images).flatten(1).all(1).sum() < 7


def test_the_generator_decides_and_nothing_else_does(model, test_set, monkeypatch):
    monkeypatch.setattr(ensemble, "QUERIES", 100)
    images, labels = test_set[0][:30], test_set[1][:30]
    before = torch.get_rng_state()
    first = autoattack(model, images, labels, 0.1)
    assert torch.equal(
        autoattack(model, images, labels, 0.1, generator=private()), first
    )
    assert not torch.equal(
        square(model, images, labels, 0.1, "l2", (0, 1), private(5)),
        square(model, images, labels, 0.1, "l2", (0, 1), private()),
    )
    assert torch.equal(torch.get_rng_state(), before)


def test_the_mode_is_put_back_with_one_warning():
    model = network().train()
    with pytest.warns(UserWarning, match="training mode") as caught:
        autoattack(model, some_images(2), [0, 1], 0.1)
    assert len(caught) == 1
    assert caught[0].filename == __file__
    assert all(module.training for module in model.modules())
    assert all(parameter.grad is None for parameter in model.parameters())


def test_two_classes_and_rows_of_features():
    """DLR is left out with two classes; rows of pixels, with no height or width, are attacked like images."""
    images = some_images(12).flatten(1)
    labels = read(network(2), images)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for norm in ("linf", "l2"):
            found = autoattack(network(2), images, labels, 0.2, norm=norm)
            assert found.shape == images.shape
            assert (read(network(2), found) != labels).any()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"eps": -0.1}, r"eps must be a finite number, at least 0; got -0\.1"),
        ({"eps": math.nan}, "eps must be a finite number"),
        ({"norm": "l1"}, "norm must be 'linf' or 'l2'; got 'l1'"),
        ({"images": some_images(3) * 2}, "images must lie within bounds"),
        ({"labels": [0, 1, 3]}, r"labels must lie in 0\.\.2"),
        ({"labels": [0, 1]}, "labels must be whole numbers, one for each image"),
    ],
)
def test_arguments_that_cannot_be_right(change, message):
    given = {"images": some_images(3), "labels": [0, 1, 2], "eps": 0.1, **change}
    with pytest.raises(ValueError, match=message):
        autoattack(network(), **given)
