"""Is refused what cannot be attacked, and warned of what would mislead?"""

import math
import warnings
from typing import NamedTuple

import pytest
import torch
from torch import nn
from transformers.modeling_outputs import SequenceClassifierOutput

from smallscale.robustness import (
    accuracy_curve,
    attack_explorer,
    autoattack,
    fgsm,
    gradient_masking,
    pgd,
    random_signs,
)
from smallscale.robustness.images.smoothing import smoothed
from smallscale.training import accuracy, correct, predict_logits
from tests.robustness.images.helpers import network, read, some_images


def test_the_model_is_put_back_when_the_attack_is_refused():
    model = network().train()
    with (
        pytest.warns(UserWarning, match="training mode"),
        pytest.raises(ValueError, match="labels"),
    ):
        pgd(model, some_images(1), [3], 0.1)
    assert all(module.training for module in model.modules())


def test_outputs_that_look_like_probabilities_are_warned_of():
    model = nn.Sequential(network(), nn.Softmax(dim=1)).eval()
    with pytest.warns(UserWarning, match="look like probabilities") as caught:
        pgd(model, some_images(3), [0, 1, 2], 0.1, steps=2)
    assert len(caught) == 1
    assert caught[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pgd(
            nn.Sequential(network(), nn.LogSoftmax(dim=1)).eval(),
            some_images(3),
            [0, 1, 2],
            0.1,
            steps=2,
        )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"eps": -0.1}, r"eps must be a finite number, at least 0; got -0\.1"),
        ({"eps": math.nan}, "eps must be a finite number"),
        ({"eps": math.inf}, "eps must be a finite number"),
        ({"eps": None}, "eps must be a finite number"),
        ({"norm": "l1"}, "norm must be one of linf, l2; got 'l1'"),
        ({"bounds": (1.0, 0.0)}, "bounds must be .*low < high"),
        ({"bounds": (0.0, math.nan)}, "bounds must be .*low < high"),
        (
            {"images": some_images(3) * 2},
            r"images must lie within bounds \[0, 1\].*normalise inside the model",
        ),
        ({"images": some_images(3) - 0.5}, "images must lie within bounds"),
        (
            {"images": torch.full((3, 1, 4, 4), math.nan)},
            "images must lie within bounds",
        ),
        (
            {"images": torch.ones(3, 1, 4, 4, dtype=torch.uint8)},
            "images must be floating-point",
        ),
        (
            {"images": torch.ones(3)},
            r"images must be floating-point, \(batch, channels",
        ),
        (
            {"labels": [0, 1]},
            r"labels must be whole numbers, one for each image: \(3,\)",
        ),
        (
            {"labels": [[0], [1], [2]]},
            "labels must be whole numbers, one for each image",
        ),
        ({"labels": 1}, "labels must be whole numbers, one for each image"),
        ({"labels": [0.0, 1.0, 2.0]}, "labels must be whole numbers"),
        ({"labels": [True, False, True]}, "labels must be whole numbers"),
        (
            {"labels": [0, 1, 3]},
            r"labels must lie in 0\.\.2, the model's classes; got 0\.\.3",
        ),
        ({"labels": [0, 1, -1]}, r"labels must lie in 0\.\.2"),
        ({"model": nn.Identity()}, r"model must return logits \(batch, classes\)"),
        (
            {"model": nn.Sequential(nn.Flatten(), nn.Linear(16, 1))},
            "at least 2 classes",
        ),
        ({"model": lambda x: x.flatten(1) / 0}, "model must return finite logits"),
        ({"model": lambda x: x.flatten(1).detach()}, "model must be differentiable"),
    ],
)
@pytest.mark.parametrize("attack", [fgsm, pgd])
@pytest.mark.filterwarnings("ignore:the model is in training mode")
def test_what_cannot_be_right_is_refused_in_one_line(attack, change, message):
    arguments = {
        "model": network(),
        "images": some_images(3),
        "labels": [0, 1, 2],
        "eps": 0.1,
    } | change
    with pytest.raises(ValueError, match=message) as error:
        attack(**arguments)
    assert "\n" not in str(error.value)


class Answers(NamedTuple):
    logits: torch.Tensor


RETURNED = {
    "tuple": lambda z: (z, None),
    "list": lambda z: [z],
    "dict": lambda z: {"logits": z},
    "Answers": Answers,
    "SequenceClassifierOutput": lambda z: SequenceClassifierOutput(logits=z),
    "NoneType": lambda z: None,
    "ndarray": lambda z: z.detach().numpy(),
}
ASKED = {
    "fgsm": lambda model, x, y: fgsm(model, x, y, 0.1),
    "pgd": lambda model, x, y: pgd(model, x, y, 0.1),
    "pgd, dlr": lambda model, x, y: pgd(model, x, y, 0.1, loss="dlr"),
    "autoattack": lambda model, x, y: autoattack(model, x, y, 0.1),
    "gradient_masking": lambda model, x, y: gradient_masking(model, x, y, 0.1),
    "smoothed": lambda model, x, y: smoothed(model, x, sigma=0.1, samples=10),
    "accuracy": accuracy,
    "correct": correct,
    "predict_logits": lambda model, x, y: predict_logits(model, x),
    "accuracy_curve": lambda model, x, y: accuracy_curve(
        model, x, y, [0.1], random_signs
    ),
    "explorer": lambda model, x, y: attack_explorer(model, x, y, [0.1]),
}


