"""Do the encoders let a word see what it should, and nothing else?"""

import pytest
import torch
from torch import nn

from smallscale.robustness.reading.encoders import (
    FARTHEST,
    HEADS,
    LAYERS,
    PADDING,
    PASSAGE,
    QUESTION,
    WIDTH,
    GRUEncoder,
    TransformerEncoder,
)

SIDES = torch.tensor([[QUESTION] * 3 + [PASSAGE] * 15 + [PADDING] * 2])


def test_the_bias_is_that_of_a_plain_double_loop() -> None:
    """One value for each distance up to 12, one from text to text, none to padding."""
    torch.manual_seed(0)
    encoder = TransformerEncoder()
    nn.init.normal_(encoder.bias)
    for layer in range(LAYERS):
        found = encoder._attention_bias(layer, SIDES)[0]
        for i in range(18):
            for j in range(20):
                if SIDES[0, j] == PADDING:
                    expected = torch.full((HEADS,), -torch.inf)
                elif SIDES[0, i] != SIDES[0, j]:
                    expected = encoder.bias[layer, :, -1]
                else:
                    distance = max(-FARTHEST, min(FARTHEST, j - i))
                    expected = encoder.bias[layer, :, distance + FARTHEST]
                assert torch.equal(found[:, i, j], expected)


def test_attention_is_the_softmax_of_the_scores_head_by_head() -> None:
    torch.manual_seed(0)
    encoder = TransformerEncoder()
    x = torch.randn(1, 20, WIDTH)
    bias = encoder._attention_bias(1, SIDES)
    size = WIDTH // HEADS
    q, k, v = encoder.qkv[1](x)[0].split(WIDTH, dim=1)
    heads = []
    for head in range(HEADS):
        own = slice(head * size, (head + 1) * size)
        scores = q[:, own] @ k[:, own].T / size**0.5 + bias[0, head]
        heads.append(scores.softmax(1) @ v[:, own])
    expected = encoder.out[1](torch.cat(heads, 1))
    torch.testing.assert_close(encoder._attend(1, x, bias)[0], expected)


@pytest.mark.parametrize("make", [TransformerEncoder, GRUEncoder])
def test_padding_is_not_seen_and_words_on_both_sides_are(make) -> None:
    torch.manual_seed(0)
    encoder = make().eval()
    x = torch.randn(1, 20, WIDTH)
    before = encoder(x, SIDES)
    other_padding = x.clone()
    other_padding[:, 18:] = 7.0
    after = encoder(other_padding, SIDES)
    assert torch.equal(before[:, :18], after[:, :18])
    for changed in (5, 15):
        other_word = x.clone()
        other_word[:, changed] += 1.0
        assert not torch.equal(encoder(other_word, SIDES)[:, 10], before[:, 10])
