"""Do the checks know right from wrong, and say why?"""

import math
import re
from collections.abc import Callable
from typing import Any

import pytest
import torch

from smallscale.kernels.exercises import check_merge, check_window
from smallscale.notebook.exercises import NOT_YET


def merge(top: Any, total: Any, out: Any, scores: Any, values: Any) -> Any:
    higher = torch.maximum(top, scores.max())
    shrink, p = (top - higher).exp(), (scores - higher).exp()
    return higher, total * shrink + p.sum(), out * shrink + p @ values


def forgets(top: Any, total: Any, out: Any, scores: Any, values: Any) -> Any:
    higher, new, summed = merge(top, total * 0, out * 0, scores, values)
    return higher, total + new, out + summed


def half_forgets(top: Any, total: Any, out: Any, scores: Any, values: Any) -> Any:
    higher, new, _ = merge(top, total, out, scores, values)
    return higher, new, out + merge(top, total * 0, out * 0, scores, values)[2]


def no_maximum(top: Any, total: Any, out: Any, scores: Any, values: Any) -> Any:
    """Sum e^score as it is, and write the sums relative to the maximum afterwards."""
    higher, before = torch.maximum(top, scores.max()), top.exp()
    p = scores.exp()
    new = (total * before + p.sum(), out * before + p @ values)
    return higher, *(x / higher.exp() for x in new)


def divided(top: Any, total: Any, out: Any, scores: Any, values: Any) -> Any:
    higher, new, summed = merge(top, total, out * total, scores, values)
    return higher, new, summed / new


def keeps_all() -> Callable[..., Any]:
    """Keep every score aside, and take the softmax of all of them at each tile."""
    kept: list[Any] = []

    def step(top: Any, total: Any, out: Any, scores: Any, values: Any) -> Any:
        if top == -math.inf:
            kept.clear()
        kept.append((scores, values))
        s = torch.cat([scores for scores, _ in kept])
        p = (s - s.max()).exp()
        return s.max(), p.sum(), p @ torch.cat([values for _, values in kept])

    return step


def first_row() -> Any:
    """Return the first row's result, typed in."""
    generator = torch.Generator().manual_seed(0)
    scores = torch.randn(6, generator=generator)
    values = torch.randn(6, 3, generator=generator)
    scores[4] = 5.0
    p = (scores - 5).exp()
    return torch.tensor(5.0), p.sum(), p @ values


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (keeps_all(), "nothing kept aside"),
        (lambda *_: first_row(), "The maximum should be"),
        (
            lambda top, total, out, s, v: (
                s.max(),
                s.softmax(0).sum(),
                s.softmax(0) @ v,
            ),
            "The sum should be",
        ),
        (lambda *_: None, NOT_YET),
        (merge, "Right: "),
        (forgets, "multiply it by exp\\(old - new\\)"),
        (half_forgets, "the output is not"),
        (lambda top, total, out, s, v: (s.max(), total, out), "The sum should be"),
        (lambda top, total, out, s, v: (top, total, out), "Something is not finite"),
        (
            lambda top, total, out, s, v: (s.min().clamp(max=0), total, out),
            "The maximum should be",
        ),
        (lambda *_: 1, "Return three things"),
        (no_maximum, "Right for small scores"),
        (divided, "not divided by the sum yet"),
    ],
)
def test_merge_is_judged(answer: Callable[..., Any], words: str) -> None:
    assert re.search(words, check_merge(answer))


def window_attention(
    q: Any,
    k: Any,
    v: Any,
    window: int,
    block: int,
    traffic: Any,
    first_tile: bool = False,
) -> Any:
    n, out = len(q), torch.empty_like(q)
    for i in range(0, n, block):
        start = 0 if first_tile else max(0, i - window + 1) // block * block
        k_i, v_i = (
            traffic.read(k[start : i + block]),
            traffic.read(v[start : i + block]),
        )
        behind = (
            torch.arange(i, min(n, i + block))[:, None]
            - torch.arange(start, start + len(k_i))[None, :]
        )
        scores = q[i : i + block] @ k_i.T / math.sqrt(q.shape[1])
        out[i : i + block] = (
            scores.masked_fill((behind < 0) | (behind >= window), -math.inf).softmax(-1)
            @ v_i
        )
    return out


def test_window_is_judged() -> None:
    assert check_window(lambda *_: None) == NOT_YET
    assert check_window(window_attention).startswith("Right: ")
    assert "were read, where" in check_window(
        lambda *a: window_attention(*a, first_tile=True)
    )
    assert "That is causal attention" in check_window(
        lambda q, k, v, w, b, t: window_attention(q, k, v, len(q), b, t)
    )
    assert "The values differ" in check_window(
        lambda q, k, v, w, b, t: window_attention(q, k, v, w + 1, b, t)
    )
    assert "Now let traffic.read" in check_window(
        lambda q, k, v, w, b, t: window_attention(
            q, k, v, w, b, type("Silent", (), {"read": lambda self, x: x})()
        )
    )


def dense(q: Any, k: Any, v: Any, window: int, block: int, traffic: Any) -> Any:
    """Compute all scores, and read the tiles in sight for show."""
    window_attention(q, k, v, window, block, traffic)
    behind = torch.arange(len(q))[:, None] - torch.arange(len(q))
    scores = q @ k.T / math.sqrt(q.shape[1])
    return (
        scores.masked_fill((behind < 0) | (behind >= window), -math.inf).softmax(-1) @ v
    )


def masked(q: Any, k: Any, v: Any, window: int, block: int, traffic: Any) -> Any:
    """Leave it to torch's attention, with a mask of all pairs."""
    window_attention(q, k, v, window, block, traffic)
    behind = torch.arange(len(q))[:, None] - torch.arange(len(q))
    seen = (behind >= 0) & (behind < window)
    one = (x[None, None] for x in (q, k, v))
    out = torch.nn.functional.scaled_dot_product_attention(*one, attn_mask=seen)
    return out[0, 0]


def test_lazy_windows_are_found() -> None:
    assert "work on all N x N pairs" in check_window(dense)
    assert "work on all N x N pairs" in check_window(masked)
    assert "pass every tile of both" in check_window(only_keys)
    assert "The values differ" in check_window(
        lambda q, k, v, w, b, t: window_attention(2 * q, k, v, w, b, t)
    )
    assert "The values differ" in check_window(lambda q, *_: torch.zeros_like(q))
    assert "must be a tensor" in check_window(lambda q, *_: q.T)


def only_keys(q: Any, k: Any, v: Any, window: int, block: int, traffic: Any) -> Any:
    """Count the keys' tiles and forget the values'."""

    class Half:
        calls = 0

        def read(self, x: Any) -> Any:
            self.calls += 1
            return traffic.read(x) if self.calls % 2 else x

    return window_attention(q, k, v, window, block, Half())
