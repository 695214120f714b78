"""What does SmolLM2 say in the town once it was taught to pass news on? Records it.

    python benchmarks/taught_town.py [SEED …]

A training of 60 steps and two days of a town for each seed, and a short one that a test
does again. What is recorded already is not done again. Prints the minutes.
"""

import sys
import time

from smallscale.models import RecordedModel
from smallscale.simulation.words.taught import (
    RECORDED,
    RECORDED_SEEDS,
    SHORT,
    TRAINING,
    live_taught,
)


def main(seeds: list[int]) -> None:
    """Record these towns, and print a line for each."""
    model = RecordedModel(RECORDED, record=True)
    model.result_of(live_taught, seed=0, **SHORT)
    for seed in seeds:
        started = time.perf_counter()
        report = model.result_of(live_taught, seed=seed, **TRAINING)
        minutes = (time.perf_counter() - started) / 60
        told = {name: value for name, value in report.items() if name != "told"}
        print(f"seed {seed}: {minutes:.1f} minutes, {told}", flush=True)


if __name__ == "__main__":
    main([int(seed) for seed in sys.argv[1:]] or list(RECORDED_SEEDS))
