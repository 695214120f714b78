"""What does SmolLM2 answer under attack? Records it for the notebook on reading.

    python benchmarks/reading_by_prompt.py [SEED ...]
    python benchmarks/reading_by_prompt.py --data SQUAD.json [--questions N] [SEED ...]

With a file of one's own, N of its questions a seed are asked, and nothing is recorded.
Otherwise the questions are those of the notebook's scale small, thirty a seed in five
tests, and at tiny six of its one seed. What is recorded already is not asked again.
"""

import argparse
import tempfile
from pathlib import Path

from smallscale.models import RecordedModel
from smallscale.robustness.reading.dataset import Dataset
from smallscale.robustness.reading.prompted_reader import (
    RECORDED,
    PromptedReader,
    prompted_scores,
    prompted_tests,
)
from smallscale.robustness.reading.squad import load_squad
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


def on_file(path: Path, n: int, seeds: list[int]) -> None:
    """Ask questions of a SQuAD file, and print the scores of each seed."""
    dataset = load_squad(path)
    with tempfile.TemporaryDirectory() as folder:
        asked = RecordedModel(Path(folder) / "asked.jsonl", record=True)
        for seed in seeds:
            tests = prompted_tests(dataset, n, seed=seed, generated=False)
            scores = prompted_scores(
                PromptedReader(asked), {seed: tests}, name="SmolLM2"
            )
            print(scores.to_string(), flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("seeds", nargs="*", type=int)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--questions", type=int, default=60)
    given = parser.parse_args()
    seeds = given.seeds or [0, 1, 2]
    if given.data:
        on_file(given.data, given.questions, seeds)
    else:
        main(seeds)
