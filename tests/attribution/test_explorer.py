"""Is every network of the widget trained without what it says, are tumours fitted exactly, do checks say why?"""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from smallscale.attribution import Run, cross_entropy, lds, member, retrain
from smallscale.attribution.exercises import NOT_YET, check_influence, check_scores
from smallscale.attribution.explorer import (
    OTHER,
    READ,
    TRUE,
    WAYS,
    read_without,
    removal_explorer,
    removal_order,
    removal_scene,
)
from smallscale.datasets.tabular import tumours
from smallscale.models.classifiers import small_mlp
from smallscale.models.logistic import fit_logistic, logistic_loss
from smallscale.notebook import explore

RUN = Run(epochs=2, batch_size=8)
COUNTS = (0, 1, 3)


def images(n: int, seed: int) -> tuple[Tensor, Tensor]:
    return torch.rand(
        n, 1, 4, 4, generator=torch.Generator().manual_seed(seed)
    ), torch.arange(n) % 3


TRAIN, TEST = images(20, 0), images(2, 1)
SCORES = torch.randn(20, 2, generator=torch.Generator().manual_seed(2))


def test_the_order_of_removal_is_by_score_and_random_for_all_alike() -> None:
    order = removal_order([[0.1], [0.3], [-0.2]])
    assert order.shape == (3, 3, 1)
    assert order[0, :, 0].tolist() == [1, 0, 2]
    assert order[1, :, 0].tolist() == [2, 0, 1]
    random = removal_order(SCORES)[2]
    assert torch.equal(random[:, 0], random[:, 1])
    assert sorted(random[:, 0].tolist()) == list(range(20))
    assert not torch.equal(random, removal_order(SCORES, seed=1)[2])


def test_each_network_was_trained_without_what_it_says() -> None:
    order = removal_order(SCORES)
    read = read_without(
        small_mlp(16, 3), cross_entropy, TRAIN, TEST[0], order, COUNTS, RUN
    )
    assert read.shape == (3, 3, 2, 3)
    for w, k, i in ((0, 0, 0), (0, 1, 1), (1, 2, 0), (2, 2, 1)):
        weights = torch.ones(1, 20)
        weights[0, order[w, : COUNTS[k], i]] = 0
        model = member(
            small_mlp(16, 3),
            retrain(small_mlp(16, 3), cross_entropy, TRAIN, RUN, weights=weights),
        )
        torch.testing.assert_close(
            read[w, k, i],
            model(TEST[0][i : i + 1]).softmax(1)[0].detach(),
            atol=1e-5,
            rtol=1e-4,
        )


def test_the_widget_opens_where_a_reading_is_put_right_and_answers_everywhere() -> None:
    readings = torch.full((3, 3, 2, 3), 0.1)
    readings[..., 2] = 0.8  # all read as 2, the test images are a 0 and a 1
    readings[1, 2, 1] = torch.tensor(
        [0.2, 0.7, 0.1]
    )  # without its three most harmful, the second is read right
    box = explore(
        *removal_explorer(TRAIN, TEST, removal_order(SCORES), COUNTS, readings)
    )
    image, way, count, view = box.children
    assert (image.value, way.value, count.value) == (1, "most harmful", 3)
    said = (
        "the network reads 2 with probability 0.80 (for 1: 0.10); without 3 training images (most harmful) "
        "1 with probability 0.70 (for 1: 0.70)."
    )
    assert said in view.value
    assert view.value.count("<image") == 4
    for image.value in range(2):
        for way.value in WAYS:
            for count.value in COUNTS:
                assert (
                    f"A {image.value}; trained on all images the network reads 2"
                    in view.value
                )


def test_the_widget_opens_on_no_reading_that_was_right_from_the_start() -> None:
    readings = torch.full((3, 3, 2, 3), 0.1)
    readings[:, :, 0, 0] = readings[:, 0, 1, 2] = (
        0.8  # the 0 is always read right, the 1 at first as a 2
    )
    readings[:, 1:, 1, 1] = 0.8
    image, _, count, _ = explore(
        *removal_explorer(TRAIN, TEST, removal_order(SCORES), COUNTS, readings)
    ).children
    assert (image.value, count.value) == (1, 1)


def test_a_widget_where_nothing_helps_opens_on_the_most_removed() -> None:
    readings = torch.full((3, 3, 2, 3), 0.1)
    readings[..., 2] = 0.8
    _, _, count, _ = explore(
        *removal_explorer(TRAIN, TEST, removal_order(SCORES), COUNTS, readings)
    ).children
    assert count.value == 3


@pytest.mark.parametrize(
    ("way", "count", "words"),
    [
        ("most helpful", 1, "without 1 training image (most helpful) 1"),
        ("random", 5, "without 5 training images (random) 1"),
        ("most harmful", 5, "without 5 training images (most harmful) 1"),
    ],
)
def test_a_scene_is_a_sentence(way: str, count: int, words: str) -> None:
    before, after = np.array([0.75, 0.25]), np.array([0.25, 0.75])
    said = removal_scene(np.eye(4), 1, before, after, [(np.eye(4), 0)], way, count)
    assert "reads 0 with probability 0.75 (for 1: 0.25); " in said
    assert f"{words} with probability 0.75 (for 1: 0.75)." in said
    assert "the first 1 removed" in said
    assert "<figcaption>0</figcaption>" in said


