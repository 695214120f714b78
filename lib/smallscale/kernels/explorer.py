"""Which tile is read now, what is in fast memory, and what does the size of a tile cost? Two widgets.

Everything is computed beforehand; moving a slider only writes a picture as SVG and a sentence.
"""

import math
from collections.abc import Sequence
from typing import Any

import ipywidgets as widgets
import torch

from smallscale.kernels import tiled
from smallscale.kernels.counts import Traffic, elements_moved, fast_memory

# Okabe and Ito's colours; every tile also carries its state in words or as a pattern of text.
NOW, DONE, QUERY, UNSEEN = "#D55E00", "#56B4E9", "#009E73", "none"
WIDE: dict[str, Any] = {
    "style": {"description_width": "8em"},
    "layout": widgets.Layout(width="min(100%, 36em)"),
}


def tile_stepper(q: Any, k: Any, v: Any, *, block: int) -> widgets.VBox:
    """A widget: walk through the forward pass of one head, tile by tile, with and without a causal mask.

    q, k, v: (1, 1, n, d), as `attention` takes them. It shows which tiles were read, which is read now, what is in
    fast memory, and the running maximum, sum and first output of the last query of the tile.
    It opens causal, at a step that changes a maximum.
    """
    q, k, v = (torch.as_tensor(x) for x in (q, k, v))
    n, d = q.shape[2:]
    walks = {"full": _walk(q, k, v, n, block), "causal": _walk(q, k, v, 0, block)}
    rises = [i for i, step in enumerate(walks["causal"]) if step["rose"]]
    sight = widgets.SelectionSlider(options=list(walks), value="causal", description="sight", **WIDE)
    step = widgets.IntSlider(min=1, max=len(walks["causal"]), value=rises[-1] + 1, description="step", **WIDE)
    view = widgets.HTML()

    def resize(_: Any = None) -> None:
        step.max = len(walks[sight.value])
        show()

    def show(_: Any = None) -> None:
        view.value = tile_scene(walks[sight.value], step.value - 1, n, d, block)

    sight.observe(resize, names="value")
    step.observe(show, names="value")
    show()
    return widgets.VBox([sight, step, view])


def _walk(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, offset: int, block: int) -> list[dict[str, Any]]:
    """What `tiled.forward` holds after each tile of keys; maxima back from base 2."""
    steps: list[dict[str, Any]] = []
    traffic = Traffic()

    def watch(rows: slice, cols: slice, top: torch.Tensor, total: torch.Tensor, acc: torch.Tensor) -> None:
        state = {"top": float(top[0, -1, 0]) / tiled.LOG2E, "sum": float(total[0, -1, 0]), "out": float(acc[0, -1, 0])}
        same_row = steps and steps[-1]["rows"] == rows
        rose = bool(same_row and state["top"] > steps[-1]["top"])
        steps.append({"rows": rows, "cols": cols, "moved": traffic.elements, "rose": rose, **state})

    tiled.forward(q, k, v, 1 / math.sqrt(q.shape[3]), offset, block, traffic, watch)
    return steps


