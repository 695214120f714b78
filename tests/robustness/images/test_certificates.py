"""Are the bounds right where they can be computed by hand?

And can no search, random or adversarial, cross them?
"""

import math
from itertools import pairwise

import pytest
import torch
from torch import Tensor, nn

from smallscale.datasets.digits import digits
from smallscale.models.classifiers import small_cnn
from smallscale.robustness import autoattack, fgsm, pgd
from smallscale.robustness.images import certificates, square
from smallscale.robustness.images.certificates import (
    certified,
    crown_bounds,
    ibp_bounds,
    ibp_loss,
)
from smallscale.training.evaluation import accuracy, predict_logits
from smallscale.training.loop import train_classifier

BOTH = pytest.mark.parametrize("bound", [ibp_bounds, crown_bounds])
METHODS = pytest.mark.parametrize("method", ["ibp", "crown"])


def network(kind: str, *, seed: int = 0, classes: int = 3) -> nn.Sequential:
    """A random network for images (1, 4, 4)."""
    torch.manual_seed(seed)
    nets = {
        "linear": [nn.Flatten(), nn.Linear(16, classes)],
        "mlp": [
            nn.Flatten(),
            nn.Linear(16, 20),
            nn.ReLU(),
            nn.Linear(20, 12),
            nn.ReLU(),
            nn.Linear(12, classes),
        ],
        "conv": [
            nn.Sequential(nn.Conv2d(1, 3, 3, stride=1, padding=1), nn.ReLU()),
            nn.Sequential(
                nn.Conv2d(3, 4, 3, stride=2, padding=1, bias=False),
                nn.ReLU(),
                nn.Flatten(),
            ),
            nn.Linear(16, classes, bias=False),
        ],
        "odd": [
            nn.Sequential(
                nn.ReLU(),
                nn.Conv2d(1, 2, (2, 3), stride=(2, 1)),
                nn.Flatten(),
                nn.ReLU(),
                nn.ReLU(),
            ),
            nn.Sequential(nn.Linear(8, 5), nn.Linear(5, classes), nn.ReLU()),
        ],
    }
    return nn.Sequential(*nets[kind]).eval()


KINDS = pytest.mark.parametrize("kind", ["linear", "mlp", "conv", "odd"])


def some_images(n: int, *, seed: int = 0) -> Tensor:
    return torch.rand(n, 1, 4, 4, generator=torch.Generator().manual_seed(seed))


# By hand


@BOTH
def test_one_linear_layer_is_bounded_exactly(bound):
    """W x + b -+ eps ||W||_1 where the box is whole; where bounds cut it, each pixel
    counts with what is left.
    """
    model, images = network("linear"), some_images(5)
    weight, bias = model[1].weight, model[1].bias
    low, high = ((images + change).clamp(0, 1).flatten(1) for change in (-0.2, 0.2))
    lower, upper = bound(model, images, 0.2)
    torch.testing.assert_close(
        lower,
        low @ weight.clamp_min(0).T + high @ weight.clamp_max(0).T + bias,
        atol=1e-5,
        rtol=0,
    )
    torch.testing.assert_close(
        upper,
        high @ weight.clamp_min(0).T + low @ weight.clamp_max(0).T + bias,
        atol=1e-5,
        rtol=0,
    )
    inner = 0.3 + 0.4 * images
    lower, upper = bound(model, inner, 0.2)
    torch.testing.assert_close(
        upper - model(inner), 0.2 * weight.abs().sum(1).expand(5, -1), atol=1e-5, rtol=0
    )
    torch.testing.assert_close(
        model(inner) - lower, 0.2 * weight.abs().sum(1).expand(5, -1), atol=1e-5, rtol=0
    )


def by_hand(outer: list[float]) -> nn.Sequential:
    """outer · (relu(a + b), relu(a - b)), twice, the second time times -1, of a picture
    of two pixels.
    """
    model = nn.Sequential(
        nn.Flatten(),
        nn.Linear(2, 2, bias=False),
        nn.ReLU(),
        nn.Linear(2, 2, bias=False),
    ).eval()
    model[1].weight.data = torch.tensor([[1.0, 1.0], [1.0, -1.0]])
    model[3].weight.data = torch.tensor([outer, [-each for each in outer]])
    return model


