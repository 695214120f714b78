"""Are completions drawn as the model and the seed say?"""

import numpy as np
import pytest
import torch
from torch import nn

from smallscale.dpo.reviews import END, START, WORDS
from smallscale.dpo.sampling import sample_completions
from tests.dpo.models import tiny_gpt2


def test_drawing_follows_the_model_and_its_seed(reference: nn.Module) -> None:
    prompts = torch.full((50, 1), START)
    rows = sample_completions(reference, prompts, max_new_tokens=4, end_token=END)
    assert all(len(row) <= 4 and END not in row[:-1] for row in rows)
    assert rows == sample_completions(
        reference, prompts, max_new_tokens=4, end_token=END
    )
    assert rows != sample_completions(
        reference,
        prompts,
        max_new_tokens=4,
        end_token=END,
        generator=torch.Generator().manual_seed(1),
    )
    # The cache that makes drawing fast changes nothing: the second word's frequencies
    # are the model's.
    first = [
        row
        for row in sample_completions(
            reference, torch.full((5000, 1), START), max_new_tokens=2, end_token=END
        )
        if row[0] == 2
    ]
    with torch.no_grad():
        p = reference(torch.tensor([[START, 2]])).logits[0, -1].softmax(0)
    share = np.mean([row[1] == WORDS.index("film") for row in first])
    assert share == pytest.approx(float(p[WORDS.index("film")]), abs=0.03)


def test_texts_longer_than_the_model_reads_are_refused() -> None:
    """24 positions: 4 tokens and 20 more, and not 21."""
    prompts = torch.ones((2, 4), dtype=torch.long)
    drawing = {"end_token": 99}  # none: it writes to the last
    rows = sample_completions(tiny_gpt2(), prompts, max_new_tokens=20, **drawing)
    assert [len(row) for row in rows] == [20, 20]
    with pytest.raises(
        ValueError, match="max_new_tokens must leave texts of at most 24"
    ):
        sample_completions(tiny_gpt2(), prompts, max_new_tokens=21, **drawing)
    with pytest.raises(ValueError, match="max_new_tokens must be a whole number"):
        sample_completions(tiny_gpt2(), prompts, max_new_tokens=0, **drawing)


@pytest.mark.parametrize("half", [torch.bfloat16, torch.float16])
def test_a_model_in_half_precision_draws_by_chances_in_single(
    half: torch.dtype,
) -> None:
    """In half precision the chances would be rounded, and not sum to 1."""
    model = tiny_gpt2().to(half)
    prompts = torch.ones((20_000, 1), dtype=torch.long)
    rows = sample_completions(model, prompts, max_new_tokens=1, end_token=99)
    share = torch.tensor(rows).flatten().bincount(minlength=10) / 20_000
    with torch.no_grad():
        chances = model(prompts[:1]).logits[0, -1].float().softmax(0)
    assert torch.allclose(share, chances, atol=0.015)
