"""Is a model the same whatever else is in the stack, and does a cheap score of it mean what it says?"""

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr

from smallscale.attribution.markets import batched_transformers
from smallscale.attribution.markets.batched_transformers import (
    new_stack,
    stack_gradients,
    stack_log_likelihood,
    stack_logits,
    token_losses,
    train_stack,
)
from smallscale.attribution.markets.games import membership, shapley_of
from smallscale.attribution.markets.ngram_model import Counts, count, log_likelihood
from smallscale.attribution.markets.proxies import (
    agreements,
    alone,
    author_gradients,
    fisher_influence,
    fit_counts,
    gradient_dot,
    left_out,
    overlap,
    per_completion,
)

VOCABULARY, CONTEXT = 7, 12


@pytest.fixture(autouse=True)
def short_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batched_transformers, "CONTEXT", CONTEXT)


def cycle(step: int, length: int = 300) -> np.ndarray:
    return np.arange(length) * step % VOCABULARY


LIBRARIES = [[cycle(1)], [cycle(2), cycle(2)], [cycle(3)]]


def trained(members: object, steps: int = 60, seed: int = 0) -> dict[str, torch.Tensor]:
    return train_stack(LIBRARIES, members, VOCABULARY, steps=steps, seed=seed)


# the stack


def test_logits_do_not_look_ahead_and_every_model_is_alone() -> None:
    stack = new_stack(3, VOCABULARY)
    with torch.no_grad():
        for p in stack.values():
            p += 0.3 * torch.randn(p.shape, generator=torch.Generator().manual_seed(1))
        tokens = torch.randint(
            VOCABULARY, (3, 4, CONTEXT), generator=torch.Generator().manual_seed(2)
        )
        logits = stack_logits(stack, tokens)
        assert logits.shape == (3, 4, CONTEXT, VOCABULARY)
        later = tokens.clone()
        later[:, :, 6:] = (later[:, :, 6:] + 1) % VOCABULARY
        assert torch.allclose(
            stack_logits(stack, later)[:, :, :6], logits[:, :, :6], atol=1e-5
        )
        assert not torch.allclose(
            stack_logits(stack, later)[:, :, 6:], logits[:, :, 6:], atol=1e-2
        )
        one = {name: p[1:2] for name, p in stack.items()}
        assert torch.allclose(stack_logits(one, tokens[1:2]), logits[1:2], atol=1e-5)
        losses = token_losses(stack, tokens)
        p = logits[2, 3, 4].softmax(0)[tokens[2, 3, 5]]
        assert losses.shape == (3, 4, CONTEXT - 1)
        assert losses[2, 3, 4] == pytest.approx(-float(p.log()), abs=1e-5)


def test_a_model_is_the_same_in_any_stack_and_a_second_time() -> None:
    members = membership(3)[1:]
    everybody = np.concatenate([members, members])  # more than one program
    state = torch.get_rng_state()
    stack, single = trained(everybody, steps=5), trained(members[4:5], steps=5)
    for name, p in single.items():
        assert torch.allclose(stack[name][4], p[0], atol=1e-4)
        assert torch.allclose(stack[name][11], p[0], atol=1e-4)
    assert torch.equal(state, torch.get_rng_state())


def test_each_model_learns_its_own_coalition() -> None:
    stack = trained([[1, 0, 0], [0, 1, 0], [1, 1, 0]], steps=150)
    windows = np.stack([cycle(1, CONTEXT), cycle(2, CONTEXT), cycle(3, CONTEXT)])
    log_p = per_completion(
        stack_log_likelihood(stack, windows, 4), 3
    )  # (models, windows)
    assert log_p.shape == (3, 3)
    assert log_p[0, 0] > -0.1 > log_p[0, 1]
    assert log_p[1, 1] > -0.1 > log_p[1, 0]
    assert log_p[2, :2].min() > -0.2
    assert log_p[:, 2].max() < -1


def test_authors_are_read_as_often_as_they_are_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    texts = [torch.full((400,), 0), torch.full((100,), 1), torch.full((500,), 2)]
    inside = torch.tensor(
        [[True, True, False], [False, True, True], [True, True, True]]
    )
    monkeypatch.setattr(batched_transformers, "BATCH", 6000)
    rows = batched_transformers._batch(texts, inside, torch.Generator().manual_seed(0))[
        :, :, 0
    ]
    assert (rows[0] == 1).float().mean() == pytest.approx(0.2, abs=0.02)
    assert (rows[1] == 2).float().mean() == pytest.approx(5 / 6, abs=0.02)
    assert not (rows[0] == 2).any()
    # Wherever everybody's window is one of the coalition's authors, the coalition reads the same one.
    for model, absent in ((0, 2), (1, 0)):
        same = rows[2] != absent
        assert (rows[model][same] == rows[2][same]).all()


