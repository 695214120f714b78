"""Does a real language model learn a task from examples in its prompt? In words.

Brown et al. 2020 asked GPT-3 so: some examples of a task, then a question, and nothing
is trained. Min et al. 2022 ask what the examples' labels are for, by giving wrong ones.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from smallscale.core.intervals import binomial_interval
from smallscale.core.validation import one_of, require, whole_number
from smallscale.models import RecordedModel
from smallscale.models.recorded import KEPT

# What SmolLM2 answered to the notebook's prompts; it need not be there.
RECORDED = KEPT / "in_context.jsonl"
WORDS = json.loads(Path(__file__).with_name("tasks.json").read_text("utf-8"))
WRITTEN = ("antonym", "plural", "capital", "upper case", "next number", "plus seven")
LABELLED = "sentiment"
FORMATS = ("plain", "arrow", "instruction")
CONDITIONS = ("true labels", "random labels", "swapped labels")
SHOTS = (0, 1, 2, 4, 8, 16)
MOST_SHOTS = 16
TOKENS = 6  # that an answer may have at most


@dataclass(frozen=True)
class Question:
    """One input to be answered, behind examples of the same task."""

    examples: tuple[tuple[str, str], ...]
    asked: str
    answer: str


def pairs_of(task: str) -> list[tuple[str, str]]:
    """Return all inputs of a task, each with its one true answer.

    >>> pairs_of("plus seven")[:2]
    [('10', '17'), ('11', '18')]
    """
    words = WORDS[one_of("task", task, WORDS)]
    if "plus" in words:
        return [(str(n), str(n + words["plus"])) for n in range(10, 90)]
    return list(words["pairs"].items())


def draw_questions(task: str, shots: int, n: int, *, seed: int = 0) -> list[Question]:
    """Return n questions of a task, each behind `shots` examples of its own.

    The examples never hold the question. With more shots, those of fewer stay and
    others come before them, so that what differs is only how many there are. Of a task
    with two labels the examples take turns, so that the first of them tells nothing.
    Raises ValueError for more than 16 shots, and for more questions than the task has.
    """
    pairs = pairs_of(task)
    shots = whole_number("shots", shots, least=0, most=MOST_SHOTS)
    n = whole_number("n", n, most=len(pairs))
    random = np.random.default_rng([seed, sorted(WORDS).index(task)])
    asked = random.permutation(len(pairs))
    if task == LABELLED:
        asked = _half_of_each(asked, pairs, n)
    questions = []
    for place in asked[:n]:
        others = [pairs[k] for k in random.permutation(len(pairs)) if k != place]
        if task == LABELLED:
            others = _taking_turns(others)
        shown = tuple(reversed(others[:MOST_SHOTS]))
        kept = shown[MOST_SHOTS - shots :]
        questions.append(Question(kept, *pairs[place]))
    return questions


def _half_of_each(
    order: np.ndarray, pairs: list[tuple[str, str]], n: int
) -> np.ndarray:
    """Return the first n places of an order in which each label stands n / 2 times."""
    room = {label: -(-n // 2) for _, label in pairs}
    kept = []
    for place in order:
        label = pairs[place][1]
        if room[label]:
            room[label] -= 1
            kept.append(place)
    return np.array(kept)


def _taking_turns(pairs: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return the pairs so that the label changes from each to the next."""
    by_label: dict[str, list[tuple[str, str]]] = {}
    for pair in pairs:
        by_label.setdefault(pair[1], []).append(pair)
    turns = zip(*by_label.values(), strict=False)
    return [pair for turn in turns for pair in turn]


def prompt_of(question: Question, *, task: str, style: str = "plain") -> str:
    """Return the text that the model is to go on with.

    style: one of FORMATS: "plain" has a line for each input and output, "arrow" one for
    both, "instruction" is plain behind a sentence that says what to do.
    """
    one_of("style", style, FORMATS)
    if style == "arrow":
        lines = [f"{given} -> {answer}\n" for given, answer in question.examples]
        return "".join(lines) + f"{question.asked} ->"
    lines = [
        f"Input: {given}\nOutput: {answer}\n\n" for given, answer in question.examples
    ]
    if style == "instruction":
        lines.insert(0, WORDS[task]["instruction"] + "\n\n")
    return "".join(lines) + f"Input: {question.asked}\nOutput:"


