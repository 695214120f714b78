"""Is the answer right, and if not, why? Checks for the exercises on influence."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from smallscale.attribution.scores.lds import lds
from smallscale.core.validation import as_array
from smallscale.notebook.exercises import NOT_YET, matching_message

InfluenceAnswer = Callable[[Tensor, Tensor, Tensor, float], Any]


def check_influence(answer: InfluenceAnswer) -> str:
    """Return a sentence on a function that computes influence from its parts.

    answer(train_gradients (n, p), test_gradients (m, p), H (p, p), weight_decay) ->
    scores (n, m). It is tried on one example.

    >>> check_influence(lambda train, test, H, weight_decay: None)
    'Not answered yet.'
    """
    generator = torch.Generator().manual_seed(0)
    n, m, p = 7, 2, 3
    train = torch.randn(n, p, generator=generator)
    test = torch.randn(m, p, generator=generator)
    root = torch.randn(p, p, generator=generator)
    identity = torch.eye(p)
    H = root @ root.T + identity
    right = train @ torch.linalg.inv(H + 0.5 * identity) @ test.T / n
    no_penalty = train @ torch.linalg.inv(H) @ test.T / n
    everywhere = train @ torch.linalg.inv(H + 0.5) @ test.T / n
    no_inverse = train @ (H + 0.5 * identity) @ test.T / n
    products = train @ test.T / n
    messages = {
        "Right: gradient, inverse, gradient, and the weight that removing takes "
        "away.": right,
        "The sign is wrong: positive means that the point helps, so that the loss is "
        "higher without it.": -right,
        "Too large by n: in a mean over n a point has weight 1/n, and that is what "
        "removing takes away.": n * right,
        "The penalty has a Hessian too: weight_decay times I.": no_penalty,
        "weight_decay goes on the diagonal alone: H + 0.5 adds it to every "
        "entry.": everywhere,
        "That multiplies by H: the formula has its inverse.": no_inverse,
        "That is the dot product of the gradients: the inverse of H between them is "
        "missing.": products,
    }
    scores = answer(train.clone(), test.clone(), H.clone(), 0.5)
    if scores is not None and as_array("scores", scores).shape == (m, n):
        return (
            "The scores lie on their side: there must be a row for each training "
            "point, and a column for each test point."
        )
    return matching_message(
        scores,
        messages,
        shape="The scores must be (n, m): a row for each training point, a column for "
        "each test point.",
        otherwise="The scores differ from the equation's; write it out for one "
        "training and one test point.",
    )


def check_scores(scores: Any, masks: Any, outputs: Any, *, beat: float) -> str:
    """Return a sentence on the reader's own scores, whose LDS must exceed `beat`.

    scores: (n_train, n_test). masks, outputs: as for `lds`.

    >>> check_scores(None, [[1]], [[0.0]], beat=0.5)
    'Not answered yet.'
    """
    if scores is None:
        return NOT_YET
    try:
        reached = lds(scores, masks, outputs)
    except ValueError as error:
        return f"These cannot be scored: {error}."
    if reached < -beat:
        return (
            f"The LDS is {reached:.2f}: right but for the sign. Positive means that "
            "the training point helps."
        )
    start = "Right: the" if reached > beat else "The"
    return f"{start} LDS is {reached:.2f}, and the goal is above {beat:.2f}."
