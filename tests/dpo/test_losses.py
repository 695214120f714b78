"""Are log-probabilities those of the answer and nothing else, and are the five losses
the papers' formulas?"""

import math
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from smallscale.dpo import optimal_policy, preference_loss, sequence_logps
from smallscale.dpo.losses import LOSSES, MASKED, gradient_weight

FINITE = st.floats(-1e4, 0)


def by_hand(logits: Tensor, labels: Tensor) -> list[float]:
    """Token by token, in Python's own numbers."""
    totals = []
    for row, targets in zip(logits.double().tolist(), labels.tolist(), strict=True):
        total = 0.0
        for scores, target in zip(row[:-1], targets[1:], strict=True):
            if target != MASKED:
                total += scores[target] - math.log(
                    sum(math.exp(score) for score in scores)
                )
        totals.append(total)
    return totals


def some_logits(batch: int = 3, length: int = 6, vocabulary: int = 5) -> Tensor:
    return torch.randn(
        batch,
        length,
        vocabulary,
        generator=torch.Generator().manual_seed(0),
        dtype=torch.float64,
    )


def loss_of(margin: float, **options: Any) -> float:
    """The loss of one pair, whose chosen answer alone has moved, by this margin."""
    return float(preference_loss([margin - 5.0], [-5.0], [-5.0], [-5.0], **options)[0])


# log-probabilities


def test_two_tokens_by_hand() -> None:
    # After the first token: 1/4 and 3/4; after the second: 1/2 and 1/2. The last logits
    # predict nothing.
    logits = [[[0.0, math.log(3)], [0.0, 0.0], [9.0, -9.0]]]
    assert sequence_logps(logits, [[0, 1, 0]]).item() == pytest.approx(
        math.log(3 / 4) + math.log(1 / 2)
    )
    assert sequence_logps(logits, [[0, MASKED, 0]]).item() == pytest.approx(
        math.log(1 / 2)
    )
    assert sequence_logps(logits, [[0, 0, MASKED]]).item() == pytest.approx(
        math.log(1 / 4)
    )


def test_it_is_the_masked_shifted_sum() -> None:
    logits = some_logits()
    labels = torch.tensor(
        [
            [1, 2, 3, 4, 0, 1],
            [MASKED, MASKED, 2, 2, 2, MASKED],
            [4, MASKED, 0, MASKED, MASKED, 3],
        ]
    )
    assert sequence_logps(logits, labels).tolist() == pytest.approx(
        by_hand(logits, labels)
    )


def test_every_answer_of_a_length_together_has_probability_one() -> None:
    """The sum over all answers of exp(logps) is 1: with a mean for the sum, or a token
    dropped, it is not."""
    table = some_logits(1, 4, 3)[0]
    texts = torch.cartesian_prod(*[torch.arange(3)] * 3)
    labels = torch.cat([torch.full((27, 1), MASKED), texts], 1)
    assert sequence_logps(
        table.expand(27, 4, 3), labels
    ).exp().sum().item() == pytest.approx(1)


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16])
def test_half_precision_is_summed_in_single(kind: torch.dtype) -> None:
    logits = some_logits(2, 40).to(kind)
    labels = torch.zeros(2, 40, dtype=torch.long)
    assert sequence_logps(logits, labels).dtype == torch.float32
    assert torch.allclose(
        sequence_logps(logits, labels), sequence_logps(logits.float(), labels)
    )


def test_impossible_tokens_and_large_logits() -> None:
    logits = torch.tensor(
        [[[0.0, -math.inf, 0.0], [0.0, 0.0, 0.0]], [[1e4, -1e4, 0.0], [0.0, 0.0, 0.0]]]
    )
    assert sequence_logps(logits, [[MASKED, 0], [MASKED, 1]]).tolist() == pytest.approx(
        [math.log(1 / 2), -2e4]
    )
    assert sequence_logps(logits[:1], [[MASKED, 1]]).item() == -math.inf


def test_the_gradient_is_zero_where_nothing_is_asked() -> None:
    logits = some_logits(1).requires_grad_()
    sequence_logps(logits, [[0, MASKED, 3, 1, MASKED, MASKED]]).sum().backward()
    assert logits.grad is not None
    assert (logits.grad != 0).any(2).tolist() == [
        [False, True, True, False, False, False]
    ]


def test_numpy_lists_and_tensors_are_the_same() -> None:
    logits = some_logits(2, 3)
    labels = [[0, 1, 2], [MASKED, 4, MASKED]]
    expected = sequence_logps(logits, torch.tensor(labels))
    assert torch.equal(sequence_logps(logits.numpy(), np.array(labels)), expected)
    assert torch.equal(sequence_logps(logits.tolist(), labels), expected)


