"""Is the answer right, and if not, why? The exercises on learning from pairs.

Each check takes an answer and returns a sentence.
"""

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from smallscale.dpo.frontier import PreferenceData
from smallscale.dpo.losses import gradient_weight, preference_loss
from smallscale.dpo.reviews import Reviews, measure, review_distribution
from smallscale.notebook.exercises import NOT_YET, matching_message

RIGHT_WEIGHT = "Right: one half where nothing moved, and most where a pair is wrong."
RIGHT_LOSS = "Right: ln 2 where nothing moved, and finite however far it is from there."
WEIGHT_SHAPE = "The weights must be an array or a tensor, a number for each margin."
LOSS_SHAPE = (
    "The loss must be a tensor with a value for each pair: no mean over the batch."
)
HARD_CODED = "For other numbers that is wrong: compute it from what is given."


def check_weight(weight: Callable[..., Any]) -> str:
    """Check weight(margin, beta) -> (pairs,), the factor sigmoid(-beta margin)."""
    said = _weight_message(weight, torch.tensor([-4.0, 0.0, 1.0, 5.0]), 0.4)
    if said != RIGHT_WEIGHT:
        return said
    other = _weight_message(weight, torch.tensor([2.0, -1.0, 0.5]), 2.0)
    return said if other == RIGHT_WEIGHT else HARD_CODED


def _weight_message(weight: Callable[..., Any], margin: Tensor, beta: float) -> str:
    """Return what a weight function's answer for these margins deserves to hear."""
    right = gradient_weight(margin, beta)
    loss = -nn.functional.logsigmoid(beta * margin)
    messages = {
        RIGHT_WEIGHT: right,
        "The sign is the wrong way round: a pair that is already in order is to be "
        "pulled at less.": 1 - right,
        "beta is missing inside the sigmoid.": gradient_weight(margin, 1.0),
        "beta stands in front of the weight in the gradient; the weight itself is in "
        "(0, 1).": beta * right,
        "That is the loss. The weight comes from its derivative.": loss,
        "That is the whole derivative by h, with its sign and beta; only the factor "
        "in (0, 1) is asked for.": -beta * right,
        "That is the derivative of the sigmoid. The loss has a logarithm before "
        "it.": right * (1 - right),
    }
    answer = weight(margin.clone(), beta)
    otherwise = (
        f"For margins {margin.tolist()} and beta {beta} the weights should be "
        f"{[round(w, 4) for w in right.tolist()]}."
    )
    return matching_message(answer, messages, shape=WEIGHT_SHAPE, otherwise=otherwise)


def check_loss(loss: Callable[..., Any]) -> str:
    """Check a DPO loss(policy_chosen, policy_rejected, reference_chosen,
    reference_rejected, beta) -> (pairs,)."""
    given = torch.tensor([[-3.0, -9.0], [-5.0, -4.0], [-4.0, -8.5], [-4.5, -6.0]])
    said = _loss_message(loss, given, 0.3)
    if said != RIGHT_LOSS:
        return said
    others = torch.tensor([[-7.0, -2.0, -6.0], [-1.0, -3.0, -8.0]])
    others = torch.cat([others, others.flip(1) - 0.5])
    if _loss_message(loss, others, 1.7) != RIGHT_LOSS:
        return HARD_CODED
    if not _finite_far_out(loss):
        return (
            "Almost: at a margin of -10,000 it is not finite. torch has a function for "
            "log sigmoid(x) as a whole."
        )
    return said


def _loss_message(loss: Callable[..., Any], given: Tensor, beta: float) -> str:
    """Return what a loss's answer for these log-probabilities (4, pairs) deserves."""
    policy_chosen, policy_rejected, reference_chosen, reference_rejected = given
    turned = (policy_rejected, policy_chosen, reference_rejected, reference_chosen)
    nothing = torch.zeros_like(policy_chosen)
    unmoved = (policy_chosen, policy_rejected, nothing, nothing)
    answer = loss(*given.clone(), beta)
    if answer is None:
        return NOT_YET
    if not isinstance(answer, Tensor):
        return LOSS_SHAPE

    def dpo(*logps: Tensor, beta: float = beta) -> Tensor:
        return preference_loss(*logps, beta=beta)[0]

    right = dpo(*given)
    messages = {
        RIGHT_LOSS: right,
        "Chosen and rejected are the wrong way round.": dpo(*turned),
        "The reference is missing: what counts is how far each answer moved.": dpo(
            *unmoved
        ),
        "beta is missing: it multiplies the margin.": dpo(*given, beta=1.0),
        "That is minus the loss: it is minimised.": -right,
        "The logarithm is missing: that is how surely the pair is in order.": torch.exp(
            -right
        ),
    }
    otherwise = (
        f"For {[logps.tolist() for logps in given]} and beta {beta} the losses should "
        f"be {right.tolist()}; got {answer.tolist()}."
    )
    return matching_message(answer, messages, shape=LOSS_SHAPE, otherwise=otherwise)


def _finite_far_out(loss: Callable[..., Any]) -> bool:
    """Say whether a loss is finite at a margin of -10,000."""
    zero = torch.zeros(1)
    far = loss(torch.tensor([-1e4]), zero, zero, zero, 1.0)
    return bool(torch.isfinite(far).all())


def check_training(
    train: Callable[..., Any],
    policy: nn.Module,
    data: PreferenceData,
    world: Reviews,
    *,
    beat: float,
    most_kl: float,
) -> str:
    """Check train(policy, texts, pairs) -> policy: its mean true reward must be above
    `beat`, within KL `most_kl` of the reference.

    It is asked a second time, with every pair turned around: what learns from the pairs
    must then write worse texts than the reference. An answer that asks for the true
    reward, or has its words written into it, does not.
    """

    def measured(pairs: Any) -> dict[str, float] | None:
        trained = train(copy.deepcopy(policy), data.texts, pairs)
        if trained is None:
            return None
        return measure(review_distribution(trained, world), data.reference, world)

    found = measured(data.pairs)
    if found is None:
        return NOT_YET
    where = (
        f"a true reward of {found['reward']:.2f} at KL {found['kl']:.2f}, "
        f"{found['off']:.0%} of it no review"
    )
    if found["kl"] > most_kl:
        return f"Too far from the reference: {where}; KL may be {most_kl:.2f} at most."
    if found["reward"] <= beat:
        return f"Not yet: {where}; the goal is above {beat:.2f}."
    before = measure(data.reference, data.reference, world)["reward"]
    turned = measured(data.pairs[:, ::-1].copy())
    if turned is None or turned["reward"] >= before:
        return (
            f"The goal is met, but not from the pairs: {where}, and with every label "
            "turned around the policy should write worse reviews than the reference, "
            "and does not."
        )
    return f"Right: {where}, from pairs alone."