def relabelled(
    questions: Sequence[Question], condition: str, *, seed: int = 0
) -> list[Question]:
    """Return the questions with other labels in their examples (Min et al. 2022).

    condition: one of CONDITIONS: the true labels, labels drawn at random, or every
    label swapped for the other one. What counts as right stays the true answer.
    """
    one_of("condition", condition, CONDITIONS)
    random = np.random.default_rng([seed, 1])
    other = {"positive": "negative", "negative": "positive"}
    changed = []
    for question in questions:
        examples = []
        for given, label in question.examples:
            heads = random.random() < 0.5
            if condition == "swapped labels" or (
                condition == "random labels" and heads
            ):
                label = other[label]
            examples.append((given, label))
        changed.append(Question(tuple(examples), question.asked, question.answer))
    return changed


def shots_table(
    model: RecordedModel,
    *,
    n: int,
    shots: Sequence[int] = SHOTS,
    tasks: Sequence[str] = WRITTEN,
    styles: Sequence[str] = ("plain",),
    seed: int = 0,
) -> pd.DataFrame:
    """Ask the model every task with every number of examples; a row for each.

    The likeliest words are taken (greedy), to the end of the line. Columns: task,
    style, shots, right (of n), n, accuracy, low, high (95 %, Wilson).
    Raises NotRecorded where the model would have to be asked and is not there.
    """
    cells = [(t, s, k) for t in tasks for s in styles for k in shots]
    asked = {cell: draw_questions(cell[0], cell[2], n, seed=seed) for cell in cells}
    prompts = [
        prompt_of(question, task=task, style=style)
        for (task, style, _), questions in asked.items()
        for question in questions
    ]
    said = iter(model.write(prompts, max_new_tokens=TOKENS, stop=["\n"]))
    rows = []
    for (task, style, k), questions in asked.items():
        right = sum(is_right(next(said), q.answer, task) for q in questions)
        rows.append({"task": task, "style": style, "shots": k, **_share(right, n)})
    return pd.DataFrame(rows)


def labels_table(
    model: RecordedModel, *, n: int, shots: Sequence[int] = SHOTS, seed: int = 0
) -> pd.DataFrame:
    """Ask for the sentiment of words behind examples with true, random, swapped labels.

    The model leans to the label that it finds likelier. Half of the words are positive,
    and the half that leans to that label most is counted as called so: a liking for one
    of the two label words does not count as an answer. Columns as in `shots_table`,
    with condition in place of task and style. Raises ValueError for an odd n.
    """
    n = whole_number("n", n)
    require(n % 2 == 0, f"n must be even; got {n}")
    labels = sorted(set(dict(pairs_of(LABELLED)).values()))
    rows = []
    for k in shots:
        plain = draw_questions(LABELLED, k, n, seed=seed)
        for condition in CONDITIONS:
            questions = relabelled(plain, condition, seed=seed)
            prompts = [prompt_of(q, task=LABELLED) for q in questions]
            logps = model.option_logps(prompts, [f" {label}" for label in labels])
            leaning = (logps[:, 1] - logps[:, 0]).numpy()
            chosen = np.where(leaning > np.median(leaning), labels[1], labels[0])
            right = sum(a == q.answer for a, q in zip(chosen, questions, strict=True))
            rows.append({"condition": condition, "shots": k, **_share(right, n)})
    return pd.DataFrame(rows)


def is_right(text: str, answer: str, task: str) -> bool:
    """Say whether what was written is the answer; letters' case counts in one task.

    >>> is_right(" Paris", "paris", "capital")
    True
    >>> is_right("garden", "GARDEN", "upper case")
    False
    """
    said = text.strip().rstrip(".")
    if task == "upper case":
        return said == answer
    return said.casefold() == answer.casefold()


def _share(right: int, n: int) -> dict[str, float]:
    low, high = binomial_interval(right, n)
    return {"right": right, "n": n, "accuracy": right / n, "low": low, "high": high}