@pytest.mark.parametrize(
    ("shape", "labels", "message"),
    [
        ((1, 3, 5), [[MASKED, MASKED, MASKED]], "leave nothing"),
        (
            (1, 3, 5),
            [[2, MASKED, MASKED]],
            "leave nothing",
        ),  # the first label is never predicted
        ((2, 3, 5), [[0, 1, 2], [MASKED] * 3], r"row 1 \(1 of 2 rows\)"),
        ((1, 1, 5), [[2]], "leave nothing"),
        ((1, 3, 5), [[0, 1]], "got"),
        ((1, 3, 5), [[0, 1, 2, 3]], "got"),
        ((1, 3, 5), [[0, 1, 5]], "vocabulary"),
        ((1, 3, 5), [[0, 1, -1]], "vocabulary"),
        ((1, 3, 5), [[0.0, 1.0, 2.0]], "whole numbers"),
        ((1, 3), [[0, 1, 2]], "logits must be"),
        ((0, 3, 5), torch.zeros(0, 3).long(), "none of them 0"),
    ],
)
def test_what_cannot_be_right_is_refused(
    shape: tuple[int, ...], labels: Any, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        sequence_logps(torch.zeros(shape), labels)


# losses


def test_by_hand() -> None:
    """beta = 1/2. The answers moved by +2 and -4: the margin is 6, beta times it 3, the
    rewards 1 and -2."""
    losses, good, bad = preference_loss([-8.0], [-14.0], [-10.0], [-10.0], beta=0.5)
    assert losses.item() == pytest.approx(math.log(1 + math.exp(-3)))
    assert (good.item(), bad.item()) == (1.0, -2.0)


@given(margin=st.floats(-30, 30), beta=st.floats(0.01, 3), e=st.floats(0, 0.49))
def test_the_formulas(margin: float, beta: float, e: float) -> None:
    right = math.log1p(math.exp(-beta * margin))
    flipped = math.log1p(math.exp(beta * margin))
    near = {"rel": 1e-9, "abs": 1e-9}
    assert loss_of(margin, beta=beta) == pytest.approx(right, **near)
    assert loss_of(margin, beta=beta, label_smoothing=e) == pytest.approx(
        (1 - e) * right + e * flipped, **near
    )
    robust = (right * (1 - e) - flipped * e) / (1 - 2 * e)
    assert loss_of(
        margin, beta=beta, loss="robust", label_smoothing=e
    ) == pytest.approx(robust, **near)
    assert loss_of(margin, beta=beta, loss="ipo") == pytest.approx(
        (margin - 1 / (2 * beta)) ** 2, **near
    )
    assert loss_of(margin, beta=beta, loss="hinge") == pytest.approx(
        max(0.0, 1 - beta * margin), **near
    )


@given(margin=st.floats(-20, 20), e=st.floats(0.01, 0.45))
def test_robust_is_unbiased(margin: float, e: float) -> None:
    """With labels flipped with probability e, its mean is the loss of the true labels:
    what it was made for."""
    right, wrong = (
        loss_of(m, beta=0.3, loss="robust", label_smoothing=e)
        for m in (margin, -margin)
    )
    assert (1 - e) * right + e * wrong == pytest.approx(
        loss_of(margin, beta=0.3), rel=1e-6, abs=1e-9
    )


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("margin", [-1e4, 1e4])
def test_finite_far_out_with_its_gradient(loss: str, margin: float) -> None:
    chosen = torch.tensor([margin], requires_grad=True)
    losses, *_ = preference_loss(chosen, [0.0], [0.0], [0.0], beta=1.0, loss=loss)
    losses.sum().backward()
    assert torch.isfinite(losses).all()
    assert chosen.grad is not None
    assert torch.isfinite(chosen.grad).all()
    if margin < 0:
        assert chosen.grad.item() < 0  # however wrong, it is still pulled up


def test_where_policy_and_reference_agree() -> None:
    """ln 2, no reward, and no accuracy under a strict comparison."""
    logps = torch.tensor([-3.0, -40.0])
    losses, good, bad = preference_loss(logps, logps - 1, logps, logps - 1, beta=0.1)
    assert losses.tolist() == pytest.approx([math.log(2)] * 2)
    assert not (good > bad).any()


def test_an_identical_pair_costs_ln_2_and_moves_nothing() -> None:
    logps = torch.tensor([-3.0], requires_grad=True)
    losses, *_ = preference_loss(logps, logps, [-5.0], [-5.0], beta=0.1)
    losses.sum().backward()
    assert losses.item() == pytest.approx(math.log(2))
    assert logps.grad is not None
    assert logps.grad.item() == 0


@pytest.mark.parametrize(
    ("loss", "e", "minimum"),
    [
        ("ipo", 0.0, 1 / (2 * 0.2)),
        ("dpo", 0.1, math.log(9) / 0.2),
        ("hinge", 0.0, 1 / 0.2),
    ],
)
def test_where_the_loss_is_least(loss: str, e: float, minimum: float) -> None:
    """IPO at 1/(2 beta), conservative DPO at log((1 - e)/e)/beta; the hinge is flat
    from 1/beta on."""
    here, below, above = (
        loss_of(minimum + step, beta=0.2, loss=loss, label_smoothing=e)
        for step in (0.0, -0.01, 0.01)
    )
    assert here < below
    assert here <= above


def test_rewards_and_reference_carry_no_gradient() -> None:
    given_ = [torch.tensor([-1.0], requires_grad=True) for _ in range(4)]
    losses, good, bad = preference_loss(*given_, beta=0.1)
    assert losses.requires_grad
    assert not good.requires_grad
    assert not bad.requires_grad
    losses.sum().backward()
    assert [value.grad is None for value in given_] == [False, False, True, True]


@given(st.lists(st.tuples(FINITE, FINITE, FINITE, FINITE), min_size=1, max_size=5))
def test_a_batch_is_its_pairs_and_kinds_of_input_are_one(
    rows: list[tuple[float, ...]],
) -> None:
    columns = [list(column) for column in zip(*rows, strict=True)]
    together = preference_loss(*columns, beta=0.1)
    arrays = preference_loss(*map(np.array, columns), beta=0.1)
    for a, b in zip(together, arrays, strict=True):
        assert torch.equal(a, b)
    for i, row in enumerate(rows):
        alone = preference_loss(*[[value] for value in row], beta=0.1)
        assert [part.item() for part in alone] == pytest.approx(
            [part[i].item() for part in together]
        )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"beta": 0.0}, "beta"),
        ({"beta": -0.1}, "beta"),
        ({"beta": math.nan}, "beta"),
        ({"beta": math.inf}, "beta"),
        ({"beta": 0.1, "label_smoothing": 0.5}, r"\[0, 0.5\)"),
        ({"beta": 0.1, "label_smoothing": -0.1}, r"\[0, 0.5\)"),
        ({"beta": 0.1, "label_smoothing": math.nan}, r"\[0, 0.5\)"),
        ({"beta": 0.1, "loss": "sigmoid"}, "dpo, ipo, hinge, robust"),
        ({"beta": 0.1, "loss": "ipo", "label_smoothing": 0.1}, "no meaning with ipo"),
        (
            {"beta": 0.1, "loss": "hinge", "label_smoothing": 0.1},
            "no meaning with hinge",
        ),
    ],
)
def test_options_out_of_range_are_refused(
    options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        preference_loss([-1.0], [-2.0], [-1.0], [-2.0], **options)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (([-1.0, -1.0], [-1.0], [-1.0], [-1.0]), "one shape"),
        (([-1.0], [-1.0], [[-1.0]], [-1.0]), "one shape"),
        (([-1.0], [math.nan], [-1.0], [-1.0]), "policy_rejected must be finite"),
        (([-1.0], [-1.0], [-1.0], [-math.inf]), "reference_rejected must be finite"),
        ((["a"], [-1.0], [-1.0], [-1.0]), "policy_chosen must be numbers"),
    ],
)
def test_values_that_cannot_be_right_are_refused(
    values: tuple[Any, ...], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        preference_loss(*values, beta=0.1)


def test_the_weight_is_that_of_the_gradient() -> None:
    margin = torch.tensor([-300.0, -2.0, 0.0, 3.0, 300.0], requires_grad=True)
    zero = torch.zeros(5)
    losses, _, _ = preference_loss(margin, zero, zero, zero, beta=0.7)
    losses.sum().backward()
    assert margin.grad is not None
    weight = gradient_weight(margin.detach(), 0.7)
    assert torch.allclose(margin.grad, -0.7 * weight)
    assert (weight >= 0).all()
    assert (weight <= 1).all()
    for wrong in (0.0, -1.0, math.nan):
        with pytest.raises(ValueError, match="beta"):
            gradient_weight([0.0], wrong)


def test_true_and_false_are_no_log_probabilities():
    for pairs in ([True, False], np.array([True, False])):
        with pytest.raises(ValueError, match="policy_chosen must be real numbers"):
            preference_loss(pairs, [0, 0], [0, 0], [0, 0], beta=0.1)


@pytest.mark.parametrize("kind", [Decimal, Fraction, np.array, torch.tensor])
def test_beta_may_be_any_number(kind: Any) -> None:
    """0.5 * 2 and 0.5 * -4, as in the docstring."""
    logps = ([-8], [-14], [-10], [-10])
    smoothing = kind(0.25)
    for loss in ("dpo", "ipo", "hinge"):
        options = {"label_smoothing": smoothing} if loss == "dpo" else {}
        found = preference_loss(*logps, beta=kind(0.5), loss=loss, **options)
        assert [found[1].item(), found[2].item()] == [1, -2]
    assert gradient_weight([0.0], kind(0.5)).tolist() == [0.5]
    policy = optimal_policy([0.5, 0.5], [math.log(3) / 2, 0.0], kind(0.5))
    assert policy.tolist() == pytest.approx([0.75, 0.25])
