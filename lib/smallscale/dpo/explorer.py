"""Where does the probability go? A widget: a beta and a step of training, and everything the policy may write.

All policies are arrays that were computed beforehand; moving a slider writes an SVG, in a few milliseconds.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import ipywidgets as widgets
import numpy as np
import pandas as pd
from jinja2 import Template

from smallscale.dpo.optimum import optimal_policy
from smallscale.dpo.reviews import Reviews, measure

Explorer = tuple[
    Callable[..., str], dict[str, Any]
]  # what `smallscale.notebook.explore` shows
SCENE = Template(
    Path(__file__).with_name("scene.html.j2").read_text("utf-8"),
    autoescape=True,
    trim_blocks=True,
)
TALL = 200  # of the columns, in units of the SVG, which is 760 wide
BIN = 2.0  # of reward, in a column
SHOWN = 6  # of the likeliest reviews


def policy_explorer(
    world: Reviews,
    reference: Any,
    policies: Mapping[tuple[float, int], Any],
    *,
    beta: float | None = None,
) -> Explorer:
    """For `explore`: choose beta and the step; see the share of probability by true reward, and the likeliest reviews.

    reference: (n + 1,) as from `distribution`. policies: (beta, step) -> (n + 1,), every beta with the same steps.
    Beside the policy stand the reference and the optimum for that beta. It opens at `beta` (None: the middle one),
    after the last step. Raises ValueError where a (beta, step) is missing or there is none.
    """
    betas, steps = (sorted({key[k] for key in policies}) for k in (0, 1))
    if not policies or len(policies) != len(betas) * len(steps):
        raise ValueError(
            f"policies must hold every pair of a beta and a step; got {len(policies)} of them"
        )
    start = betas[len(betas) // 2] if beta is None else beta
    if start not in betas:
        raise ValueError(
            f"beta must be one of {', '.join(f'{b:g}' for b in betas)}; got {beta}"
        )
    rewards = np.append(world.reward, world.failure)
    optima = {b: optimal_policy(reference, rewards, b) for b in betas}
    # From large to small: to the right, the policy is freer to leave the reference.
    which = widgets.SelectionSlider(
        options=[(f"{b:g}", b) for b in reversed(betas)], value=start
    )
    when = widgets.SelectionSlider(options=steps, value=steps[-1])
    sliders = {"beta": which, "steps of training": when}
    return lambda b, step: scene(
        world, reference, policies[b, step], optima[b], b
    ), sliders


def scene(
    world: Reviews, reference: Any, policy: Any, optimum: Any, beta: float
) -> str:
    """The state as HTML: columns by true reward, the same in a sentence, and a table of the likeliest reviews."""
    shown = pd.DataFrame({"policy": policy, "reference": reference, "optimum": optimum})
    now, before, best = (measure(shown[name], reference, world) for name in shown)
    sentence = (
        f"At beta {beta:g} the policy's mean true reward is {now['reward']:.1f} at KL {now['kl']:.1f} "
        f"from the reference ({before['reward']:.1f} at 0); the optimum has {best['reward']:.1f} at {best['kl']:.1f}. "
        f"{now['off']:.0%} of what the policy writes is no review."
    )
    likely = shown[:-1].nlargest(SHOWN, "policy")
    table = likely.map("{:.2%}".format).set_axis(
        [world.sentences[i] for i in likely.index]
    )
    table.insert(0, "true reward", world.reward[likely.index])
    table = table.rename_axis("The likeliest reviews").reset_index()
    told = {
        "sentence": sentence,
        "table": table.to_html(index=False, border=0, justify="left"),
    }
    return SCENE.render(told, **_columns(world, shown))


def shares(world: Reviews, policy: Any) -> np.ndarray:
    """(columns + 1,) of a policy's probability: by true reward, from the lowest up, and last what is no review."""
    p, column = (
        np.asarray(policy),
        np.floor((world.reward - world.failure) / BIN).astype(int),
    )
    return np.append(np.bincount(column, weights=p[:-1]), p[-1])


def _columns(world: Reviews, shown: pd.DataFrame) -> dict[str, Any]:
    """Of each column where it stands, how tall it is, its name; the last is what is no review. And half their width."""
    columns = pd.DataFrame({name: shares(world, shown[name]) for name in shown})
    columns *= TALL / max(0.25, columns.to_numpy().max())
    n = len(columns) - 1
    step = 720 / (n + 2)
    columns["middle"] = 20 + step * (
        np.append(np.arange(n), n + 1) + 0.4
    )  # a gap before what is no review
    columns["name"] = [*(f"{world.failure + BIN * k:g}" for k in range(n)), "no review"]
    return {"columns": columns.to_dict("records"), "half": 0.4 * step}