def test_a_network_of_two_layers_by_hand():
    """a, b in [-1, 1]: both hidden units in [-2, 2], so IBP has h in [0, 2]. CROWN's
    line above is h/2 + 1, the one below 0. h_1 + h_2: IBP [0, 4]; CROWN's line above is
    (a + b)/2 + 1 + (a - b)/2 + 1 = a + 2, at most 3.
    """
    centre = torch.zeros(1, 1, 1, 2)
    expected = {ibp_bounds: [0.0, 4.0], crown_bounds: [0.0, 3.0]}
    for bound, (low, high) in expected.items():
        lower, upper = bound(by_hand([1.0, 1.0]), centre, 1.0, bounds=(-5.0, 5.0))
        torch.testing.assert_close(
            lower, torch.tensor([[low, -high]]), atol=1e-4, rtol=0
        )
        torch.testing.assert_close(
            upper, torch.tensor([[high, -low]]), atol=1e-4, rtol=0
        )


def test_the_line_below_follows_the_larger_side():
    """z = relu(a) - a/2 has its least, 0, at a = 0. With a in [-1, 3] the line below
    relu is a itself, so that z >= a/2 >= -1/2; with a in [-3, 1] it is 0, and z >= -a/2
    >= -1/2. The other line would give -3/2 in both.
    """
    model = nn.Sequential(
        nn.Flatten(), nn.Linear(1, 2), nn.ReLU(), nn.Linear(2, 2)
    ).eval()
    model[1].weight.data, model[1].bias.data = (
        torch.tensor([[1.0], [1.0]]),
        torch.tensor([0.0, 10.0]),
    )
    model[3].weight.data, model[3].bias.data = (
        torch.tensor([[1.0, -0.5], [0.0, 0.0]]),
        torch.tensor([5.0, 0.0]),
    )
    for centre in (1.0, -1.0):
        lower, _ = crown_bounds(
            model, torch.full((1, 1, 1, 1), centre), 2.0, bounds=(-5.0, 5.0)
        )
        assert float(lower[0, 0]) == pytest.approx(-0.5, abs=1e-4)


def test_a_convolution_is_its_explicit_matrix():
    """Stride, padding, dilation, groups: the same bounds as the linear layer whose
    matrix is read off unit images.
    """
    torch.manual_seed(0)
    for options in (
        {"stride": 2, "padding": 1},
        {"stride": (1, 2), "padding": (2, 0)},
        {"dilation": 2, "padding": 1, "bias": False},
        {"stride": 3, "padding": 2, "groups": 2},
    ):
        conv = nn.Conv2d(2, 4, 3, **options)
        images = torch.rand(3, 2, 6, 5)
        with torch.no_grad():
            constant = conv(torch.zeros(1, 2, 6, 5))
            matrix = (conv(torch.eye(60).reshape(60, 2, 6, 5)) - constant).flatten(1)
        dense = nn.Linear(60, constant.numel())
        dense.weight.data, dense.bias.data = matrix.T.contiguous(), constant.flatten()
        tail = [nn.ReLU(), nn.Linear(constant.numel(), 7), nn.ReLU(), nn.Linear(7, 3)]
        as_conv, as_matrix = (
            nn.Sequential(conv, nn.Flatten(), *tail),
            nn.Sequential(nn.Flatten(), dense, *tail),
        )
        first = nn.Sequential(
            nn.Conv2d(2, 2, 1), nn.ReLU()
        )  # a convolution carried back to a ReLU, not to the box
        spread = nn.Sequential(first, nn.Flatten(), dense, *tail)
        for bound in (ibp_bounds, crown_bounds):
            for ours, theirs in (
                (as_conv, as_matrix),
                (nn.Sequential(first, as_conv), spread),
            ):
                for end, expected in zip(
                    bound(ours, images, 0.1), bound(theirs, images, 0.1), strict=True
                ):
                    torch.testing.assert_close(end, expected, atol=2e-5, rtol=1e-5)


