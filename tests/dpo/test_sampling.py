"""Are completions drawn as the model and the seed say?"""

import numpy as np
import pytest
import torch
from torch import nn

from smallscale.dpo.reviews import END, START, WORDS
from smallscale.dpo.sampling import sample_completions


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
