"""Does the ensemble find what each of its attacks alone would miss?

And does it keep to its ball, and leave no image behind?
"""

import math
import warnings

import pytest
import torch
from torch import nn

from smallscale.robustness import autoattack, pgd
from smallscale.robustness.images import apgd, square
from smallscale.robustness.images import autoattack as ensemble
from smallscale.robustness.images.norms import Ball
from smallscale.training.evaluation import predict_logits
from tests.robustness.images.helpers import (
    NORMS,
    length,
    network,
    private,
    read,
    some_images,
)

BOUNDS = (0.0, 1.0)


# Strength


@NORMS
def test_a_linear_classifier_falls_exactly_where_its_margin_is_smaller(norm):
    """Robust where z_y - z_other > eps times the dual norm of w, for every image, where
    no bounds cut the ball.
    """
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
def test_no_weaker_than_pgd(digit_model, digit_test_set, norm, eps):
    images, labels = digit_test_set
    ours = (
        read(digit_model, autoattack(digit_model, images, labels, eps, norm=norm))
        == labels
    )
    theirs = (
        read(digit_model, pgd(digit_model, images, labels, eps, norm=norm, restarts=5))
        == labels
    )
    assert ours.double().mean() <= theirs.double().mean() + 0.005


def test_each_attack_finds_what_the_others_cannot(
    digit_model, digit_test_set, monkeypatch
):
    """Scaled logits blind cross-entropy, not DLR; rounded inputs blind both, not
    Square; plain logits blind none.
    """
    images, labels = digit_test_set[0][:25], digit_test_set[1][:25]

    def loud(images):
        return 1e4 * digit_model(images)

    class Steps(torch.autograd.Function):
        @staticmethod
        def forward(ctx, images):
            return (images * 16).round() / 16

        @staticmethod
        def backward(ctx, gradient):
            return torch.zeros_like(gradient)

    def stepped(images):
        return digit_model(Steps.apply(images))

    def kept(attacked, found):
        return float((read(attacked, found) == labels).double().mean())

    def ascent(attacked, loss):
        ball = Ball(images, 0.1, "linf", BOUNDS)
        return apgd.apgd(attacked, ball, labels, images, loss)

    truth = kept(digit_model, autoattack(digit_model, images, labels, 0.1))
    assert kept(loud, ascent(loud, "ce")) >= truth + 0.15
    assert kept(loud, ascent(loud, "dlr")) <= truth + 0.05
    assert kept(stepped, pgd(stepped, images, labels, 0.1)) == kept(stepped, images)
    assert kept(stepped, autoattack(stepped, images, labels, 0.1)) <= truth + 0.05
    monkeypatch.setattr(square, "SQUARE_QUERIES", 1)  # Square as good as left out
    assert kept(loud, autoattack(loud, images, labels, 0.1)) <= truth + 0.05


# The ball, and each image for itself


@NORMS
@pytest.mark.parametrize("eps", [0.02, 0.3, 2.0])
def test_every_image_stays_in_the_ball_or_is_the_original(norm, eps, monkeypatch):
    monkeypatch.setattr(square, "SQUARE_QUERIES", 100)
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
    monkeypatch.setattr(square, "SQUARE_QUERIES", 60)
    monkeypatch.setattr(apgd, "ASCENT_STEPS", 20)
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


def test_the_generator_decides_and_nothing_else_does(
    digit_model, digit_test_set, monkeypatch
):
    monkeypatch.setattr(square, "SQUARE_QUERIES", 100)
    images, labels = digit_test_set[0][:30], digit_test_set[1][:30]
    before = torch.get_rng_state()
    first = autoattack(digit_model, images, labels, 0.1)
    assert torch.equal(
        autoattack(digit_model, images, labels, 0.1, generator=private()), first
    )
    ball = Ball(images, 0.1, "l2", BOUNDS)
    assert not torch.equal(
        square.square(digit_model, ball, labels, private(5)),
        square.square(digit_model, ball, labels, private()),
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
    """DLR is left out with two classes; rows of pixels, with no height or width, are
    attacked like images.
    """
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
        ({"norm": "l1"}, "norm must be one of linf, l2; got 'l1'"),
        ({"images": some_images(3) * 2}, "images must lie within bounds"),
        ({"labels": [0, 1, 3]}, r"labels must lie in 0\.\.2"),
        ({"labels": [0, 1]}, "labels must be whole numbers, one for each image"),
    ],
)
def test_arguments_that_cannot_be_right(change, message):
    given = {"images": some_images(3), "labels": [0, 1, 2], "eps": 0.1, **change}
    with pytest.raises(ValueError, match=message):
        autoattack(network(), **given)


def test_the_ensemble_is_its_table_and_nothing_else(monkeypatch):
    """A row put into the table is run, as often as it says, on what is left alone."""
    seen = []

    def brighten(model, ball, y, start, generator):
        seen.append((start, len(y)))
        return ball.project(torch.ones_like(ball.centre))

    def only_bright_falls(images):
        bright = images.flatten(1).mean(1)
        return torch.stack([torch.full_like(bright, 0.9), bright], 1)

    row = ensemble.EnsembleAttack("brighten", brighten, starts=2)
    left_out = ensemble.EnsembleAttack("never", brighten, least_classes=3)
    monkeypatch.setattr(ensemble, "ENSEMBLE", (row, left_out))
    images = torch.tensor([0.2, 0.7]).view(2, 1, 1, 1)
    found = autoattack(only_bright_falls, images, [0, 0], 0.25)
    assert seen == [(0, 2), (1, 1)]
    torch.testing.assert_close(found.flatten(), torch.tensor([0.2, 0.95]))


def test_the_ensemble_is_the_papers():
    assert [(row.name, row.starts, row.least_classes) for row in ensemble.ENSEMBLE] == [
        ("APGD on cross-entropy", 3, 2),
        ("APGD on the DLR loss", 3, 3),
        ("APGD on the targeted DLR loss", 1, 4),
        ("FAB", 1, 2),
        ("Square", 1, 2),
    ]


def test_each_image_meets_its_likeliest_other_classes(monkeypatch):
    """Nine at most, each once, the likeliest first; the first that fools is kept."""
    seen = []

    def nothing(model, ball, y, targets):
        seen.extend(zip(y.tolist(), targets.tolist(), strict=True))
        return ball.as_images(ball.centre)

    monkeypatch.setattr(ensemble, "fab", nothing)
    monkeypatch.setattr(ensemble, "IMAGES_PER_CALL", 20)  # two images at once
    for classes in (2, 3, 12):
        seen.clear()
        model, images = network(classes), some_images(5)
        labels = read(model, images)
        ball = Ball(images, 0.1, "linf", BOUNDS)
        ensemble._boundary(model, ball, labels, 0, private())
        logits = predict_logits(model, images)
        order = logits.argsort(1, descending=True)[:, 1:10]
        expected = [
            (int(labels[i]), target) for i in range(5) for target in order[i].tolist()
        ]
        assert seen == expected
