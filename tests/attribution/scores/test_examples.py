"""Are examples of any type and library taken alike, or refused with the point?"""

import warnings

import pandas as pd
import pytest
import torch
from torch import Tensor, nn

from smallscale.attribution.scores.examples import as_examples
from smallscale.attribution.scores.loss_checks import check_losses
from tests.attribution.scores.every_method import (
    BY_TRAINING_POINT,
    METHODS,
    Method,
    by_leaving_out,
    by_retraining,
    column,
    line,
    squares,
)
from tests.attribution.scores.small_problems import cross_entropy, randn


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("bad", [torch.nan, torch.inf])
def test_inputs_and_targets_that_are_not_finite_are_refused_by_their_point(
    method: Method, bad: float
) -> None:
    def loss(outputs: Tensor, targets: Tensor) -> Tensor:
        return (outputs[:, 0] - targets) ** 2

    for part in (0, 1):
        train = column()
        train[part].view(12, -1)[4, -1] = bad
        with pytest.raises(
            ValueError, match=r"train (inputs|targets) must be finite.* point 4 is"
        ):
            method(line(), loss, train, column(5))


@pytest.mark.parametrize("method", BY_TRAINING_POINT)
def test_a_label_that_is_no_class_is_refused_by_its_point(method: Method) -> None:
    x, y = randn(12, 5), torch.arange(12) % 3
    y[5] = 3
    with pytest.raises(ValueError, match="train point 5: loss must take outputs"):
        method(nn.Linear(5, 3).double(), cross_entropy, (x, y), (x[:2], y[:2]))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("kind", [torch.uint8, torch.int32, torch.int64, torch.bool])
def test_images_of_whole_numbers_are_refused_with_the_cure(
    method: Method, kind: torch.dtype
) -> None:
    x, y = column()
    images = (x.abs() * 50).to(kind)
    for train, test in (((images, y), (x, y)), ((x, y), (images, y))):
        if method is by_retraining and test[0] is images:
            continue  # it has no test examples
        if method is by_leaving_out and train[0] is images:
            continue  # which its fit is given as they are
        with pytest.raises(
            ValueError,
            match=r"(train|test) inputs must be such as the model takes.*inputs.float",
        ):
            method(line(), squares, train, test)


@pytest.mark.parametrize("method", METHODS)
def test_tokens_of_any_whole_type_are_what_an_embedding_takes(method: Method) -> None:
    model = nn.Sequential(nn.Embedding(9, 4), nn.Flatten(), nn.Linear(8, 1)).double()
    tokens, y = torch.arange(24).view(12, 2) % 9, column()[1]
    found = []
    for kind in (torch.uint8, torch.int64):
        inputs = tokens.to(kind)
        if method is by_leaving_out:
            inputs = inputs.long()
        found.append(method(model, squares, (inputs, y), (inputs[:3], y[:3])))
    if isinstance(found[0], dict):
        found = [stack["2.weight"] for stack in found]
    assert torch.equal(*found)


@pytest.mark.parametrize("method", METHODS)
def test_strides_and_libraries_make_no_difference(method: Method) -> None:
    x, y = column()
    test = column(5)
    given = [
        (x, y),
        (x.T.contiguous().T, y.repeat_interleave(2)[::2]),
        (x.numpy()[::-1][::-1], y.numpy().copy()),
        (x.tolist(), y.tolist()),
    ]
    if method is by_leaving_out:
        given.pop()  # lists are given to `fit` in single precision
    found = [method(line(), squares, train, test) for train in given]
    for other in found[1:]:
        one = found[0]["weight"] if isinstance(other, dict) else found[0]
        again = other["weight"] if isinstance(other, dict) else other
        torch.testing.assert_close(again, one, rtol=0, atol=1e-10)


@pytest.mark.parametrize("method", METHODS)
def test_single_and_double_precision_mix(method: Method) -> None:
    train, test = column(), column(5)
    single = [tuple(part.float() for part in pair) for pair in (train, test)]
    in_double = method(line(), squares, train, test)
    mixed = method(line().float(), squares, train, single[1])
    if isinstance(mixed, dict):
        in_double, mixed = in_double["weight"], mixed["weight"]
    assert mixed.dtype == torch.float32
    torch.testing.assert_close(mixed.double(), in_double, rtol=1e-3, atol=1e-3)
    assert method(line(), squares, single[0], test) is not None


@pytest.mark.parametrize("method", METHODS)
def test_no_test_examples_are_refused_and_one_of_each_will_do(method: Method) -> None:
    x, y = column()
    if method is not by_retraining:
        with pytest.raises(ValueError, match="test inputs and test targets must have"):
            method(line(), squares, (x, y), (x[:0], y[:0]))
    if method is not by_leaving_out:  # nothing would be left
        found = method(line(), squares, (x[:1], y[:1]), (x[:1], y[:1]))
        assert isinstance(found, dict) or found.shape == (1, 1)
        with pytest.raises(ValueError, match="loss must"):
            method(
                line(),
                lambda o, t: squares(o, t).mean(),
                (x[:1], y[:1]),
                (x[:1], y[:1]),
            )


def test_examples_alone_are_checked() -> None:
    assert [part.tolist() for part in as_examples("train", ([1, 2], [3, 4]))] == [
        [1, 2],
        [3, 4],
    ]
    with pytest.raises(
        ValueError, match=r"train inputs must be finite.*point 1 is inf"
    ):
        as_examples("train", ([1.0, 1e300], [0, 0]), torch.zeros(1))
    found = check_losses("test", line(), squares, column())
    torch.testing.assert_close(
        found, squares(line()(column()[0]), column()[1]).detach()
    )


@pytest.mark.parametrize("method", METHODS)
def test_tables_and_arrays_of_other_orders_make_no_difference(method: Method) -> None:
    x, y = column()
    rows = range(5, 17)  # names of rows, which are no positions
    fixed = x.numpy().copy()
    fixed.setflags(write=False)
    given = [
        (x, y),
        (pd.DataFrame(x.numpy(), index=rows), pd.Series(y.numpy(), index=rows)),
        (x.numpy().astype(">f8"), y.numpy().astype(">f8")),
        (fixed, y),
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        found = [method(line(), squares, train, column(5)) for train in given]
    if isinstance(found[0], dict):
        found = [stack["weight"] for stack in found]
    for other in found[1:]:
        torch.testing.assert_close(other, found[0], rtol=0, atol=1e-12)


@pytest.mark.parametrize("method", METHODS)
def test_sparse_examples_are_refused(method: Method) -> None:
    x, y = column()
    with pytest.raises(ValueError, match="train inputs must be a dense tensor"):
        method(line(), squares, (x.to_sparse(), y), column(5))
