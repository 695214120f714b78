"""Does the detector tell a blinded attack from a robust model?"""

import warnings

import pytest
import torch
from torch import nn

from smallscale.datasets.digits import digits
from smallscale.models.classifiers import small_cnn
from smallscale.robustness import gradient_masking
from smallscale.training.loop import train_classifier


class Louder(nn.Module):
    """The same reading of every image, with logits so large that softmax rounds to 0
    and 1.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        self.eval()

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return 100 * self.model(images)


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


def test_an_honest_model_raises_no_sign(model, data):
    found = gradient_masking(model, data.images[data.test], data.labels[data.test], 0.1)
    assert found.n == 450
    assert found.zero_gradients == 0
    assert found.warnings == []


def test_logits_times_a_hundred_are_seen_through(model, data):
    """Cross-entropy's gradient rounds to zero and PGD stands still: accuracy seems to
    rise. DLR is not fooled.
    """
    images, labels = data.images[data.test][:200], data.labels[data.test][:200]
    honest, masked = (
        gradient_masking(each, images, labels, 0.1) for each in (model, Louder(model))
    )
    assert masked.zero_gradients > 0.5
    assert masked.accuracy_ce > honest.accuracy_ce + 0.2
    assert masked.accuracy_dlr == pytest.approx(honest.accuracy_dlr, abs=0.02)
    zero, gap = masked.warnings
    assert f"{masked.zero_gradients:.1%}" in zero
    assert "loss='dlr'" in zero
    assert f"{masked.accuracy_ce:.1%}" in gap
    assert f"{masked.accuracy_dlr:.1%}" in gap
    assert "Report the lower one" in gap


def test_a_step_that_rounds_its_input_has_no_gradient(model, data):
    class Thresholded(Louder):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return self.model((images > 0.5).to(images) + 0 * images)

    found = gradient_masking(
        Thresholded(model), data.images[:20], data.labels[:20], 0.1, steps=2
    )
    assert found.zero_gradients == 1
    assert (
        found.accuracy_ce == found.accuracy_dlr
    )  # no gradient attack sees it; only the first sign does
    assert len(found.warnings) == 1


def test_a_pixel_nobody_looks_at_is_no_sign():
    """A gradient that is zero in one of two pixels is still a direction."""
    model = nn.Sequential(nn.Flatten(), nn.Linear(2, 3)).eval()
    model[1].weight.data = torch.tensor([[0.0, 1.0], [0.0, 0.0], [0.0, -1.0]])
    assert (
        gradient_masking(
            model, torch.full((3, 1, 1, 2), 0.5), [0, 1, 2], 0.1, steps=2
        ).zero_gradients
        == 0
    )


def test_training_mode_is_warned_of_once(model, data):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        gradient_masking(
            nn.Sequential(model), data.images[:4], data.labels[:4], 0.1, steps=1
        )
    assert [str(each.message)[:29] for each in caught] == [
        "the model is in training mode"
    ]
    assert caught[0].filename == __file__


def test_an_empty_batch_is_refused(model, data):
    with pytest.raises(ValueError, match="at least one image"):
        gradient_masking(model, data.images[:0], data.labels[:0], 0.1)
