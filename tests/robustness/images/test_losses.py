"""Are the losses what can be computed by hand, and is the gradient an image's own?"""

import pytest
import torch
from torch import nn

from smallscale.robustness import dlr_loss, pgd
from smallscale.robustness.images.losses import (
    loss_and_gradient,
    margin,
    strongest_others,
    targeted_dlr_loss,
)
from tests.robustness.images.helpers import linear, network, read, some_images


def test_dlr_loss_by_hand():
    """Logits 5, 3, 1: true 0 gives -(5 - 3)/(5 - 1) = -1/2; true 1, -(3 - 5)/4 = 1/2;
    true 2, -(1 - 5)/4 = 1.
    """
    logits = torch.tensor([[5.0, 3.0, 1.0]]).repeat(3, 1)
    labels = torch.arange(3)
    expected = torch.tensor([-0.5, 0.5, 1.0])
    torch.testing.assert_close(dlr_loss(logits, labels), expected)
    torch.testing.assert_close(dlr_loss(100 * logits + 7, labels), expected)
    assert dlr_loss(torch.ones(1, 4), labels[:1]).isfinite().all()  # a tie of all


def test_dlr_needs_three_classes():
    with pytest.raises(ValueError, match=r"at least 3 classes; got 2"):
        pgd(linear(2), some_images(1), [0], 0.1, loss="dlr")


def test_dlr_finds_what_saturated_cross_entropy_cannot():
    """Logits times 10,000 read the same, but softmax rounds to 0 and 1 and
    cross-entropy has no gradient left.
    """
    model, images = linear(3), some_images(30)
    loud = nn.Sequential(model, nn.Linear(3, 3, bias=False)).eval()
    loud[1].weight.data = 1e4 * torch.eye(3)
    labels = read(model, images)

    def survivors(attacked: nn.Module, loss: str) -> int:
        return int(
            (read(model, pgd(attacked, images, labels, 0.1, loss=loss)) == labels).sum()
        )

    assert survivors(loud, "ce") >= 28
    assert survivors(model, "ce") < 20
    assert survivors(loud, "dlr") == survivors(model, "dlr") < 20


def test_a_model_cut_from_its_input_is_refused():
    model = network()
    with pytest.raises(ValueError, match="model must be differentiable"):
        pgd(lambda x: model(x.detach()), some_images(2), [0, 1], 0.1)


def test_the_margin_by_hand():
    logits = torch.tensor([[5.0, 3.0, 1.0]]).repeat(3, 1)
    assert margin(logits, torch.arange(3)).tolist() == [2, -2, -4]


@pytest.mark.parametrize("loss", ["ce", "dlr"])
def test_a_gradient_is_that_of_the_image_alone(loss):
    """By central differences, for each pixel; without differentiation it is zero."""
    model, images = network().double(), some_images(2).double()
    labels = torch.tensor([0, 2])
    found = loss_and_gradient(model, images, labels, loss)
    for place in ((0, 0, 1, 2), (1, 0, 3, 3)):
        step = torch.zeros_like(images)
        step[place] = 1e-6
        above = loss_and_gradient(model, images + step, labels, loss).loss.sum()
        below = loss_and_gradient(model, images - step, labels, loss).loss.sum()
        slope = float(above - below) / 2e-6
        assert float(found.gradient[place]) == pytest.approx(slope, abs=1e-6)
    plain = loss_and_gradient(model, images, labels, loss, differentiate=False)
    assert torch.equal(plain.loss, found.loss)
    assert (plain.gradient == 0).all()


def test_a_target_turns_the_loss_and_what_fools():
    model, images = network(), some_images(6)
    labels = read(model, images)
    away = loss_and_gradient(model, images, labels)
    towards = loss_and_gradient(model, images, labels, targeted=True)
    assert torch.equal(towards.loss, -away.loss)
    assert torch.equal(towards.gradient, -away.gradient)
    assert towards.fooled.all()
    assert not away.fooled.any()


def test_where_chooses_for_each_image():
    model, images = network(), some_images(3)
    one = loss_and_gradient(model, images, torch.tensor([0, 0, 0]))
    other = loss_and_gradient(model, images, torch.tensor([1, 1, 1]))
    mixed = one.where(torch.tensor([True, False, True]), other)
    assert mixed.loss.tolist() == [one.loss[0], other.loss[1], one.loss[2]]
    assert torch.equal(mixed.gradient[1], other.gradient[1])
    assert torch.equal(mixed.gradient[2], one.gradient[2])
    assert mixed.fooled[1] == other.fooled[1]


def test_the_targeted_dlr_loss_by_hand():
    """Logits 5, 3, 2, 0: the scale is 5 - (2 + 0) / 2 = 4 (eq. 7)."""
    logits = torch.tensor([[5.0, 3.0, 2.0, 0.0]]).repeat(3, 1)
    labels, targets = torch.tensor([0, 1, 3]), torch.tensor([1, 0, 2])
    expected = torch.tensor([-2 / 4, 2 / 4, 2 / 4])
    found = targeted_dlr_loss(logits, labels, targets)
    torch.testing.assert_close(found, expected)
    scaled = targeted_dlr_loss(100 * logits + 7, labels, targets)
    torch.testing.assert_close(scaled, expected)


@pytest.mark.parametrize("classes", [1, 2])
def test_the_losses_name_the_logits_they_refuse(classes):
    logits, labels = torch.zeros(1, classes), torch.tensor([0])
    with pytest.raises(ValueError, match=r"logits must be .* at least 3 classes"):
        dlr_loss(logits, labels)
    with pytest.raises(ValueError, match=r"logits must be .* at least 4 classes"):
        targeted_dlr_loss(logits, labels, labels)


def test_a_rival_is_what_is_climbed_towards():
    """Untargeted towards it and away from y; targeted away from it and towards y."""
    model, images = network(5), some_images(4)
    y, rival = torch.tensor([0, 1, 2, 3]), torch.tensor([1, 2, 3, 4])
    logits = model(images)
    away = loss_and_gradient(model, images, y, "dlr", rival=rival)
    torch.testing.assert_close(away.loss, targeted_dlr_loss(logits, y, rival).detach())
    assert torch.equal(away.fooled, logits.argmax(1) != y)
    towards = loss_and_gradient(model, images, y, "dlr", targeted=True, rival=rival)
    torch.testing.assert_close(
        towards.loss, targeted_dlr_loss(logits, rival, y).detach()
    )
    assert torch.equal(towards.fooled, logits.argmax(1) == y)
    gap = loss_and_gradient(model, images, y, "difference", rival=rival).loss
    rows = torch.arange(4)
    torch.testing.assert_close(gap, (logits[rows, rival] - logits[rows, y]).detach())


def test_the_gradient_in_float16_does_not_round_to_zero():
    """At a confidence of 1 - 1e-9 cross-entropy's gradient is too small for float16."""
    model = linear(2)
    images = some_images(4)
    labels = read(model, images)
    model[1].weight.data *= 3 / (model(images)[:, 0] - model(images)[:, 1]).abs().min()
    model[1].weight.data *= 7
    found = loss_and_gradient(model, images.half(), labels)
    assert found.gradient.dtype == torch.float32
    assert (found.gradient.flatten(1) != 0).any(1).all()


def test_the_likeliest_others_come_in_order():
    logits = torch.tensor([[0.1, 3.0, 2.0, 1.0], [5.0, -1.0, 4.0, 6.0]])
    found = strongest_others(logits, torch.tensor([1, 3]))
    assert found.tolist() == [[2, 3, 0], [0, 2, 1]]
