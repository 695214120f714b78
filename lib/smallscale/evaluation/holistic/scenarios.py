"""Which skills are measured, and how exactly is each asked for? The specification.

HELM (Liang et al. 2023) writes down for every scenario what is asked, with how many
examples, and how an answer is scored, so that a number can be argued with.
"""

from dataclasses import asdict, dataclass

import pandas as pd

from smallscale.core.validation import one_of
from smallscale.datasets.squad_scores import exact_match, f1
from smallscale.evaluation.holistic.items import Item

WORDS_WRITTEN = 12  # tokens that an answer may have at most
LONG_ANSWER = 24


@dataclass(frozen=True)
class Scenario:
    """One skill. name: of its items too. skill: in words. paper: where this way of
    asking comes from. instruction: what stands before everything else. asks, replies:
    the words before a question and before its answer. examples: how many are shown.
    metric: "f1", "exact match" or "choice". groups: what fairness compares.
    """

    name: str
    skill: str
    paper: str
    instruction: str
    asks: str
    replies: str
    metric: str
    groups: str
    examples: int = 4
    tokens: int = WORDS_WRITTEN


SCENARIOS = (
    Scenario(
        name="passages",
        skill="finding an answer in a passage",
        paper="Rajpurkar et al. 2016, SQuAD",
        instruction="Answer the question in a word or two, from the passage.",
        asks="Passage",
        replies="Answer",
        metric="f1",
        groups="passages about a woman, about a man",
        examples=2,
    ),
    Scenario(
        name="unknowable",
        skill="refusing what the passage does not say",
        paper="Rajpurkar et al. 2018, SQuAD 2.0",
        instruction='Answer from the passage. If it does not say, answer "unknown".',
        asks="Passage",
        replies="Answer",
        metric="f1",
        groups="questions that can be answered, that cannot",
        examples=2,
    ),
    Scenario(
        name="sums",
        skill="adding two numbers",
        paper="Brown et al. 2020, GPT-3",
        instruction="Add the two numbers.",
        asks="Sum",
        replies="Result",
        metric="exact match",
        groups="numbers of one digit, of two",
    ),
    Scenario(
        name="analogies",
        skill="completing a word analogy",
        paper="Mikolov et al. 2013",
        instruction="Complete the analogy with one word.",
        asks="Analogy",
        replies="Word",
        metric="exact match",
        groups="capitals, past tenses",
    ),
    Scenario(
        name="status",
        skill="knowing what an HTTP status means",
        paper="Hendrycks et al. 2021, MMLU; the facts from Python's http.HTTPStatus",
        instruction="Give the meaning of the HTTP status code.",
        asks="Question",
        replies="Meaning",
        metric="choice",
        groups="client errors, others",
    ),
    Scenario(
        name="reviews",
        skill="telling a good review from a bad one",
        paper="Maas et al. 2011, IMDB; here with a truth known by construction",
        instruction="Is the review positive or negative?",
        asks="Review",
        replies="Sentiment",
        metric="choice",
        groups="reviews by him, by her",
    ),
    Scenario(
        name="copying",
        skill="repeating words",
        paper="Olsson et al. 2022, induction",
        instruction="Repeat the words.",
        asks="Words",
        replies="Repeated",
        metric="exact match",
        groups="three words, seven words",
        examples=2,
        tokens=LONG_ANSWER,
    ),
    Scenario(
        name="logic",
        skill="working out and, or, not",
        paper="Suzgun et al. 2022, BIG-Bench Hard",
        instruction="Is the expression True or False?",
        asks="Expression",
        replies="Value",
        metric="choice",
        groups="three operators, seven",
    ),
    Scenario(
        name="next line",
        skill="knowing which line of code comes next",
        paper="Chen et al. 2021; the code is Python's standard library",
        instruction="Which line comes next?",
        asks="Code",
        replies="Next line",
        metric="choice",
        groups="lines with brackets, without",
        examples=1,
    ),
)
SCENARIOS_BY_NAME = {scenario.name: scenario for scenario in SCENARIOS}


@dataclass(frozen=True)
class Format:
    """How a question is laid out. pattern: with {asks}, {text} and {replies}. between:
    two questions. instructed: whether the instruction stands before.
    """

    name: str
    pattern: str
    between: str = "\n\n"
    instructed: bool = True


FORMATS = (
    Format("labels", "{asks}: {text}\n{replies}:"),
    Format("labels, no instruction", "{asks}: {text}\n{replies}:", instructed=False),
    Format("Q and A", "Q: {text}\nA:"),
    Format("arrow", "{text} ->", between="\n"),
    Format("brackets", "[{asks}] {text} [{replies}]"),
    Format("hashes", "### {asks}: {text}\n### {replies}:"),
    Format("one line", "{asks}: {text} {replies}:", between="\n"),
    Format("sentence", "{text}\nThe answer is:"),
    Format("quotes", '{asks}: "{text}"\n{replies}:'),
    Format("equals", "{text} =", between="\n", instructed=False),
)
FORMATS_BY_NAME = {each.name: each for each in FORMATS}


def specification() -> pd.DataFrame:
    """Return the scenarios as a table, a row each."""
    return pd.DataFrame([asdict(each) for each in SCENARIOS]).set_index("name")


def prompt(
    scenario: Scenario, text: str, shown: list[Item], form: Format = FORMATS[0]
) -> str:
    """Return what a language model is asked: the instruction, examples, the question.

    shown: the examples, with their answers.
    """
    parts = [scenario.instruction] if form.instructed else []
    for item in shown:
        asked = _laid_out(scenario, item.text, form)
        parts.append(f"{asked} {item.answer}")
    parts.append(_laid_out(scenario, text, form))
    return form.between.join(parts)


def _laid_out(scenario: Scenario, text: str, form: Format) -> str:
    return form.pattern.format(asks=scenario.asks, text=text, replies=scenario.replies)


def score(scenario: Scenario, said: str, right: str) -> float:
    """Return what an answer is worth, in [0, 1].

    "f1" and "exact match" are SQuAD's, which let case, punctuation and articles pass; a
    choice is right or wrong.
    """
    one_of("metric", scenario.metric, ("f1", "exact match", "choice"))
    if scenario.metric == "f1":
        return f1(said, [right])
    if scenario.metric == "exact match":
        return float(exact_match(said, [right]))
    return float(said == right)
