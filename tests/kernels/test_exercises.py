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


@pytest.mark.parametrize(
    ("answer", "words"),
    [
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
        lambda q, k, v, w, b, t: window_attention(q, k, v, 64, b, t)
    )
    assert "The values differ" in check_window(
        lambda q, k, v, w, b, t: window_attention(q, k, v, w + 1, b, t)
    )
    assert "Now let traffic.read" in check_window(
        lambda q, k, v, w, b, t: window_attention(
            q, k, v, w, b, type("Silent", (), {"read": lambda self, x: x})()
        )
    )
