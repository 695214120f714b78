"""Do the attacks find what can be computed by hand, and keep to their ball?

And do they leave the model, the images and the world's random numbers alone?
"""

import copy
import math
import warnings
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from smallscale.robustness import autoattack, fgsm, pgd
from smallscale.robustness.images import apgd, losses, square
from smallscale.training import accuracy
from tests.robustness.images.helpers import (
    length,
    linear,
    network,
    read,
    some_images,
)


def margin(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    """z_label - z_other for two classes, (n,)."""
    with torch.no_grad():
        z = model(images)
    rows = torch.arange(len(z))
    return z[rows, labels] - z[rows, 1 - labels]


class OnePixel(nn.Module):
    """A function of one pixel, (n, 1, 1, 1) -> logits (n, classes), so that a test can
    be drawn on paper.
    """

    def __init__(self, *logits: object) -> None:
        super().__init__()
        self.logits = logits
        self.eval()

    def forward(self, images: Tensor) -> Tensor:
        return torch.stack([logit(images.flatten()) for logit in self.logits], dim=1)


def pixel(*values: float) -> Tensor:
    return torch.tensor(values).reshape(-1, 1, 1, 1)


# What can be computed by hand


@pytest.mark.parametrize("attack", [fgsm, pgd])
@pytest.mark.parametrize(("norm", "dual"), [("linf", 1), ("l2", 2)])
def test_a_linear_margin_falls_by_eps_times_the_dual_norm(attack, norm, dual):
    """max over the ball of -w·d is eps·||w||_1 for linf and eps·||w||_2 for l2, with w
    = W_y - W_other.
    """
    model, eps = linear(), 0.05
    images = some_images(20, low=0.3, high=0.7)  # far enough from 0 and 1
    labels = read(model, images)
    adversarial = attack(model, images, labels, eps, norm=norm)
    w = model[1].weight[0] - model[1].weight[1]
    expected = margin(model, images, labels) - eps * w.norm(p=dual)
    torch.testing.assert_close(
        margin(model, adversarial, labels), expected, atol=1e-4, rtol=0
    )


@pytest.mark.parametrize("attack", [fgsm, pgd])
def test_one_step_by_hand(attack):
    """Two pixels, z_0 - z_1 = 3a - 4b, true class 0: l2 steps along (-3, 4)/5, linf
    along (-1, 1).
    """
    model = nn.Sequential(nn.Flatten(), nn.Linear(2, 2, bias=False)).eval()
    model[1].weight.data = torch.tensor([[3.0, -4.0], [0.0, 0.0]])
    image = torch.tensor([0.5, 0.5]).reshape(1, 1, 1, 2)
    l2, linf = attack(model, image, [0], 0.1, norm="l2"), attack(model, image, [0], 0.1)
    torch.testing.assert_close(
        l2.flatten(), torch.tensor([0.44, 0.58]), atol=1e-6, rtol=0
    )
    torch.testing.assert_close(
        linf.flatten(), torch.tensor([0.4, 0.6]), atol=1e-6, rtol=0
    )


@pytest.mark.parametrize("attack", [fgsm, pgd])
def test_bounds_cut_the_step(attack):
    """At 0.02 and 0.97 a step of 0.1 down and up ends at 0 and 1; with bounds (-1, 1)
    the first goes on.
    """
    model = nn.Sequential(nn.Flatten(), nn.Linear(2, 2, bias=False)).eval()
    model[1].weight.data = torch.tensor([[1.0, -1.0], [0.0, 0.0]])
    image = torch.tensor([0.02, 0.97]).reshape(1, 1, 1, 2)
    assert attack(model, image, [0], 0.1).flatten().tolist() == [0, 1]
    wider = attack(model, image, [0], 0.1, bounds=(-1, 1)).flatten()
    torch.testing.assert_close(wider, torch.tensor([-0.08, 1.0]), atol=1e-6, rtol=0)


def test_the_default_step_is_two_and_a_half_radii_over_the_steps():
    """Class 0 is read for a < 0.7: ten steps of 2.5·0.2/10 = 0.05 from 0.5 stop only at
    the ball's edge, 0.7+.
    """
    visited = []

    def model(images):
        visited.append(float(images.detach().flatten()[0]))
        return torch.stack([0.7 - images.flatten(), torch.zeros(len(images))], dim=1)

    result = pgd(model, pixel(0.5), [0], 0.2, steps=10)
    assert visited[1:] == pytest.approx(
        [0.5, 0.55, 0.6, 0.65] + 7 * [0.7]
    )  # the first call only looks
    assert float(result) == pytest.approx(0.7)


# Ball, bounds, eps = 0


@settings(deadline=None, max_examples=60, derandomize=True)
@given(
    eps=st.floats(0, 1.5),
    norm=st.sampled_from(["linf", "l2"]),
    steps=st.integers(1, 6),
    step_size=st.none() | st.floats(1e-3, 2),
    restarts=st.integers(1, 3),
    targeted=st.booleans(),
    seed=st.integers(0, 50),
)
def test_pgd_stays_in_the_ball_and_the_bounds(
    eps, norm, steps, step_size, restarts, targeted, seed
):
    images, labels = some_images(5, seed=seed), torch.arange(5) % 3
    adversarial = pgd(
        network(seed=seed),
        images,
        labels,
        eps,
        norm=norm,
        steps=steps,
        step_size=step_size,
        restarts=restarts,
        targeted=targeted,
        generator=torch.Generator().manual_seed(seed),
    )
    assert adversarial.shape == images.shape
    assert adversarial.isfinite().all()
    assert length(adversarial - images, norm).max() <= eps + 1e-6
    assert adversarial.min() >= 0
    assert adversarial.max() <= 1


@settings(deadline=None, max_examples=30, derandomize=True)
@given(
    eps=st.floats(0, 1.5), norm=st.sampled_from(["linf", "l2"]), seed=st.integers(0, 50)
)
def test_fgsm_stays_in_the_ball_and_the_bounds(eps, norm, seed):
    images, labels = some_images(5, seed=seed), torch.arange(5) % 3
    adversarial = fgsm(network(seed=seed), images, labels, eps, norm=norm)
    assert length(adversarial - images, norm).max() <= eps + 1e-6
    assert adversarial.min() >= 0
    assert adversarial.max() <= 1


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_eps_zero_returns_the_images_themselves(norm):
    images, labels = some_images(6), torch.arange(6) % 3
    for adversarial in (
        fgsm(network(), images, labels, 0, norm=norm),
        pgd(network(), images, labels, 0, norm=norm, step_size=0.3, restarts=3),
    ):
        assert torch.equal(adversarial, images)
        assert adversarial.data_ptr() != images.data_ptr()


def test_the_ball_stays_around_the_original_on_a_long_walk():
    """Steps of 0.04 for ever upwards from 0.5 end at 0.6, the edge of the ball, not
    where 50 steps would lead.
    """
    model = OnePixel(lambda a: -a, lambda a: a)
    assert float(
        pgd(model, pixel(0.5), [0], 0.1, steps=50, step_size=0.04)
    ) == pytest.approx(0.6)
    assert float(
        pgd(model, pixel(0.5), [0], 0.1, steps=50, step_size=0.04, norm="l2")
    ) == pytest.approx(0.6)


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_inside_the_ball_nothing_is_projected(norm):
    """Two steps of 0.03 towards the edge at 0.1 end at 0.06: a projection never pushes
    outwards.
    """
    model = OnePixel(lambda a: -a, lambda a: a)
    adversarial = pgd(model, pixel(0.5), [0], 0.1, norm=norm, steps=2, step_size=0.03)
    assert float(adversarial) == pytest.approx(0.56)


# Restarts, the worst case, what is wrong already


def two_valleys() -> OnePixel:
    """Class 0 up to 0.5 ± 0.3. To the right class 1 overtakes it (2.4 > 2,
    cross-entropy 0.97); to the left classes 1 and 2 only come close (1.96 < 2), and yet
    cross-entropy is higher, 1.07."""

    def right(a: Tensor) -> Tensor:
        return (8 * (a - 0.5).relu()).clamp(max=2.4)

    def left(a: Tensor) -> Tensor:
        return (6.6 * (0.5 - a).relu()).clamp(max=1.96)

    return OnePixel(
        lambda a: torch.full_like(a, 2.0), lambda a: left(a) + right(a), left
    )


def test_a_failing_restart_with_a_higher_loss_never_overwrites_a_success():
    adversarial = pgd(
        two_valleys(), pixel(0.55), [0], 0.4, restarts=20
    )  # from 0.55 it climbs to the right
    assert float(adversarial) > 0.75
    assert read(two_valleys(), adversarial).item() == 1


def test_a_restart_that_succeeds_replaces_a_failure_with_a_higher_loss():
    once = pgd(two_valleys(), pixel(0.45), [0], 0.4)  # from 0.45 it climbs to the left
    assert float(once) < 0.25
    assert read(two_valleys(), once).item() == 0
    assert (
        read(
            two_valleys(), pgd(two_valleys(), pixel(0.45), [0], 0.4, restarts=20)
        ).item()
        == 1
    )


@pytest.mark.parametrize("targeted", [False, True])
@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_more_restarts_are_never_worse_for_any_image(norm, targeted):
    model, images = network(seed=3), some_images(40)
    labels = (read(model, images) + targeted) % 3
    scores = []
    for restarts in (1, 2, 5):
        with torch.no_grad():
            logits = model(
                pgd(
                    model,
                    images,
                    labels,
                    0.15,
                    norm=norm,
                    steps=3,
                    restarts=restarts,
                    targeted=targeted,
                )
            )
        loss = nn.functional.cross_entropy(logits, labels, reduction="none") * (
            -1 if targeted else 1
        )
        scores.append(((logits.argmax(1) == labels) == targeted, loss))
    for (fooled, loss), (fooled_later, loss_later) in pairwise(scores):
        assert (fooled_later >= fooled).all()
        assert (loss_later >= loss - 1e-6)[fooled_later == fooled].all()
    assert (
        scores[-1][1] > scores[0][1] + 1e-4
    ).any()  # and for some it helps: the starts are really random


def test_the_best_point_of_the_walk_is_kept():
    """Class 0 but for a valley around 0.6: steps of 0.2 from 0.4 land in it, then leave
    it for ever.
    """
    model = OnePixel(lambda a: 5 * (a - 0.6).abs() - 0.2, lambda a: 0 * a)
    adversarial = pgd(model, pixel(0.4), [0], 0.5, steps=3, step_size=0.2)
    assert float(adversarial) == pytest.approx(0.6)


@pytest.mark.parametrize("attack", [fgsm, pgd])
def test_an_image_read_wrong_stays_wrong(attack):
    """True 0, read as 1 between 0.5 and 0.7; a step of 0.35 from 0.55 leads out of
    there, to a right reading.
    """
    model = OnePixel(lambda a: 10 * (a - 0.6) ** 2 - 0.1, lambda a: 0 * a)
    options = {"steps": 1, "step_size": 0.35} if attack is pgd else {}
    assert read(model, pixel(0.9)).item() == 0
    assert read(model, attack(model, pixel(0.55), [0], 0.35, **options)).item() == 1


def test_targeted_images_are_read_as_the_target():
    model, images = linear(4), some_images(12)
    targets = (read(model, images) + 1) % 4
    assert (
        read(model, pgd(model, images, targets, 0.5, targeted=True)) == targets
    ).all()
    untargeted = read(model, pgd(model, images, read(model, images), 0.5))
    assert not (untargeted == targets).all()


# Random starts


def points_visited(**how) -> list[float]:
    """Where the search looks at the loss of one pixel at 0.5, radius 0.2."""
    visited = []

    def model(images):
        visited.append(float(images.detach().flatten()[0]))
        return torch.stack([0.7 - images.flatten(), torch.zeros(len(images))], dim=1)

    pgd(model, pixel(0.5), [0], 0.2, steps=1, step_size=0.01, **how)
    return visited[1:]  # the first call only looks


def test_by_default_the_first_start_is_the_image_itself():
    assert points_visited()[0] == 0.5
    assert points_visited(restarts=2)[0] == 0.5


def test_a_random_start_is_random_and_in_the_ball():
    original, start, _ = points_visited(random_start=True)
    assert original == 0.5  # looked at, since it may be the worst
    assert start != 0.5
    assert abs(start - 0.5) <= 0.2
    generator = torch.Generator().manual_seed(5)
    other = points_visited(random_start=True, generator=generator)[1]
    assert other not in (start, 0.5)


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_with_a_random_start_an_image_read_wrong_stays_wrong(norm):
    """True 0, read as 1 between 0.5 and 0.7: almost every start leads out of there."""
    model = OnePixel(lambda a: 10 * (a - 0.6) ** 2 - 0.1, lambda a: 0 * a)
    for seed in range(8):
        found = pgd(
            model,
            pixel(0.55),
            [0],
            0.35,
            norm=norm,
            steps=1,
            random_start=True,
            generator=torch.Generator().manual_seed(seed),
        )
        assert read(model, found).item() == 1


def test_with_a_random_start_nothing_to_climb_returns_the_image():
    model = linear()
    model[1].weight.data.zero_()
    images = some_images(3)
    assert torch.equal(pgd(model, images, [0, 1, 0], 0.1, random_start=True), images)


def test_a_random_start_must_be_true_or_false():
    with pytest.raises(ValueError, match="random_start must be True or False"):
        pgd(network(), some_images(1), [0], 0.1, random_start=1)


# Zero gradients


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_a_zero_gradient_moves_nothing_and_gives_no_nan(norm):
    model = linear()
    model[1].weight.data.zero_()
    images = some_images(3)
    assert torch.equal(fgsm(model, images, [0, 1, 0], 0.1, norm=norm), images)
    assert torch.equal(pgd(model, images, [0, 1, 0], 0.1, norm=norm), images)


# Each image for itself


@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize("restarts", [1, 3])
def test_no_image_depends_on_the_others(norm, restarts, monkeypatch):
    model = network().double()
    images = some_images(11).double()
    labels = torch.arange(11) % 3
    together = pgd(model, images, labels, 0.1, norm=norm, restarts=restarts)
    alone = [
        pgd(
            model,
            images[i : i + 1],
            labels[i : i + 1],
            0.1,
            norm=norm,
            restarts=restarts,
        )
        for i in range(11)
    ]
    torch.testing.assert_close(torch.cat(alone), together, atol=1e-12, rtol=0)
    backwards = pgd(
        model, images.flip(0), labels.flip(0), 0.1, norm=norm, restarts=restarts
    ).flip(0)
    torch.testing.assert_close(backwards, together, atol=1e-12, rtol=0)
    monkeypatch.setattr(losses, "IMAGES_PER_CALL", 4)
    torch.testing.assert_close(
        pgd(model, images, labels, 0.1, norm=norm, restarts=restarts),
        together,
        atol=1e-12,
        rtol=0,
    )


def test_fgsm_is_the_same_in_pieces():
    model = network()
    images = some_images(9)
    labels = torch.arange(9) % 3
    pieces = [
        fgsm(model, x, y, 0.1, norm="l2")
        for x, y in zip(images.split(2), labels.split(2), strict=True)
    ]
    torch.testing.assert_close(
        torch.cat(pieces), fgsm(model, images, labels, 0.1, norm="l2")
    )


def test_an_empty_batch_comes_back_empty():
    assert fgsm(network(), some_images(0), [], 0.1).shape == (0, 1, 4, 4)
    assert pgd(network(), some_images(0), [], 0.1, norm="l2").shape == (0, 1, 4, 4)


# The model and the world are left as they were


class Bodied(nn.Module):
    """A model with everything an attack could disturb: batch statistics, dropout, a
    first step in place.
    """

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(1)
        self.drop = nn.Dropout(0.5)
        self.last = nn.Linear(16, 3)

    def forward(self, images: Tensor) -> Tensor:
        images -= 0.5
        return self.last(self.drop(self.norm(images).flatten(1)))


@pytest.mark.parametrize("attack", [fgsm, pgd])
@pytest.mark.parametrize("mode", ["train", "eval", "mixed"])
def test_the_model_is_left_as_it_was(attack, mode):
    model = Bodied()
    images = some_images(6)
    labels = torch.arange(6) % 3
    model.train(mode == "train")
    model.drop.train(mode != "eval")
    model.last.weight.grad = torch.full_like(model.last.weight, 7)
    model.last.bias.requires_grad_(False)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    modes = [module.training for module in model.modules()]
    given = images.clone()
    torch_rng = torch.get_rng_state()
    numpy_rng = np.random.get_state()[1].copy()  # noqa: NPY002  (the global one)

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        first = attack(model, images, labels, 0.1)
        second = attack(model, images, labels, 0.1)
    assert len(caught) == (0 if mode == "eval" else 2)  # one for each call
    assert all(
        "training mode" in str(each.message) and each.filename == __file__
        for each in caught
    )

    assert torch.equal(first, second)  # in eval mode, dropout is still
    assert all(
        torch.equal(value, before[name]) for name, value in model.state_dict().items()
    )
    assert [module.training for module in model.modules()] == modes
    assert (model.last.weight.grad == 7).all()
    assert model.norm.weight.grad is None
    assert model.last.weight.requires_grad
    assert not model.last.bias.requires_grad
    assert torch.equal(images, given)
    assert torch.equal(torch.get_rng_state(), torch_rng)
    assert (np.random.get_state()[1] == numpy_rng).all()  # noqa: NPY002


@pytest.mark.parametrize("context", [torch.no_grad, torch.inference_mode])
@pytest.mark.parametrize("attack", [fgsm, pgd])
def test_attacks_work_where_gradients_are_off(attack, context):
    model = network()
    images = some_images(4)
    labels = [0, 1, 2, 0]
    expected = attack(model, images, labels, 0.1)
    with context():
        assert torch.equal(attack(model, images.clone(), labels, 0.1), expected)
    tracked = attack(model, images.clone().requires_grad_(), labels, 0.1)
    assert torch.equal(tracked, expected)
    assert not tracked.requires_grad


def test_the_generator_decides_the_random_starts_and_nothing_else_does():
    model = network(seed=3)
    images = some_images(20)
    labels = torch.arange(20) % 3

    def attack(generator: torch.Generator | None) -> Tensor:
        return pgd(model, images, labels, 0.1, steps=1, restarts=3, generator=generator)

    torch.manual_seed(1)
    first = attack(None)
    torch.manual_seed(2)
    assert torch.equal(attack(None), first)
    assert torch.equal(attack(torch.Generator().manual_seed(0)), first)
    assert not torch.equal(attack(torch.Generator().manual_seed(5)), first)


# What is accepted


@pytest.mark.parametrize("attack", [fgsm, pgd])
def test_arrays_lists_and_both_precisions(attack):
    model = network()
    images = some_images(4)
    labels = np.array([0, 1, 2, 0], dtype=np.uint8)
    expected = attack(model, images, torch.tensor([0, 1, 2, 0]), 0.1)
    assert torch.equal(
        attack(model, images.numpy(), labels, np.float32(0.1)),
        attack(model, images, labels, 0.1),
    )
    torch.testing.assert_close(
        attack(model, images.tolist(), labels.tolist(), torch.tensor(0.1)), expected
    )
    double = attack(
        model, images.double(), labels, 0.1
    )  # the model is in single precision, the ball in double
    assert double.dtype == torch.float64
    assert (double - images.double()).abs().max() <= 0.1 + 1e-15
    assert expected.dtype == torch.float32


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"steps": 0}, "steps must be a whole number, at least 1; got 0"),
        ({"steps": 2.5}, "steps must be a whole number"),
        ({"restarts": 0}, "restarts must be a whole number, at least 1; got 0"),
        ({"step_size": 0.0}, "step_size must be a finite number, above 0"),
        ({"step_size": -1}, "step_size must be a finite number, above 0"),
        ({"step_size": math.nan}, "step_size must be a finite number, above 0"),
        ({"loss": "mse"}, "loss must be one of ce, dlr; got 'mse'"),
    ],
)
def test_a_search_that_cannot_be_run_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        pgd(network(), some_images(3), [0, 1, 2], 0.1, **change)


