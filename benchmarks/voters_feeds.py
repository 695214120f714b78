"""What are personal feeds of statements worth to real voters?

    python benchmarks/voters_feeds.py FOLDER…

Each folder is a Polis export. Prints a row of benchmarks/README.md for each.
"""

import sys
from pathlib import Path

import pandas as pd
from scipy.stats import t as student

from smallscale.simulation.assistants.voters import split_votes, voters_feeds
from smallscale.votes import bridging_scores, opinion_groups, read_polis

SPLITS = 10
LEAST_VOTES = 7


def row(folder: Path) -> str:
    """Return a conversation's row: means over splits of the votes into halves."""
    read = read_polis(folder)
    votes = read.matrix.drop(columns=read.moderated_out)
    votes = votes[votes.notna().sum(axis=1) >= LEAST_VOTES]
    groups = opinion_groups(votes)
    tables = [
        voters_feeds(split_votes(votes, seed=seed), groups, alphas=[0, 1], seed=seed)
        for seed in range(SPLITS)
    ]
    mean = pd.concat(tables).groupby(level=0, sort=False).mean()
    shared, own = "taste, alpha 0", "taste, alpha 1"
    gains = pd.Series([t["liked"][own] - t["liked"][shared] for t in tables])
    half = student.ppf(0.975, SPLITS - 1) * gains.sem()
    low, high = gains.mean() - half, gains.mean() + half
    ways = ["chance", shared, own, "bridging"]
    helpful = bridging_scores(votes)["helpful"].sum()
    cells = [
        folder.name,
        str(len(votes)),
        f"{votes.notna().mean(axis=None):.0%}",
        ", ".join(map(str, groups.value_counts())),
        f"{helpful} of {votes.shape[1]}",
        ", ".join(f"{mean['liked'][way]:.2f}" for way in ways),
        f"{gains.mean():+.3f} ({low:+.3f} to {high:+.3f})",
        ", ".join(f"{mean['divisive'][way]:.2f}" for way in ways),
    ]
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    for name in sys.argv[1:]:
        print(row(Path(name)), flush=True)
