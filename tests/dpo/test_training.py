"""Is it the answer's log-probability whatever the padding, is the reference left alone, and is the optimum reached?

The method was broken on purpose, one way at a time; what caught it, among others:
    prompt unmasked in the labels     test_the_logps_are_those_of_the_answer_token_by_token
    padding unmasked in the labels    the same
    shift left out, or the wrong way  test_losses.test_it_is_the_masked_shifted_sum
    end of text cut off               test_the_end_of_text_counts
    end of text, from a file          test_files.test_encoding_keeps_the_boundary_ends_each_text_…
    a mean for the sum                test_losses.test_every_answer_of_a_length_together_has_probability_one
    attention mask all ones           test_padding_on_either_side_changes_nothing[left]
    attention mask left out           test_a_model_is_told_what_is_padding
    position ids left out             test_padding_on_either_side_changes_nothing[left]
    position ids counting columns     the same
    reference in training mode        test_the_reference_has_no_dropout
    reference that moves along        test_it_starts_at_ln_2_and_the_reference_stays_what_it_was
"""

import copy
import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from transformers import GPT2Config, GPT2LMHeadModel

from smallscale.core.devices import few_threads
from smallscale.core.seeds import seeded
from smallscale.dpo import (
    Answers,
    Tabular,
    all_logps,
    answer_logps,
    kl_divergence,
    optimal_policy,
    padded_answers,
    train_preferences,
)
from smallscale.dpo.losses import MASKED

END = 9
PROMPTS = [[1, 2, 3], [4], [5, 6], [1, 2, 3]]
COMPLETIONS = [[7, END], [8, 8, 7, 2, END], [END], [3, 3, END]]


def tiny_gpt2(dropout: float = 0.0) -> nn.Module:
    """Learned positions, so that a wrong position shows; large weights, so that everything shows."""
    config = GPT2Config(
        vocab_size=10, n_positions=24, n_embd=16, n_layer=2, n_head=2, initializer_range=0.5,
        resid_pdrop=dropout, embd_pdrop=dropout, attn_pdrop=dropout, bos_token_id=0, eos_token_id=END,
    )  # fmt: skip
    with seeded(0):
        return GPT2LMHeadModel(config).eval()


def token_by_token(model: nn.Module, prompt: list[int], completion: list[int]) -> float:
    """Each token's log-probability from a forward pass of its own over what stands before it: no padding, no mask."""
    total, text = 0.0, list(prompt)
    with torch.no_grad():
        for token in completion:
            total += float(
                model(torch.tensor([text])).logits[0, -1].log_softmax(0)[token]
            )
            text.append(token)
    return total


