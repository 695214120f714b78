"""Does a language model that was never trained to mark spans fall for the same?

The question is put in words, behind two examples, and what the model writes on the
next line is its answer (few-shot prompting, Brown et al. 2020).
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import pandas as pd

from smallscale.models import RecordedModel
from smallscale.models.recorded import KEPT
from smallscale.robustness.reading.addsent import add_sentences, random_sentences
from smallscale.robustness.reading.dataset import Dataset
from smallscale.robustness.reading.paraphrases import paraphrased_sentences
from smallscale.robustness.reading.readings import Pair
from smallscale.robustness.reading.scores import drawn_questions, score_table

# What SmolLM2 answered to the notebook's questions; it need not be there.
RECORDED = KEPT / "reading.jsonl"
EXAMPLES = (
    (
        "The bridge over the Tarn was built by Ruth Anders in 1874. It is 90 m long.",
        "Who built the bridge over the Tarn?",
        "Ruth Anders",
    ),
    (
        "Milo Benet kept a shop in the harbour. He sold ropes, and in winter lamps.",
        "What did Milo Benet sell in winter?",
        "lamps",
    ),
)
TOKENS = 16  # that an answer may have at most


def reading_prompt(passage: str, question: str) -> str:
    """Return a passage and a question as a text that goes on with the answer.

    Each stands on a line of its own: runs of white space become one space.
    """
    passage, question = " ".join(passage.split()), " ".join(question.split())
    shown = [
        f"Passage: {text}\nQuestion: {asked_of_it}\nAnswer: {answer}\n\n"
        for text, asked_of_it, answer in EXAMPLES
    ]
    return "".join(shown) + f"Passage: {passage}\nQuestion: {question}\nAnswer:"


class Written(NamedTuple):
    """An answer in a model's own words, which need not stand in the passage."""

    answer: str


class PromptedReader:
    """A language model as a reader.

    The likeliest words are taken (greedy), to the end of the line, at most TOKENS
    tokens. What was recorded of the model is not asked again. Nothing is trained, and
    the answer need not stand in the passage.
    """

    def __init__(self, model: RecordedModel) -> None:
        self.model = model

    def read(self, pairs: Sequence[Pair]) -> list[Written]:
        """Return the answer to each pair.

        Raises NotRecorded for prompts that were not recorded, where the model is not.
        """
        prompts = [reading_prompt(*pair) for pair in pairs]
        texts = self.model.write(prompts, max_new_tokens=TOKENS, stop=["\n"])
        return [Written(text.strip()) for text in texts]


def prompted_tests(
    dataset: Dataset, n: int, *, seed: int, generated: bool
) -> dict[str, Dataset]:
    """Return the tests that a language model is asked, by name, on n questions each.

    They are the clean passages, an unrelated sentence, AddOneSent at the end and at the
    start, and, where the passages are generated, the same fact in other words.
    seed: of the sentences and of the questions drawn.
    """
    tests = {"clean": dataset}
    tests["unrelated sentence"] = random_sentences(dataset, seed=seed)
    if generated:
        tests["same fact, other words"] = paraphrased_sentences(dataset, seed=seed)
    tests["AddOneSent"] = add_sentences(dataset, seed=seed, candidates=1)
    tests["at the start"] = add_sentences(dataset, seed=seed, candidates=1, at="start")
    return drawn_questions(tests, n, seed=seed)


def prompted_scores(
    reader: PromptedReader, tests: Mapping[int, Mapping[str, Dataset]], *, name: str
) -> pd.DataFrame:
    """Return `score_table` of one reader on the tests of each seed, with a column seed.

    tests: for each seed its tests by name. name: of the reader, for the table.
    Raises NotRecorded where the model would have to be asked and is not there.
    """
    tables = []
    for seed, of_seed in tests.items():
        table = score_table({name: reader}, of_seed)
        table.insert(1, "seed", seed)
        tables.append(table)
    return pd.concat(tables, ignore_index=True)
