"""How does SmolLM2 rewrite the news to please? Records it for the notebook.

    python benchmarks/news_to_please.py

The items are those of the notebook at scale small, which are also those at tiny and
medium. What is recorded already is not asked again.
"""

from smallscale.models import RecordedModel
from smallscale.simulation.assistants.rewriting import (
    RECORDED,
    items_to_rewrite,
    rewritings,
    survival_table,
)

ITEMS = 32


def main() -> None:
    """Ask what is missing and print what survived."""
    model = RecordedModel(RECORDED, record=True)
    found = rewritings(model, items_to_rewrite(ITEMS))
    for row in found:
        print(f"{row.reader}, {row.wording}: {row.before}\n    {row.after}")
    print(survival_table(found).to_string())


if __name__ == "__main__":
    main()
