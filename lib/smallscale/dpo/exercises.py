"""Is the answer right, and if not, why? Checks for the exercises of the theme's notebooks; each returns a sentence."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from smallscale.dpo.frontier import Judged
from smallscale.dpo.losses import preference_loss
from smallscale.dpo.reviews import Reviews, distribution, measure

NOT_YET = "Not answered yet."


def check_loss(loss: Callable[..., Any]) -> str:
    """Check a DPO loss(policy_chosen, policy_rejected, reference_chosen, reference_rejected, beta) -> (pairs,)."""
    # A row each: policy chosen, policy rejected, reference chosen, reference rejected.
    logps, beta = (
        torch.tensor([[-3.0, -9.0], [-5.0, -4.0], [-4.0, -8.5], [-4.5, -6.0]]),
        0.3,
    )
    answer = loss(*logps.clone(), beta)
    if answer is None:
        return NOT_YET
    if not isinstance(answer, Tensor) or answer.shape != (2,):
        return "The loss must be a tensor with a value for each pair: no mean over the batch."
    right, still = preference_loss(*logps, beta=beta)[0], torch.zeros(2, 2)
    missing = "The reference is missing: what counts is how far each answer moved."
    mistakes = {
        "Chosen and rejected are the wrong way round.": preference_loss(
            *logps[[1, 0, 3, 2]], beta=beta
        )[0],
        missing: preference_loss(*logps[:2], *still, beta=beta)[0],
        "beta is missing: it multiplies the margin.": preference_loss(*logps, beta=1.0)[
            0
        ],
        "That is minus the loss: it is minimised.": -right,
    }
    for words, wrong in mistakes.items():
        if torch.allclose(answer, wrong, atol=1e-5):
            return words
    if not torch.allclose(answer, right, atol=1e-5):
        return f"For {logps.tolist()} and beta {beta} the losses should be {right.tolist()}; got {answer.tolist()}."
    if not torch.isfinite(
        loss(*torch.tensor([[-1e4], [0.0], [0.0], [0.0]]), 1.0)
    ).all():
        return "Almost: at a margin of -10,000 it is not finite. torch has a function for log sigmoid(x) as a whole."
    return "Right: ln 2 where nothing moved, and finite however far it is from there."


def check_training(
    train: Callable[..., Any],
    policy: nn.Module,
    judged: Judged,
    world: Reviews,
    *,
    beat: float,
    most_kl: float,
) -> str:
    """Check train(policy, texts, pairs) -> policy: a mean true reward above `beat` within KL `most_kl`."""
    trained = train(policy, judged.texts, judged.pairs)
    if trained is None:
        return NOT_YET
    found = measure(distribution(trained, world), judged.start, world)
    where = f"a true reward of {found['reward']:.2f} at KL {found['kl']:.2f}, {found['off']:.0%} of it no review"
    if found["kl"] > most_kl:
        return f"Too far from the reference: {where}; KL may be {most_kl:.2f} at most."
    if found["reward"] <= beat:
        return f"Not yet: {where}; the goal is above {beat:.2f}."
    return f"Right: {where}, from pairs alone."
