"""Which tile is read now, what is in fast memory, and what does the size of a tile cost? Two widgets.

Everything is computed beforehand; moving a slider only writes a sentence and fills a template beside this file.
"""

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import ipywidgets as widgets
import torch
from jinja2 import Environment, FileSystemLoader
from torch import Tensor

from smallscale.kernels import tiled
from smallscale.kernels.counts import Traffic, elements_moved, fast_memory

PICTURES = Environment(
    loader=FileSystemLoader(Path(__file__).parent), autoescape=True, trim_blocks=True
)
Explorer = tuple[
    Callable[..., str], dict[str, Any]
]  # what `smallscale.notebook.explore` shows


class Walk(Traffic):
    """Runs `tiled.forward`, and keeps what it holds after each tile of keys, of the query tile's last query."""

    def __init__(
        self, q: Tensor, k: Tensor, v: Tensor, offset: int, block: int
    ) -> None:
        self.steps: list[dict[str, Any]] = []
        tiled.forward(q, k, v, 1 / math.sqrt(q.shape[3]), offset, block, self)

    def watch(
        self, rows: slice, cols: slice, top: Tensor, total: Tensor, acc: Tensor
    ) -> None:
        """One step more; the maximum back from base 2."""
        before = self.steps[-1] if cols.start else {"top": math.inf}
        state = {
            "top": float(top[0, -1, 0]) / tiled.LOG2E,
            "sum": float(total[0, -1, 0]),
            "out": float(acc[0, -1, 0]),
        }
        rose = state["top"] > before["top"]
        self.steps.append(
            {"rows": rows, "cols": cols, "moved": self.elements, "rose": rose, **state}
        )


def tile_stepper(q: Any, k: Any, v: Any, *, block: int) -> Explorer:
    """For `explore`: walk through the forward pass of one head, tile by tile, with and without a causal mask.

    q, k, v: (1, 1, n, d), as `attention` takes them. It shows which tiles were read, which is read now, what is in
    fast memory, and the running maximum, sum and first output of the last query of the tile.
    It opens causal, at a step that changes a maximum.
    """
    q, k, v = (torch.as_tensor(x) for x in (q, k, v))
    n, d = q.shape[2:]
    walks = {
        sight: Walk(q, k, v, offset, block).steps
        for sight, offset in (("full", n), ("causal", 0))
    }
    last_rise = max(
        (number for number, step in enumerate(walks["causal"], 1) if step["rose"]),
        default=1,
    )
    sight = widgets.SelectionSlider(options=list(walks), value="causal")
    step = widgets.IntSlider(min=1, max=len(walks["causal"]), value=last_rise)
    widgets.dlink((sight, "value"), (step, "max"), lambda chosen: len(walks[chosen]))
    return lambda sees, number: _tiles(walks[sees], number, n, d, block), {
        "sight": sight,
        "step": step,
    }


def traffic_explorer(
    n: int, d: int, blocks: Sequence[int], memories: Sequence[int], *, seed: int = 0
) -> Explorer:
    """For `explore`: choose a block and a fast memory, see what one forward pass moves, predicted and counted.

    blocks, memories: increasing, the notches of the two sliders; memories in elements.
    It opens on the largest block, with a memory that it does not fit.
    """
    q, k, v = torch.randn(
        3, 1, 1, n, d, generator=torch.Generator().manual_seed(seed)
    ).unbind()
    counted = {size: Walk(q, k, v, n, size).elements for size in blocks}
    block = widgets.SelectionSlider(options=list(blocks), value=blocks[-1])
    notches, middle = [(f"{m:,}", m) for m in memories], memories[len(memories) // 2]
    memory = widgets.SelectionSlider(options=notches, value=middle)
    return lambda size, room: _traffic(n, d, size, room, counted), {
        "block": block,
        "fast memory": memory,
    }


def _tiles(
    steps: Sequence[dict[str, Any]], number: int, n: int, d: int, block: int
) -> str:
    """The state after a step: a map of the tiles, the fast memory, and both as a sentence."""
    here = steps[number - 1]
    i, j = here["rows"].start // block, here["cols"].start // block
    br, bc = (here[side].stop - here[side].start for side in ("rows", "cols"))
    held = {
        f"query tile and its output, 2 × {br} × {d}": 2 * br * d,
        f"key and value tile, 2 × {bc} × {d}": 2 * bc * d,
        f"scores, {br} × {bc}": br * bc,
        f"maximum and sum, 2 × {br}": 2 * br,
    }
    rose = ": it rose, so sum and output were shrunk" if here["rose"] else ""
    sentence = (
        f"Step {number} of {len(steps)}: query tile {i + 1} meets key tile {j + 1}. Held in fast memory: "
        f"{sum(held.values()):,} elements, where the matrix of scores has {n * n:,}. Moved so far: "
        f"{here['moved']:,}. The tile's last query has maximum {here['top']:.3f}{rose}, and sum {here['sum']:.3f}."
    )
    order = {
        (step["rows"].start // block, step["cols"].start // block): at
        for at, step in enumerate(steps, 1)
    }
    scene = {
        "sentence": sentence,
        "count": -(-n // block),
        "block": block,
        "order": order,
        "number": number,
    }
    return PICTURES.get_template("tiles.html.j2").render(
        scene, i=i, j=j, held=held, **here
    )


def _traffic(n: int, d: int, block: int, memory: int, counted: dict[int, int]) -> str:
    """A bar for each block, its counted traffic, and whether its tiles fit; and a sentence."""
    plain, need, moved = (
        elements_moved("naive", n, d, 1),
        fast_memory(d, block),
        elements_moved("tiled", n, d, block),
    )
    fits = (
        f"and fit into {memory:,}"
        if need <= memory
        else f"which do not fit into {memory:,}: no such machine runs this"
    )
    sentence = (
        f"Block {block:,}: its tiles take {need:,} elements of fast memory, {fits}. Moved: {moved:,} predicted, "
        f"{counted[block]:,} counted, {plain / moved:.1f} times less than the naive level. "
        f"N²d²/M, the theorem's order, is {n * n * d * d / memory:,.0f}."
    )
    fitting = [size for size in counted if fast_memory(d, size) <= memory]
    longest, best = max(plain, *counted.values()), max(fitting, default=None)
    scene = {
        "sentence": sentence,
        "n": n,
        "d": d,
        "block": block,
        "plain": plain,
        "counted": counted,
    }
    return PICTURES.get_template("traffic.html.j2").render(
        scene, longest=longest, fitting=fitting, best=best
    )