def test_stacks_that_cannot_be_trained_are_refused() -> None:
    with pytest.raises(ValueError, match="members must be"):
        trained([[0, 0, 0]])
    with pytest.raises(ValueError, match="members must be"):
        trained([[1, 0]])
    with pytest.raises(ValueError, match="libraries must hold"):
        train_stack([[cycle(1, 12)], []], [[1, 1]], VOCABULARY)


# cheap scores


def test_scores_from_a_table_by_hand() -> None:
    table = np.array([[1.0], [3.0], [4.0], [9.0]])  # nobody, 0, 1, both
    assert alone(table).tolist() == [[2.0], [3.0]]
    assert left_out(table).tolist() == [[5.0], [6.0]]


def test_overlap_by_hand() -> None:
    """The author wrote 0 1 2: of the completion's bigrams after 3 3 3 3, (3 0), (0 1), (1 0), one stands there."""
    counts = count([[np.array([0, 1, 2])]], np.array([[3, 3, 3, 3, 0, 1, 0]]), 4, 4)
    assert overlap(counts, 2, 1).tolist() == [[pytest.approx(1 / 3)]]
    assert overlap(counts, 1, 1).tolist() == [[1.0]]


def test_agreement_is_scipys_rank_correlation() -> None:
    random = np.random.default_rng(0)
    truth, scores = random.normal(size=(2, 5, 40))
    scores[2] = scores[1]  # ties
    (found,) = agreements({"": scores}, truth).to_dict("records")
    rho = [spearmanr(scores[:, j], truth[:, j]).statistic for j in range(40)]
    assert found["spearman"] == pytest.approx(np.mean(rho), abs=1e-12)
    assert found["error"] == pytest.approx(1.96 * np.std(rho, ddof=1) / 40**0.5)
    assert found["top"] == np.mean(scores.argmax(0) == truth.argmax(0))
    table = agreements(
        {"worst": -truth, "constant": np.ones((5, 40)), "best": truth}, truth
    )
    assert list(table.method) == ["best", "constant", "worst"]
    assert list(table.spearman) == pytest.approx([1, 0, -1])


def test_fitting_finds_the_concentrations_that_made_the_other_model() -> None:
    random = np.random.default_rng(0)
    windows = random.integers(6, size=(30, 12))
    counts = count(
        [[random.integers(6, size=900)], [random.integers(6, size=300)]], windows, 4, 6
    )
    made = (4.0, 64.0, 256.0)
    log_p = log_likelihood(counts, [[1, 1]], made)[0]
    assert fit_counts(counts, log_p) == made


def test_gradients_are_those_of_the_loss_and_find_the_author() -> None:
    stack = trained([[1, 1, 1]], steps=20)
    windows = np.stack([cycle(k % 3 + 1, CONTEXT) for k in range(6)])
    rows = stack_gradients(stack, windows, prompt=4)
    name, h = "0.qkv", 1e-2
    place = sum(p.numel() for p in list(stack.values())[: list(stack).index(name)])
    change = torch.zeros_like(stack[name])
    change[0, 3, 5] = h
    sides = [
        -stack_log_likelihood(
            {**stack, name: stack[name] + sign * change}, windows[:1], 4
        ).mean()
        for sign in (1, -1)
    ]
    assert float(rows[0, place + 3 * stack[name].shape[2] + 5]) == pytest.approx(
        (sides[0] - sides[1]) / 2 / h, abs=1e-3
    )
    authors = author_gradients(stack, LIBRARIES, windows=8)
    truth = np.array([0, 1, 2, 0, 1, 2])
    for scores in (gradient_dot(authors, rows), fisher_influence(authors, rows)):
        assert scores.shape == (3, 6)
        assert (scores.argmax(0) == truth).mean() > 0.8


def test_fisher_influence_is_the_inverse_written_out() -> None:
    random = torch.Generator().manual_seed(0)
    authors, rows = (
        torch.randn(2, 3, 5, generator=random),
        torch.randn(4, 5, generator=random),
    )
    flat = authors.flatten(0, 1).double()
    fisher = flat.T @ flat / 6
    strength = 0.1 * (flat @ flat.T / 6).diagonal().mean()
    expected = authors.double().mean(1) @ torch.linalg.solve(
        fisher + strength * torch.eye(5, dtype=torch.float64), rows.double().T
    )
    assert fisher_influence(authors, rows) == pytest.approx(expected.numpy(), rel=1e-3)


def test_shapley_of_a_stack_adds_up_to_what_everybody_is_worth() -> None:
    stack = trained(membership(3)[1:], steps=30)
    windows = np.stack([cycle(1, CONTEXT), cycle(2, CONTEXT)])
    log_p = per_completion(stack_log_likelihood(stack, windows, 4), 2)
    table = np.concatenate([np.full((1, 2), -np.log(VOCABULARY)), log_p])
    assert shapley_of(table).sum(0) == pytest.approx(
        log_p[-1] + np.log(VOCABULARY), abs=1e-12
    )
    assert isinstance(count(LIBRARIES, windows, 4, VOCABULARY), Counts)
