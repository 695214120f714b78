"""Who takes part? Language models, asked in several ways, and simple rules.

A rule that knows nothing of language shows what a score is worth: what it reaches was
no achievement.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor

from smallscale.core.validation import require, whole_number
from smallscale.evaluation.holistic.items import Item
from smallscale.evaluation.holistic.scenarios import FORMATS, Format, Scenario, prompt

CHARACTERS_A_TOKEN = 4  # roughly, of English
SMOLLM2_PARAMETERS = 134_515_008


class Answer(NamedTuple):
    """text: what was said. confidence: the probability that it was given, NaN where
    none is known. characters: how many were read and written for it.
    """

    text: str
    confidence: float
    characters: int


class Writer(Protocol):
    """What can continue a text."""

    def write(
        self, prompts: Sequence[str], *, max_new_tokens: int, stop: Sequence[str]
    ) -> list[str]:
        """Return how each prompt goes on."""
        ...


class Entrant(Protocol):
    """What takes part. operations: that one character read or written costs."""

    name: str
    operations: float

    def answers(
        self,
        scenario: Scenario,
        items: Sequence[Item],
        training: Sequence[Item],
        *,
        confident: bool = True,
    ) -> list[Answer]:
        """Return an answer to each item. confident: whether confidence is wanted."""
        ...


class Prompted:
    """A language model that is shown examples, or none, in a format.

    model: has `write(prompts, max_new_tokens=…, stop=…)`, and may have
    `option_logps(prompts, options)`, such as a RecordedModel. Where it has not, a
    choice is written too, and no confidence is known. examples: whether it is shown as
    many as the scenario says. operations: that a character costs; of a transformer
    twice its parameters for each token (Kaplan et al. 2020), which is four characters.
    """

    def __init__(
        self,
        name: str,
        model: Any,
        *,
        examples: bool = True,
        form: Format = FORMATS[0],
        operations: float = 2 * SMOLLM2_PARAMETERS / CHARACTERS_A_TOKEN,
    ) -> None:
        self.name = name
        self.model = model
        self.examples = examples
        self.form = form
        self.operations = operations

    def answers(
        self,
        scenario: Scenario,
        items: Sequence[Item],
        training: Sequence[Item],
        *,
        confident: bool = True,
    ) -> list[Answer]:
        """Return an answer to each item, as the model writes or chooses it."""
        shown = list(training[: scenario.examples]) if self.examples else []
        prompts = [prompt(scenario, item.text, shown, self.form) for item in items]
        if scenario.metric == "choice" and hasattr(self.model, "option_logps"):
            return self._chosen(prompts, items)
        return self._written(scenario, prompts, items, confident)

    def _chosen(self, prompts: list[str], items: Sequence[Item]) -> list[Answer]:
        options = [[f" {option}" for option in item.options] for item in items]
        logps = self.model.option_logps(prompts, options)
        sure, best = logps.softmax(1).max(1)
        return [
            Answer(
                item.options[int(place)],
                float(confidence),
                len(text) + sum(map(len, item.options)),
            )
            for item, text, place, confidence in zip(
                items, prompts, best, sure, strict=True
            )
        ]

    def _written(
        self,
        scenario: Scenario,
        prompts: list[str],
        items: Sequence[Item],
        confident: bool,
    ) -> list[Answer]:
        said = self.model.write(
            prompts, max_new_tokens=scenario.tokens, stop=[self.form.between[-1]]
        )
        sure = [np.nan] * len(said)
        if confident and hasattr(self.model, "option_logps"):
            logps = self.model.option_logps(prompts, [[text or "\n"] for text in said])
            sure = logps.exp()[:, 0].tolist()
        return [
            Answer(_nearest_option(text.strip(), item), confidence, len(asked + text))
            for text, confidence, asked, item in zip(
                said, sure, prompts, items, strict=True
            )
        ]


def _nearest_option(text: str, item: Item) -> str:
    """Return the option that a written answer begins with; the text where none is."""
    for option in sorted(item.options, key=len, reverse=True):
        if text.lower().startswith(option.lower()):
            return option
    return text


class MostCommon:
    """A rule that gives the most common answer of the training items to all.

    Its confidence is that answer's share.
    """

    name = "most common answer"
    operations = 1.0

    def answers(
        self,
        scenario: Scenario,
        items: Sequence[Item],
        training: Sequence[Item],
        *,
        confident: bool = True,
    ) -> list[Answer]:
        """Return the same answer to every item, or an option that it equals."""
        counts = Counter(item.answer for item in training)
        common, times = counts.most_common(1)[0]
        found = []
        for item in items:
            if item.options and common not in item.options:
                found.append(Answer(item.options[0], 1 / len(item.options), 0))
            else:
                found.append(Answer(common, times / len(training), 0))
        return found


class Echo:
    """A rule that repeats the question's first line."""

    name = "echo"
    operations = 1.0

    def answers(
        self,
        scenario: Scenario,
        items: Sequence[Item],
        training: Sequence[Item],
        *,
        confident: bool = True,
    ) -> list[Answer]:
        """Return the first line of each item, or the option that shares most words."""
        found = []
        for item in items:
            said = item.text.split("\n")[0]
            if item.options:
                said = _most_alike(said, item.options)
            found.append(Answer(said, np.nan, len(item.text) + len(said)))
        return found