@BOTH
@KINDS
def test_eps_zero_is_the_network_itself(bound, kind):
    model, images = network(kind), some_images(6)
    for end in bound(model, images, 0):
        torch.testing.assert_close(
            end, predict_logits(model, images), atol=2e-5, rtol=0
        )


@METHODS
def test_eps_zero_certifies_what_is_read_right(method):
    model, images = network("mlp"), some_images(50)
    labels = torch.arange(50) % 3
    assert torch.equal(
        certified(model, images, labels, 0, method=method),
        predict_logits(model, images).argmax(1) == labels,
    )


@METHODS
def test_a_tie_is_not_certified(method):
    model = network("linear")
    model[1].weight.data.zero_()
    model[1].bias.data = torch.tensor([1.0, 1.0, 0.0])
    assert certified(model, some_images(2), [0, 0], 0.1, method=method).tolist() == [
        False,
        False,
    ]
    model[1].bias.data = torch.tensor([1.001, 1.0, 0.0])
    assert certified(model, some_images(2), [0, 1], 0.1, method=method).tolist() == [
        True,
        False,
    ]


def test_margins_are_bounded_as_margins():
    """z_0 - z_1 = 1 whatever the image, though each logit swings by 100: the bounds
    overlap, the margin's do not.
    """
    model = nn.Sequential(nn.Flatten(), nn.Linear(16, 2)).eval()
    model[1].weight.data, model[1].bias.data = (
        torch.full((2, 16), 100.0),
        torch.tensor([1.0, 0.0]),
    )
    images = some_images(3)
    lower, upper = ibp_bounds(model, images, 0.1)
    assert (lower[:, 0] < upper[:, 1]).all()
    for method in ("ibp", "crown"):
        assert certified(model, images, [0, 0, 1], 0.1, method=method).tolist() == [
            True,
            True,
            False,
        ]


# Linear layers in a row

ROWS = {
    "two": [nn.Flatten, lambda: nn.Linear(16, 30), lambda: nn.Linear(30, 3)],
    "three": [
        nn.Flatten,
        lambda: nn.Linear(16, 30),
        lambda: nn.Linear(30, 20, bias=False),
        lambda: nn.Linear(20, 3),
    ],
    "convolutions": [
        lambda: nn.Conv2d(1, 4, 3, padding=1),
        lambda: nn.Sequential(nn.Conv2d(4, 2, 3, stride=2), nn.Flatten()),
        lambda: nn.Linear(2, 3),
    ],
    "last dimension": [
        lambda: nn.Linear(4, 6),
        lambda: nn.Flatten(),
        lambda: nn.Linear(24, 3),
    ],
}


@BOTH
@pytest.mark.parametrize("row", ROWS)
def test_linear_layers_in_a_row_are_one(bound, row, monkeypatch):
    """Their bounds are those of the one matrix, read off unit images: exact."""
    for seed in range(3):
        torch.manual_seed(seed)
        layers = [make() for make in ROWS[row]]
        model = nn.Sequential(*layers).eval()
        with torch.no_grad():
            constant = model(torch.zeros(1, 1, 4, 4))
            matrix = (model(torch.eye(16).reshape(16, 1, 4, 4)) - constant).T
        one = nn.Sequential(nn.Flatten(), nn.Linear(16, 3)).eval()
        one[1].weight.data, one[1].bias.data = matrix.contiguous(), constant[0]
        images, labels = some_images(6, seed=seed), torch.arange(6) % 3
        tail = [nn.ReLU(), nn.Linear(3, 4), nn.Linear(4, 3)]
        for end in ([], tail):
            ours, theirs = nn.Sequential(model, *end), nn.Sequential(one, *end)
            for eps in (0.02, 0.2):
                for found, expected in zip(
                    bound(ours, images, eps), bound(theirs, images, eps), strict=True
                ):
                    torch.testing.assert_close(found, expected, atol=2e-5, rtol=1e-4)
                for method in ("ibp", "crown"):
                    assert torch.equal(
                        certified(ours, images, labels, eps, method=method),
                        certified(theirs, images, labels, eps, method=method),
                    )
        whole = bound(nn.Sequential(model, *tail), images, 0.1)
        with monkeypatch.context() as patch:
            patch.setattr(certificates, "MATRIX_ENTRIES", 40)  # a few units at once
            for end, expected in zip(
                bound(nn.Sequential(model, *tail), images, 0.1), whole, strict=True
            ):
                torch.testing.assert_close(end, expected, atol=1e-6, rtol=0)