# Half precision, and sizes out of the ordinary

HALF = pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])


@HALF
@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize("own", [False, True])
def test_more_steps_in_half_precision_find_more(
    digit_model, digit_test_set, dtype, norm, own
):
    """Steps of 2.5 * eps / 1000 are far below a unit of bfloat16 in the last place."""
    images, labels = digit_test_set[0][:40].to(dtype), digit_test_set[1][:40]
    model = copy.deepcopy(digit_model).to(dtype) if own else digit_model
    eps = {"linf": 0.1, "l2": 0.6}[norm]
    kept = []
    for steps in (10, 40, 200):
        found = pgd(model, images, labels, eps, norm=norm, steps=steps)
        assert found.dtype == dtype
        kept.append(accuracy(model, found, labels))
    in_float = pgd(digit_model, images.float(), labels, eps, norm=norm, steps=40)
    assert kept[2] <= kept[1] + 0.02
    assert kept[2] <= accuracy(digit_model, in_float, labels) + 0.05


@HALF
@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize("attack", [fgsm, pgd, autoattack])
def test_half_precision_stays_in_the_ball(dtype, norm, attack, monkeypatch):
    """Exactly: the change of every pixel, or its length, in double precision."""
    monkeypatch.setattr(square, "SQUARE_QUERIES", 40)
    monkeypatch.setattr(apgd, "ASCENT_STEPS", 20)
    for seed in range(2):
        images = some_images(12, seed=seed).to(dtype)
        model = network(4, seed=seed)
        for one in (
            model,
            lambda x, net=model: net(x.float()),
            copy.deepcopy(model).to(dtype),
        ):
            labels = read(one, images)
            labels[0] = (labels[0] + 1) % 4
            for eps in (0.003, 0.1, 0.25):
                found = attack(one, images, labels, eps, norm=norm)
                assert found.dtype == dtype
                change = found.double() - images.double()
                assert length(change, norm).max() <= eps + 1e-6
                assert found.min() >= 0
                assert found.max() <= 1
                assert read(one, found)[0] != labels[0]
                at_zero = attack(one, images, labels, 0, norm=norm)
                assert torch.equal(at_zero, images)
            assert (read(one, found) != labels).float().mean() > 0.3


