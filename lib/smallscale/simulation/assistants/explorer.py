"""Which feed divides the town, and which misleads it? A widget: the beliefs' histogram.

Every combination of rules is lived through beforehand; a slider only draws it.
"""

from itertools import product

import ipywidgets as widgets
import numpy as np

from smallscale.core.progress import ProgressBar
from smallscale.core.templates import template
from smallscale.notebook.explorer import Explorer
from smallscale.simulation.assistants.life import Lived, live
from smallscale.simulation.assistants.news import TRUTH
from smallscale.simulation.assistants.rules import INTERVENTIONS, Rules
from smallscale.simulation.assistants.world import LEAST, MOST, World

BELIEFS_TEMPLATE = template("simulation/assistants/beliefs.html.j2")
ALPHAS = (0.0, 0.25, 0.5, 0.75, 1.0)
RANKED_BY = ("engagement", "both", "truth")
BIN = 4.0  # million


def beliefs_explorer(world: World) -> Explorer:
    """Return what `explore` shows: sliders for alpha, for what feeds are ranked by, for
    the intervention and for the day, and below them the histogram of beliefs.

    It opens on the last day of personal assistants that rank by engagement.
    """
    keys = list(product(ALPHAS, RANKED_BY, INTERVENTIONS))
    lives = {
        (alpha, objective, intervention): live(
            world, Rules(alpha, objective, intervention)
        )
        for alpha, objective, intervention in ProgressBar(keys, desc="lives of a town")
    }
    days = len(lives[keys[0]].belief) - 1
    shown = sorted({round(day) for day in np.linspace(0, days, 7)})

    def scene(alpha: float, objective: str, intervention: str, day: int) -> str:
        lived = lives[alpha, objective, intervention]
        return beliefs_html(lived, day)

    sliders = {
        "alpha": widgets.SelectionSlider(options=ALPHAS, value=1.0),
        "ranked by": widgets.SelectionSlider(options=RANKED_BY, value="engagement"),
        "intervention": widgets.SelectionSlider(options=INTERVENTIONS, value="none"),
        "day": widgets.SelectionSlider(options=shown, value=days),
    }
    return scene, sliders


def beliefs_html(lived: Lived, day: int) -> str:
    """Return the beliefs of a day as HTML: their histogram, the first day's as a line,
    and a sentence.

    day: of the days that count; 0 is before the first.
    """
    edges = np.arange(LEAST, MOST + BIN, BIN)
    now = np.histogram(lived.belief[day], edges)[0]
    first = np.histogram(lived.belief[0], edges)[0]
    found = lived._replace(belief=lived.belief[: day + 1]).measures()
    sentence = (
        f"Day {day}: people think {found['mean']:.0f} million on average and are "
        f"{found['error']:.1f} million off; the spread is {found['spread']:.1f}, the "
        f"valley between camps {found['valley']:.2f}. On the last days two people "
        f"share {lived.overlap:.0%} of their feeds, the operator earns "
        f"{lived.clicks:.2f} clicks a reader and day, and satisfaction is "
        f"{lived.satisfaction:.2f}."
    )
    html: str = BELIEFS_TEMPLATE.render(
        sentence=sentence,
        now=(now / now.sum()).tolist(),
        first=(first / first.sum()).tolist(),
        bins=len(now),
        truth=(TRUTH - LEAST) / (MOST - LEAST),
        ticks=[(tick, tick / MOST) for tick in range(0, int(MOST) + 1, 20)],
        tallest=0.5,
    )
    return html
