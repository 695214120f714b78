"""Is the answer right, and if not, why? The exercises on learning from pairs.

Each check takes an answer and returns a sentence.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from smallscale.dpo.frontier import PreferenceData
from smallscale.dpo.losses import preference_loss
from smallscale.dpo.reviews import Reviews, measure, review_distribution
from smallscale.notebook.exercises import NOT_YET, matching_message

RIGHT_LOSS = "Right: ln 2 where nothing moved, and finite however far it is from there."


def check_loss(loss: Callable[..., Any]) -> str:
    """Check a DPO loss(policy_chosen, policy_rejected, reference_chosen,
    reference_rejected, beta) -> (pairs,)."""
    policy_chosen = torch.tensor([-3.0, -9.0])
    policy_rejected = torch.tensor([-5.0, -4.0])
    reference_chosen = torch.tensor([-4.0, -8.5])
    reference_rejected = torch.tensor([-4.5, -6.0])
    given = (policy_chosen, policy_rejected, reference_chosen, reference_rejected)
    turned = (policy_rejected, policy_chosen, reference_rejected, reference_chosen)
    unmoved = (policy_chosen, policy_rejected, torch.zeros(2), torch.zeros(2))
    beta = 0.3
    answer = loss(*(logps.clone() for logps in given), beta)
    shape = (
        "The loss must be a tensor with a value for each pair: no mean over the batch."
    )
    if answer is None:
        return NOT_YET
    if not isinstance(answer, Tensor):
        return shape

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
    }
    otherwise = (
        f"For {[logps.tolist() for logps in given]} and beta {beta} the losses should "
        f"be {right.tolist()}; got {answer.tolist()}."
    )
    said = matching_message(answer, messages, shape=shape, otherwise=otherwise)
    if said == RIGHT_LOSS and not _finite_far_out(loss):
        return (
            "Almost: at a margin of -10,000 it is not finite. torch has a function for "
            "log sigmoid(x) as a whole."
        )
    return said


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
    `beat`, within KL `most_kl` of the reference."""
    trained = train(policy, data.texts, data.pairs)
    if trained is None:
        return NOT_YET
    found = measure(review_distribution(trained, world), data.reference, world)
    where = (
        f"a true reward of {found['reward']:.2f} at KL {found['kl']:.2f}, "
        f"{found['off']:.0%} of it no review"
    )
    if found["kl"] > most_kl:
        return f"Too far from the reference: {where}; KL may be {most_kl:.2f} at most."
    if found["reward"] <= beat:
        return f"Not yet: {where}; the goal is above {beat:.2f}."
    return f"Right: {where}, from pairs alone."