@pytest.mark.parametrize("ask", ASKED)
@pytest.mark.parametrize("returned", RETURNED)
def test_what_is_no_tensor_of_logits_is_refused_by_its_name(ask, returned):
    net = network()

    class Wrapped(nn.Module):
        def forward(self, images):
            return RETURNED[returned](net(images))

    for model in (Wrapped().eval(), Wrapped().eval().forward):
        message = f"model must return its logits as one tensor.*got {returned}:"
        with pytest.raises(ValueError, match=message) as error:
            ASKED[ask](model, some_images(3), torch.tensor([0, 1, 2]))
        assert "\n" not in str(error.value)


@pytest.mark.parametrize("ask", sorted(set(ASKED) - {"predict_logits"}))
def test_one_class_is_refused(ask):
    one = nn.Sequential(nn.Flatten(), nn.Linear(16, 1)).eval()
    with pytest.raises(ValueError, match=r"model must return logits.*at least 2"):
        ASKED[ask](one, some_images(3), torch.tensor([0, 0, 0]))


ATTACKS = ["fgsm", "pgd", "pgd, dlr", "autoattack", "gradient_masking", "smoothed"]


@pytest.mark.parametrize("ask", ATTACKS)
@pytest.mark.parametrize("place", [0, 11])
def test_a_model_that_returns_nan_is_refused(ask, place):
    """For the first image, and for one that lies behind those that are looked at."""
    net = network()
    images = some_images(12)
    images[:, 0, 0, 0] = 0.2
    images[place, 0, 0, 0] = 0.9

    def broken(x):
        bright = x[:, 0, 0, :1] > 0.75
        return net(x).masked_fill(bright, math.nan)

    with pytest.raises(ValueError, match="model must return finite logits"):
        ASKED[ask](broken, images, read(net, images))


def test_gradient_masking_names_an_argument_that_it_has():
    with pytest.raises(ValueError, match="model must have at least 3 classes") as error:
        gradient_masking(network(2), some_images(3), [0, 1, 0], 0.1)
    assert "loss=" not in str(error.value)


@pytest.mark.parametrize("ask", ATTACKS)
@pytest.mark.parametrize("value", [math.inf, -math.inf])
def test_infinite_logits_are_refused_wherever_they_occur(ask, value):
    """The image is named by its place in the batch that was given."""
    net = network()
    images = some_images(12)
    images[:, 0, 0, 0] = 0.2
    images[11, 0, 0, 0] = 0.9

    def broken(x):
        logits = net(x)
        bright = x[:, 0, 0, :1] > 0.75
        first = torch.arange(logits.shape[1]) == 0
        return torch.where(bright & first, value, logits)

    with pytest.raises(ValueError, match=r"model must return finite.*image 11 "):
        ASKED[ask](broken, images, read(net, images))


def made_for_inference() -> nn.Module:
    with torch.inference_mode():
        return network()


@pytest.mark.parametrize("attack", [fgsm, pgd, autoattack])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"bounds": None}, "bounds must be .low, high., two numbers.*got None"),
        ({"bounds": (0, 1, 2)}, r"bounds must be .*got \(0, 1, 2\)"),
        ({"bounds": ("a", "b")}, "bounds must be .*two numbers"),
        ({"images": None}, "images must be numbers.*got NoneType"),
        ({"images": "abc"}, "images must be numbers.*got str"),
        ({"images": torch.tensor(0.5)}, r"images must be floating-point.*got.*\(\)"),
        ({"images": some_images(3).to_sparse()}, "images must be a dense.*sparse_coo"),
        ({"images": some_images(3).to("meta")}, "images must be a dense.*meta device"),
        (
            {"images": some_images(3).to(torch.float8_e4m3fn)},
            "images must be in float16, bfloat16.*got torch.float8",
        ),
        (
            {"images": torch.rand(3, 1, 5, 5)},
            r"model must take images.*given torch.float32, \(3, 1, 5, 5\)",
        ),
        ({"labels": None}, "labels must be numbers.*got NoneType"),
        ({"labels": torch.ones(3, dtype=torch.complex64)}, "labels must be whole"),
        ({"model": None}, "model must be a torch module, or a function.*got None"),
        ({"model": "net"}, "model must be a torch module, or a function.*got 'net'"),
        ({"model": made_for_inference()}, "model must not be made under.*inference"),
        ({"model": network().to("meta")}, "model.* must be a dense.*meta device"),
        ({"model": lambda x: x.flatten(1) > 0.5}, "logits in float16.*torch.bool"),
        ({"model": lambda x: x.flatten(1) + 1j}, "logits in float16.*torch.complex"),
    ],
)
def test_odd_arguments_are_refused_in_our_words(attack, change, message):
    arguments = {
        "model": network(),
        "images": some_images(3),
        "labels": [0, 1, 2],
        "eps": 0.1,
    } | change
    with pytest.raises(ValueError, match=message) as error:
        attack(**arguments)
    assert "\n" not in str(error.value)
