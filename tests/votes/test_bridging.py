"""Does a statement that both camps like get ahead of one that the larger camp loves,
and is the fit the minimum?"""

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from smallscale.votes import bridging, bridging_scores


def two_camps(
    seed: int = 0, people: int = 100, larger: float = 0.7, seen: float = 1.0
) -> pd.DataFrame:
    """Eight statements for each camp, one that bridges, and one that the larger camp
    loves and the other rejects."""
    rng = np.random.default_rng(seed)
    large = np.arange(people) < larger * people
    lean = {f"large{k}": (0.9, 0.1) for k in range(8)} | {
        f"small{k}": (0.1, 0.9) for k in range(8)
    }
    lean |= {"bridge": (0.9, 0.9), "partisan": (1.0, 0.0)}
    votes = {
        s: np.where(rng.random(people) < np.where(large, *chance), 1.0, -1.0)
        for s, chance in lean.items()
    }
    frame = pd.DataFrame(votes)
    return frame.where(rng.random(frame.shape) < seen)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("seen", [1.0, 0.5])
def test_the_bridge_is_helpful_and_the_majoritys_own_is_not(
    seed: int, seen: float
) -> None:
    votes = two_camps(seed, seen=seen)
    scores = bridging_scores(votes)
    assert scores.index.equals(votes.columns)
    assert list(scores.columns) == ["intercept", "factor", "helpful"]
    assert scores.helpful.dtype == bool
    assert scores.index[scores.helpful].tolist() == ["bridge"]
    assert (
        two_camps(seed)["partisan"] == 1
    ).mean() == 0.7  # though 70 % of all votes are for it
    assert abs(scores.factor["bridge"]) < 0.2
    assert scores.factor["partisan"] < -0.5  # the larger camp's side is negative
    assert (scores.factor.filter(like="small") > 0).all()


def loss(votes: torch.Tensor, mu, person, statement) -> torch.Tensor:
    """Community Notes' loss, as its code has it: means of squares, times .15 for
    intercepts and .03 for factors."""
    ratings = (votes.nan_to_num() + 1) / 2
    seen = ~votes.isnan()
    fitted = mu + person[:, :1] + statement[:, 0] + person[:, 1:] @ statement[:, 1:].T
    error = (ratings - fitted)[seen].square().mean()
    intercepts = mu**2 + person[:, 0].square().mean() + statement[:, 0].square().mean()
    return (
        error
        + 0.15 * intercepts
        + 0.03 * (person[:, 1].square().mean() + statement[:, 1].square().mean())
    )


@pytest.mark.parametrize("seen", [1.0, 0.6])
def test_it_is_the_minimum_that_gradient_descent_finds(seen: float) -> None:
    votes = two_camps(3, people=60, seen=seen)
    tensor = torch.tensor(votes.to_numpy())
    best = None
    for start in range(4):
        generator = torch.Generator().manual_seed(start)
        parts = [
            torch.randn(n, 2, generator=generator, dtype=torch.float64) * 0.3
            for n in tensor.shape
        ]
        parts = [torch.zeros((), dtype=torch.float64), *parts]
        for part in parts:
            part.requires_grad_()
        optimizer = torch.optim.LBFGS(
            parts, max_iter=2000, tolerance_grad=1e-10, tolerance_change=1e-14
        )

        def closure(parts=parts, optimizer=optimizer):
            optimizer.zero_grad()
            value = loss(tensor, *parts)
            value.backward()
            return value

        optimizer.step(closure)
        value = loss(tensor, *parts).item()
        if best is None or value < best[0]:
            best = (value, parts[2].detach().numpy())
    scores = bridging_scores(votes)
    np.testing.assert_allclose(scores.intercept, best[1][:, 0], atol=1e-4)
    np.testing.assert_allclose(scores.factor.abs(), np.abs(best[1][:, 1]), atol=1e-3)


def test_by_hand_where_nobody_differs() -> None:
    """Everybody agrees with everything: mu, i_u and i_n share 1, each at .15 a square;
    what is left costs 1.

    All three are equal, a, and the rest e = 1 - 3a: the gradient -2e + .3a is 0 at a =
    2/6.3.
    """
    scores = bridging_scores(np.ones((5, 4)))
    np.testing.assert_allclose(scores.intercept, 2 / 6.3, atol=1e-6)
    np.testing.assert_allclose(scores.factor, 0, atol=1e-6)
    assert not scores.helpful.any()  # nothing stands out


