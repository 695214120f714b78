"""What did readers reach on real SQuAD? Stored runs that the notebook cites.

`benchmarks/reading.py` measures such a run and adds it to the file.
"""

import json
from pathlib import Path

import pandas as pd

MEASURED_ON_SQUAD = Path(__file__).with_name("measured_on_squad.json")


def measured_on_squad() -> pd.DataFrame:
    """Return the stored F1 in percent, a row for each run and reader.

    Columns: encoder, reader, seed, the articles to train on, the questions tested of
    all in the other articles, and one column for each test.

    >>> list(measured_on_squad().columns[:4])
    ['encoder', 'reader', 'seed', 'train articles']
    """
    rows = []
    for run in json.loads(MEASURED_ON_SQUAD.read_text("utf-8"))["runs"]:
        asked = run["questions"]
        for reader, scores in run["f1"].items():
            row = {
                "encoder": run["encoder"],
                "reader": reader,
                "seed": run["seed"],
                "train articles": run["articles"]["train"],
                "questions": f"{asked['test, turned']} of {asked['test']}",
            }
            rows.append({**row, **scores, "sentences": run["rules"]})
    return pd.DataFrame(rows)
