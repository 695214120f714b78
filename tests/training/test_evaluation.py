"""Is a model asked in eval mode, put back as it was, and its accuracy right?"""

import math

import numpy as np
import pytest
import torch
from torch import nn

from smallscale.training.evaluation import (
    accuracy,
    correct,
    eval_mode,
    outputs,
    predict_logits,
)


def test_logits_do_not_depend_on_the_batches_and_the_model_is_put_back():
    model = nn.Sequential(
        nn.BatchNorm2d(1), nn.Flatten(), nn.Dropout(0.5), nn.Linear(4, 3)
    )
    model[2].eval()
    images = np.random.default_rng(0).random(
        (7, 1, 2, 2)
    )  # in double precision, as numpy makes them
    mean, modes = (
        model[0].running_mean.clone(),
        [module.training for module in model.modules()],
    )
    logits = predict_logits(model, images)
    assert logits.shape == (7, 3)
    assert not logits.requires_grad
    torch.testing.assert_close(predict_logits(model, images, batch_size=2), logits)
    assert torch.equal(model[0].running_mean, mean)
    assert [module.training for module in model.modules()] == modes


def test_eval_mode_puts_every_part_back_even_after_an_error():
    model = nn.Sequential(nn.Dropout(), nn.Dropout().eval())

    def interrupted() -> None:
        with eval_mode(model):
            assert not any(module.training for module in model.modules())
            raise RuntimeError

    with pytest.raises(RuntimeError):
        interrupted()
    assert [module.training for module in model.modules()] == [True, True, False]


def test_outputs_hands_the_model_a_copy():
    images = torch.ones(2, 3)
    assert torch.equal(outputs(lambda x: x.mul_(5), images), 5 * images)
    assert torch.equal(images, torch.ones(2, 3))


def test_accuracy_by_hand():
    images = torch.eye(3)[[0, 1, 2, 0]]
    assert accuracy(lambda x: x, images, [0, 1, 2, 1]) == 0.75


def test_small_images_take_one_thread_and_the_callers_number_comes_back() -> None:
    before = torch.get_num_threads()
    seen = []

    def model(images: torch.Tensor) -> torch.Tensor:
        seen.append(torch.get_num_threads())
        return images.flatten(1)[:, :10]

    torch.set_num_threads(2)
    predict_logits(model, torch.zeros(3, 1, 8, 8))
    predict_logits(model, torch.zeros(3, 1, 28, 28))
    assert torch.get_num_threads() == 2
    torch.set_num_threads(before)
    assert seen == [1, 2]


def test_what_is_nan_is_read_as_nothing():
    """Not as the class that NaN happens to stand at."""
    logits = torch.tensor([[math.nan, 0.0], [1.0, 0.0], [math.nan, math.nan]])
    assert correct(lambda images: images, logits, [0, 0, 0]).tolist() == [
        False,
        True,
        False,
    ]


@pytest.mark.parametrize("labels", [[[0], [1]], [0], [0, 1, 1], 1])
def test_labels_are_one_for_each_image(labels):
    with pytest.raises(ValueError, match="labels must be one for each image"):
        correct(lambda images: images, torch.eye(2), labels)


class HubOutput(dict):
    """Like what a Hugging Face model returns."""


MODELS = {
    "None": (lambda x: None, "logits as one tensor .* got NoneType"),
    "tuple": (lambda x: (x, x), "logits as one tensor .* got tuple"),
    "list": (lambda x: [x], "logits as one tensor .* got list"),
    "dict": (lambda x: {"logits": x}, "logits as one tensor .* got dict"),
    "hub": (lambda x: HubOutput(logits=x), "one tensor .* got HubOutput: wrap it"),
    "array": (lambda x: x.numpy(), "logits as one tensor .* got ndarray"),
    "number": (lambda x: x.sum(), r"a row of logits for each image, .* got \(\) for 3"),
    "mean": (lambda x: x.mean(0, True), r"a row of logits .* got \(1, 4\) for 3"),
    "few": (lambda x: x[:2], r"a row of logits .* got \(2, 4\) for 3"),
    "no model": (None, "model must be a torch module, or a function .* got None"),
    "name": ("a model", "model must be a torch module, or a function"),
    "other images": (nn.Linear(3, 2), "model must take images of this type and shape"),
    "other type": (nn.Embedding(3, 2), "model must take images of this type"),
}


@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("judge", [predict_logits, correct, accuracy])
def test_what_is_no_model_of_logits_is_refused_in_one_line(judge, kind):
    model, message = MODELS[kind]
    labels = () if judge is predict_logits else ([0, 0, 0],)
    with pytest.raises(ValueError, match=f"^{message.join(['.*', '.*'])}$") as refused:
        judge(model, torch.ones(3, 4), *labels)
    assert str(refused.value).startswith("model must")
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "model",
    [lambda x: x + 1j, lambda x: x > 0, lambda x: x.to_sparse(), lambda x: x[:, 0]],
)
@pytest.mark.parametrize("judge", [correct, accuracy])
def test_logits_that_cannot_be_compared_are_refused(judge, model):
    with pytest.raises(ValueError, match="model must return logits"):
        judge(model, torch.ones(3, 4), [0, 0, 0])


def test_rows_of_several_lengths_are_refused():
    with pytest.raises(ValueError, match="model must return logits of one shape"):
        predict_logits(lambda x: x[:, : len(x)], torch.ones(3, 4), batch_size=2)
