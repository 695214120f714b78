"""What does SmolLM2 write before and after DPO for one sentence? Records it.

    python benchmarks/sentences.py [SEED ...]

The trainings of the notebook on DPO, one a seed, and one of two steps, which a test
does again. What is recorded already is not done again. Prints time and peak memory.
"""

import resource
import sys
import time

from smallscale.dpo.sentence_rewards import (
    RECORDED,
    RECORDED_SEEDS,
    SHORT_TRAINING,
    TRAINING,
    train_sentences,
)
from smallscale.models import RecordedModel


def main(seeds: list[int]) -> None:
    """Train what is missing, and print the measures."""
    model = RecordedModel(RECORDED, record=True)
    model.result_of(train_sentences, seed=0, **SHORT_TRAINING)
    for seed in seeds:
        start = time.perf_counter()
        report = model.result_of(train_sentences, seed=seed, **TRAINING)
        seconds = time.perf_counter() - start
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        print(f"seed {seed}: {seconds:.0f} s, at most {peak:.2f} GiB", flush=True)
        print(report["pairs"], report["shorter"], report["steps"])
        for when in ("before", "after"):
            told = {k: v for k, v in report[when].items() if isinstance(v, float)}
            print(when, told, report[when]["text"][:6], flush=True)


if __name__ == "__main__":
    main([int(text) for text in sys.argv[1:]] or list(RECORDED_SEEDS))
