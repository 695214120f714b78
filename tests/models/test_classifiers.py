"""Are the shared classifiers of the shape they promise, and the same for a seed?"""

import pytest
import torch
from torch import nn

from smallscale.models.classifiers import small_cnn, small_mlp


@pytest.mark.parametrize(
    ("shape", "classes", "parameters"),
    [
        ((1, 8, 8), 10, 38_282),
        ((1, 28, 28), 10, 105_866),
        ((3, 32, 32), 7, None),
        ((1, 5, 9), 3, None),
    ],
)
def test_small_cnn_maps_images_to_logits(shape, classes, parameters):
    model = small_cnn(shape, classes)
    assert model(torch.rand(2, *shape)).shape == (2, classes)
    if parameters:
        assert sum(p.numel() for p in model.parameters()) == parameters


def test_small_cnn_has_only_the_layers_that_certificates_bound():
    model = small_cnn((1, 28, 28))
    assert type(model) is nn.Sequential
    assert {type(layer) for layer in model} == {
        nn.Conv2d,
        nn.ReLU,
        nn.Flatten,
        nn.Linear,
    }


def test_small_cnn_is_its_seed_and_leaves_the_global_generator_alone():
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first = small_cnn((1, 8, 8), seed=3)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    again, other = small_cnn((1, 8, 8), seed=3), small_cnn((1, 8, 8), seed=4)
    assert all(
        torch.equal(a, b)
        for a, b in zip(first.parameters(), again.parameters(), strict=True)
    )
    assert not torch.equal(first[0].weight, other[0].weight)


@pytest.mark.parametrize("shape", [(8, 8), (1, 0, 8), (1, 8, -8)])
def test_small_cnn_refuses_a_shape_that_is_none(shape):
    with pytest.raises(ValueError, match="image_shape must be"):
        small_cnn(shape)


def test_small_cnn_refuses_a_single_class():
    with pytest.raises(
        ValueError, match="classes must be a whole number, at least 2; got 1"
    ):
        small_cnn((1, 8, 8), 1)


def test_small_mlp_is_small_smooth_and_its_seed():
    model = small_mlp(64)
    assert sum(p.numel() for p in model.parameters()) == 2410
    assert model(torch.rand(3, 1, 8, 8)).shape == (3, 10)
    assert [type(layer) for layer in model] == [
        nn.Flatten,
        nn.Linear,
        nn.GELU,
        nn.Linear,
    ]
    assert type(small_mlp(64, activation=nn.ReLU)[2]) is nn.ReLU
    assert torch.equal(model[1].weight, small_mlp(64)[1].weight)
    assert not torch.equal(model[1].weight, small_mlp(64, seed=1)[1].weight)


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ({"inputs": 0}, "inputs must be a whole number, at least 1; got 0"),
        ({"classes": 1}, "classes must be a whole number, at least 2; got 1"),
        ({"hidden": 0}, "hidden must be a whole number, at least 1; got 0"),
    ],
)
def test_small_mlp_refuses_sizes_that_cannot_be(sizes, message):
    with pytest.raises(ValueError, match=message):
        small_mlp(**{"inputs": 64, **sizes})
