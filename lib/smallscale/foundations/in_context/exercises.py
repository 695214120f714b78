"""Is the answer right, and if not, why? Checks for exercises on learning in context.

Each check returns a sentence.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Generator, Tensor

from smallscale.foundations.in_context.baselines import least_squares
from smallscale.foundations.in_context.functions import draw_prompts, relative_error
from smallscale.notebook.exercises import NOT_YET, matching_message

RIGHT_ERROR = (
    "Right: each example takes one of the d dimensions away, until none is left."
)
RIGHT_RIDGE = (
    "Right: with no penalty it is least squares, with a large one it answers 0."
)
RIGHT_LEARNER = (
    "Right: {ours:.3f} of the error of answering 0, where {beat:.3f} was to beat."
)


def check_expected_error(expected: Callable[[int, int], Any]) -> str:
    """Check a function (examples, d) -> the expected error of minimum-norm least
    squares as a share of that of answering 0."""
    places = [(0, 5), (1, 5), (4, 5), (5, 5), (9, 5), (3, 20), (25, 20)]
    said = [expected(k, d) for k, d in places]
    if all(value is None for value in said):
        return NOT_YET

    def each(rule: Callable[[int, int], float]) -> list[float]:
        return [rule(k, d) for k, d in places]

    return matching_message(
        said,
        {
            RIGHT_ERROR: each(lambda k, d: max(0.0, 1 - k / d)),
            "Almost: it falls below 0 once there are more examples than dimensions. An "
            "error cannot.": each(lambda k, d: 1 - k / d),
            "That is the share that is known. The error is what is not.": each(
                lambda k, d: min(1.0, k / d)
            ),
            "The error is a mean of squares: w is known in k of d directions, and the "
            "squares of the others add up. No root, no further square.": each(
                lambda k, d: max(0.0, 1 - k / d) ** 0.5
            ),
            "Squared once too often: the share of directions not seen is already the "
            "share of the squared error.": each(lambda k, d: max(0.0, 1 - k / d) ** 2),
            "That holds for noisy examples and many of them. Here there is no noise: "
            "k examples fix k directions of w exactly.": each(lambda k, d: 1 / (1 + k)),
            "Right for five dimensions only: use d.": each(
                lambda k, d: max(0.0, 1 - k / 5)
            ),
        },
        shape="Return one number for each call.",
        otherwise="Compare with the dotted line of the first figure at 0, 1 and d "
        "examples. How many directions of w does one example tell?",
    )


def check_ridge(ridge: Callable[[Tensor, Tensor, Tensor, float], Any]) -> str:
    """Check a function (X, y, x, penalty) -> the prediction of ridge regression at x.

    X: (k, d), y: (k,), x: (d,). It is x . (X^T X + penalty I)^-1 X^T y.
    """
    generator = Generator().manual_seed(1)
    cases = []
    for k, d, penalty in ((6, 3, 0.5), (2, 4, 2.0), (9, 2, 0.1)):
        X = torch.randn(k, d, generator=generator)
        cases.append(
            (X, X @ torch.randn(d, generator=generator), torch.ones(d), penalty)
        )
    said = [
        ridge(X.clone(), y.clone(), x.clone(), penalty) for X, y, x, penalty in cases
    ]
    if any(value is None for value in said):
        return NOT_YET

    def each(rule: Callable[[Tensor, Tensor, Tensor, float], Tensor]) -> list[float]:
        return [float(rule(*case)) for case in cases]

    def solved(X: Tensor, y: Tensor, x: Tensor, shift: float) -> Tensor:
        value: Tensor = x @ torch.linalg.solve(
            X.T @ X + shift * torch.eye(X.shape[1]), X.T @ y
        )
        return value

    return matching_message(
        [float(value) for value in said],
        {
            RIGHT_RIDGE: each(solved),
            "The penalty plays no part: this is least squares.": each(
                lambda X, y, x, penalty: x @ (torch.linalg.pinv(X) @ y)
            ),
            "The penalty was divided by the number of examples, or X^T X by it alone; "
            "the formula takes the sum.": each(
                lambda X, y, x, penalty: solved(X, y, x, penalty * len(X))
            ),
            "The penalty was squared.": each(
                lambda X, y, x, penalty: solved(X, y, x, penalty**2)
            ),
            "The penalty has the wrong sign: it must make the matrix larger.": each(
                lambda X, y, x, penalty: solved(X, y, x, -penalty)
            ),
            "That is X^T y without the inverse: averaging, not ridge.": each(
                lambda X, y, x, penalty: x @ (X.T @ y)
            ),
            "Always 0: that is the penalty at infinity.": [0.0] * len(cases),
        },
        shape="Return one number: the prediction at x.",
        otherwise="The numbers differ. Solve (X^T X + penalty I) w = X^T y, and return "
        "w . x.",
    )


def check_learner(learner: Callable[[Tensor, Tensor], Any] | None, beat: float) -> str:
    """Check a learner on noisy examples against an error to beat.

    learner: x (n, points, d), y (n, points) -> predictions (n, points), the i-th from
    the examples before it. beat: the error, at the last place, of least squares there.
    It is judged on fresh prompts, and must not look at the answer it is to give.
    """
    if learner is None:
        return NOT_YET
    generator = Generator().manual_seed(2024)
    prompts = draw_prompts(2000, 11, 5, shift="noisy examples", generator=generator)
    said = learner(prompts.x.clone(), prompts.shown.clone())
    if said is None:
        return NOT_YET
    predictions = torch.as_tensor(said)
    if predictions.shape != prompts.asked.shape:
        return (
            f"It must return predictions (n, points) = {tuple(prompts.asked.shape)}; "
            f"got {tuple(predictions.shape)}."
        )
    later = prompts.shown.clone()
    later[:, -1] += 100
    changed = torch.as_tensor(learner(prompts.x.clone(), later))
    if not torch.allclose(changed[:, -1], predictions[:, -1], atol=1e-3):
        return (
            "It looks at the answer that it is to give: the last y was changed, and it "
            "followed."
        )
    squares = relative_error(least_squares(prompts.x, prompts.shown), prompts)
    ours = float(relative_error(predictions, prompts)[-1])
    if ours != ours:
        return "It returns NaN."
    goal = min(beat, 0.9 * float(squares[-1]))
    if ours > goal:
        return (
            f"{ours:.3f} of the error of answering 0, where {goal:.3f} was to beat. "
            "Least squares trusts every example; these have noise. What would a "
            "penalty on w do?"
        )
    return RIGHT_LEARNER.format(ours=ours, beat=goal)
