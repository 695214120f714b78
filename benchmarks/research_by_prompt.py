"""What does SmolLM2 do with the research tasks? Records it for the notebook.

    python benchmarks/research_by_prompt.py [SEED ...]

What is recorded already is not asked again.
"""

import sys

from smallscale.models import RecordedModel
from smallscale.simulation.research.judge import Judge
from smallscale.simulation.research.language import RECORDED, recorded_policy
from smallscale.simulation.research.policies import run_policy
from smallscale.simulation.research.tasks import NAMES, load_task


def main(seeds: list[int]) -> None:
    """Let the model work on every task, and print what it reached."""
    policy = recorded_policy(RecordedModel(RECORDED, record=True))
    for seed in seeds:
        for name in NAMES:
            result = run_policy("SmolLM2", Judge(load_task(name), seed), policy)
            print(result.row(), flush=True)
            for step in result.trace:
                print("   ", step.action, step.arguments, step.fault, repr(step.words))


if __name__ == "__main__":
    main([int(text) for text in sys.argv[1:]] or [0, 1, 2])
