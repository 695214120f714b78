"""Are all the reviews listed, are their numbers exact, and do people choose as they should?"""

import copy
import math
from html import unescape
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from smallscale.dpo import (
    all_logps,
    answer_logps,
    kl_divergence,
    optimal_policy,
    train_preferences,
)
from smallscale.dpo.exercises import NOT_YET, check_loss, check_training
from smallscale.dpo.explorer import policy_explorer, shares
from smallscale.dpo.frontier import flipped, follow, judge, moved
from smallscale.dpo.reviews import (
    END,
    START,
    WORDS,
    Reviews,
    distribution,
    judged_pairs,
    measure,
    prefer,
    reviews,
    small_llama,
)
from smallscale.dpo.sampling import draw, fit_texts, train_on_policy
from smallscale.notebook import explore


@pytest.fixture(scope="module")
def world() -> Reviews:
    return reviews()


@pytest.fixture(scope="module")
def reference(world: Reviews) -> nn.Module:
    return fit_texts(small_llama(), world.texts, steps=100, frequency=world.frequency)


def at(world: Reviews, sentence: str) -> int:
    return world.sentences.index(sentence)


# the world


def test_the_grammar_by_hand(world: Reviews) -> None:
    assert len(world.sentences) == len(set(world.sentences)) == 36 + 36 * 2 * 36
    assert world.frequency.sum() == pytest.approx(1)
    one = at(world, "the film was very dull")
    assert world.reward[one] == -1.5
    assert world.frequency[one] == pytest.approx(0.5 * 0.5 * 0.2 * 0.25)
    two = at(world, "the plot was not awful but the film was superb")
    assert world.reward[two] == 2 + 4
    assert world.frequency[two] == pytest.approx(
        0.5 * (0.5 * 0.2 * 0.1) * 0.5 * (0.5 * 0.6 * 0.05)
    )
    assert world.words[two] == 10
    assert (world.reward.min(), world.reward.max(), world.failure) == (-12, 12, -12)


def test_tokens_are_the_sentences(world: Reviews) -> None:
    for i in (0, 40, 2627):
        ids = world.texts.ids[i][world.texts.mask[i].bool()].tolist()
        assert (ids[0], ids[-1]) == (START, END)
        assert " ".join(WORDS[t] for t in ids[1:-1]) == world.sentences[i]
        assert world.reward_of(ids[1:]) == world.reward[i]
        assert (
            world.reward_of(ids[1:-1]) == world.failure
        )  # without an end it is no review


def test_the_distribution_is_what_sampling_finds(
    world: Reviews, reference: nn.Module
) -> None:
    p = distribution(reference, world)
    assert p.sum() == pytest.approx(1)
    assert (p >= 0).all()
    rows = draw(reference, torch.full((4000, 1), START), most=13, end=END)
    off = np.mean([tuple(row) not in world.place for row in rows])
    assert off == pytest.approx(p[-1], abs=4 * math.sqrt(p[-1] / 4000))
    found = np.mean([world.reward_of(row) for row in rows])
    rewards = np.append(world.reward, world.failure)
    spread = math.sqrt(p @ (rewards - p @ rewards) ** 2 / 4000)
    assert found == pytest.approx(measure(p, p, world)["reward"], abs=4 * spread)


def test_rounding_cannot_make_the_rest_negative(
    world: Reviews, monkeypatch: pytest.MonkeyPatch
) -> None:
    n = len(world.sentences)
    monkeypatch.setattr(
        "smallscale.dpo.reviews.all_logps",
        lambda *_: torch.full((n,), math.log(1.001 / n)),
    )
    p = distribution(nn.Identity(), world)
    assert p[-1] == 0
    assert p.sum() == pytest.approx(1)


def test_measures_by_hand(world: Reviews) -> None:
    even, all_off = np.zeros(2629), np.zeros(2629)
    even[
        [
            at(world, "the film was good"),
            at(world, "the film was very bad and the plot was fine"),
        ]
    ] = 0.4
    even[-1], all_off[-1] = 0.2, 1.0
    found = measure(even, even, world)
    assert found["reward"] == pytest.approx(0.4 * 2 + 0.4 * (-3 + 1) + 0.2 * -12)
    assert (found["kl"], found["off"], found["words"]) == (
        0,
        pytest.approx(0.2),
        pytest.approx((4 + 10) / 2),
    )
    assert found["entropy"] == pytest.approx(-0.8 * math.log(0.4) - 0.2 * math.log(0.2))
    assert measure(all_off, even, world)["kl"] == pytest.approx(math.log(5))


# people