class Nearest:
    """A rule that gives the answer of the known item with the most words in common.

    known: what it has seen besides the training items, by scenario. Its confidence is
    the share of words that the two have in common (Jaccard 1912).
    """

    operations = 1.0

    def __init__(
        self,
        name: str = "nearest example",
        known: dict[str, Sequence[Item]] | None = None,
    ) -> None:
        self.name = name
        self.known = known or {}

    def answers(
        self,
        scenario: Scenario,
        items: Sequence[Item],
        training: Sequence[Item],
        *,
        confident: bool = True,
    ) -> list[Answer]:
        """Return the answer of the nearest known item to each."""
        pool = [*training, *self.known.get(scenario.name, ())]
        words = [set(item.text.lower().split()) for item in pool]
        read = sum(len(item.text) for item in pool)
        found = []
        for item in items:
            asked = set(item.text.lower().split())
            shares = [len(asked & each) / len(asked | each) for each in words]
            place = int(np.argmax(shares))
            said = pool[place].answer
            if item.options and said not in item.options:
                said = _most_alike(said, item.options)
            found.append(Answer(said, shares[place], read + len(item.text)))
        return found


def _most_alike(text: str, options: Sequence[str]) -> str:
    """Return the option that shares most words with a text; the first of equals."""
    words = set(text.lower().split())
    return max(options, key=lambda option: len(words & set(option.lower().split())))


class NgramModel:
    """A model of the next character, by what followed the same characters before.

        p_k(c) = (n(context_k, c) + d p_(k-1)(c)) / (n(context_k) + d)

    where d is the number of different characters that followed the context, and the
    shortest context is empty (Witten and Bell 1991). text: what it counts. order: the
    longest context, in characters.

    >>> NgramModel("abcabcabc", 3).write(["ca"], max_new_tokens=1, stop=[])
    ['bcab']
    """

    def __init__(self, text: str, order: int = 6) -> None:
        require(text, "text must not be empty: there would be nothing to count")
        self.order = whole_number("order", order)
        self.alphabet = len(set(text)) + 1  # one for what was never seen
        self.counts: dict[str, Counter[str]] = defaultdict(Counter)
        for end, character in enumerate(text):
            for length in range(min(order, end) + 1):
                self.counts[text[end - length : end]][character] += 1

    def probability(self, context: str, character: str) -> float:
        """Return the probability of a character after a context."""
        p = 1 / self.alphabet
        for length in range(min(self.order, len(context)) + 1):
            seen = self.counts.get(context[len(context) - length :])
            if seen is None:
                break
            kinds = len(seen)
            p = (seen[character] + kinds * p) / (seen.total() + kinds)
        return p

    def write(
        self, prompts: Sequence[str], *, max_new_tokens: int, stop: Sequence[str]
    ) -> list[str]:
        """Return what most often followed, character by character.

        A token counts as four characters.
        """
        return [self._continued(each, max_new_tokens, stop) for each in prompts]

    def _continued(self, text: str, tokens: int, stop: Sequence[str]) -> str:
        start = len(text)
        for _ in range(CHARACTERS_A_TOKEN * tokens):
            length = min(self.order, len(text))
            while text[len(text) - length :] not in self.counts and length:
                length -= 1
            text += self.counts[text[len(text) - length :]].most_common(1)[0][0]
            for end in stop:
                if text[start:].endswith(end):
                    return text[start : len(text) - len(end)]
        return text[start:]

    def option_logps(
        self, prompts: Sequence[str], options: Sequence[Sequence[str]]
    ) -> Tensor:
        """Return log p(option | prompt), (prompts, options)."""
        rows = [
            [self._logp(text, option) for option in row]
            for text, row in zip(prompts, options, strict=True)
        ]
        return torch.tensor(rows, dtype=torch.double)

    def _logp(self, text: str, option: str) -> float:
        total = 0.0
        for character in option:
            total += float(np.log(self.probability(text[-self.order :], character)))
            text += character
        return total