@pytest.mark.parametrize(("votes", "rating"), [(1.0, 1.0), (0.0, 0.5), (-1.0, 0.0)])
def test_a_vote_is_a_rating(votes: float, rating: float) -> None:
    assert bridging_scores(np.full((5, 4), votes)).intercept[0] == pytest.approx(
        rating * 2 / 6.3, abs=1e-6
    )


def test_starts_that_have_met_go_on_as_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """All five starts of this conversation end in one minimum: most rounds are made
    once, not five times."""
    fitted = []
    ridge = bridging._ridge

    def counted(votes, mu, other, penalty):
        fitted.append(len(mu))
        return ridge(votes, mu, other, penalty)

    monkeypatch.setattr(bridging, "_ridge", counted)
    votes = two_camps(1, seen=0.4)
    bridging_scores(votes)
    assert fitted[0] == 5
    assert fitted[-1] == 1
    assert sum(fitted) < 0.5 * 5 * len(fitted)


def test_starts_in_two_minima_stay_apart() -> None:
    factor = np.array([[0.5, -0.5, 0.5, 0.5], [0.1, -0.1, 0.2, 0.1]])
    intercept = np.array([[0.0, 0.0, 0.0, 0.3], [0.0, 0.0, 0.0, 0.0]])
    assert bridging._starts_apart(bridging._Terms(intercept, factor)) == [0, 2, 3]


def test_sparse_and_dense_products_fit_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    votes = two_camps(1, seen=0.4)
    fits = []
    for share in (0.0, 1.0):
        monkeypatch.setattr(bridging, "SPARSE", share)
        fits.append(bridging_scores(votes))
    pd.testing.assert_frame_equal(*fits, atol=1e-9)


def test_seeds_end_at_the_same_minimum() -> None:
    votes = two_camps(1, seen=0.4)
    first, second = (bridging_scores(votes, seed=seed) for seed in (0, 5))
    pd.testing.assert_frame_equal(first, second, atol=1e-4)


@settings(max_examples=8)
@given(st.integers(0, 2**32 - 1))
def test_a_shuffled_conversation_has_the_same_scores(seed: int) -> None:
    rng = np.random.default_rng(seed)
    votes = two_camps(2, people=40, seen=0.7)
    mixed = votes.iloc[rng.permutation(40), rng.permutation(18)]
    pd.testing.assert_frame_equal(
        bridging_scores(mixed).reindex(votes.columns),
        bridging_scores(votes),
        check_exact=True,
    )


def test_equal_camps_keep_their_sign_when_shuffled() -> None:
    votes = two_camps(4, people=40, larger=0.5)
    mixed = votes.iloc[::-1, ::-1]
    renamed = (
        bridging_scores(mixed.to_numpy()).set_axis(mixed.columns).reindex(votes.columns)
    )
    pd.testing.assert_frame_equal(renamed, bridging_scores(votes), atol=1e-4)


def test_a_statement_or_person_without_votes_has_no_score_and_no_say() -> None:
    votes = two_camps(people=40)
    expected = bridging_scores(votes)
    votes["unseen"] = np.nan
    votes.loc[99] = np.nan
    scores = bridging_scores(votes)
    assert scores.loc["unseen", ["intercept", "factor"]].isna().all()
    assert not scores.loc["unseen", "helpful"]
    pd.testing.assert_frame_equal(scores.drop("unseen"), expected)
    with pytest.raises(ValueError, match="matrix must hold a vote"):
        bridging_scores([[np.nan, np.nan]])


def test_thresholds() -> None:
    scores = bridging_scores(two_camps(5))
    assert (
        scores.helpful == ((scores.intercept >= 0.4) & (scores.factor.abs() < 0.5))
    ).all()


def test_a_seed_is_a_whole_number() -> None:
    with pytest.raises(ValueError, match="seed must be a whole number, at least 0"):
        bridging_scores([[1, -1], [-1, 1]], seed=-1)