def test_people_choose_as_bradley_and_terry_say() -> None:
    reward, pairs = [0.0, math.log(3)], np.array([[0, 1]] * 20_000)
    chosen = prefer(pairs, reward)[:, 0]
    assert (chosen == 1).mean() == pytest.approx(
        3 / 4, abs=4 * math.sqrt(3 / 16 / 20_000)
    )
    equals = prefer(np.array([[0, 1]] * 20_000), [1.0, 1.0])[:, 0]
    assert (equals == 1).mean() == pytest.approx(1 / 2, abs=0.015)


def test_large_rewards_do_no_harm_and_pairs_stay_pairs() -> None:
    pairs = np.array([[0, 1], [1, 0], [1, 1]])
    with np.errstate(all="raise", under="ignore"):
        assert prefer(pairs, [-1e300, 1e300]).tolist() == [[1, 0], [1, 0], [1, 1]]
    assert (
        prefer(pairs, [0.0, 1.0], seed=3).tolist()
        == prefer(pairs, [0.0, 1.0], seed=3).tolist()
    )


@pytest.mark.parametrize(
    ("pairs", "reward", "message"),
    [([[0, 1, 2]], [0.0], "pairs must be"), ([[0, 1]], [[0.0]], "reward")],
)
def test_people_refuse_what_cannot_be_right(
    pairs: Any, reward: Any, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        prefer(pairs, reward)


def test_judged_pairs_are_what_the_policy_writes(
    world: Reviews, reference: nn.Module
) -> None:
    texts, pairs = judged_pairs(reference, world, 300)
    assert pairs.shape == (300, 2)
    rows = [
        tuple(row[m.bool()].tolist()[1:])
        for row, m in zip(texts.ids, texts.mask, strict=True)
    ]
    assert len(set(rows)) == len(rows)
    reward = np.array([world.reward_of(row) for row in rows])
    assert (reward[pairs[:, 0]] > reward[pairs[:, 1]]).mean() > 0.6
    assert any(
        row not in world.place for row in rows
    )  # a model fitted for 100 steps still errs
    again, others = (
        judged_pairs(reference, world, 300, seed=seed)[0] for seed in (0, 1)
    )
    assert torch.equal(again.ids, texts.ids)
    assert not torch.equal(others.ids, texts.ids)


# training on it


def test_supervision_brings_the_model_to_the_corpus(
    world: Reviews, reference: nn.Module
) -> None:
    people = np.append(world.frequency, 0.0)
    before, after = (
        kl_divergence(people, distribution(model, world))
        for model in (small_llama(), reference)
    )
    assert before > 10
    assert after < 0.3


def test_on_policy_training_nears_the_optimum(
    world: Reviews, reference: nn.Module
) -> None:
    """It asks for true rewards of what it writes, so it is told about every mistake."""
    q = distribution(reference, world)
    policy = copy.deepcopy(reference)
    train_on_policy(
        policy, [START], world.reward_of, beta=3.0, steps=60, most=13, end=END
    )
    found = measure(distribution(policy, world), q, world)
    best = measure(
        optimal_policy(q, np.append(world.reward, world.failure), 3.0), q, world
    )
    before = measure(q, q, world)
    goal, reached = (m["reward"] - 3 * m["kl"] for m in (best, found))
    assert (
        before["reward"] + (goal - before["reward"]) / 2 < reached <= goal
    )  # KL has its price
    assert found["reward"] > before["reward"] + 0.7 * (
        best["reward"] - before["reward"]
    )
    assert found["off"] < before["off"]


def test_what_every_answer_earns_teaches_nothing(
    world: Reviews, reference: nn.Module
) -> None:
    """Each draw is measured against the mean of the others: a reward that all share moves nothing."""
    plain, richer = copy.deepcopy(reference), copy.deepcopy(reference)
    rest: dict[str, Any] = {"beta": 1.0, "steps": 2, "most": 13, "end": END}
    train_on_policy(plain, [START], world.reward_of, **rest)
    train_on_policy(richer, [START], lambda row: world.reward_of(row) + 64, **rest)
    logps = [
        all_logps(policy, world.texts[:50]) for policy in (reference, plain, richer)
    ]
    assert torch.allclose(logps[1], logps[2], atol=1e-3)
    assert not torch.allclose(logps[0], logps[1], atol=1e-2)


def test_fitting_follows_its_seed(world: Reviews) -> None:
    first, same, other = (
        fit_texts(small_llama(), world.texts, steps=3, seed=seed) for seed in (0, 0, 1)
    )
    logps = [all_logps(policy, world.texts[:50]) for policy in (first, same, other)]
    assert torch.equal(logps[0], logps[1])
    assert not torch.allclose(logps[0], logps[2], atol=1e-3)


def test_fitting_slows_down_over_its_last_half(
    world: Reviews, monkeypatch: pytest.MonkeyPatch
) -> None:
    rates: list[Any] = []
    monkeypatch.setattr(
        "smallscale.dpo.sampling.minimise",
        lambda policy, loss, *falling, **_: rates.extend(falling),
    )
    fit_texts(small_llama(), world.texts, steps=40)
    assert len(rates) == 2  # Muon's and AdamW's
    for rate in rates:
        assert [rate.lr_lambdas[0](step) for step in (0, 20, 30, 40)] == [
            1.0,
            1.0,
            0.5,
            0.0,
        ]


def test_preferences_raise_the_true_reward(
    world: Reviews, reference: nn.Module
) -> None:
    texts, pairs = judged_pairs(reference, world, 1200)
    policy = copy.deepcopy(reference)
    train_preferences(policy, texts, pairs, beta=3.0, steps=40, batch_size=32, lr=5e-4)
    q = distribution(reference, world)
    gain = (
        measure(distribution(policy, world), q, world)["reward"]
        - measure(q, q, world)["reward"]
    )
    assert gain > 0.3


def test_drawing_follows_the_model_and_its_seed(reference: nn.Module) -> None:
    prompts = torch.full((50, 1), START)
    rows = draw(reference, prompts, most=4, end=END)
    assert all(len(row) <= 4 and END not in row[:-1] for row in rows)
    assert rows == draw(reference, prompts, most=4, end=END)
    assert rows != draw(
        reference, prompts, most=4, end=END, generator=torch.Generator().manual_seed(1)
    )
    # The cache that makes drawing fast changes nothing: the second word's frequencies are the model's.
    first = [
        row
        for row in draw(reference, torch.full((5000, 1), START), most=2, end=END)
        if row[0] == 2
    ]
    with torch.no_grad():
        p = reference(torch.tensor([[START, 2]])).logits[0, -1].softmax(0)
    share = np.mean([row[1] == WORDS.index("film") for row in first])
    assert share == pytest.approx(float(p[WORDS.index("film")]), abs=0.03)


def test_answers_and_distribution_agree(world: Reviews, reference: nn.Module) -> None:
    some = world.texts[[0, 100, 2000]]
    assert torch.allclose(
        answer_logps(reference, some).detach(),
        all_logps(reference, world.texts)[[0, 100, 2000]],
    )


# the widget and the exercises


def test_the_explorer_says_what_it_shows_and_moves(
    world: Reviews, reference: nn.Module
) -> None:
    q = distribution(reference, world)
    rewards = np.append(world.reward, world.failure)
    policies = {
        (b, s): (1 - s / 100) * q + s / 100 * optimal_policy(q, rewards, b)
        for b in (1.0, 3.0)
        for s in (0, 50)
    }
    box = explore(*policy_explorer(world, q, policies))
    beta, step, view = box.children
    assert (beta.value, step.value) == (3.0, 50)
    assert [b for _, b in beta.options] == [
        3.0,
        1.0,
    ]  # to the right the policy is freer
    seen = set()
    for b, s in policies:
        beta.value, step.value = b, s
        now = measure(policies[b, s], q, world)
        assert (
            f"At beta {b:g} the policy's mean true reward is {now['reward']:.1f}"
            in unescape(view.value)
        )
        assert f"{now['off']:.0%} of what the policy writes is no review" in view.value
        assert 'role="img" aria-label="At beta' in view.value
        seen.add(view.value)
    assert len(seen) == 4
    assert shares(world, q).sum() == pytest.approx(1)
    assert len(shares(world, q)) == 13 + 1
    for wrong in ({}, {(1.0, 0): q, (3.0, 5): q}):
        with pytest.raises(ValueError, match="every pair"):
            policy_explorer(world, q, wrong)
    with pytest.raises(ValueError, match="one of 1, 3"):
        policy_explorer(world, q, policies, beta=2.0)


def test_the_loss_exercise_knows_the_usual_mistakes() -> None:
    def dpo(pc: Any, pr: Any, rc: Any, rr: Any, beta: float) -> Any:
        return -nn.functional.logsigmoid(beta * ((pc - rc) - (pr - rr)))

    answers = {
        NOT_YET: lambda *_: None,
        "Right": dpo,
        "a value for each pair": lambda *a: dpo(*a).mean(),
        "wrong way round": lambda pc, pr, rc, rr, beta: dpo(pr, pc, rr, rc, beta),
        "reference is missing": lambda pc, pr, rc, rr, beta: dpo(
            pc, pr, 0 * rc, 0 * rr, beta
        ),
        "beta is missing": lambda pc, pr, rc, rr, beta: dpo(pc, pr, rc, rr, 1.0),
        "minus the loss": lambda *a: -dpo(*a),
        "not finite": lambda pc, pr, rc, rr, beta: (
            -torch.sigmoid(beta * ((pc - rc) - (pr - rr))).log()
        ),
        "should be": lambda *a: dpo(*a) + 1,
    }
    for words, answer in answers.items():
        assert words in check_loss(answer)


def test_the_training_exercise(world: Reviews, reference: nn.Module) -> None:
    judged = judge(reference, world, 10)
    rest: tuple[Any, ...] = (reference, judged, world)
    assert check_training(lambda *_: None, *rest, beat=0.0, most_kl=1.0) == NOT_YET
    same = measure(judged.start, judged.start, world)["reward"]
    assert "Not yet" in check_training(
        lambda policy, *_: policy, *rest, beat=same + 0.1, most_kl=1.0
    )
    assert "Right" in check_training(
        lambda policy, *_: policy, *rest, beat=same - 0.1, most_kl=1.0
    )
    assert "Too far" in check_training(
        lambda *_: small_llama(seed=5), *rest, beat=0.0, most_kl=0.5
    )


# a run, looked at


def test_a_followed_run_starts_at_the_reference_and_says_what_it_is(
    world: Reviews, reference: nn.Module
) -> None:
    judged = judge(reference, world, 300, held=100)
    assert len(judged.pairs) == 300
    assert 90 < len(judged.held) <= 100
    assert judged.identical == (judged.pairs[:, 0] == judged.pairs[:, 1]).sum()
    before = all_logps(reference, world.texts)
    table, seen = follow(
        reference, world, judged, beta=1.0, steps=6, looks=(0, 3), lr=5e-4
    )
    assert torch.equal(all_logps(reference, world.texts), before)  # a copy was trained
    assert list(table.step) == list(seen) == [0, 3, 6]
    q = distribution(reference, world)
    first, last = table.iloc[0], table.iloc[-1]
    assert (first.kl, first.accuracy) == (0, 0)  # equal rewards are no win
    assert last.accuracy > 0.5
    assert last.reward == pytest.approx(measure(seen[6], q, world)["reward"])
    assert last.on * (1 - last.off) + last.off * world.failure == pytest.approx(
        last.reward
    )
    assert first.chosen == pytest.approx(
        float(judged.logps[judged.held[:, 0]].mean()), abs=1e-4
    )
    assert first.rejected == pytest.approx(
        float(judged.logps[judged.held[:, 1]].mean()), abs=1e-4
    )


def test_held_out_pairs_are_of_two_texts(
    world: Reviews, reference: nn.Module, monkeypatch: pytest.MonkeyPatch
) -> None:
    pairs = np.array([[0, 0], [1, 2], [3, 3], [2, 0]])
    monkeypatch.setattr(
        "smallscale.dpo.frontier.judged_pairs",
        lambda *_, **__: (world.texts[:4], pairs),
    )
    judged = judge(reference, world, 2, held=2)
    assert judged.held.tolist() == [[1, 2]]
    assert judged.pairs.tolist() == [[3, 3], [2, 0]]
    assert judged.identical == 1


def test_flipped_labels_are_those_of_training_only(
    world: Reviews, reference: nn.Module
) -> None:
    judged = judge(reference, world, 2000, held=50)
    noisy = flipped(judged, 0.2)
    same, turned = (
        (noisy.pairs == judged.pairs).all(1),
        (noisy.pairs == judged.pairs[:, ::-1]).all(1),
    )
    assert (same | turned).all()
    assert (~same).mean() == pytest.approx(0.2, abs=4 * math.sqrt(0.16 / 2000))
    assert (noisy.held == judged.held).all()
    assert (flipped(judged, 1.0).pairs == judged.pairs[:, ::-1]).all()
    assert (flipped(judged, 0.0).pairs == judged.pairs).all()
    assert not (
        flipped(judged, 0.5, seed=1).pairs == flipped(judged, 0.5, seed=2).pairs
    ).all()


def test_the_optimum_moves_answers_by_their_reward(
    world: Reviews, reference: nn.Module
) -> None:
    """log optimum - log reference is reward / beta - log Z: most answers that won a pair lose under it."""
    judged = judge(reference, world, 100, held=300)
    q, rewards = judged.start, np.append(world.reward, world.failure)
    texts = zip(judged.texts.ids, judged.texts.mask, strict=True)
    reward = np.array(
        [world.reward_of(ids[mask.bool()].tolist()[1:]) for ids, mask in texts]
    )
    expected = reward[judged.held].mean(0) / 2 - math.log(q @ np.exp(rewards / 2))
    assert moved(judged, world, optimal_policy(q, rewards, 2.0)) == pytest.approx(
        tuple(expected)
    )
    assert expected[1] < expected[0] < 0
    assert moved(judged, world, q) == (0, 0)
