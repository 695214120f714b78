"""How far does the town scale, and is it faster than mesa and than generating? Three tables.

1. People against agent-steps a second and memory, 24 hours each, every size in a process of its own; the exponent of
   cost is the slope of log seconds on log people, from 10,000 up.
2. The same rules as mesa agents (`plain_town.py`), in the same run; the two towns are checked to have said the same.
3. Decisions of a language model: the town's way (equal questions once, letters' logits, batched) against one
   `generate` of transformers for each decision.

    python benchmarks/town.py [--most 1000000] [--mesa 100000]
"""

import argparse
import subprocess
import sys
import time

import mesa
import numpy as np
import torch
from plain_town import Country, Resident
from rich.console import Console
from rich.table import Table

from smallscale.simulation import Town
from smallscale.simulation.language import LanguageBrain, new_model, word_tokenizer

HOURS = 24
SIZES = (25, 1_000, 10_000, 100_000, 1_000_000)
CHILD = """
def high_water():
    lines = open("/proc/self/status").read().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))  # kB
import time
from smallscale.simulation import Town
town = Town({people})
begin = time.perf_counter()
town.run({hours})
print(time.perf_counter() - begin, high_water(), town.answers.counts["asked"],
      town.answers.counts["decisions"], *(int(n) for n in (town.heard >= 0).sum(0)[1:]))
"""


def scaling(console: Console, most: int) -> None:
    table = Table(
        "people", "s", "agent-steps / s", "peak, GB", "decisions", "questions asked", "know: candidacy, party",
        title=f"The scripted town, {HOURS} hours, one process a row",
    )  # fmt: skip
    seconds = {}
    for people in [size for size in SIZES if size <= most]:
        print(f"{people:,} people", file=sys.stderr)
        code = CHILD.format(people=people, hours=HOURS)
        said = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        ).stdout.split()
        taken, peak, asked, decisions, *know = map(float, said)
        seconds[people] = taken
        table.add_row(
            f"{people:,}", f"{taken:.2f}", f"{people * HOURS / taken:,.0f}", f"{peak / 1e6:.2f}", f"{decisions:,.0f}",
            f"{asked:,.0f}", ", ".join(f"{n:.0f}" for n in know),
        )  # fmt: skip
    console.print(table)
    large = [people for people in seconds if people >= 10_000]
    if len(large) > 1:
        slope = np.polyfit(
            np.log(large), np.log([seconds[people] for people in large]), 1
        )[0]
        console.print(
            f"cost grows with people to the power {slope:.2f}, from 10,000 up"
        )


class MesaResident(mesa.Agent, Resident):
    """A resident whom mesa creates, keeps and activates."""


class MesaCountry(Country, mesa.Model):
    """The country as a mesa model: its agents are mesa's, and an hour activates them by mesa's `AgentSet.do`."""

    def __init__(self, people: int) -> None:
        mesa.Model.__init__(self, seed=0)
        Country.__init__(
            self, people, residents=[MesaResident(self) for _ in range(people)]
        )

    def all(self, does: str) -> None:
        self.agents.do(does)


def against_mesa(console: Console, people: int) -> None:
    """Both in this process, hour by hour in turns, in seconds of processor time: all cores count, waiting does not."""
    theirs, ours = MesaCountry(people), Town(people)
    taken = {"mesa": 0.0, "ours": 0.0}
    for hour in range(HOURS):
        print(f"hour {hour} of {people:,} people as mesa agents", file=sys.stderr)
        for who, move in (("mesa", theirs.hour), ("ours", lambda: ours.run(1))):
            begin = time.process_time()
            move()
            taken[who] += time.process_time() - begin
    same = sorted(theirs.log) == sorted(map(tuple, ours.log.tolist()))
    rate = {who: people * HOURS / seconds for who, seconds in taken.items()}
    table = Table(
        "people",
        "mesa, agent-steps / processor s",
        "ours",
        "ratio",
        "same talks",
        title=f"mesa {mesa.__version__}",
    )
    ratio = rate["ours"] / rate["mesa"]
    table.add_row(
        f"{people:,}",
        f"{rate['mesa']:,.0f}",
        f"{rate['ours']:,.0f}",
        f"{ratio:.1f} (wanted: 30)",
        str(same),
    )
    console.print(table)


def against_generate(console: Console) -> None:
    """A day of 25 people by a language model (random weights cost the same), and the same decisions by generate."""
    torch.set_num_threads(1)
    scripted = Town(seed=1).run(HOURS)
    questions = [question for question, _ in scripted.answers.said()]
    texts = [question.text for question in questions]
    tokenizer = word_tokenizer(texts)
    brain = LanguageBrain(new_model(tokenizer), tokenizer)
    brain.answer(questions[:64])  # warms up
    begin = time.perf_counter()
    town = Town(seed=1, brain=brain).run(HOURS)
    ours = time.perf_counter() - begin
    decisions, asked = town.answers.counts["decisions"], town.answers.counts["asked"]
    few = texts[:200]
    begin = time.perf_counter()
    for text in few:
        ids = torch.tensor([tokenizer(text).input_ids])
        brain.model.generate(
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            max_new_tokens=1,
            do_sample=False,
            pad_token_id=0,
        )
    each = (time.perf_counter() - begin) / len(few)
    table = Table(
        "way",
        "decisions / s",
        title=f"A language model of {brain.model.num_parameters():,} parameters",
    )
    table.add_row(
        f"the town: {decisions:,} decisions from {asked:,} questions, all of the town's work included",
        f"{decisions / ours:,.0f}",
    )
    table.add_row(
        f"one generate of one token for each decision, {len(few)} of them",
        f"{1 / each:,.0f}",
    )
    console.print(table)
    console.print(f"ratio {decisions / ours * each:.1f} (wanted: 5)")


def main() -> None:
    """Measure and print."""
    words = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    words.add_argument(
        "--most", type=int, default=SIZES[-1], help="people in the largest town"
    )
    words.add_argument(
        "--mesa", type=int, default=100_000, help="people as mesa agents"
    )
    given = words.parse_args()
    console = Console(width=130)
    against_generate(console)
    against_mesa(console, given.mesa)
    scaling(console, given.most)


if __name__ == "__main__":
    main()
