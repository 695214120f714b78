"""How often is the rule wrong? Utterances that were read one by one, and what it says.

The sample is of what SmolLM2 really said in chains of retellings: see
`smallscale.simulation.words.telling`. There it speaks in the short sentences that it
was shown. What it says in a conversation is freer, and the rule's error on that is not
known. There was one reader, who knew the rule; the rule was not changed afterwards.
"""

import json
from dataclasses import asdict
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from smallscale.core.intervals import binomial_interval
from smallscale.core.validation import whole_number
from smallscale.models.recorded import KEPT
from smallscale.simulation.words.facts import SLOTS, Fact, still_says
from smallscale.simulation.words.judging import cohens_kappa
from smallscale.simulation.words.telling import recorded_chains

# It need not be there.
LABELS = KEPT.parent / "telling_labels.jsonl"


class Labelled(NamedTuple):
    """An utterance, who said it, the fact it goes back to, and what a reader found:
    whether it still says who, what, where and when."""

    text: str
    teller: str
    fact: Fact
    said: dict[str, bool]


def sample_to_read(n: int = 200, *, seed: int = 0) -> list[dict[str, Any]]:
    """Return n recorded retellings to be read: text, teller and fact.

    A text that was passed on word for word is there once, so that the sample holds
    more of what is hard to read than the chains do. Raises NotRecorded where the
    chains are not there.
    """
    chains = recorded_chains(ask="never")
    retold = chains[chains["retelling"] > 0]
    once = retold.drop_duplicates(["fact", "text"])
    n = whole_number("n", n, most=len(once))
    drawn = np.random.default_rng(seed).choice(len(once), n, replace=False)
    return [
        {
            "text": row.text,
            "teller": row.teller,
            "fact": asdict(row.fact),
        }
        for row in once.iloc[sorted(drawn)].itertuples()
    ]


def labelled() -> list[Labelled]:
    """Return the sample as it was read."""
    lines = LABELS.read_text("utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    return [
        Labelled(
            row["text"],
            row["teller"],
            Fact(**row["fact"]),
            {slot: row[slot] for slot in SLOTS},
        )
        for row in rows
    ]


def rule_agreement() -> pd.DataFrame:
    """Return how often rule and reader agree, a row for each slot.

    Columns: slot, n, agree (the share), low and high (its 95 % Wilson interval),
    too_kind (the rule finds what the reader does not), too_strict (the reverse) and
    kappa (Cohen's).
    """
    sample = labelled()
    found = [still_says(row.fact, row.text, speaker=row.teller) for row in sample]
    rows = []
    for slot in SLOTS:
        rule = [said[slot] for said in found]
        read = [row.said[slot] for row in sample]
        pairs = list(zip(rule, read, strict=True))
        agree = sum(a == b for a, b in pairs)
        low, high = binomial_interval(agree, len(pairs))
        rows.append(
            {
                "slot": slot,
                "n": len(pairs),
                "agree": agree / len(pairs),
                "low": low,
                "high": high,
                "too_kind": pairs.count((True, False)),
                "too_strict": pairs.count((False, True)),
                "kappa": cohens_kappa([str(a) for a in rule], [str(b) for b in read]),
            }
        )
    return pd.DataFrame(rows)