def test_what_cancels_between_two_layers_has_no_width():
    """a - a + b: boxed one by one the two halves of a would count twice."""
    model = nn.Sequential(nn.Flatten(), nn.Linear(2, 3), nn.Linear(3, 2)).eval()
    with torch.no_grad():
        model[1].weight.copy_(torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]]))
        model[2].weight.copy_(torch.tensor([[1.0, -1.0, 0.1], [0.0, 0.0, 0.0]]))
    for bound in (ibp_bounds, crown_bounds):
        lower, upper = bound(model, torch.full((1, 1, 1, 2), 0.5), 0.25)
        assert float(upper[0, 0] - lower[0, 0]) == pytest.approx(0.05, abs=1e-5)


# Soundness


@BOTH
@KINDS
@pytest.mark.parametrize("eps", [0.01, 0.1, 0.5])
def test_no_search_crosses_the_bounds(bound, kind, eps):
    """Random points and corners of the box, and the gradient followed to the least and
    the greatest of each logit.
    """
    for seed in range(3):
        model, images = network(kind, seed=seed), some_images(4, seed=seed)
        lower, upper = bound(model, images, eps)
        generator = torch.Generator().manual_seed(seed)
        for draw in range(60):
            change = 2 * torch.rand(images.shape, generator=generator) - 1
            change = change.sign() if draw % 2 else change
            z = predict_logits(model, (images + eps * change).clamp(0, 1))
            assert (lower <= z).all()
            assert (z <= upper).all()
        for logit in range(3):
            for sign in (1, -1):

                def scored(x, sign=sign, logit=logit, model=model):
                    """The more sign·z, the less the first class: what cross-entropy
                    then raises.
                    """
                    return torch.stack(
                        [-sign * model(x)[:, logit], torch.zeros(len(x))], 1
                    )

                z = predict_logits(
                    model, pgd(scored, images, [0] * 4, eps, steps=15, restarts=2)
                )
                assert (lower <= z).all()
                assert (z <= upper).all()


@BOTH
def test_large_weights_and_offsets_round_inside_the_bounds(bound):
    """Single precision loses digits where logits are near 1,000; an image at the box's
    edge, rounded, lies outside.
    """
    for seed in range(20):
        model, images = network("mlp", seed=seed), some_images(20, seed=seed)
        model[1].weight.data *= 300
        model[5].bias.data += 1000
        lower, upper = bound(model, images, 0.0)
        z = predict_logits(model, images)
        assert (lower <= z).all()
        assert (z <= upper).all()
        line = network("linear", seed=seed)
        line[1].weight.data *= 100
        lower, upper = bound(
            line, images, 0.1
        )  # exact but for rounding: the corners reach the very ends
        for corner in (-1, 1):
            for row in range(3):
                z = predict_logits(
                    line,
                    (
                        images
                        + 0.1 * corner * line[1].weight[row].sign().reshape(1, 4, 4)
                    ).clamp(0, 1),
                )
                assert (lower <= z).all()
                assert (z <= upper).all()


@KINDS
def test_crown_lies_within_ibp(kind):
    for seed in range(5):
        model, images = network(kind, seed=seed), some_images(5, seed=seed)
        for eps in (0.0, 0.03, 0.3):
            (low, high), (inner_low, inner_high) = (
                ibp_bounds(model, images, eps),
                crown_bounds(model, images, eps),
            )
            assert (inner_low >= low).all()
            assert (inner_high <= high).all()
            assert (inner_low <= inner_high).all()
    if kind == "mlp":
        assert (inner_high < high - 0.1).any()


