"""Who improves the code? Policies that take an episode and act until it is over.

Random search and successive halving know a list of edits and believe the validation
error that the code prints. The expert is whoever wrote the task.
"""

from collections.abc import Callable

import numpy as np

from smallscale.simulation.research.judge import CODE, Judge, Verdict
from smallscale.simulation.research.tasks import Edit
from smallscale.simulation.research.workspace import Episode, printed_error

Policy = Callable[[Episode, np.random.Generator], None]
RUNS = 6  # executions that a search has


def do_nothing(episode: Episode, random: np.random.Generator) -> None:
    """Answer with the code as it was given."""
    episode.act("final answer")


def random_search(episode: Episode, random: np.random.Generator) -> None:
    """Try pairs of listed edits; keep what prints the lowest validation error."""
    tried = []
    for edits in _drawn(episode, random, RUNS):
        error = _try_out(episode, edits, 1.0)
        tried.append((error, edits))
    _answer(episode, min(tried, key=lambda pair: pair[0])[1])


def random_search_told(episode: Episode, random: np.random.Generator) -> None:
    """The control: the same tries, chosen by the true scores, which no agent sees."""
    tried = []
    for edits in _drawn(episode, random, RUNS):
        _apply(episode, edits)
        tried.append((episode.judge.judge(episode.code).score, edits))
    _answer(episode, min(tried, key=lambda pair: pair[0])[1])


def successive_halving(episode: Episode, random: np.random.Generator) -> None:
    """Try three pairs on a quarter of the rows, two on half, one on all of them.

    After each round the worse ones are dropped (Jamieson and Talwalkar 2016).
    """
    kept = _drawn(episode, random, 3)
    for share, left in ((0.25, 2), (0.5, 1), (1.0, 1)):
        errors = [_try_out(episode, edits, share) for edits in kept]
        kept = [kept[k] for k in np.argsort(errors, kind="stable")[:left]]
    _answer(episode, kept[0])


def random_edits(episode: Episode, random: np.random.Generator) -> None:
    """The control of the expert: as many edits as the expert makes, drawn blindly."""
    edits = episode.judge.task.edits
    n = len(episode.judge.task.expert)
    chosen = random.permutation(len(edits))[:n]
    _answer(episode, [edits[k] for k in chosen])


def expert(episode: Episode, random: np.random.Generator) -> None:
    """Make the edits that the task's author would make, having read the README."""
    episode.act("read", {"file": "README.txt"})
    episode.act("read", {"file": CODE})
    by_name = {edit.name: edit for edit in episode.judge.task.edits}
    _answer(episode, [by_name[name] for name in episode.judge.task.expert])


def _drawn(episode: Episode, random: np.random.Generator, n: int) -> list[list[Edit]]:
    """Return the code as it is, and n - 1 pairs of edits in random order."""
    edits = episode.judge.task.edits
    pairs = [random.permutation(len(edits))[:2] for _ in range(n - 1)]
    return [[], *([edits[k] for k in pair] for pair in pairs)]


def _apply(episode: Episode, edits: list[Edit]) -> None:
    """Start from the code as it was given, and make these edits where they fit."""
    episode.act("write", {"file": CODE, "text": episode.judge.task.code})
    for edit in edits:
        arguments = {"file": CODE, "old": edit.old, "new": edit.new}
        episode.act("edit", arguments, words=edit.name)


def _try_out(episode: Episode, edits: list[Edit], share: float) -> float:
    """Return the validation error that the edited code prints, on a share of rows."""
    _apply(episode, edits)
    if share < 1:
        new = f"SHARE = {share:g}"
        episode.act("edit", {"file": CODE, "old": "SHARE = 1.0", "new": new})
    return printed_error(episode.act("execute", {"file": CODE}))


def _answer(episode: Episode, edits: list[Edit]) -> None:
    _apply(episode, edits)
    episode.act("final answer")


POLICIES: dict[str, Policy] = {
    "do nothing": do_nothing,
    "random edits": random_edits,
    "random search": random_search,
    "successive halving": successive_halving,
    "random search, told": random_search_told,
    "expert": expert,
}


class Result:
    """What a policy reached in one episode, with its trace."""

    def __init__(self, policy: str, episode: Episode, verdict: Verdict) -> None:
        judge = episode.judge
        self.policy = policy
        self.task = judge.task.name
        self.seed = judge.seed
        self.start_code = judge.task.code
        self.trace = episode.trace
        self.baseline = judge.baseline.score
        self.score = verdict.score
        self.reason = verdict.reason
        self.gain = judge.gain(verdict)
        self.success = judge.success(verdict)

    def row(self) -> dict[str, object]:
        """Return the numbers, for a table."""
        faults = sum(bool(step.fault) for step in self.trace)
        names = ("policy", "task", "seed", "baseline", "score", "gain", "success")
        steps = {"steps": len(self.trace), "faults": faults}
        return {name: getattr(self, name) for name in names} | steps


def run_policy(name: str, judge: Judge, policy: Policy | None = None) -> Result:
    """Let a policy work on a task, and judge the code that it leaves."""
    chosen = POLICIES[name] if policy is None else policy
    with Episode(judge) as episode:
        chosen(episode, np.random.default_rng([judge.seed, 1]))
        return Result(name, episode, judge.judge(episode.code))