# answers and their log-probabilities


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
        ([[1]], [[3], [4]], {}, "as many"),
        ([], [], {}, "as many"),
        ([[]], [[3]], {}, "prompts must each hold a token"),
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
    """Over all answers of at most two tokens before the end, probabilities add up to what has ended by then.

    Were the end of text no part of the answer, "7" and "7 8" would share their first token and count twice.
    """
    model, words = tiny_gpt2(), [t for t in range(10) if t != END]
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
    """Beside a longer text or alone, whatever the padding token: a batch of one is the batch."""
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
    """As a transformers model whose next token follows from the mean of all that the mask lets it see so far.

    GPT-2 would not miss a mask that is left out: transformers then tells texts apart by positions that start anew.
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
    model, texts = (
        TrustsItsMask(),
        padded_answers(PROMPTS, COMPLETIONS, side="left", pad=5),
    )
    alone = torch.cat(
        [
            all_logps(model, padded_answers([p], [c]))
            for p, c in zip(PROMPTS, COMPLETIONS, strict=True)
        ]
    )
    assert all_logps(model, texts).tolist() == pytest.approx(alone.tolist(), abs=1e-5)


def test_the_reference_has_no_dropout() -> None:
    """A reference in training mode would be drawn anew: the first margin would not be exactly 0."""
    model = tiny_gpt2(dropout=0.5).train()
    texts = padded_answers(PROMPTS, COMPLETIONS)
    expected = [
        token_by_token(tiny_gpt2(), p, c)
        for p, c in zip(PROMPTS, COMPLETIONS, strict=True)
    ]
    assert all_logps(model, texts).tolist() == pytest.approx(expected, abs=1e-5)
    assert model.training  # put back


# the loop


def test_it_starts_at_ln_2_and_the_reference_stays_what_it_was() -> None:
    model, texts = tiny_gpt2(), padded_answers(PROMPTS, COMPLETIONS)
    reference = copy.deepcopy(model)
    before = all_logps(reference, texts)
    table = train_preferences(
        model, texts, [[0, 3], [1, 2]], beta=0.1, steps=20, batch_size=2
    )
    assert table.loss[0] == pytest.approx(math.log(2), abs=1e-6)
    assert table.accuracy[0] == 0  # equal rewards are no win
    assert table.loss.iloc[-1] < 0.5
    assert table.accuracy.iloc[-1] == 1
    assert torch.equal(all_logps(reference, texts), before)
    assert not model.training
    assert not torch.allclose(all_logps(model, texts), before, atol=0.1)
    assert list(table.columns) == [
        "step",
        "loss",
        "accuracy",
        "margin",
        "chosen",
        "rejected",
    ]


def test_the_policy_has_its_dropout_while_it_trains() -> None:
    """So its first loss is not the ln 2 of a policy that is the reference."""
    texts = padded_answers(PROMPTS, COMPLETIONS)
    table = train_preferences(
        tiny_gpt2(dropout=0.5), texts, [[0, 3]], beta=1.0, steps=1, batch_size=1
    )
    assert abs(table.loss[0] - math.log(2)) > 0.01


def test_the_rate_falls_along_a_line() -> None:
    """Under a gradient that never changes each step of Adam is as long as the rate: 0.1 times 1, 3/4, 1/2, 1/4."""
    policy = Tabular([[0.5, 0.5]])
    texts = padded_answers([[0], [0]], [[0], [1]])
    train_preferences(
        policy, texts, [[0, 1]], beta=0.01, steps=4, batch_size=1, lr=0.1, loss="hinge"
    )
    assert (policy.logits[0] - math.log(0.5)).tolist() == pytest.approx(
        [0.25, -0.25], rel=1e-4
    )


def test_given_reference_logps_are_used() -> None:
    texts = padded_answers(PROMPTS, COMPLETIONS)
    reference = all_logps(tiny_gpt2(), texts)
    first = train_preferences(
        tiny_gpt2(),
        texts,
        [[0, 3]],
        beta=0.5,
        steps=3,
        batch_size=1,
        reference=reference,
    )
    same = train_preferences(
        tiny_gpt2(), texts, [[0, 3]], beta=0.5, steps=3, batch_size=1
    )
    shifted = train_preferences(
        tiny_gpt2(),
        texts,
        [[0, 3]],
        beta=0.5,
        steps=3,
        batch_size=1,
        reference=reference - torch.eye(4)[0] * 2,
    )
    assert first.equals(same)
    assert shifted.loss[0] == pytest.approx(math.log(1 + math.exp(-0.5 * 2)), abs=1e-6)


def test_the_same_seed_is_the_same_run_and_touches_no_global_state() -> None:
    texts, state = padded_answers(PROMPTS, COMPLETIONS), torch.get_rng_state()

    def run(seed: int) -> Any:
        pairs = [[0, 3], [1, 2], [3, 1], [2, 0]]
        return train_preferences(
            tiny_gpt2(0.1), texts, pairs, beta=0.1, steps=6, batch_size=2, seed=seed
        )

    assert run(1).equals(run(1))
    assert not run(1).equals(run(2))
    assert torch.equal(torch.get_rng_state(), state)


def test_a_small_model_is_given_one_thread_and_others_get_theirs_back() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with few_threads(tiny_gpt2()):
            assert torch.get_num_threads() == 1
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_an_identical_pair_is_kept_and_moves_nothing() -> None:
    model, texts = tiny_gpt2(), padded_answers(PROMPTS, COMPLETIONS)
    before = all_logps(model, texts)
    table = train_preferences(model, texts, [[1, 1]], beta=0.3, steps=3, batch_size=1)
    assert table.loss.tolist() == pytest.approx([math.log(2)] * 3)
    assert torch.allclose(all_logps(model, texts), before, atol=1e-6)


def test_every_pair_comes_once_before_any_comes_again() -> None:
    seen: list[Tensor] = []

    def note(losses: Tensor, picked: Tensor) -> Tensor:
        seen.append(picked)
        return losses.mean()

    texts = padded_answers([[0]] * 4, [[0], [1], [2], [3]])
    pairs = [[0, 1], [1, 2], [2, 3], [3, 0], [0, 2]]
    train_preferences(
        Tabular([[0.25] * 4]), texts, pairs, beta=1, steps=5, batch_size=2, combine=note
    )
    order = torch.cat(seen).tolist()
    assert sorted(order[:5]) == sorted(order[5:]) == [0, 1, 2, 3, 4]
    assert order[:5] != order[5:]  # shuffled again


def test_combine_says_whose_preferences_count() -> None:
    """Two people who disagree: the one with all the weight is followed."""
    texts, weights = padded_answers([[0]] * 2, [[0], [1]]), torch.tensor([0.0, 2.0])
    policy = Tabular([[0.5, 0.5]])
    train_preferences(
        policy, texts, [[0, 1], [1, 0]], beta=1.0, steps=50, batch_size=2, lr=0.1,
        combine=lambda losses, picked: (weights[picked] * losses).mean(),
    )  # fmt: skip
    assert policy.probabilities()[0, 1] > 0.9


def test_watch_sees_every_step_in_eval_mode() -> None:
    seen: list[tuple[int, bool]] = []
    texts = padded_answers(PROMPTS, COMPLETIONS)
    train_preferences(
        tiny_gpt2(),
        texts,
        [[0, 1]],
        beta=0.1,
        steps=2,
        watch=lambda step, model: seen.append((step, model.training)),
    )
    assert seen == [(0, False), (1, False), (2, False)]


def test_the_tabular_optimum_is_reached() -> None:
    """Preferences of Bradley and Terry in their exact shares: the policy that DPO ends at is the analytic optimum.

    Each pair stands in both orders, weighted with its probability, so no sampling is left and the distance to
    reference * exp(reward / beta) / Z is the method's alone. Two prompts with rewards of their own.
    """
    random = np.random.default_rng(0)
    prompts, answers, beta = 2, 5, 0.7
    reference, reward = (
        random.dirichlet(np.ones(answers), prompts),
        random.normal(size=(prompts, answers)),
    )
    texts = padded_answers(
        [[p] for p in range(prompts) for _ in range(answers)],
        [[a] for _ in range(prompts) for a in range(answers)],
    )
    pairs = [
        [p * answers + a, p * answers + b]
        for p in range(prompts) for a in range(answers) for b in range(answers) if a != b
    ]  # fmt: skip
    rewards = torch.tensor(reward.ravel())
    share = torch.sigmoid(
        rewards[[a for a, _ in pairs]] - rewards[[b for _, b in pairs]]
    )
    policy = Tabular(reference)
    train_preferences(
        policy, texts, pairs, beta=beta, steps=800, batch_size=len(pairs), lr=0.03,
        combine=lambda losses, picked: (share[picked] * losses).mean(),
    )  # fmt: skip
    optimum = optimal_policy(reference, reward, beta)
    assert abs(policy.probabilities() - optimum).max() < 1e-3
    assert (kl_divergence(policy.probabilities(), optimum) < 1e-5).all()
    assert abs(reference - optimum).max() > 0.1  # and it had a way to go


def test_a_tabular_policy_is_its_table() -> None:
    table = np.array([[0.2, 0.3, 0.5], [0.6, 0.3, 0.1]])
    texts = padded_answers([[0], [1]], [[2], [0]])
    assert answer_logps(Tabular(table), texts).exp().tolist() == pytest.approx(
        [0.5, 0.6]
    )
    assert Tabular(table).probabilities() == pytest.approx(table)
    for wrong in ([0.5, 0.5], [[0.5, 0.6]], [[1.0, 0.0]]):
        with pytest.raises(ValueError, match="probabilities above 0"):
            Tabular(wrong)


@pytest.mark.parametrize(
    ("pairs", "options", "message"),
    [
        ([[0, 4]], {}, "positions in the 4 texts"),
        ([[0, -1]], {}, "positions in the 4 texts"),
        ([], {}, "pairs must be"),
        ([[0, 1, 2]], {}, "pairs must be"),
        ([[0.0, 1.0]], {}, "pairs must be"),
        ([[0, 1]], {"steps": 0}, "steps"),
        ([[0, 1]], {"batch_size": 0}, "batch_size"),
        ([[0, 1]], {"beta": 0.0}, "beta"),
        ([[0, 1]], {"loss": "sigmoid"}, "loss"),
        ([[0, 1]], {"reference": [0.0]}, "reference"),
    ],
)
def test_training_refuses_what_cannot_be_right(
    pairs: Any, options: dict[str, Any], message: str
) -> None:
    texts: Answers = padded_answers(PROMPTS, COMPLETIONS)
    with pytest.raises(ValueError, match=message):
        train_preferences(
            tiny_gpt2(), texts, pairs, **{"beta": 0.1, "steps": 1, **options}
        )
