"""What did it do, and why? Steps through the traces of policies on tasks.

The episodes were run before; moving a slider only shows what the trace holds.
"""

import difflib
from collections.abc import Sequence
from html import escape

import ipywidgets as widgets

from smallscale.core.validation import require
from smallscale.notebook.explorer import Explorer
from smallscale.simulation.research.policies import Result

MOST_LINES = 14  # of a diff or an observation


def trace_explorer(results: Sequence[Result], *, start: tuple[str, str]) -> Explorer:
    """Return a scene and its sliders, for `explore`: policy, task and step.

    results: one for each policy and task; where there are more, the first is shown.
    start: the policy and the task with which it opens, at its last execution.
    """
    by_names: dict[tuple[str, str], Result] = {}
    for result in results:
        by_names.setdefault((result.policy, result.task), result)
    policies = list(dict.fromkeys(policy for policy, _ in by_names))
    tasks = list(dict.fromkeys(task for _, task in by_names))
    require(
        start in by_names, "start must be the policy and task of one of the results"
    )
    longest = max(len(result.trace) for result in by_names.values())

    def scene(policy: str, task: str, step: int) -> str:
        if (policy, task) not in by_names:
            return f"<p>{escape(policy)} was not run on {escape(task)}.</p>"
        return step_scene(by_names[policy, task], step)

    actions = [step.action for step in by_names[start].trace]
    runs = [k for k, action in enumerate(actions, 1) if action == "execute"]
    opening = runs[-1] if runs else len(actions)
    return scene, {
        "policy": widgets.SelectionSlider(options=policies, value=start[0]),
        "task": widgets.SelectionSlider(options=tasks, value=start[1]),
        "step": widgets.IntSlider(value=opening, min=1, max=longest),
    }


def step_scene(result: Result, step: int) -> str:
    """Return a step of a trace as HTML; past the last step, the last one."""
    step = min(step, len(result.trace))
    shown = result.trace[step - 1]
    verdict = "success" if result.success else "no success"
    file = shown.arguments.get("file", "")
    sentence = (
        f"Step {step} of {len(result.trace)}: {shown.action} {file}. In the end, on "
        f"labels it never saw: score {result.score:.3g}, baseline "
        f"{result.baseline:.3g}, {verdict}."
    )
    parts = [f"<p>{escape(sentence)}</p>"]
    if shown.words:
        parts.append(_block("its words", shown.words))
    parts.append(_block("it was told", shown.observation))
    parts.append(_block("its code against the start", code_diff(result, step)))
    return "".join(parts)


def code_diff(result: Result, step: int) -> str:
    """Return how train.py after this step differs from the start, line by line."""
    old = result.start_code.splitlines()
    new = result.trace[step - 1].code.splitlines()
    lines = difflib.unified_diff(old, new, lineterm="", n=0)
    changed = [line for line in lines if not line.startswith(("---", "+++", "@@"))]
    return "\n".join(changed) or "unchanged"


def _block(title: str, text: str) -> str:
    lines = text.splitlines()
    if len(lines) > MOST_LINES:
        lines = [*lines[:MOST_LINES], "…"]
    shown = escape("\n".join(lines))
    style = "margin:0;white-space:pre-wrap;max-width:46em"
    return f"<p><em>{escape(title)}</em></p><pre style='{style}'>{shown}</pre>"