@pytest.mark.parametrize("attack", [fgsm, pgd, autoattack])
@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_a_ball_of_any_size_beyond_the_images_is_all_images(norm, attack):
    images = some_images(8)
    labels = read(network(), images)
    expected = attack(network(), images, labels, 4.0, norm=norm)
    assert (read(network(), expected) != labels).any()
    for eps in (1e4, 1e30, 1e300):
        found = attack(network(), images, labels, eps, norm=norm)
        assert torch.equal(found, expected)


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_a_step_of_any_size_is_a_step(norm):
    images = some_images(8)
    labels = read(network(), images)
    for size in (1e10, 1e30, 1e300):
        found = pgd(network(), images, labels, 0.3, norm=norm, step_size=size)
        assert found.isfinite().all()
        assert (read(network(), found) != labels).any()


# The targeted DLR loss


def test_the_targeted_dlr_loss_finds_as_many_targets(digit_model, digit_test_set):
    images, labels = digit_test_set
    reached = {}
    for loss in ("ce", "dlr"):
        hits = []
        for shift in (1, 3, 6):
            targets = (labels + shift) % 10
            found = pgd(digit_model, images, targets, 0.4, targeted=True, loss=loss)
            hits.append(accuracy(digit_model, found, targets))
        reached[loss] = sum(hits) / 3
    assert reached["ce"] > 0.7
    assert reached["dlr"] > reached["ce"] - 0.1


