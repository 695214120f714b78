"""Is the answer right, and if not, why? Checks for the exercises of the theme's notebooks; each returns a sentence."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from smallscale.robustness.images.curves import Attack
from smallscale.robustness.images.norms import direction, l2_norm
from smallscale.robustness.reading.reader import Reads, answers
from smallscale.robustness.reading.squad import (
    Dataset,
    asked,
    f1,
    gold_texts,
    normalize_answer,
)
from smallscale.robustness.shift.groups import Striped, worst_group_accuracy
from smallscale.training.evaluation import Model, accuracy, correct

NOT_YET = "Not answered yet."
TOLERANCE = 1e-5


def first_mistake(
    answer: Any, like: Tensor, name: str, known: dict[str, Tensor]
) -> str | None:
    """No answer yet, none of the shape of `like`, or one of the wrong answers that are known by what to say to them."""
    if answer is None:
        return NOT_YET
    if not isinstance(answer, Tensor) or answer.shape != like.shape:
        return (
            f"The answer must be a tensor of the shape of {name}, {tuple(like.shape)}."
        )
    return next(
        (
            said
            for said, wrong in known.items()
            if torch.allclose(answer, wrong, atol=TOLERANCE)
        ),
        None,
    )


def check_l2_step(step: Callable[[Tensor], Any]) -> str:
    """Check a function that turns gradients (batch, channels, height, width) into steps of l2 length 1 each."""
    generator = torch.Generator().manual_seed(0)
    gradient = torch.randn(3, 1, 4, 4, generator=generator) * torch.tensor(
        [0.1, 1.0, 10.0]
    ).view(3, 1, 1, 1)
    answer = step(gradient.clone())
    linf = "That is the step for linf: every pixel moves by the same amount, so its l2 length is 4 here, not 1."
    whole = "The whole batch was divided by one length. Each image has its own: flatten it, and take its norm."
    known = {linf: gradient.sign(), whole: gradient / gradient.norm()}
    if mistake := first_mistake(answer, gradient, "the gradients", known):
        return mistake
    lengths = l2_norm(answer)
    if not torch.allclose(lengths, torch.ones(3), atol=1e-4):
        return f"The steps' l2 lengths are {', '.join(f'{length:.2f}' for length in lengths)}; each should be 1."
    if not torch.allclose(answer, direction(gradient, "l2"), atol=1e-4):
        return "The lengths are right, the directions are not: a step points along the gradient, uphill in the loss."
    if not torch.isfinite(step(torch.zeros(1, 1, 4, 4))).all():
        return "Almost: a gradient of zeros gives NaN. Keep the length you divide by away from zero."
    return "Right: length 1, along the gradient, and no NaN where the gradient is zero."


def check_attack(
    attack: Attack,
    model: Model,
    images: Tensor,
    labels: Tensor,
    eps: float,
    *,
    beat: float,
) -> str:
    """Check an linf attack(model, images, labels, eps): inside the ball and [0, 1], and below accuracy `beat`."""
    answer = attack(model, images.clone(), labels, eps)
    if mistake := first_mistake(answer, images, "the images", {}):
        return mistake
    if not torch.isfinite(answer).all():
        return "Some pixels are not finite."
    largest = float((answer - images).abs().max())
    if largest > eps + TOLERANCE:
        return f"A pixel changed by {largest:.3f}, outside the ball of radius {eps:g} around the original image."
    if answer.min() < 0 or answer.max() > 1:
        return "Some pixels left [0, 1]: no camera could have taken such an image. Clamp at the end."
    reached = accuracy(model, answer, labels)
    if reached >= beat:
        return f"Inside the rules, but accuracy is {reached:.2f}, and the goal is below {beat:.2f}."
    return f"Right: accuracy fell to {reached:.2f}, below {beat:.2f}, inside the ball."


def check_group_weights(weights: Callable[[Tensor, Tensor, float], Any]) -> str:
    """Check a function (q, losses, eta) -> new weights (groups,), after algorithm 1 of Sagawa et al. 2020."""
    q, losses = torch.tensor([0.5, 0.25, 0.25]), torch.tensor([0.0, 0.0, 1.0])
    answer = weights(q.clone(), losses.clone(), 2.0)
    raised, lowered = q * (2 * losses).exp(), q * (-2 * losses).exp()
    summed = f"The factors are right, but the weights sum to {raised.sum():.2f}, not 1: divide by their sum."
    forgot = "The old weights were forgotten: a group that was hard for many steps must stay heavy. Multiply by q."
    turned = "The sign is wrong: the group with the largest loss became the lightest."
    known = {
        summed: raised,
        forgot: (2 * losses).softmax(0),
        turned: lowered / lowered.sum(),
    }
    if mistake := first_mistake(answer, q, "q", known):
        return mistake
    if not torch.allclose(answer, raised / raised.sum(), atol=TOLERANCE):
        return f"For q {q.tolist()}, losses {losses.tolist()}, eta 2 the weights differ; compare with the equation."
    if not torch.isfinite(weights(q, 1000 * losses, 2.0)).all():
        return "Almost: a loss of 1000 gives NaN. Before exp subtract the largest exponent from all; the rest stays."
    return "Right: the group with the largest loss gains, the weights sum to 1, and a large loss does no harm."


def check_worst_group(
    train: Callable[[Tensor, Tensor], Any],
    seen: Striped,
    test: Striped,
    *,
    beat: float,
    average: float,
) -> str:
    """Check train(images, labels) -> model, which is told no groups: worst group above `beat`, mean above `average`.

    The mean is over the images of `test`.
    """
    model = train(seen.images.clone(), seen.labels.clone())
    if model is None:
        return NOT_YET
    right = correct(model, test.images, test.labels)
    worst, mean = worst_group_accuracy(right, test.groups), float(right.double().mean())
    if worst <= beat:
        return f"The worst group is at {worst:.2f}, and the goal is above {beat:.2f}."
    if mean < average:
        return f"The worst group is at {worst:.2f}, but the mean over all fell to {mean:.2f}, below {average:.2f}."
    return f"Right: the worst group is at {worst:.2f} and the mean at {mean:.2f}, with no group labels in training."


def check_f1(score: Callable[[str, str], Any]) -> str:
    """Check score(prediction, gold), SQuAD's F1 of two texts, in [0, 1]."""
    cases = json.loads(
        (Path(__file__).parents[1] / "reading" / "f1_cases.json").read_text("utf-8")
    )
    for prediction, gold, why in cases:
        answer = score(prediction, gold)
        if answer is None:
            return NOT_YET
        if abs(float(answer) - f1(prediction, [gold])) > TOLERANCE:
            return f"For {prediction!r} against {gold!r} you have {float(answer):.3f}. {why}"
    return "Right, on repeats, order, articles and empty texts too."


