"""How does a word come to know its neighbours? Two encoders of question and passage.

Both take vectors x (pairs, words, WIDTH) and the side that each word is on, sides
(pairs, words), and return vectors of the same shape that know the other words.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

# The sides that a word can be on.
PADDING = 0
QUESTION = 1
PASSAGE = 2

WIDTH = 64  # of a word's vector
LAYERS = 2
HEADS = 4
FARTHEST = 12  # words; what is farther apart counts as this far


class GRUEncoder(nn.Module):
    """A gated recurrent unit (Cho et al. 2014) over the words, in both directions."""

    def __init__(self) -> None:
        super().__init__()
        self.gru = nn.GRU(WIDTH, WIDTH, batch_first=True, bidirectional=True)
        self.out = nn.Linear(2 * WIDTH, WIDTH)

    def forward(self, x: Tensor, sides: Tensor) -> Tensor:
        """Return x + relu(W [forwards, backwards]); the recurrence skips padding."""
        lengths = (sides != PADDING).sum(1)
        packed = pack_padded_sequence(
            x, lengths, batch_first=True, enforce_sorted=False
        )
        states, _ = self.gru(packed)
        # (pairs, words, 2 * WIDTH)
        both_ways, _ = pad_packed_sequence(
            states, batch_first=True, total_length=x.shape[1]
        )
        out: Tensor = self.out(both_ways)
        return x + out.relu()


class TransformerEncoder(nn.Module):
    """Two pre-norm transformer layers with a learned bias for the words' distance.

    The bias (Shaw et al. 2018) has one value for each distance up to FARTHEST, and one
    for two words of which one is in the question and the other in the passage.
    `small_transformer`, which other rooms train, does not serve here: a Llama sees only
    the words before, and a reader needs those behind as well.
    """

    def __init__(self) -> None:
        super().__init__()
        distances = torch.arange(-FARTHEST, FARTHEST + 1).abs()
        # The last bias is that of a word in one text for a word in the other.
        distances = torch.cat([distances, torch.zeros(1)])
        # Some heads start near-sighted (ALiBi's slopes, Press et al. 2022).
        slopes = 2.0 ** -torch.arange(HEADS)
        bias = -slopes[:, None] * distances  # (heads, distances)
        self.bias = nn.Parameter(bias.repeat(LAYERS, 1, 1))
        self.qkv = nn.ModuleList(nn.Linear(WIDTH, 3 * WIDTH) for _ in range(LAYERS))
        self.out = nn.ModuleList(nn.Linear(WIDTH, WIDTH) for _ in range(LAYERS))
        self.up = nn.ModuleList(nn.Linear(WIDTH, 2 * WIDTH) for _ in range(LAYERS))
        self.down = nn.ModuleList(nn.Linear(2 * WIDTH, WIDTH) for _ in range(LAYERS))
        self.norms = nn.ModuleList(nn.LayerNorm(WIDTH) for _ in range(2 * LAYERS + 1))

    def forward(self, x: Tensor, sides: Tensor) -> Tensor:
        """Return x after all layers; no word attends to padding.

        x = x + W_out attention(norm(x));  x = x + W_down gelu(W_up norm(x))
        """
        for layer in range(LAYERS):
            bias = self._attention_bias(layer, sides)
            x = x + self._attend(layer, self.norms[2 * layer](x), bias)
            hidden = self.up[layer](self.norms[2 * layer + 1](x))
            x = x + self.down[layer](F.gelu(hidden))
        out: Tensor = self.norms[-1](x)
        return out

    def _attention_bias(self, layer: int, sides: Tensor) -> Tensor:
        """Return what is added to the scores, (pairs, heads, words, words)."""
        bias = self.bias[layer]  # (heads, distances)
        place = torch.arange(sides.shape[1], device=sides.device)
        distance = (place[None, :] - place[:, None]).clamp(-FARTHEST, FARTHEST)
        within_text = bias[:, distance + FARTHEST]  # (heads, words, words)
        across_texts = bias[:, -1, None, None]  # (heads, 1, 1)
        apart = sides[:, :, None] != sides[:, None, :]  # (pairs, words, words)
        chosen = torch.where(apart[:, None], across_texts, within_text)
        padding = (sides == PADDING)[:, None, None, :]  # (pairs, 1, 1, words)
        return chosen.masked_fill(padding, -torch.inf)

    def _attend(self, layer: int, x: Tensor, bias: Tensor) -> Tensor:
        """Return W_out of softmax(q k^T / sqrt(WIDTH / HEADS) + bias) v."""
        pairs, words, width = x.shape
        qkv = self.qkv[layer](x).view(pairs, words, 3, HEADS, -1)
        # Each is (pairs, heads, words, width / heads).
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=bias)
        joined = mixed.transpose(1, 2).reshape(pairs, words, width)
        out: Tensor = self.out[layer](joined)
        return out
