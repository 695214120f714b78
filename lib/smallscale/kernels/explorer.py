"""Which tile is read now, what is held, and what does the size of a tile cost?

Two widgets. Everything is computed beforehand; moving a slider only writes a sentence
and fills a template beside this file.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import ipywidgets as widgets
import torch
from torch import Tensor

from smallscale.core.templates import template
from smallscale.kernels import tiled
from smallscale.kernels.counts import Traffic, elements_moved, fast_memory
from smallscale.notebook.explorer import Explorer


@dataclass(frozen=True)
class Step:
    """What is in fast memory after a tile of keys, for the query tile's last query.

    rows, cols: the queries and keys of the tile. moved: elements so far.
    top, sum, out: the query's running maximum, sum and first output, not yet divided.
    rose: whether this tile made the maximum rise.
    """

    rows: slice
    cols: slice
    moved: int
    top: float
    sum: float
    out: float
    rose: bool


class ForwardRecorder(Traffic):
    """Runs `tiled.forward`, and keeps a Step for each tile of keys."""

    def __init__(
        self, q: Tensor, k: Tensor, v: Tensor, offset: int, block: int
    ) -> None:
        self.steps: list[Step] = []
        tiled.forward(q, k, v, 1 / math.sqrt(q.shape[3]), offset, block, self)

    def watch(
        self, rows: slice, cols: slice, top: Tensor, total: Tensor, acc: Tensor
    ) -> None:
        """Keep one step more."""
        highest = float(top[0, -1, 0])
        is_first = cols.start == 0
        step = Step(
            rows=rows,
            cols=cols,
            moved=self.elements,
            top=highest,
            sum=float(total[0, -1, 0]),
            out=float(acc[0, -1, 0]),
            rose=not is_first and highest > self.steps[-1].top,
        )
        self.steps.append(step)


def tile_stepper(q: Any, k: Any, v: Any, *, block: int) -> Explorer:
    """Return, for `explore`, a walk through one head's forward pass, tile by tile.

    It shows which tiles were read, which one is read now, what is in fast memory, and
    the running maximum, sum and first output of the tile's last query; with and without
    a causal mask. It opens causal, at a step that changes a maximum.

    q, k, v: (1, 1, n, d), as `attention` takes them.
    """
    q, k, v = (torch.as_tensor(x) for x in (q, k, v))
    n, d = q.shape[2:]
    walks = {
        "full": ForwardRecorder(q, k, v, n, block).steps,
        "causal": ForwardRecorder(q, k, v, 0, block).steps,
    }
    rises = [number for number, step in enumerate(walks["causal"], 1) if step.rose]
    sight = widgets.SelectionSlider(options=list(walks), value="causal")
    step = widgets.IntSlider(
        min=1, max=len(walks["causal"]), value=rises[-1] if rises else 1
    )
    widgets.dlink((sight, "value"), (step, "max"), lambda chosen: len(walks[chosen]))

    def scene(chosen: str, number: int) -> str:
        return _tile_scene(walks[chosen], number, n, d, block)

    return scene, {"sight": sight, "step": step}


def traffic_explorer(
    n: int, d: int, blocks: Sequence[int], memories: Sequence[int], *, seed: int = 0
) -> Explorer:
    """Return, for `explore`, what one forward pass moves, predicted and counted.

    The reader chooses the queries and the keys of a tile, and a fast memory. It opens
    on the largest tile, with a memory that it does not fit.

    blocks, memories: the notches of the sliders, increasing; memories in elements.
    """
    generator = torch.Generator().manual_seed(seed)
    q, k, v = torch.randn(3, 1, 1, n, d, generator=generator).unbind()
    counted: dict[int, dict[int, int]] = {}  # keys in a tile -> queries in it -> moved
    for keys in blocks:
        counted[keys] = {}
        for queries in blocks:
            traffic = Traffic()
            tiled.forward(q, k, v, 1.0, n, queries, traffic, keys)
            counted[keys][queries] = traffic.elements
    memory = widgets.SelectionSlider(
        options=[(f"{elements:,}", elements) for elements in memories],
        value=memories[len(memories) // 2],
    )

    def scene(queries: int, keys: int, room: int) -> str:
        return _traffic_scene(n, d, queries, keys, room, counted[keys])

    sliders = {
        "queries in a tile": widgets.SelectionSlider(options=blocks, value=blocks[-1]),
        "keys in a tile": widgets.SelectionSlider(options=blocks, value=blocks[-1]),
        "fast memory": memory,
    }
    return scene, sliders


def _tile_scene(steps: Sequence[Step], number: int, n: int, d: int, block: int) -> str:
    """Return the state after a step: the tiles, the fast memory, a sentence."""
    here = steps[number - 1]
    i, j = here.rows.start // block, here.cols.start // block
    br, bc = here.rows.stop - here.rows.start, here.cols.stop - here.cols.start
    held = {
        f"query tile and its output, 2 × {br} × {d}": 2 * br * d,
        f"key and value tile, 2 × {bc} × {d}": 2 * bc * d,
        f"scores, {br} × {bc}": br * bc,
        f"maximum and sum, 2 × {br}": 2 * br,
    }
    rose = ": it rose, so sum and output were shrunk" if here.rose else ""
    sentence = (
        f"Step {number} of {len(steps)}: query tile {i + 1} meets key tile {j + 1}. "
        f"Held in fast memory: {sum(held.values()):,} elements, where the matrix of "
        f"scores has {n * n:,}. Moved so far: {here.moved:,}. The tile's last query "
        f"has maximum {here.top:.3f}{rose}, and sum {here.sum:.3f}."
    )
    order = {
        (step.rows.start // block, step.cols.start // block): at
        for at, step in enumerate(steps, 1)
    }
    return template("kernels/tile_stepper.html.j2").render(
        asdict(here),
        sentence=sentence,
        count=-(-n // block),
        block=block,
        order=order,
        number=number,
        i=i,
        j=j,
        held=held,
    )


def _traffic_scene(
    n: int, d: int, queries: int, keys: int, memory: int, counted: dict[int, int]
) -> str:
    """Return a bar for each number of queries, with these keys: moved, and fitting."""
    naive = elements_moved("naive", n, d, 1)
    moved = elements_moved("tiled", n, d, queries, block_k=keys)
    need = fast_memory(d, queries, keys)
    if need <= memory:
        fits = f"and fit into {memory:,}"
    else:
        fits = f"which do not fit into {memory:,}: no such machine runs this"
    sentence = (
        f"Tiles of {queries:,} queries and {keys:,} keys take {need:,} elements of "
        f"fast memory, {fits}. "
        f"Moved: {moved:,} predicted, {counted[queries]:,} counted; the naive "
        f"level moves {naive / moved:.2f} times as much. "
        f"N²d²/M, the theorem's order, is {n * n * d * d / memory:,.0f}."
    )
    fitting = [size for size in counted if fast_memory(d, size, keys) <= memory]
    return template("kernels/traffic_explorer.html.j2").render(
        sentence=sentence,
        n=n,
        d=d,
        block=queries,
        keys=keys,
        naive=naive,
        counted=counted,
        longest=max(naive, *counted.values()),
        fitting=fitting,
        best=max(fitting, default=None),
    )
