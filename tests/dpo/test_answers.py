"""Is it the log-probability of the answer and nothing else, whatever the padding?"""

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from smallscale.core.seeds import seeded
from smallscale.dpo import (
    Tabular,
    all_logps,
    answer_logps,
    padded_answers,
)
from smallscale.dpo.losses import MASKED
from smallscale.dpo.reviews import Reviews
from tests.dpo.models import COMPLETIONS, END, PROMPTS, tiny_gpt2


def token_by_token(model: nn.Module, prompt: list[int], completion: list[int]) -> float:
    """Each token's log-probability from a forward pass of its own over what stands
    before it: no padding, no mask."""
    total = 0.0
    text = list(prompt)
    with torch.no_grad():
        for token in completion:
            total += float(
                model(torch.tensor([text])).logits[0, -1].log_softmax(0)[token]
            )
            text.append(token)
    return total


def test_answers_by_hand() -> None:
    texts = padded_answers([[1, 2], [3]], [[4, END], [END]], pad=0)
    assert texts.ids.tolist() == [[1, 2, 4, END], [3, END, 0, 0]]
    assert texts.labels.tolist() == [
        [MASKED, MASKED, 4, END],
        [MASKED, END, MASKED, MASKED],
    ]
    assert texts.mask.tolist() == [[1, 1, 1, 1], [1, 1, 0, 0]]
    left = padded_answers([[1, 2], [3]], [[4, END], [END]], pad=7, side="left")
    assert left.ids.tolist() == [[1, 2, 4, END], [7, 7, 3, END]]
    assert left.labels.tolist()[1] == [MASKED, MASKED, MASKED, END]
    assert left.mask.tolist()[1] == [0, 0, 1, 1]
    for batch in (texts, left):  # a row alone sheds its padding
        assert batch[[1]].ids.tolist() == [[3, END]]


def test_truncation_keeps_the_prompts_boundary() -> None:
    texts = padded_answers([[1, 2], [3]], [[4, 5, 6, END], [7, END]], max_length=4)
    assert texts.labels.tolist() == [[MASKED, MASKED, 4, 5], [MASKED, 7, END, MASKED]]


@pytest.mark.parametrize(
    ("prompts", "completions", "options", "message"),
    [
        ([[1, 2], [1]], [[3], [3]], {"max_length": 2}, r"row 0 is \(1 of 2\)"),
        ([[1], [1]], [[3], []], {}, r"row 1 is \(1 of 2\)"),
        ([[1]], [[3]], {"side": "both"}, "side"),
        ([[1]], [[3], [4]], {}, "prompts and completions must have the same length"),
        ([], [], {}, "prompts and completions must have the same length"),
        ([[]], [[3]], {}, "prompts must each hold a token"),
        ([[1]], [[3]], {"max_length": -1}, "max_length must be a whole number"),
    ],
)
def test_answers_that_cannot_be_scored_are_refused(
    prompts: Any, completions: Any, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        padded_answers(prompts, completions, **options)


def test_the_logps_are_those_of_the_answer_token_by_token() -> None:
    model = tiny_gpt2()
    expected = [
        token_by_token(model, p, c) for p, c in zip(PROMPTS, COMPLETIONS, strict=True)
    ]
    assert all_logps(
        model, padded_answers(PROMPTS, COMPLETIONS)
    ).tolist() == pytest.approx(expected, abs=1e-5)


def test_the_end_of_text_counts() -> None:
    """Over all answers of at most two tokens before the end, probabilities add up to
    what has ended by then.

    Were the end of text no part of the answer, "7" and "7 8" would share their first
    token and count twice.
    """
    model = tiny_gpt2()
    words = [t for t in range(10) if t != END]
    completions = [
        [END],
        *([a, END] for a in words),
        *([a, b, END] for a in words for b in words),
    ]
    logps = all_logps(model, padded_answers([[1]] * len(completions), completions))
    ended = logps.exp().sum().item()
    unfinished = [[a, b, c] for a in words for b in words for c in words]
    open_ = (
        all_logps(model, padded_answers([[1]] * len(unfinished), unfinished))
        .exp()
        .sum()
        .item()
    )
    assert ended + open_ == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("side", ["left", "right"])
def test_padding_on_either_side_changes_nothing(side: str) -> None:
    """Beside a longer text or alone, whatever the padding token: a batch of one is the
    batch."""
    model = tiny_gpt2()
    expected = [
        token_by_token(model, p, c) for p, c in zip(PROMPTS, COMPLETIONS, strict=True)
    ]
    for pad in (0, 5, END):
        texts = padded_answers(PROMPTS, COMPLETIONS, pad=pad, side=side)
        wider = padded_answers(
            [*PROMPTS, [1] * 12], [*COMPLETIONS, [2] * 8], pad=pad, side=side
        )
        alone = torch.cat([all_logps(model, texts[[i]]) for i in range(4)])
        for logps in (all_logps(model, texts), all_logps(model, wider)[:4], alone):
            assert logps.tolist() == pytest.approx(expected, abs=1e-5)


class TrustsItsMask(nn.Module):
    """As a transformers model whose next token follows from the mean of all that the
    mask lets it see so far.

    GPT-2 would not miss a mask that is left out: transformers then tells texts apart by
    positions that start anew.
    """

    config = None

    def __init__(self) -> None:
        super().__init__()
        with seeded(0):
            self.embed, self.head = nn.Embedding(10, 4), nn.Linear(4, 10)

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor | None = None, **rest: Any
    ) -> Any:
        seen = torch.ones_like(input_ids) if attention_mask is None else attention_mask
        total = (self.embed(input_ids) * seen[:, :, None]).cumsum(1)
        logits = self.head(total / seen.cumsum(1).clamp(min=1)[:, :, None])
        return SimpleNamespace(logits=logits[:, -rest["logits_to_keep"] :])


