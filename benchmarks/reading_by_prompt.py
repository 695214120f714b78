"""What does SmolLM2 answer under attack? Records it for the notebook on reading.

    python benchmarks/reading_by_prompt.py [SEED ...]

The questions are those of the notebook's scale small, thirty a seed in five tests, and
at tiny six of its one seed. What is recorded already is not asked again.
"""

import sys

from smallscale.models import RecordedModel
from smallscale.robustness.reading.dataset import Dataset
from smallscale.robustness.reading.prompted_reader import (
    RECORDED,
    PromptedReader,
    prompted_scores,
    prompted_tests,
)
from smallscale.robustness.reading.synthetic_squad import passages

PASSAGES = {"small": 30, "tiny": 20}
QUESTIONS = {"small": 30, "tiny": 6}


def tests_of(scale: str, seed: int) -> dict[str, Dataset]:
    """Return the tests of a seed, as the notebook draws them."""
    test = passages(PASSAGES[scale], seed=seed + 1000, held_out=True)
    return prompted_tests(test, QUESTIONS[scale], seed=seed, generated=True)


def main(seeds: list[int]) -> None:
    """Ask what is missing and print the scores."""
    reader = PromptedReader(RecordedModel(RECORDED, record=True))
    small = {seed: tests_of("small", seed) for seed in seeds}
    for seed, tests in small.items():
        scores = prompted_scores(reader, {seed: tests}, name="SmolLM2")
        print(scores.to_string(), flush=True)
    prompted_scores(reader, {seeds[0]: tests_of("tiny", seeds[0])}, name="SmolLM2")


if __name__ == "__main__":
    main([int(text) for text in sys.argv[1:]] or [0, 1, 2])