def test_the_class_that_is_read_and_the_true_one_have_colours_of_their_own() -> None:
    said = removal_scene(
        np.eye(4),
        1,
        np.array([0.6, 0.3, 0.1]),
        np.array([0.6, 0.3, 0.1]),
        [],
        "random",
        0,
    )
    assert [said.count(colour) for colour in (TRUE, READ, OTHER)] == [1, 1, 1]
    assert said.index(READ) < said.index(TRUE) < said.index(OTHER)


def test_a_scene_with_nothing_removed() -> None:
    said = removal_scene(
        np.eye(4), 1, np.array([0.75, 0.25]), np.array([0.75, 0.25]), [], "random", 0
    )
    assert "the network reads 0 with probability 0.75 (for 1: 0.25)." in said
    assert "removed" not in said.lower()


# tumours


def test_the_table_is_split_standardised_and_always_the_same() -> None:
    train, test = tumours()
    assert [part[0].shape for part in (train, test)] == [(400, 30), (100, 30)]
    torch.testing.assert_close(
        train[0].mean(0), torch.zeros(30, dtype=torch.float64), atol=1e-12, rtol=0
    )
    torch.testing.assert_close(
        train[0].std(0, correction=0), torch.ones(30, dtype=torch.float64)
    )
    assert set(train[1].tolist()) == {0.0, 1.0}
    assert [part[1].mean().item() for part in (train, test)] == pytest.approx(
        [357 / 569] * 2, abs=0.004
    )
    assert torch.equal(tumours(50, 10)[0][1], tumours(50, 10)[0][1])


def test_logistic_regression_is_at_its_minimum_bias_included() -> None:
    x, y = tumours(100, 10)[0]
    model = fit_logistic(x, y, weight_decay=0.01)
    penalty = sum(p.square().sum() for p in model.parameters())
    (logistic_loss(model(x), y).mean() + 0.01 / 2 * penalty).backward()
    assert all(p.grad.abs().max() < 1e-12 for p in model.parameters())  # type: ignore[union-attr]
    with pytest.raises(ValueError, match="weight_decay must be above 0"):
        fit_logistic(x, y, weight_decay=0)


def test_logistic_loss_by_hand() -> None:
    # Logit ln 3: probability 3/4.
    losses = logistic_loss(torch.tensor([[3.0], [3.0]]).log(), torch.tensor([1.0, 0.0]))
    torch.testing.assert_close(losses, -torch.tensor([0.75, 0.25]).log())


def test_cross_entropy_is_torchs_and_survives_large_logits() -> None:
    logits, labels = (
        torch.randn(6, 4, generator=torch.Generator().manual_seed(0)) * 100,
        torch.tensor([0, 1, 2, 3, 0, 1]),
    )
    torch.testing.assert_close(
        cross_entropy(logits, labels),
        torch.nn.functional.cross_entropy(logits, labels, reduction="none"),
    )


# exercises


def right(train: Tensor, test: Tensor, matrix: Tensor, weight_decay: float) -> Tensor:
    return (
        train
        @ torch.linalg.inv(matrix + weight_decay * torch.eye(len(matrix)))
        @ test.T
        / len(train)
    )


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (lambda *a: None, NOT_YET),
        (right, "Right"),
        (lambda *a: -right(*a), "The sign is wrong"),
        (lambda *a: 7 * right(*a), "Too large by n"),
        (lambda *a: right(*a).T, "lie on their side"),
        (lambda a, b, h, w: right(a, b, h, 0), "The penalty has a Hessian too"),
        (lambda a, b, h, w: a @ b.T / 7, "the inverse of H between them is missing"),
        (lambda *a: 2 * right(*a), "differ from the equation's"),
        (lambda *a: 1.0, "must be (n, m)"),
    ],
)
def test_an_influence_is_told_what_is_wrong(answer: Any, said: str) -> None:
    assert said in check_influence(answer)


def test_scores_are_told_what_is_wrong() -> None:
    random = np.random.default_rng(0)
    scores, masks = random.normal(size=(8, 3)), random.integers(0, 2, size=(20, 8))
    outputs = masks @ scores
    assert check_scores(None, masks, outputs, beat=0.5) == NOT_YET
    assert check_scores(scores, masks, outputs, beat=0.5).startswith("Right")
    assert "right but for the sign" in check_scores(-scores, masks, outputs, beat=0.5)
    assert "the goal is above 0.50" in check_scores(
        0 * scores, masks, outputs, beat=0.5
    )
    assert "the goal is above 1.00" in check_scores(
        scores, masks, outputs, beat=lds(scores, masks, outputs)
    )
    assert (
        -0.7 < lds(-scores[:, ::-1], masks, outputs) < 0
    )  # wrong, and not by the sign alone
    assert "the goal is above 0.70" in check_scores(
        -scores[:, ::-1], masks, outputs, beat=0.7
    )
    assert "cannot be scored: scores must be finite" in check_scores(
        scores * np.nan, masks, outputs, beat=0.5
    )
