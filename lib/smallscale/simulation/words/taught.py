"""What does the town say when its model was taught to pass news on?

The same towns as without: only what people say to one another is written by the model
with adapters, which were taught on other news (see `lessons`). Plans, reasons, thoughts
and answers are the model's as it comes.
"""

from collections.abc import Sequence
from typing import Any

import pandas as pd

from smallscale.core.intervals import mean_interval
from smallscale.models import LanguageModel, RecordedModel, write
from smallscale.models.adapters import without_adapters
from smallscale.models.identity import model_hash
from smallscale.models.recorded import KEPT
from smallscale.simulation import measures as numbers
from smallscale.simulation.words import measures, prompts
from smallscale.simulation.words.facts import SLOTS
from smallscale.simulation.words.lessons import talk_lessons
from smallscale.simulation.words.speakers import STOP, TOKENS
from smallscale.simulation.words.telling import ROWS, train_on_pairs
from smallscale.simulation.words.town import WordTown

# What SmolLM2 did; it need not be there.
RECORDED = KEPT / "taught_town.jsonl"
# Of the notebook's towns: the training of the chains, and one seed of it.
TRAINING = {"steps": 60, "training_seed": 0, "hours": measures.HOURS}
SHORT = TRAINING | {"steps": 2, "hours": 9}
RECORDED_SEEDS = (0, 1, 2)


class TaughtSpeaker:
    """A model with adapters, for talk; without them for all else.

    model: with the adapters of `train_teller`. What people say is asked for as it was
    taught, without examples.
    """

    def __init__(self, model: LanguageModel) -> None:
        self.model = model
        self.name = f"taught {model_hash(*model)[:16]}, {TOKENS} tokens"

    def write(self, asked: Sequence[str]) -> list[str]:
        """Return how the model continues each prompt, the likeliest token each time."""
        said = self._written(
            [text.removeprefix(prompts.TALK) for text in asked if is_talk(text)]
        )
        with without_adapters(self.model.model):
            other = self._written([text for text in asked if not is_talk(text)])
        return [(said if spoken else other).pop(0) for spoken in map(is_talk, asked)]

    def _written(self, asked: Sequence[str]) -> list[str]:
        distinct = sorted(set(asked))
        texts = write(*self.model, distinct, max_new_tokens=TOKENS, stop=STOP)
        found = dict(zip(distinct, texts, strict=True))
        return [found[text] for text in asked]


def is_talk(prompt: str) -> bool:
    """Return whether a prompt asks what somebody says to somebody."""
    return prompt.startswith(prompts.TALK)


def live_taught(
    model: LanguageModel, *, seed: int, steps: int, training_seed: int, hours: int
) -> dict[str, Any]:
    """Teach a model, in place, live the town of a seed with it, and return what came of
    it as JSON holds it, as from `town_report`."""
    lessons = talk_lessons(ROWS * steps, seed=training_seed)
    train_on_pairs(*model, lessons, seed=training_seed, progress="teaching")
    town = WordTown(seed=seed, speaker=TaughtSpeaker(model)).run(hours)
    return town_report(town)


def town_report(town: WordTown) -> dict[str, Any]:
    """Return what came of a town's news, as JSON holds it.

    heard: how many people were told each fact. guests: how many came to the party.
    utterances, faults and distinct: how many in all, and how many different texts.
    told: for each utterance about news its retelling, text, teller, fact, and whether
    it still says who, what, where and when (None where the fact has none).
    """
    table = measures.tellings(town)
    told = table[["retelling", "text", "teller", "fact", *SLOTS]].astype(object)
    return {
        "heard": {
            fact: int(numbers.hearers(town, fact)) for fact in measures.QUESTIONS
        },
        "guests": int(numbers.guests(town, "party")),
        "utterances": len(town.utterances),
        "distinct": len({utterance.text for utterance in town.utterances}),
        "faults": int(sum(town.faults.values())),
        "told": told.where(told.notna(), None).to_dict("records"),
    }


def recorded_taught(seed: int, *, ask: str = "if new") -> dict[str, Any]:
    """Return what came of the taught town of a seed: recorded, else done, in minutes.

    Raises NotRecorded where neither can be had; ask is that of `result_of`.
    """
    model = RecordedModel(RECORDED)
    found: dict[str, Any] = model.result_of(live_taught, ask=ask, seed=seed, **TRAINING)
    return found


def beside(
    reports: Sequence[dict[str, Any]], others: Sequence[dict[str, Any]]
) -> pd.DataFrame:
    """Return what came of towns, taught and as the model comes, side by side.

    reports: of taught towns, two or more. others: of the same towns as it comes.
    A row for each measure, with the means over towns, and of taught less "as it comes"
    the mean and the half of its 95 % interval over towns, by Student's t. Shares are of
    what is told at second hand or later.
    """
    taught = pd.DataFrame([measured(report) for report in reports])
    plain = pd.DataFrame([measured(report) for report in others])
    rows = {}
    for name in taught:
        mean, half = mean_interval(taught[name] - plain[name])
        rows[name] = [plain[name].mean(), taught[name].mean(), mean, half]
    columns = ["as it comes", "taught", "difference", "half"]
    return pd.DataFrame(rows, index=columns).T


def measured(report: dict[str, Any]) -> dict[str, float]:
    """Return the measures of a town by name; a share of nothing is NaN."""
    told = pd.DataFrame(report["told"], columns=["retelling", *SLOTS])
    later = told[told["retelling"] > 1].astype(float)
    return {
        "heard of the candidacy": report["heard"]["candidacy"],
        "heard of the party": report["heard"]["party"],
        "at the party": report["guests"],
        "different utterances": report["distinct"],
        "later tellings": len(later),
        **{f"share that says {slot}": later[slot].mean() for slot in ("who", "what")},
    }
