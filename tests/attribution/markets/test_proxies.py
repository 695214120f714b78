"""Does a cheap score mean what it says?"""

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr

from smallscale.attribution.markets import batched_transformers, proxies
from smallscale.attribution.markets.batched_transformers import (
    coalition_log_likelihood,
    train_coalitions,
    window_gradients,
)
from smallscale.attribution.markets.games import membership, shapley_of
from smallscale.attribution.markets.ngram_model import (
    Counts,
    count_ngrams,
    log_likelihood,
)
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
    monkeypatch.setattr(proxies, "CONTEXT", CONTEXT)


def cycle(step: int, length: int = 300) -> np.ndarray:
    return np.arange(length) * step % VOCABULARY


LIBRARIES = [[cycle(1)], [cycle(2), cycle(2)], [cycle(3)]]


def trained(members: object, steps: int = 60, seed: int = 0) -> dict[str, torch.Tensor]:
    return train_coalitions(LIBRARIES, members, VOCABULARY, steps=steps, seed=seed)


def test_scores_from_a_table_by_hand() -> None:
    table = np.array([[1.0], [3.0], [4.0], [9.0]])  # nobody, 0, 1, both
    assert alone(table).tolist() == [[2.0], [3.0]]
    assert left_out(table).tolist() == [[5.0], [6.0]]


def test_overlap_by_hand() -> None:
    # The author wrote 0 1 2. Of the completion's bigrams after 3 3 3 3, which are
    # (3 0), (0 1) and (1 0), one stands there.
    counts = count_ngrams(
        [[np.array([0, 1, 2])]], np.array([[3, 3, 3, 3, 0, 1, 0]]), 4, 4
    )
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
    counts = count_ngrams(
        [[random.integers(6, size=900)], [random.integers(6, size=300)]], windows, 4, 6
    )
    made = (4.0, 64.0, 256.0)
    log_p = log_likelihood(counts, [[1, 1]], made)[0]
    assert fit_counts(counts, log_p) == made


def test_gradients_are_those_of_the_loss_and_find_the_author() -> None:
    stack = trained([[1, 1, 1]], steps=20)
    windows = np.stack([cycle(k % 3 + 1, CONTEXT) for k in range(6)])
    rows = window_gradients(stack, windows, prompt=4)
    name, h = "model.layers.0.self_attn.q_proj.weight", 1e-2
    place = sum(p.numel() for p in list(stack.values())[: list(stack).index(name)])
    change = torch.zeros_like(stack[name])
    change[0, 3, 5] = h
    sides = [
        -coalition_log_likelihood(
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
    log_p = per_completion(coalition_log_likelihood(stack, windows, 4), 2)
    table = np.concatenate([np.full((1, 2), -np.log(VOCABULARY)), log_p])
    assert shapley_of(table).sum(0) == pytest.approx(
        log_p[-1] + np.log(VOCABULARY), abs=1e-12
    )
    assert isinstance(count_ngrams(LIBRARIES, windows, 4, VOCABULARY), Counts)