def test_a_model_is_told_what_is_padding() -> None:
    model = TrustsItsMask()
    texts = padded_answers(PROMPTS, COMPLETIONS, side="left", pad=5)
    alone = torch.cat(
        [
            all_logps(model, padded_answers([p], [c]))
            for p, c in zip(PROMPTS, COMPLETIONS, strict=True)
        ]
    )
    assert all_logps(model, texts).tolist() == pytest.approx(alone.tolist(), abs=1e-5)


def test_the_reference_has_no_dropout() -> None:
    """A reference in training mode would be drawn anew: the first margin would not be
    exactly 0."""
    model = tiny_gpt2(dropout=0.5).train()
    texts = padded_answers(PROMPTS, COMPLETIONS)
    expected = [
        token_by_token(tiny_gpt2(), p, c)
        for p, c in zip(PROMPTS, COMPLETIONS, strict=True)
    ]
    assert all_logps(model, texts).tolist() == pytest.approx(expected, abs=1e-5)
    assert model.training  # put back


def test_answers_and_distribution_agree(world: Reviews, reference: nn.Module) -> None:
    some = world.texts[[0, 100, 2000]]
    assert torch.allclose(
        answer_logps(reference, some).detach(),
        all_logps(reference, world.texts)[[0, 100, 2000]],
    )


def test_texts_that_a_model_cannot_read_are_refused() -> None:
    """In words, and not as an index out of range: 24 positions, 10 tokens."""
    model = tiny_gpt2()
    all_logps(model, padded_answers([[1]], [[2] * 23]))
    # Padding takes no position.
    wide = padded_answers([[1]] * 2, [[2] * 3, [2] * 23], side="left")
    all_logps(model, wide)
    with pytest.raises(ValueError, match="at most 24 tokens, the model's positions"):
        all_logps(model, padded_answers([[1]], [[2] * 24]))
    for ids in ([[10]], [[2]]), ([[2]], [[10]]):
        with pytest.raises(ValueError, match="below 10, the model's vocabulary"):
            all_logps(model, padded_answers(*ids))
    with pytest.raises(ValueError, match="prompts must be below 2"):
        all_logps(Tabular([[0.5, 0.5]] * 2), padded_answers([[2]], [[1]]))
