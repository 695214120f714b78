"""Is the answer right, and if not, why? Checks for the exercises on research agents."""

import os
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from smallscale.notebook.exercises import NOT_YET
from smallscale.simulation.research.judge import Judge
from smallscale.simulation.research.tasks import NAMES, load_task
from smallscale.simulation.research.workspace import Episode


def check_edit(given: Mapping[str, Any] | None, *, task: str, seeds: range) -> str:
    """Check one action, an edit of a task's train.py: does it succeed on every seed?"""
    if given is None:
        return NOT_YET
    if not isinstance(given, Mapping) or given.get("action") != "edit":
        return "Give an action as a dictionary, with 'action': 'edit'."
    arguments = {name: value for name, value in given.items() if name != "action"}
    if arguments.get("file") != "train.py":
        return "Only train.py is run for the score: edit that file."
    gains = []
    for seed in seeds:
        judge = Judge(load_task(task), seed)
        with Episode(judge) as episode:
            told = episode.act("edit", arguments)
            if told != "written":
                return f"The edit was {told}."
            verdict = judge.judge(episode.code)
        if verdict.reason != "scored":
            return f"The edited code gives no score: {verdict.reason}."
        gains.append(judge.gain(verdict))
        if not judge.success(verdict):
            return (
                f"At seed {seed} the score fell by {gains[-1]:.0%}; "
                f"{judge.task.better_by:.0%} is the goal. Which column does the README "
                "say is missing when it counts?"
            )
    return f"Right: the score fell by {min(gains):.0%} or more on {len(gains)} seeds."


def check_inside(inside: Callable[[Path, str], Any]) -> str:
    """Check a function (folder, name) -> is the file in the folder, links followed?"""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place).resolve() / "work"
        for name in ("work", "work/sub", "work-twin"):
            (Path(place) / name).mkdir()
        cases = [
            ("train.py", True, "A plain name was refused."),
            ("sub/train.py", True, "A file in a folder inside was refused."),
            ("sub/../train.py", True, "'..' that stays inside was refused."),
            ("..name.py", True, "A name that begins with two dots is only a name."),
            (f"{folder}/train.py", True, "An absolute path inside was refused."),
            ("../labels", False, "'..' climbs out of the folder."),
            ("sub/../../labels", False, "'..' further down climbs out as well."),
            ("/etc/passwd", False, "An absolute path leads outside."),
            (
                "../work-twin/labels",
                False,
                "work-twin begins as the folder does: compare parts, not text.",
            ),
        ]
        if os.name == "posix":
            (folder / "link").symlink_to(Path(place) / "work-twin")
            (folder / "here").symlink_to(folder / "sub")
            out = "A link inside leads outside: resolve it before you compare."
            cases.append(("link/labels", False, out))
            cases.append(("here/train.py", True, "A link that stays inside is fine."))
        for name, right, message in cases:
            answer = inside(folder, name)
            if answer is None:
                return NOT_YET
            if bool(answer) != right:
                return message
    return f"Right in {len(cases)} cases."


class Hands:
    """What a reader's policy gets: it can act, and sees neither judge nor list."""

    def __init__(self, episode: Episode) -> None:
        self.act = episode.act

        def over() -> bool:
            return episode.over

        self.over = over


def check_policy(
    policy: Callable[[Hands, np.random.Generator], Any],
    *,
    goal: int,
    seed: int,
    tasks: tuple[str, ...] = NAMES,
) -> str:
    """Check a policy (hands, random): on how many of the tasks does it succeed?"""
    won = []
    for name in tasks:
        judge = Judge(load_task(name), seed)
        with Episode(judge) as episode:
            policy(Hands(episode), np.random.default_rng(seed))
            if not episode.trace:
                return NOT_YET
            if judge.success(judge.judge(episode.code)):
                won.append(name)
    told = f"It succeeds on {len(won)} of {len(tasks)} tasks"
    if len(won) < goal:
        lost = ", ".join(name for name in tasks if name not in won)
        return f"{told}; {goal} is the goal. Read the READMEs of {lost} again."
    return f"Right: {told[0].lower()}{told[1:]} ({', '.join(won)})."