def check_sentences(
    attack: Callable[[str, str, str], Any],
    reader: Reads,
    dataset: Dataset,
    *,
    beat: float,
    longest: int = 20,
) -> str:
    """Check attack(passage, question, answer) -> a sentence, which appended takes the reader's F1 below `beat` percent.

    The sentence must not hold the answer, nor be longer than `longest` words: a person must still find the answer.
    """
    attacked = []
    for context, qa in asked(dataset):
        gold = gold_texts(qa)[0]
        sentence = attack(context, qa["question"], gold)
        if sentence is None:
            return NOT_YET
        if not isinstance(sentence, str) or len(sentence.split()) > longest:
            return f"For {qa['question']!r}: return one sentence of at most {longest} words."
        if f" {normalize_answer(gold)} " in f" {normalize_answer(sentence)} ":
            return f"For {qa['question']!r}: the sentence holds the answer, {gold!r}, so reading it would be right."
        attacked.append({"context": f"{context} {sentence}", "qas": [qa]})
    read = answers(reader, {"version": "1.1", "data": [{"paragraphs": attacked}]})
    reached = (
        100
        * sum(f1(read[qa["id"]], gold_texts(qa)) for _, qa in asked(dataset))
        / len(attacked)
    )
    if reached >= beat:
        return f"Inside the rules, but F1 is {reached:.0f}, and the goal is below {beat:.0f}."
    return f"Right: F1 fell to {reached:.0f}, below {beat:.0f}."