def test_the_targeted_dlr_loss_sees_through_scaled_logits():
    model, images = linear(4), some_images(12)
    targets = (read(model, images) + 1) % 4

    def loud(images):
        return 1e4 * model(images)

    found = pgd(loud, images, targets, 0.5, targeted=True, loss="dlr")
    assert (read(model, found) == targets).all()


def test_the_targeted_dlr_loss_needs_four_classes():
    with pytest.raises(ValueError, match=r"at least 4 classes; got 3: use loss='ce'"):
        pgd(network(3), some_images(1), [0], 0.1, targeted=True, loss="dlr")


@pytest.mark.parametrize("attack", [pgd, autoattack])
@pytest.mark.parametrize("generator", [0, 3, np.random.default_rng(0)])
def test_a_generator_is_torchs(attack: Any, generator: Any) -> None:
    images = torch.full((1, 1, 1, 2), 0.5)
    with pytest.raises(ValueError, match=r"generator must be a torch.Generator"):
        attack(lambda x: x.flatten(1), images, [0], 0.1, generator=generator)


@pytest.mark.parametrize("bounds", [{0.0, 1.0}, {0.0: 0, 1.0: 1}])
def test_bounds_have_an_order(bounds: Any) -> None:
    images = torch.full((1, 1, 1, 2), 0.5)
    with pytest.raises(ValueError, match=r"bounds must be \(low, high\), two numbers"):
        pgd(lambda x: x.flatten(1), images, [0], 0.1, bounds=bounds)


def test_bounds_may_be_of_any_library() -> None:
    images = torch.full((1, 1, 1, 2), 0.25)
    found = [
        pgd(lambda x: x.flatten(1), images, [0], 0.1, steps=2, bounds=bounds)
        for bounds in ((0.0, 1.0), [0, 1], np.array([0.0, 1.0]), iter([0.0, 1.0]))
    ]
    for other in found:
        assert torch.equal(other, found[0])


def test_targeted_is_true_or_false() -> None:
    images = torch.full((1, 1, 1, 2), 0.5)
    with pytest.raises(ValueError, match="targeted must be True or False; got 'no'"):
        pgd(lambda x: x.flatten(1), images, [0], 0.1, targeted="no")
