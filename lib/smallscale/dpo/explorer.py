"""Where does the probability go? A widget: a beta and a step of training, and everything the policy may write.

All policies are arrays that were computed beforehand; moving a slider writes an SVG, in about a millisecond.
"""

from collections.abc import Mapping
from html import escape
from typing import Any

import ipywidgets as widgets
import numpy as np

from smallscale.dpo.optimum import optimal_policy
from smallscale.dpo.reviews import Reviews, measure

POLICY, OPTIMUM, OFF = "#0072B2", "#009E73", "#D55E00"  # Okabe and Ito's
WIDTH, HEIGHT, TOP, FOOT = 760, 200, 26, 44  # the SVG's units
BIN = 2.0  # of reward, in a column
SHOWN = 6  # of the likeliest reviews


def policy_explorer(
    world: Reviews, reference: Any, policies: Mapping[tuple[float, int], Any], *, beta: float | None = None
) -> widgets.VBox:
    """A widget: choose beta and the step; see the share of probability by true reward, and the likeliest reviews.

    reference: (n + 1,) as from `distribution`. policies: (beta, step) -> (n + 1,), every beta with the same steps.
    Beside the policy stand the reference and the optimum for that beta. It opens at `beta` (None: the middle one),
    after the last step. Raises ValueError where a (beta, step) is missing or there is none.
    """
    betas, steps = (sorted({key[k] for key in policies}) for k in (0, 1))
    if not policies or len(policies) != len(betas) * len(steps):
        raise ValueError(f"policies must hold every pair of a beta and a step; got {len(policies)} of them")
    start = betas[len(betas) // 2] if beta is None else beta
    if start not in betas:
        raise ValueError(f"beta must be one of {', '.join(f'{b:g}' for b in betas)}; got {beta}")
    rewards = np.append(world.reward, world.failure)
    optima = {b: optimal_policy(reference, rewards, b) for b in betas}
    wide = {"style": {"description_width": "9em"}, "layout": widgets.Layout(width="min(100%, 34em)")}
    # From large to small: to the right, the policy is freer to leave the reference.
    which = widgets.SelectionSlider(
        options=[(f"{b:g}", b) for b in reversed(betas)], value=start, description="beta", **wide
    )
    when = widgets.SelectionSlider(
        options=[(str(s), s) for s in steps], value=steps[-1], description="steps of training", **wide
    )
    view = widgets.HTML()

    def show(_: Any = None) -> None:
        policy = policies[which.value, when.value]
        view.value = scene(world, np.asarray(reference), np.asarray(policy), optima[which.value], which.value)

    which.observe(show, names="value")
    when.observe(show, names="value")
    show()
    return widgets.VBox([which, when, view])


def scene(world: Reviews, reference: np.ndarray, policy: np.ndarray, optimum: np.ndarray, beta: float) -> str:
    """The state as HTML: an SVG that says in words what it shows, the same sentence below, and a table of reviews."""
    now, best, before = (measure(p, reference, world) for p in (policy, optimum, reference))
    sentence = (
        f"At beta {beta:g} the policy's mean true reward is {now['reward']:.1f} at KL {now['kl']:.1f} "
        f"from the reference ({before['reward']:.1f} at 0); the optimum has {best['reward']:.1f} at {best['kl']:.1f}. "
        f"{now['off']:.0%} of what the policy writes is no review."
    )
    return (
        f'<div style="color: var(--jp-ui-font-color1, currentColor); max-width: {WIDTH}px">'
        f'<svg role="img" aria-label="{sentence}" viewBox="0 0 {WIDTH} {TOP + HEIGHT + FOOT}" '
        f'style="width: 100%; height: auto; font: 14px sans-serif" fill="currentColor"><title>{sentence}</title>'
        f"{_columns(world, reference, policy, optimum)}</svg><p><strong>{sentence}</strong></p>"
        f"{_likeliest(world, reference, policy, optimum)}</div>"
    )


def shares(world: Reviews, policy: np.ndarray) -> np.ndarray:
    """(columns + 1,) of a policy's probability: by true reward, from the lowest up, and last what is no review."""
    column = np.floor((world.reward - world.failure) / BIN).astype(int)
    return np.append(np.bincount(column, weights=policy[:-1]), policy[-1])


def _columns(world: Reviews, reference: np.ndarray, policy: np.ndarray, optimum: np.ndarray) -> str:
    """A bar for the policy, a black line for the reference, a green dot for the optimum, column by column."""
    heights = [shares(world, p) for p in (policy, reference, optimum)]
    tall = HEIGHT / max(0.25, *(float(h.max()) for h in heights))
    n, floor = len(heights[0]), TOP + HEIGHT
    step = (WIDTH - 40) / (n + 1)
    key = "bars: the policy · lines: the reference · dots: the optimum for this beta"
    parts = [f'<text x="0" y="14">share of probability ({key})</text>']
    for k, (now, before, best) in enumerate(zip(*heights, strict=True)):
        left = 20 + step * (k + (k == n - 1))  # a gap before what is no review
        fill = OFF if k == n - 1 else POLICY
        name = "no review" if k == n - 1 else f"{world.failure + BIN * k:g}"
        parts.append(
            f'<rect x="{left:.1f}" y="{floor - now * tall:.1f}" width="{step * 0.8:.1f}" height="{now * tall:.1f}" '
            f'fill="{fill}"/>'
            f'<path d="M{left - 2:.1f} {floor - before * tall:.1f}h{step * 0.8 + 4:.1f}" stroke="currentColor" '
            'stroke-width="2.5"/>'
            f'<circle cx="{left + step * 0.4:.1f}" cy="{floor - best * tall:.1f}" r="5" fill="{OPTIMUM}" '
            'stroke="white"/>'
            f'<text x="{left + step * 0.4:.1f}" y="{floor + 18}" text-anchor="middle">{name}</text>'
        )
    parts.append(f'<text x="20" y="{floor + 38}">true reward, from … up</text>')
    return "".join(parts)


def _likeliest(world: Reviews, reference: np.ndarray, policy: np.ndarray, optimum: np.ndarray) -> str:
    head = "".join(
        f'<th scope="col" style="text-align:left">{name}</th>'
        for name in ("The likeliest reviews", "true reward", "policy", "reference", "optimum")
    )
    rows = "".join(
        f'<tr><td style="text-align:left">{escape(world.sentences[i])}</td><td>{world.reward[i]:g}</td>'
        + "".join(f"<td>{p[i]:.2%}</td>" for p in (policy, reference, optimum))
        + "</tr>"
        for i in policy[:-1].argsort()[::-1][:SHOWN]
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
