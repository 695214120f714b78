"""Where does the probability go? A widget for everything that the policy may write.

Its sliders are beta and the step of training. All policies are arrays that were
computed beforehand. Moving a slider writes an SVG, in a few milliseconds.
"""

from collections.abc import Mapping
from typing import Any

import ipywidgets as widgets
import numpy as np
import pandas as pd

from smallscale.core.templates import template
from smallscale.core.validation import require
from smallscale.dpo.optimum import optimal_policy
from smallscale.dpo.reviews import Reviews, measure
from smallscale.notebook.explorer import Explorer

POLICY_TEMPLATE = template("dpo/policy.html.j2")
TALLEST = 200  # column, in units of the SVG, which is 760 wide
COLUMN_SPAN = 2.0  # of reward
LISTED = 6  # of the likeliest reviews


def policy_explorer(
    world: Reviews,
    reference: Any,
    policies: Mapping[tuple[float, int], Any],
    *,
    beta: float | None = None,
) -> Explorer:
    """Return what `explore` shows: sliders for beta and the step, and below them the
    policy's probability by true reward, and its likeliest reviews.

    reference: (n + 1,) as from `review_distribution`. policies: for each (beta, step)
    the policy (n + 1,), with the same steps for every beta. Beside the policy stand the
    reference and the optimum for that beta. It opens at `beta` (None: the middle one),
    after the last step.
    Raises ValueError where a (beta, step) is missing, or there is none.
    """
    betas = sorted({beta for beta, _ in policies})
    steps = sorted({step for _, step in policies})
    require(
        policies and len(policies) == len(betas) * len(steps),
        "policies must hold every pair of a beta and a step; got "
        f"{len(policies)} of them",
    )
    start = betas[len(betas) // 2] if beta is None else beta
    require(
        start in betas,
        f"beta must be one of {', '.join(f'{b:g}' for b in betas)}; got {beta}",
    )
    rewards = np.append(world.reward, world.failure)
    optima = {b: optimal_policy(reference, rewards, b) for b in betas}
    # From large to small: to the right, the policy is freer to leave the reference.
    options = [(f"{b:g}", b) for b in reversed(betas)]
    sliders = {
        "beta": widgets.SelectionSlider(options=options, value=start),
        "steps of training": widgets.SelectionSlider(options=steps, value=steps[-1]),
    }

    def scene(beta: float, step: int) -> str:
        return policy_html(world, reference, policies[beta, step], optima[beta], beta)

    return scene, sliders


def policy_html(
    world: Reviews, reference: Any, policy: Any, optimum: Any, beta: float
) -> str:
    """Return a policy as HTML: columns by true reward, the same in a sentence, and a
    table of the likeliest reviews."""
    shown = pd.DataFrame({"policy": policy, "reference": reference, "optimum": optimum})
    now = measure(policy, reference, world)
    before = measure(reference, reference, world)
    best = measure(optimum, reference, world)
    sentence = (
        f"At beta {beta:g} the policy's mean true reward is {now['reward']:.1f} at KL "
        f"{now['kl']:.1f} from the reference ({before['reward']:.1f} at 0); the "
        f"optimum has {best['reward']:.1f} at {best['kl']:.1f}. {now['off']:.0%} of "
        "what the policy writes is no review."
    )
    table = _likeliest(world, shown).to_html(index=False, border=0, justify="left")
    html: str = POLICY_TEMPLATE.render(
        sentence=sentence, table=table, **_columns(world, shown)
    )
    return html


def _likeliest(world: Reviews, shown: pd.DataFrame) -> pd.DataFrame:
    """Return the likeliest reviews, with their true reward and probabilities."""
    likely = shown[:-1].nlargest(LISTED, "policy")
    table = likely.map("{:.2%}".format)
    table.insert(0, "true reward", world.reward[likely.index])
    sentences = [world.sentences[i] for i in likely.index]
    table.insert(0, "The likeliest reviews", sentences)
    return table


def reward_histogram(world: Reviews, policy: Any) -> np.ndarray:
    """Return a policy's probability by true reward, (columns + 1,), from the lowest
    reward up; the last is what is no review."""
    p = np.asarray(policy)
    column = np.floor((world.reward - world.failure) / COLUMN_SPAN).astype(int)
    return np.append(np.bincount(column, weights=p[:-1]), p[-1])


def _columns(world: Reviews, shown: pd.DataFrame) -> dict[str, Any]:
    """Return where each column stands, how tall it is and what it is called; the last
    is what is no review. `half` is half a column's width."""
    columns = pd.DataFrame(
        {name: reward_histogram(world, shown[name]) for name in shown}
    )
    columns *= TALLEST / max(0.25, columns.to_numpy().max())
    n = len(columns) - 1
    step = 720 / (n + 2)
    places = np.append(np.arange(n), n + 1)  # a gap before what is no review
    columns["middle"] = 20 + step * (places + 0.4)
    names = [f"{world.failure + COLUMN_SPAN * k:g}" for k in range(n)]
    columns["name"] = [*names, "no review"]
    return {"columns": columns.to_dict("records"), "half": 0.4 * step}
