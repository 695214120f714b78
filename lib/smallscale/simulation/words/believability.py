"""Who sounds more real when a part of memory is taken away? Pairs for a judge.

Park et al. (2023, section 6) asked a hundred people to rank whole interviews by how
believable they are. Here single utterances are compared, blindly, by a language model
and by a reader with a printed form.
"""

import json
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pandas as pd

from smallscale.core.intervals import binomial_interval
from smallscale.core.validation import same_length
from smallscale.models import RecordedModel
from smallscale.models.recorded import KEPT
from smallscale.simulation.words.judging import CHOICES, Pair, Verdict, judge
from smallscale.simulation.words.town import Utterance, WordTown

ASKED = "Which words are more like a real person's?"
# What one reader chose on the form of the notebook's first town; it need not be there.
READ = KEPT.parent / "judged_pairs.jsonl"


def utterance_pairs(
    town: WordTown,
    moments: Sequence[Utterance],
    whole: Sequence[str],
    less: Sequence[str],
) -> list[Pair]:
    """Return what was said with the whole prompt, first, and with less of it.

    moments: the n utterances that were said anew. whole, less: n texts each, as from
    `reworded`. Moments where both are the same, or one is a fault, are left out.
    """
    same_length(moments=moments, whole=whole, less=less)
    name_of = town.world.name_of
    return [
        Pair(f"{name_of(u.speaker)} meets {name_of(u.listener)}. {ASKED}", a, b)
        for u, a, b in zip(moments, whole, less, strict=True)
        if a != b and a and b
    ]


def scrambled_pairs(pairs: Sequence[Pair], *, seed: int) -> list[Pair]:
    """Return each pair's first text against its own words in a drawn order.

    It is the judge's control: nobody speaks like that. Texts of which every order is
    the same are left out.
    """
    random = np.random.default_rng(seed)
    found = []
    for question, text, _ in pairs:
        words = text.split()
        if len(set(words)) < 2:
            continue
        drawn = text
        while drawn == text:
            drawn = " ".join(words[i] for i in random.permutation(len(words)))
        found.append(Pair(question, text, drawn))
    return found


def likelier(model: RecordedModel, pairs: Sequence[Pair]) -> list[Verdict]:
    """Return which text of each pair a language model itself would rather write:

        margin = log p(first | question) / tokens - log p(second | question) / tokens

    in nats a token, each text between quotation marks on a line below the question.
    """
    if not pairs:
        return []
    prompts = [f'{pair.question}\n"' for pair in pairs]
    texts = [(f'{pair.first}"', f'{pair.second}"') for pair in pairs]
    logps = model.option_logps(prompts, texts, normalize="tokens")
    margins = (logps[:, 0] - logps[:, 1]).tolist()
    return [
        Verdict("neither" if m == 0 else "first" if m > 0 else "second", m)
        for m in margins
    ]


Judge = Callable[[RecordedModel, Sequence[Pair]], list[Verdict]]
JUDGES: Mapping[str, Judge] = {"asked": judge, "likelihood": likelier}


def verdict_table(
    model: RecordedModel, pairs: Mapping[str, Sequence[Pair]]
) -> pd.DataFrame:
    """Return how often a model prefers the first text, by each way to judge.

    A row for each kind of pairs and each of JUDGES. Columns: first, second, neither
    (asked, both orders disagree), n, and share, the first's among those decided, with
    its 95 % Wilson interval, low and high; NaN where none is.
    Raises NotRecorded where the model would have to be asked and is not there.
    """
    rows = {}
    for kind, some in pairs.items():
        for way, judge_them in JUDGES.items():
            chosen = [verdict.choice for verdict in judge_them(model, some)]
            rows[kind, way] = _counted(chosen)
    table = pd.DataFrame.from_dict(rows, orient="index")
    return table.rename_axis(["against", "judge"])


def _counted(chosen: Sequence[str]) -> dict[str, float]:
    counts = {choice: chosen.count(choice) for choice in CHOICES}
    decided = counts["first"] + counts["second"]
    low = high = share = np.nan
    if decided:
        share = counts["first"] / decided
        low, high = binomial_interval(counts["first"], decided)
    return {**counts, "n": len(chosen), "share": share, "low": low, "high": high}


def reader_choices(pairs: Sequence[Pair]) -> list[str] | None:
    """Return what the reader chose, one of CHOICES for each pair; None where the reader
    saw other pairs than these, or what was chosen is not there.
    """
    if not READ.exists():
        return None
    read = [json.loads(line) for line in READ.read_text("utf-8").splitlines()]
    seen = [Pair(row["question"], row["first"], row["second"]) for row in read]
    return [row["choice"] for row in read] if seen == list(pairs) else None