@BOTH
def test_bounds_grow_with_eps(bound):
    model, images = network("conv"), some_images(5)
    ends = [bound(model, images, eps) for eps in (0.0, 0.02, 0.05, 0.1, 0.2)]
    for (low, high), (lower, higher) in pairwise(ends):
        assert (lower <= low + 1e-6).all()
        assert (higher >= high - 1e-6).all()


@BOTH
def test_no_image_depends_on_the_others(bound, monkeypatch):
    model, images = network("conv").double(), some_images(7).double()
    together = bound(model, images, 0.1)
    for i, image in enumerate(images):
        for end, alone in zip(together, bound(model, image[None], 0.1), strict=True):
            torch.testing.assert_close(end[i], alone[0], atol=1e-12, rtol=0)
    monkeypatch.setattr(certificates, "MATRIX_ENTRIES", 1)
    for end, alone in zip(together, bound(model, images, 0.1), strict=True):
        torch.testing.assert_close(end, alone, atol=1e-12, rtol=0)


# The bracket, on digits


@pytest.fixture(scope="module")
def data():
    d = digits()
    return (
        d.images[d.train][:700],
        d.labels[d.train][:700],
        d.images[d.test][:25],
        d.labels[d.test][:25],
    )


@pytest.fixture(scope="module")
def models(data):
    x, y, *_ = data

    def hardened(model, images, labels):
        return pgd(model, images, labels, 0.1, steps=3)

    ways = {
        "standard": {},
        "adversarial": {"perturb": hardened},
        "ibp": {"loss": ibp_loss(0.1)},
    }
    epochs = {"standard": 12, "adversarial": 8, "ibp": 40}
    return {
        name: train_classifier(small_cnn((1, 8, 8)), x, y, epochs=epochs[name], **way)
        for name, way in ways.items()
    }


@pytest.mark.parametrize("name", ["standard", "adversarial", "ibp"])
@pytest.mark.parametrize("eps", [0.02, 0.1])
def test_what_is_certified_no_attack_finds(models, data, name, eps, monkeypatch):
    """certified <= AutoAttack <= PGD <= FGSM, the first for every single image."""
    monkeypatch.setattr(square, "SQUARE_QUERIES", 200)
    *_, x, y = data
    model = models[name]

    def survives(attacked: Tensor) -> Tensor:
        return predict_logits(model, attacked).argmax(1) == y

    ibp, crown = certified(model, x, y, eps, method="ibp"), certified(model, x, y, eps)
    hard = autoattack(model, x, y, eps)
    many = pgd(model, x, y, eps, restarts=5)
    one = fgsm(model, x, y, eps)
    assert (crown >= ibp).all()
    for attacked in (hard, many, one, x):
        assert survives(attacked)[crown].all()
    assert survives(hard).float().mean() <= survives(many).float().mean() + 0.005
    assert survives(many).float().mean() <= survives(one).float().mean()


@METHODS
def test_certificates_fall_as_eps_grows(models, data, method):
    *_, x, y = data
    for model in models.values():
        kept = [certified(model, x, y, eps, method=method) for eps in (0.0, 0.01, 0.1)]
        for narrow, wide in pairwise(kept):
            assert (wide <= narrow).all()


def test_ibp_training_makes_certificates_and_not_by_giving_up_accuracy(models, data):
    *_, x, y = data
    shares = {
        name: float(certified(model, x, y, 0.05, method="ibp").float().mean())
        for name, model in models.items()
    }
    assert shares["standard"] == shares["adversarial"] == 0
    assert shares["ibp"] >= 0.5
    assert accuracy(models["ibp"], x, y) >= 0.85


