"""How far does the town scale, and is it faster than mesa and than generating?

Everybody has room for 24 memories. Three tables:

1. People against agent-steps a second and memory, 24 hours each, every size in a
   process of its own; the exponent of cost is the slope of log seconds on log people,
   from 10,000 up.
2. The same rules as mesa agents (`plain_town.py`), in the same run; the two towns are
   checked to have said the same.
3. Decisions of a language model: the town's way (equal questions once, letters' logits,
   batched) against one `generate` of transformers for each decision.

    python benchmarks/town.py [--most 1000000] [--mesa 100000]
"""

import argparse
import gc
import json
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import mesa
import numpy as np
import torch
from plain_town import Country, Resident
from rich.console import Console
from rich.table import Table

from smallscale.simulation import Town
from smallscale.simulation.language import (
    LanguageBrain,
    untrained_diarist,
    word_tokenizer,
)

HOURS = 24
SIZES = (25, 1_000, 10_000, 100_000, 1_000_000)
WANTED_OVER_MESA = 30
WANTED_OVER_GENERATE = 5
CHILD = """
import json, time
from smallscale.simulation import Town
from smallscale.simulation.measures import hearers

def peak_kilobytes():
    lines = open("/proc/self/status").read().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))

town = Town({people}, memory=24)
begin = time.perf_counter()
town.run({hours})
print(json.dumps({{
    "seconds": time.perf_counter() - begin,
    "peak": peak_kilobytes(),
    "decisions": town.answers.counts["decisions"],
    "asked": town.answers.counts["asked"],
    "candidacy": hearers(town, "candidacy"),
    "party": hearers(town, "party"),
}}))
"""


def scaling(console: Console, most: int) -> None:
    """Print the cost of a day for growing countries, and how it grows."""
    table = Table(
        "people",
        "s",
        "agent-steps / s",
        "peak, GB",
        "decisions",
        "questions asked",
        "know: candidacy, party",
        title=f"The scripted town, {HOURS} hours, one process a row",
    )
    seconds = {}
    for people in [size for size in SIZES if size <= most]:
        print(f"{people:,} people", file=sys.stderr)
        ran = in_a_process(people)
        seconds[people] = ran["seconds"]
        table.add_row(
            f"{people:,}",
            f"{ran['seconds']:.2f}",
            f"{people * HOURS / ran['seconds']:,.0f}",
            f"{ran['peak'] / 1e6:.2f}",
            f"{ran['decisions']:,}",
            f"{ran['asked']:,}",
            f"{ran['candidacy']}, {ran['party']}",
        )
    console.print(table)
    large = [people for people in seconds if people >= 10_000]
    if len(large) > 1:
        taken = [seconds[people] for people in large]
        slope = np.polyfit(np.log(large), np.log(taken), 1)[0]
        console.print(
            f"cost grows with people to the power {slope:.2f}, from 10,000 up"
        )


def in_a_process(people: int) -> dict[str, Any]:
    """Run a country in a new process, and return what CHILD prints."""
    code = CHILD.format(people=people, hours=HOURS)
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    printed: dict[str, Any] = json.loads(done.stdout)
    return printed


class MesaResident(mesa.Agent, Resident):
    """A resident whom mesa creates, keeps and activates."""


class MesaCountry(Country, mesa.Model):
    """The country as a mesa model: its agents are mesa's.

    In each hour they are activated by mesa's `AgentSet.do`.
    """

    def __init__(self, people: int) -> None:
        mesa.Model.__init__(self, seed=0)
        residents = [MesaResident(self) for _ in range(people)]
        Country.__init__(self, people, memory=24, residents=residents)

    def all(self, does: str) -> None:
        self.agents.do(does)


def against_mesa(console: Console, people: int) -> None:
    """Print both rates, run hour by hour in turns in this process.

    Seconds are of processor time: all cores count, waiting does not.
    """
    theirs = MesaCountry(people)
    ours = Town(people, memory=24)
    theirs_taken = 0.0
    ours_taken = 0.0
    for hour in range(HOURS):
        print(f"hour {hour} of {people:,} people as mesa agents", file=sys.stderr)
        theirs_taken += processor_seconds(theirs.hour)
        ours_taken += processor_seconds(lambda: ours.run(1))
    same = sorted(theirs.log) == sorted(map(tuple, ours.log.tolist()))
    table = Table(
        "people",
        "mesa, agent-steps / processor s",
        "ours",
        "ratio",
        "same talks",
        title=f"mesa {mesa.__version__}",
    )
    table.add_row(
        f"{people:,}",
        f"{people * HOURS / theirs_taken:,.0f}",
        f"{people * HOURS / ours_taken:,.0f}",
        f"{theirs_taken / ours_taken:.1f} (wanted: {WANTED_OVER_MESA})",
        str(same),
    )
    console.print(table)


def processor_seconds(work: Callable[[], Any]) -> float:
    """Return the processor time that the work takes.

    What others left behind is collected first: otherwise Python's collector, which
    walks over all of mesa's objects now and then, would charge it to whoever runs by
    then.
    """
    gc.collect()
    begin = time.process_time()
    work()
    return time.process_time() - begin


def against_generate(console: Console) -> None:
    """Print decisions a second of a day of 25 people, and of generate.

    The model has random weights, which cost the same as any others.
    """
    torch.set_num_threads(1)
    scripted = Town(seed=1).run(HOURS)
    questions = [question for question, _ in scripted.answers.answered()]
    texts = [question.text for question in questions]
    tokenizer = word_tokenizer(texts)
    brain = LanguageBrain(untrained_diarist(tokenizer), tokenizer)
    brain.answer(questions[:64])  # warms up
    begin = time.perf_counter()
    town = Town(seed=1, brain=brain).run(HOURS)
    counts = town.answers.counts
    ours = counts["decisions"] / (time.perf_counter() - begin)
    few = texts[:200]
    theirs = generated_a_second(brain.model, tokenizer, few)
    table = Table(
        "way",
        "decisions / s",
        title=f"A language model of {brain.model.num_parameters():,} parameters",
    )
    table.add_row(
        f"the town: {counts['decisions']:,} decisions from {counts['asked']:,} "
        "questions, all of the town's work included",
        f"{ours:,.0f}",
    )
    table.add_row(
        f"one generate of one token for each decision, {len(few)} of them",
        f"{theirs:,.0f}",
    )
    console.print(table)
    console.print(f"ratio {ours / theirs:.1f} (wanted: {WANTED_OVER_GENERATE})")


def generated_a_second(model: Any, tokenizer: Any, texts: list[str]) -> float:
    """Return how many single tokens transformers' generate makes in a second."""
    begin = time.perf_counter()
    for text in texts:
        ids = torch.tensor([tokenizer(text).input_ids])
        model.generate(
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            max_new_tokens=1,
            do_sample=False,
            pad_token_id=0,
        )
    return len(texts) / (time.perf_counter() - begin)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="How far does the town scale?")
    parser.add_argument(
        "--most", type=int, default=SIZES[-1], help="people in the largest town"
    )
    parser.add_argument(
        "--mesa", type=int, default=100_000, help="people as mesa agents"
    )
    given = parser.parse_args()
    console = Console(width=130)
    against_generate(console)
    against_mesa(console, given.mesa)
    scaling(console, given.most)


if __name__ == "__main__":
    main()
