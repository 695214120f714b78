"""What would the network read without these training images? A widget on networks that were trained without them."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import ipywidgets as widgets
import numpy as np
import torch
from torch import Generator, Tensor, nn

from smallscale.attribution.gradients import Loss
from smallscale.attribution.retraining import Run, retrain, stack_outputs

WAYS = ("most helpful", "most harmful", "random")
# Okabe and Ito's colours, told apart by colour-blind readers; no meaning hangs on colour alone.
TRUE, READ, OTHER = "#009E73", "#D55E00", "#56B4E9"
WIDTH, PANEL, SMALL, TOP, SHOWN = 760, 180, 62, 28, 10  # the SVG's units; how many removed images are drawn


def removal_order(scores: Any, *, seed: int = 0) -> Tensor:
    """(ways, n_train, n_test): training points in the order in which each of WAYS removes them for a test point."""
    scores = torch.as_tensor(scores)
    shuffled = torch.randperm(len(scores), generator=Generator().manual_seed(seed))
    down = scores.argsort(0, descending=True)
    return torch.stack([down, down.flip(0), shuffled[:, None].expand(scores.shape)])


def read_without(
    model: nn.Module,
    loss: Loss,
    train: Any,
    inputs: Any,
    order: Tensor,
    counts: Sequence[int],
    run: Run,
    progress: str = "",
) -> Tensor:
    """Class probabilities of test inputs as read by networks trained without points, (ways, counts, n_test, classes).

    One network for each way, count and test point: the run as it is, the first `count` points of `order` (see
    `removal_order`) taken out of their batches. model: with the weights that the run starts from.
    """
    ways, n, tests = order.shape
    weights = torch.ones(ways, len(counts), tests, n)
    for k, count in enumerate(counts):
        weights[:, k].scatter_(2, order[:, :count].transpose(1, 2), 0.0)
    stack = retrain(model, loss, train, run, weights=weights.flatten(0, 2), progress=progress)
    own = torch.arange(tests).repeat(ways * len(counts))  # of its outputs, each network is asked for one
    logits = stack_outputs(model, stack, inputs)[torch.arange(len(own)), own]
    return logits.softmax(-1).view(ways, len(counts), tests, -1)


def removal_explorer(
    train: tuple[Tensor, Tensor], test: tuple[Tensor, Tensor], order: Tensor, counts: Sequence[int], readings: Any
) -> widgets.VBox:
    """A widget: choose a test image, and how many of which training images to remove; see what is read then.

    train, test: images (n, 1, height, width) in [0, 1] and labels; order, counts, readings: of `removal_order` and
    `read_without`. It opens on the image and count for which removing harmful images first makes a wrong reading right.
    """
    probabilities = torch.as_tensor(readings).double().numpy()
    truth = test[1].tolist()
    first, notch = _start(probabilities[1].argmax(-1) == np.array(truth))
    wide = {"style": {"description_width": "6em"}, "layout": widgets.Layout(width="min(100%, 34em)")}
    # Sliders: left and right move them, while JupyterLab keeps a drop-down's up and down for itself.
    image = widgets.SelectionSlider(
        options=[(f"{i + 1}: a {label}", i) for i, label in enumerate(truth)],
        value=first,
        description="test image",
        **wide,
    )
    way = widgets.SelectionSlider(
        options=[(name, w) for w, name in enumerate(WAYS)], value=1, description="remove", **wide
    )
    count = widgets.SelectionSlider(
        options=[(str(c), k) for k, c in enumerate(counts)], value=notch, description="how many", **wide
    )
    view = widgets.HTML()

    def show(_: Any = None) -> None:
        i, w, k = image.value, way.value, count.value
        gone = order[w, : counts[k], i]
        removed = [(train[0][j, 0].numpy(), int(train[1][j])) for j in gone[:SHOWN]]
        view.value = removal_scene(
            test[0][i, 0].numpy(), truth[i], probabilities[w, 0, i], probabilities[w, k, i], removed, WAYS[w], counts[k]
        )

    for slider in (image, way, count):
        slider.observe(show, names="value")
    show()
    return widgets.VBox([image, way, count, view])


def _start(right: np.ndarray) -> tuple[int, int]:
    """(image, notch) where a wrong reading first becomes right, from right (counts, n); else the last notch."""
    late = np.where(right.any(0) & ~right[0], right.argmax(0), len(right))
    return (int(late.argmin()), int(late.min())) if late.min() < len(right) else (0, len(right) - 1)


def removal_scene(
    picture: np.ndarray,
    truth: int,
    before: np.ndarray,
    after: np.ndarray,
    removed: Sequence[tuple[np.ndarray, int]],
    way: str,
    count: int,
) -> str:
    """The state as HTML: an SVG that says in words what it shows, and the same sentence below it.

    picture: (height, width) in [0, 1]; before, after: (classes,) probabilities of the full network, and without
    `count` images, of which `removed` holds the first, with their labels.
    """
    whole, read = int(before.argmax()), int(after.argmax())
    sentence = f"A {truth}; trained on all images the network reads {whole} with probability {before[whole]:.2f}"
    if count:
        each = f"the {way} training image" if count == 1 else f"the {count} {way} training images"
        each = each.replace("the random", "one random") if count == 1 else each.replace("the ", "", way == "random")
        sentence += f", without {each} {read} with probability {after[read]:.2f}"
    sentence += f" (for {truth}: {before[truth]:.2f}" + (f", then {after[truth]:.2f})." if count else ").")
    labels = ", ".join(str(label) for _, label in removed)
    listed = f" Removed{' first' if count > len(removed) else ''}: {labels}." if removed else ""
    parts = [
        f'<text x="0" y="{TOP - 10}">test image</text>',
        _picture(0, TOP, PANEL, picture),
        _bars(PANEL + 40, after, truth, read),
    ]
    below = TOP + PANEL + 30
    if removed:
        parts.append(
            f'<text x="0" y="{below}">removed{", the first" if count > len(removed) else ""}, with labels</text>'
        )
    for k, (small, label) in enumerate(removed):
        x = k * (SMALL + 13)
        parts.append(_picture(x, below + 10, SMALL, small))
        parts.append(f'<text x="{x + SMALL / 2}" y="{below + SMALL + 28}" text-anchor="middle">{label}</text>')
    return (
        f'<div style="color: var(--jp-ui-font-color1, currentColor); max-width: {WIDTH}px">'
        f'<svg role="img" aria-label="{sentence}{listed}" viewBox="0 0 {WIDTH} {below + SMALL + 36}" '
        f'style="width: 100%; height: auto; font: 14px sans-serif" fill="currentColor"><title>{sentence}</title>'
        f"{''.join(parts)}</svg><p><strong>{sentence}</strong>{listed}</p></div>"
    )


def _picture(x: float, y: float, size: float, picture: np.ndarray) -> str:
    """A grey picture of height x width squares; squares of one shade are drawn as one path."""
    height, width = picture.shape
    squares = defaultdict(list)
    for place, value in enumerate(picture.flat):
        squares[round(float(value) * 16)].append(f"M{place % width} {place // width}h1v1h-1z")
    paths = "".join(
        f'<path fill="#{3 * f"{round(255 * shade / 16):02x}"}" d="{"".join(d)}"/>' for shade, d in squares.items()
    )
    scale = size / max(height, width)
    return f'<g transform="translate({x} {y}) scale({scale:.6g})" shape-rendering="crispEdges">{paths}</g>'


def _bars(x: int, probabilities: np.ndarray, truth: int, read: int) -> str:
    """A bar for each class, with its probability; the true one and the one read say so in words."""
    row, longest = PANEL / len(probabilities), WIDTH - x - 130  # what is left holds the words
    parts = [f'<text x="{x}" y="{TOP - 10}">probability of each class</text>']
    for digit, p in enumerate(probabilities):
        middle, colour = TOP + row * (digit + 0.5), TRUE if digit == truth else READ if digit == read else OTHER
        words = ", ".join([f"{p:.2f}"] + ["true"] * (digit == truth) + ["read"] * (digit == read))
        parts.append(
            f'<text x="{x + 12}" y="{middle:.4g}" text-anchor="end" dominant-baseline="central">{digit}</text>'
            f'<rect x="{x + 20}" y="{middle - row * 0.35:.4g}" width="{longest * p:.4g}" height="{row * 0.7:.4g}" '
            f'fill="{colour}"/>'
            f'<text x="{x + 26 + longest * p:.4g}" y="{middle:.4g}" dominant-baseline="central">{words}</text>'
        )
    return "".join(parts)
