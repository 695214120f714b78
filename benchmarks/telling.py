"""What becomes of news that SmolLM2 passes on, taught and not? Records it for the
notebook.

    python benchmarks/telling.py [arm] [seed]

Teaching takes two minutes a seed on two quiet cores, and the chains one more. What is
recorded already is not done again.
"""

import sys
import time

from smallscale.models import RecordedModel
from smallscale.simulation.words.telling import (
    ARMS,
    MEASURED,
    RECORDED,
    SEEDS,
    recorded_chains,
    survival,
    tell_chains,
)


def main() -> None:
    """Do what is missing; without an arm and a seed all of it, and print the table."""
    model = RecordedModel(RECORDED, record=True)
    arms = sys.argv[1:2] or ARMS
    seeds = [int(seed) for seed in sys.argv[2:3]] or SEEDS
    for seed in seeds:
        for arm in arms:
            begin = time.perf_counter()
            result = model.result_of(tell_chains, arm=arm, seed=seed, **MEASURED)
            seconds = time.perf_counter() - begin
            print(f"{arm}, seed {seed}, {seconds:.0f} s: {result['own'][0][1]}")
    if len(seeds) > 1:
        print(survival(recorded_chains(model, arms=arms)).to_string())


if __name__ == "__main__":
    main()