def tile_scene(steps: Sequence[dict[str, Any]], at: int, n: int, d: int, block: int) -> str:
    """The state after step `at` as HTML: a map of the tiles, the fast memory, and both as a sentence."""
    here, count = steps[at], -(-n // block)
    i, j = here["rows"].start // block, here["cols"].start // block
    side, left, top = 240 / count, 70, 40
    visited = {(s["rows"].start // block, s["cols"].start // block): number for number, s in enumerate(steps)}
    parts = [f'<text x="{left}" y="{top - 22}">keys: {count} tiles of {block}</text>']
    for row in range(count):
        for col in range(count):
            number = visited.get((row, col))
            state = "out of sight" if number is None else "now" if number == at else "done" if number < at else "later"
            colour = {"now": NOW, "done": DONE}.get(state, UNSEEN)
            x, y = left + col * side, top + row * side
            parts.append(
                f'<rect x="{x:.4g}" y="{y:.4g}" width="{side - 2:.4g}" height="{side - 2:.4g}" fill="{colour}" '
                f'stroke="currentColor" stroke-opacity="0.4"/>'
                f'<text x="{x + side / 2 - 1:.4g}" y="{y + side / 2:.4g}" text-anchor="middle" '
                f'dominant-baseline="central">{"–" if number is None else number + 1}</text>'
            )
    parts.append(f'<text x="0" y="{top + (i + 0.5) * side:.4g}" fill="{QUERY}">query {i + 1} ▸</text>')
    parts.append(
        f'<text x="{left + (j + 0.5) * side:.4g}" y="{top - 6}" text-anchor="middle" fill="{NOW}">key {j + 1} ▾</text>'
    )
    br, bc = (here[name].stop - here[name].start for name in ("rows", "cols"))
    held = [
        (f"query tile and its output, 2 × {br} × {d}", 2 * br * d),
        (f"key and value tile, 2 × {bc} × {d}", 2 * bc * d),
        (f"scores, {br} × {bc}", br * bc),
        (f"maximum and sum, 2 × {br}", 2 * br),
    ]
    parts.append('<text x="350" y="18">in fast memory, elements</text>')
    for line, (words, size) in enumerate(held):
        y = 44 + 44 * line
        width = 330 * size / max(size for _, size in held)
        parts.append(
            f'<rect x="350" y="{y}" width="{width:.4g}" height="10" fill="{QUERY}"/>'
            f'<text x="350" y="{y + 26}">{words} = {size:,}</text>'
        )
    rose = ": it rose, so sum and output were shrunk" if here["rose"] else ""
    parts.append(f'<text x="350" y="236">last query: maximum {here["top"]:.3f}, sum {here["sum"]:.3f}</text>')
    parts.append(f'<text x="350" y="260">output {here["out"] / here["sum"]:+.3f} if it ended here</text>')
    sentence = (
        f"Step {at + 1} of {len(steps)}: query tile {i + 1} meets key tile {j + 1}. Held in fast memory: "
        f"{sum(size for _, size in held):,} elements, where the matrix of scores has {n * n:,}. Moved so far: "
        f"{here['moved']:,}. The tile's last query has maximum {here['top']:.3f}{rose}, and sum {here['sum']:.3f}."
    )
    return _picture("".join(parts), sentence, 300, "Orange: now; blue: done; white: later; –: never read.")


def traffic_explorer(n: int, d: int, blocks: Sequence[int], memories: Sequence[int], *, seed: int = 0) -> widgets.VBox:
    """A widget: choose a block and a fast memory, see what the forward pass of one head moves, predicted and counted.

    blocks, memories: increasing, the notches of the two sliders; memories in elements.
    It opens on the largest block, with a memory that it does not fit.
    """
    generator = torch.Generator().manual_seed(seed)
    q, k, v = torch.randn(3, 1, 1, n, d, generator=generator).unbind()
    counted = {}
    for size in blocks:
        traffic = Traffic()
        tiled.forward(q, k, v, 1 / math.sqrt(d), n, size, traffic)
        counted[size] = traffic.elements
    block = widgets.SelectionSlider(options=list(blocks), value=blocks[-1], description="block", **WIDE)
    memory = widgets.SelectionSlider(
        options=[(f"{m:,}", m) for m in memories], value=memories[len(memories) // 2], description="fast memory", **WIDE
    )
    view = widgets.HTML()

    def show(_: Any = None) -> None:
        view.value = traffic_scene(n, d, block.value, memory.value, counted)

    block.observe(show, names="value")
    memory.observe(show, names="value")
    show()
    return widgets.VBox([block, memory, view])


def traffic_scene(n: int, d: int, block: int, memory: int, counted: dict[int, int]) -> str:
    """The state as HTML: a bar for each block, its counted traffic, and whether its tiles fit; and a sentence."""
    plain, theorem = elements_moved("naive", n, d, 1), n * n * d * d / memory
    best = max((b for b in counted if fast_memory(d, b) <= memory), default=None)
    parts = [f'<text x="0" y="16">elements moved, N = {n:,}, d = {d}; the naive level moves {plain:,}</text>']
    longest = max([plain, *counted.values()])
    for line, (size, moved) in enumerate(counted.items()):
        y, fits = 34 + 24 * line, fast_memory(d, size) <= memory
        colour = NOW if size == block else DONE if fits else UNSEEN
        words = f"{moved:,}" + ("" if fits else ", does not fit") + (", the best that fits" if size == best else "")
        parts.append(
            f'<text x="64" y="{y + 8}" text-anchor="end" dominant-baseline="central">{size:,}</text>'
            f'<rect x="72" y="{y}" width="{420 * moved / longest:.4g}" height="16" fill="{colour}" '
            f'stroke="currentColor"/>'
            f'<text x="{80 + 420 * moved / longest:.4g}" y="{y + 8}" dominant-baseline="central">{words}</text>'
        )
    need, moved = fast_memory(d, block), elements_moved("tiled", n, d, block)
    verdict = (
        f"and fit into {memory:,}" if need <= memory else f"which do not fit into {memory:,}: no such machine runs this"
    )
    sentence = (
        f"Block {block:,}: its tiles take {need:,} elements of fast memory, {verdict}. Moved: {moved:,} predicted, "
        f"{counted[block]:,} counted, {plain / moved:.1f} times less than the naive level. "
        f"N²d²/M, the theorem's order, is {theorem:,.0f}."
    )
    key = "Orange: chosen; blue: fits; white: does not."
    return _picture("".join(parts), sentence, 40 + 24 * len(counted), key)


def _picture(parts: str, sentence: str, height: int, key: str) -> str:
    return (
        '<div style="color: var(--jp-ui-font-color1, currentColor); max-width: 760px">'
        f'<svg role="img" aria-label="{sentence}" viewBox="0 0 760 {height}" style="width: 100%; height: auto; '
        f'font: 14px sans-serif" fill="currentColor"><title>{sentence}</title>{parts}</svg>'
        f"<p><strong>{sentence}</strong><br>{key}</p></div>"
    )
