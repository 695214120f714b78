"""What does SmolLM2 answer in the miniature of HELM? Asks it, and keeps its answers.

    python benchmarks/holistic_by_prompt.py [N]

It asks all that the notebook holistic-evaluation shows at small, times SmolLM2 behind
`transformers serve`, adds what is new to data/language_model/holistic.jsonl and prints
the measures. What is recorded already is not asked again. Run data/describe.py then.
"""

import sys

from smallscale.evaluation.holistic.board import answer_table, board
from smallscale.evaluation.holistic.code_model import bits_per_byte
from smallscale.evaluation.holistic.items import split_items
from smallscale.evaluation.holistic.latency import served_speed
from smallscale.evaluation.holistic.recording import (
    COMPARED,
    RECORDED,
    format_scores,
    language_entrants,
    served_settings,
)
from smallscale.evaluation.holistic.scenarios import SCENARIOS
from smallscale.models import RecordedModel


def main(n: int) -> None:
    """Ask, keep, print."""
    model = RecordedModel(RECORDED, record=True)
    for scenario in SCENARIOS:
        table = answer_table(language_entrants(model), [scenario], n=n)
        print(board(table).round(3).to_string(), table.attrs["left out"], flush=True)
    for scenario in COMPARED:
        print(scenario, format_scores(model, scenario, n=2 * n).mean(), flush=True)
    for scenario in SCENARIOS:
        bits = bits_per_byte(model, split_items(scenario.name, n).test)
        print(scenario.name, f"{bits.mean():.2f} bits a byte", flush=True)
    print(model.result_of(served_speed, **served_settings()), flush=True)
    print(f"{model.asked} answers are new")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 24)