def test_the_loss_starts_plain_and_ends_half_worst_case():
    model = network("mlp")
    images = some_images(4)
    labels = torch.tensor([0, 1, 2, 0])
    loss, plain = ibp_loss(0.1), nn.functional.cross_entropy(model(images), labels)
    assert loss(model, images, labels, 0.0) == plain
    layers = list(certificates.layers_of(model))
    around = certificates.box_around(images, 0.1, (0.0, 1.0))
    boxes = certificates.propagate(layers, around, method="ibp")
    low, high = (end.detach() for end in boxes[-2])
    difference = (model[-1].weight[labels][:, None] - model[-1].weight).detach()
    shift = (model[-1].bias[labels][:, None] - model[-1].bias).detach()
    least = (
        difference.clamp_min(0) * low[:, None] + difference.clamp_max(0) * high[:, None]
    ).sum(2) + shift
    worst = nn.functional.cross_entropy(-least, labels)
    assert worst > plain
    torch.testing.assert_close(loss(model, images, labels, 0.99), (plain + worst) / 2)
    middle = [
        loss(model, images, labels, done).item()
        for done in (0.0, 0.15, 0.25, 0.35, 0.45, 0.6)
    ]
    assert middle == sorted(middle)


# What is accepted


@BOTH
def test_the_model_is_left_as_it_was(bound):
    model, images = network("conv"), some_images(3)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    lower, _ = bound(model, images, 0.1)
    assert all(
        torch.equal(value, before[name]) for name, value in model.state_dict().items()
    )
    assert all(
        each.grad is None and each.dtype == torch.float32 for each in model.parameters()
    )
    assert lower.dtype == torch.float32
    assert not lower.requires_grad
    assert bound(model, images.double().numpy(), 0.1)[0].dtype == torch.float64
    assert torch.equal(bound(model, images.tolist(), 0.1)[0], lower)


def test_an_empty_batch_comes_back_empty():
    assert crown_bounds(network("conv"), some_images(0), 0.1)[0].shape == (0, 3)
    assert certified(network("conv"), some_images(0), [], 0.1).shape == (0,)


class Doubled(nn.Sequential):
    def forward(self, images):
        return 2 * super().forward(images)


@pytest.mark.parametrize(
    ("layer", "name"),
    [
        (nn.Sequential(nn.Tanh()), "Tanh"),
        (nn.MaxPool2d(2), "MaxPool2d"),
        (nn.BatchNorm2d(1), "BatchNorm2d"),
        (nn.Conv2d(1, 1, 3, padding=1, padding_mode="circular"), "Conv2d.*circular"),
        (nn.Conv2d(1, 1, 3, padding="same"), "Conv2d.*same"),
        (Doubled(nn.ReLU()), "Doubled"),
    ],
)
def test_a_layer_without_bounds_is_named(layer, name):
    model = nn.Sequential(layer, nn.Flatten(), nn.LazyLinear(3)).eval()
    model(some_images(2))
    for ask in (
        ibp_bounds,
        crown_bounds,
        lambda *given: certified(*given[:2], [0], given[2]),
    ):
        with pytest.raises(ValueError, match=f"Linear, Conv2d.*ReLU.*got {name}"):
            ask(model, some_images(1), 0.1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"eps": -0.1}, r"eps must be a finite number, at least 0; got -0\.1"),
        ({"eps": math.nan}, "eps must be a finite number"),
        ({"images": some_images(3) * 2}, "images must lie within bounds"),
        ({"bounds": (1.0, 0.0)}, "bounds must be .*low < high"),
        ({"labels": [0, 1]}, "labels must be whole numbers, one for each image"),
        ({"labels": [0, 1, 3]}, r"labels must lie in 0\.\.2"),
        ({"method": "zonotope"}, "method must be one of ibp, crown; got 'zonotope'"),
    ],
)
def test_arguments_that_cannot_be_right(change, message):
    given = {"images": some_images(3), "labels": [0, 1, 2], "eps": 0.1, **change}
    with pytest.raises(ValueError, match=message):
        certified(network("mlp"), **given)
    if not {"labels", "method"} & set(change):
        given.pop("labels")
        with pytest.raises(ValueError, match=message):
            crown_bounds(network("mlp"), **given)
