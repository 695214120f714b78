"""What happens when I move this? Sliders over what is already computed, and below them what it looks like."""

from collections.abc import Callable, Mapping
from typing import Any

import ipywidgets as widgets


Scene = Callable[..., str]  # the values of the sliders -> the HTML to show
Explorer = tuple[
    Scene, dict[str, Any]
]  # what a theme's explorer returns, for explore(*…)


def explore(
    scene: Callable[..., str], sliders: Mapping[str, widgets.ValueWidget]
) -> widgets.VBox:
    """The sliders, each beside its name, and below them the HTML that scene(a value of each) returns, always anew.

    Sliders rather than drop-downs: left and right move them, while JupyterLab keeps a drop-down's up and down for
    itself. scene must answer at once: what is costly is computed before, and what others wrote it escapes.
    """
    view = widgets.HTML()

    def show(_: Any = None) -> None:
        view.value = scene(*(slider.value for slider in sliders.values()))

    for name, slider in sliders.items():
        slider.description, slider.layout.width, slider.style.description_width = (
            name,
            "min(100%, 46em)",
            "9em",
        )
        slider.observe(show, names="value")
    show()
    return widgets.VBox([*sliders.values(), view])
