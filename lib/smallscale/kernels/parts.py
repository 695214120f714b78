"""Can a row's keys be seen in parts, in any order, on many machines? Merge the parts.

Attention over some of the keys, with its log-sum-exp, is all that is needed of them:
two such pairs make the pair of both sets of keys. So the keys of one long text can be
split among processors (Dao et al. 2023, Flash-Decoding), or travel around a ring of
machines, none of which ever holds them all (Liu et al. 2023).
"""

from functools import reduce
from typing import Any

import torch
from torch import Tensor

from smallscale.core.validation import require, whole_number
from smallscale.kernels.attention import attention

Pair = tuple[Tensor, Tensor]  # out (…, n_q, d) and lse (…, n_q)


def merge(first: Pair, second: Pair) -> Pair:
    """Return (out, lse) over two sets of keys from the (out, lse) over each of them:
    lse = log(e^lse1 + e^lse2), out = e^(lse1 - lse) out1 + e^(lse2 - lse) out2.

    Where lse is so large that it loses the logarithm of the sum in its rounding, as at
    1e30, equal parts count alike, however many keys they have.

    A query that saw no key has lse -inf and out 0, as `attention` returns it. The order
    does not matter, but for rounding. Gradients flow through.

    >>> no_key = torch.zeros(1, 2), torch.tensor([-torch.inf])
    >>> one_key = torch.tensor([[3.0, 4.0]]), torch.tensor([0.5])
    >>> merge(no_key, one_key)
    (tensor([[3., 4.]]), tensor([0.5000]))
    """
    (out1, lse1), (out2, lse2) = first, second
    lse = torch.logaddexp(lse1, lse2)
    # Where neither saw a key, -inf - (-inf) would be NaN: the weights are 0 there.
    base = lse.masked_fill(lse.isneginf(), 0.0)
    weight1, weight2 = (lse1 - base).exp(), (lse2 - base).exp()
    # The weights sum to 1; but for rounding, which is coarse where lse is large.
    total = (weight1 + weight2).where(~lse.isneginf(), 1.0)[..., None]
    out = (weight1[..., None] * out1 + weight2[..., None] * out2) / total
    return out.to(out1.dtype), lse


def split_attention(q: Any, k: Any, v: Any, parts: int, **settings: Any) -> Pair:
    """Return attention's (out, lse) with the keys cut into parts, each seen alone.

    parts: 1 to the number of keys. settings: `scale`, `level` and `block` of
    `attention`. There is no mask: it suits the one query of a model that writes.
    """
    parts = whole_number("parts", parts)
    require(parts <= len(k[0, 0]), f"parts must be at most the keys; got {parts}")
    pieces = zip(k.tensor_split(parts, 2), v.tensor_split(parts, 2), strict=True)
    pairs = [attention(q, *piece, return_lse=True, **settings) for piece in pieces]
    merged: Pair = reduce(merge, pairs)
    return merged


def ring_attention(
    q: Any, k: Any, v: Any, machines: int, *, causal: bool = False, **settings: Any
) -> tuple[Tensor, list[int]]:
    """Return (out, how many machines had work in each round) of a ring of machines.

    Machine i holds the i-th part of q, and in round r the part (i - r) of k and v,
    which it then sends on. With a causal mask a part that lies behind the queries' own
    is seen whole, their own in part, one ahead of them not at all.

    settings: `scale`, `level` and `block` of `attention`. The machines are played one
    after the other here.
    """
    machines = whole_number("machines", machines)
    whole = k.shape[2] % machines == 0 and q.shape == k.shape
    require(whole, f"machines must divide N, N_q = N_k; got {machines}, {q.shape[2]}")
    held = [x.tensor_split(machines, 2) for x in (q, k, v)]
    pairs: list[Pair | None] = [None] * machines
    busy = []
    for r in range(machines):
        busy.append(0)
        for i in range(machines):
            j = (i - r) % machines  # whose keys have arrived
            if causal and j > i:
                continue
            mine = (held[0][i], held[1][j], held[2][j])
            see = causal and j == i
            pair = attention(*mine, causal=see, return_lse=True, **settings)
            so_far = pairs[i]
            pairs[i] = pair if so_far is None else merge(so_far, pair)
            busy[r] += 1
    return torch.cat([pair[0] for pair in pairs if pair is not None], 2), busy
