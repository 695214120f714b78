"""Which of two texts is better, when nobody knows where they come from?

A language model judges by which letter it finds likelier, A or B. A class judges on a
printed form. Both see the same pairs, and neither sees which condition wrote which.
"""

from collections.abc import Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np

from smallscale.core.templates import template
from smallscale.core.validation import one_of, require, same_length
from smallscale.models import RecordedModel

CHOICES = ("first", "second", "neither")
LETTERS = ("A", "B", "=")  # what a class writes down
NOTHING = "N/A"  # in place of both texts: whatever is said then is bias
RESAMPLES = 2000  # of the bootstrap
# Shown before each pair. The better one is once B and once A.
EXAMPLES = (
    (
        "Which answer is more like a real person's?",
        "I the the bread yes of.",
        "I bake bread in the morning, and then I open the shop.",
        "B",
    ),
    (
        "Which answer is more like a real person's?",
        "On Sunday I walk along the river with my sister.",
        "Sunday Sunday Sunday is the is.",
        "A",
    ),
)
FORM_TEMPLATE = template("simulation/words/form.html.j2")


class Pair(NamedTuple):
    """Two texts to choose from. The one who judges is not told which is which."""

    question: str
    first: str
    second: str


class Verdict(NamedTuple):
    """What the model prefers: one of CHOICES, "neither" where its two answers differ.

    margin: in nats, above 0 for the first text, the mean over both orders.
    """

    choice: str
    margin: float


class Form(NamedTuple):
    """A form to print, and its key, which whoever fills it in must not see.

    order: the number of the pair in each of the form's rows. swapped: whether the
    pair's second text stands as A there.
    """

    html: str
    text: str
    order: list[int]
    swapped: list[bool]


def judging_prompt(question: str, a: str, b: str) -> str:
    """Return a pair as a text that goes on with the letter of the better one."""
    shown = [_case(*example[:3]) + f" {example[3]}\n\n" for example in EXAMPLES]
    return "".join(shown) + _case(question, a, b)


def _case(question: str, a: str, b: str) -> str:
    return f"{question}\nA: {_line(a)}\nB: {_line(b)}\nBetter:"


def _line(text: str) -> str:
    """Return a text on one line: it cannot write a line of the prompt's own."""
    return " ".join(text.split())


def judge(model: RecordedModel, pairs: Sequence[Pair]) -> list[Verdict]:
    """Return which text of each pair a language model prefers:

        d(a, b) = log p(A | a, b) - log p(B | a, b) - [the same of N/A, N/A]
        margin  = (d(first, second) - d(second, first)) / 2

    What is subtracted is what the model would say whatever it read (Zhao et al. 2021).
    The text chosen is the one that both orders choose.
    """
    prompts = []
    for question, first, second in pairs:
        prompts += [
            judging_prompt(question, first, second),
            judging_prompt(question, second, first),
            judging_prompt(question, NOTHING, NOTHING),
        ]
    if not prompts:
        return []
    logps = model.option_logps(prompts, [" A", " B"])
    odds = (logps[:, 0] - logps[:, 1]).reshape(-1, 3).tolist()
    verdicts = []
    for straight, turned, bias in odds:
        one_way = straight - bias
        other_way = bias - turned  # turned to the first text's side
        agree = one_way * other_way > 0
        choice = ("first" if one_way > 0 else "second") if agree else "neither"
        verdicts.append(Verdict(choice, (one_way + other_way) / 2))
    return verdicts


def blind_form(pairs: Sequence[Pair], *, title: str, seed: int = 0) -> Form:
    """Return a form on which a class chooses between the same pairs, in an order and
    on sides drawn from the seed. Keep the key: `read_form` needs it.
    """
    random = np.random.default_rng(seed)
    order = [int(i) for i in random.permutation(len(pairs))]
    swapped = [bool(side) for side in random.integers(0, 2, len(pairs))]
    rows = []
    for i, turn in zip(order, swapped, strict=True):
        question, first, second = pairs[i]
        rows.append((question, second, first) if turn else (question, first, second))
    lines = [title, ""]
    for number, (question, a, b) in enumerate(rows, 1):
        lines += [f"{number}. {question}", f"   A: {_line(a)}", f"   B: {_line(b)}"]
        lines += ["   [ ] A   [ ] B   [ ] =", ""]
    html = FORM_TEMPLATE.render(title=title, rows=rows)
    return Form(html, "\n".join(lines), order, swapped)


def read_form(form: Form, answers: Sequence[str]) -> list[str]:
    """Return what somebody chose, one of CHOICES for each pair in the pairs' order.

    answers: "A", "B" or "=" for each row of the form, in its order.
    """
    same_length(answers=answers, rows=form.order)
    chosen = [""] * len(answers)
    rows = zip(form.order, form.swapped, answers, strict=True)
    for pair, turned, answer in rows:
        place = LETTERS.index(one_of("answers", answer, LETTERS))
        chosen[pair] = CHOICES[1 - place if turned and place < 2 else place]
    return chosen


def cohens_kappa(one: Sequence[str], other: Sequence[str]) -> float:
    """Return how far two who judged agree beyond chance (Cohen 1960):

        kappa = (p_o - p_e) / (1 - p_e)

    with p_o the share on which they agree, and p_e the share on which they would if
    each chose at random as often as they do. NaN where both always choose the same.

    >>> cohens_kappa(["first", "second", "first"], ["first", "second", "second"])
    0.4
    """
    n = same_length(one=one, other=other)
    p_o = sum(a == b for a, b in zip(one, other, strict=True)) / n
    p_e = sum(
        list(one).count(choice) * list(other).count(choice) for choice in {*one, *other}
    ) / (n * n)
    return round((p_o - p_e) / (1 - p_e), 12) if p_e < 1 else float("nan")


def kappa_interval(
    one: Sequence[str], other: Sequence[str], *, seed: int = 0
) -> tuple[float, float, float]:
    """Return Cohen's kappa and its 95 % interval, by a bootstrap over the pairs.

    Samples in which both always choose the same have no kappa and are left out.
    """
    n = same_length(one=one, other=other)
    value = cohens_kappa(one, other)
    chosen = sorted({*one, *other})
    is_one = np.array([[a == choice for choice in chosen] for a in one])
    is_other = np.array([[b == choice for choice in chosen] for b in other])
    rows = np.random.default_rng(seed).integers(0, n, (RESAMPLES, n))
    p_o = (is_one & is_other).any(1)[rows].mean(1)
    p_e = (is_one[rows].mean(1) * is_other[rows].mean(1)).sum(1)
    known = p_e < 1 - 1e-9
    if not known.any():
        return value, float("nan"), float("nan")
    kappas = (p_o[known] - p_e[known]) / (1 - p_e[known])
    low, high = np.quantile(kappas, [0.025, 0.975])
    return value, float(low), float(high)


def class_agreement(choices: Sequence[Sequence[str]]) -> float:
    """Return the mean of Cohen's kappa over all pairs of those who filled in a form.

    choices: for each of them what `read_form` returned. Pairs of people without a
    kappa are left out. Raises ValueError for fewer than two.
    """
    require(len(choices) >= 2, f"choices must be of two or more; got {len(choices)}")
    kappas = np.array([cohens_kappa(a, b) for a, b in combinations(choices, 2)])
    known = kappas[~np.isnan(kappas)]
    return float(known.mean()) if len(known) else float("nan")
