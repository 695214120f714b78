"""What does SmolLM2 learn from examples in its prompt? Asks it, and keeps its answers.

    python benchmarks/in_context.py [SEED]

It asks all that the notebook in-context-learning shows at small, adds what is new to
data/language_model/in_context.jsonl, and prints accuracy by task and examples.
What is recorded already is not asked again.
"""

import sys

from smallscale.foundations.in_context.prompts import (
    RECORDED,
    labels_table,
    shots_table,
)
from smallscale.models import RecordedModel

ASKED = 20  # questions a cell, as in the notebook at small


def main() -> None:
    """Ask, keep, print."""
    seed = int(sys.argv[1]) if len(sys.argv) > 1 else 0
    model = RecordedModel(RECORDED, record=True)
    plain = shots_table(model, n=ASKED, seed=seed)
    print(plain.pivot(index="task", columns="shots", values="accuracy"))
    few = {"n": ASKED, "shots": (0, 1, 4), "seed": seed}
    styles = shots_table(model, styles=("arrow", "instruction"), **few)
    print(styles.pivot(index=["task", "style"], columns="shots", values="accuracy"))
    labels = labels_table(model, n=ASKED, seed=seed)
    print(labels.pivot(index="condition", columns="shots", values="accuracy"))
    print(f"{model.asked} answers are new")


if __name__ == "__main__":
    main()
