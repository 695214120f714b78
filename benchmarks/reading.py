"""How do readers trained from scratch on real SQuAD bear misleading sentences?

For each seed a quarter of the articles is held out, and two readers are trained on the
others, with equal steps: plain on the passages, patched on passages and attacked
passages together. All are tested on the questions that every attack can turn. What is
measured is stored where the notebook finds it.

    python benchmarks/reading.py dev-v2.0.json 0 1 2
"""

import json
import sys
from typing import Any

import pandas as pd

from smallscale.robustness import add_sentences, load_squad
from smallscale.robustness.reading.addsent import random_sentences
from smallscale.robustness.reading.dataset import questions, split_articles, union
from smallscale.robustness.reading.matches import match_shares, survivals
from smallscale.robustness.reading.measured import MEASURED_ON_SQUAD
from smallscale.robustness.reading.reader import train_reader
from smallscale.robustness.reading.scores import same_questions, score_table

STEPS = 1080  # some eight epochs on 2,100 questions
ENCODER = "gru"  # of 2,100 questions it learns more than the transformer
CANDIDATES = 5


def main(path: str, seeds: list[int]) -> None:
    """Measure, print and store, one seed after the other."""
    dataset = load_squad(path)
    runs = json.loads(MEASURED_ON_SQUAD.read_text("utf-8"))["runs"]
    for seed in seeds:
        run = measured(dataset, seed)
        print(json.dumps(run, indent=1), flush=True)
        same = {key: run[key] for key in ("seed", "encoder", "rules")}
        runs = [other for other in runs if not same.items() <= other.items()]
        runs.append(run)
        text = json.dumps({"runs": runs}, indent=1)
        MEASURED_ON_SQUAD.write_text(text + "\n", "utf-8")


def measured(dataset: dict[str, Any], seed: int) -> dict[str, Any]:
    """Return what one seed gives: of the split, the attacks and the readers."""
    train, test = split_articles(dataset, seed=seed)
    patch = add_sentences(train, seed=seed, candidates=1, fakes="fixed")
    how: dict[str, Any] = {"encoder": ENCODER, "steps": STEPS, "seed": seed}
    readers = {
        "plain": train_reader(train, progress="plain", **how),
        "patched": train_reader(union(train, patch), progress="patched", **how),
    }
    one = {"seed": seed, "candidates": 1}
    tests = same_questions(
        {
            "clean": test,
            "control": random_sentences(test, seed=seed),
            "AddOneSent": add_sentences(test, **one),
            "AddSent": add_sentences(test, seed=seed, candidates=CANDIDATES),
            "as trained": add_sentences(test, **one, fakes="fixed"),
            "AddSentMod": add_sentences(test, **one, at="start"),
        }
    )
    table = score_table(readers, tests)
    survived = survivals(readers["plain"], tests["clean"], tests["AddSent"])
    return {
        "seed": seed,
        "encoder": ENCODER,
        "rules": "of now",
        "steps": STEPS,
        "articles": {"train": len(train["data"]), "test": len(test["data"])},
        "questions": {
            "train": _count(train),
            "train, attacked": _count(patch),
            "test": _count(test),
            "test, turned": _count(tests["clean"]),
        },
        "f1": {name: _scores(part) for name, part in table.groupby("reader")},
        "survived": int(survived.survives.sum()),
        "fell": int((~survived.survives.astype(bool)).sum()),
        "matches": match_shares(survived).round(3).to_dict("records"),
    }


def _count(dataset: dict[str, Any]) -> int:
    return len(list(questions(dataset)))


def _scores(part: pd.DataFrame) -> dict[str, float]:
    return dict(zip(part.test, part.f1.round(1), strict=True))


if __name__ == "__main__":
    main(sys.argv[1], [int(seed) for seed in sys.argv[2:]])
