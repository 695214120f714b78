"""Are all the reviews listed, are their numbers exact, and do people choose as they
should?"""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from smallscale.dpo.reviews import (
    END,
    GRAMMAR,
    GRAMMAR_FILE,
    START,
    WORDS,
    Reviews,
    draw_preferences,
    measure,
    preference_pairs,
    read_grammar,
    review_distribution,
)
from smallscale.dpo.sampling import sample_completions


def at(world: Reviews, sentence: str) -> int:
    return world.sentences.index(sentence)


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
    p = review_distribution(reference, world)
    assert p.sum() == pytest.approx(1)
    assert (p >= 0).all()
    rows = sample_completions(
        reference, torch.full((4000, 1), START), max_new_tokens=13, end_token=END
    )
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
    p = review_distribution(nn.Identity(), world)
    assert p[-1] == 0
    assert p.sum() == pytest.approx(1)


def test_measures_by_hand(world: Reviews) -> None:
    even = np.zeros(2629)
    all_off = np.zeros(2629)
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


def test_people_choose_as_bradley_and_terry_say() -> None:
    reward = [0.0, math.log(3)]
    pairs = np.array([[0, 1]] * 20_000)
    chosen = draw_preferences(pairs, reward)[:, 0]
    assert (chosen == 1).mean() == pytest.approx(
        3 / 4, abs=4 * math.sqrt(3 / 16 / 20_000)
    )
    equals = draw_preferences(np.array([[0, 1]] * 20_000), [1.0, 1.0])[:, 0]
    assert (equals == 1).mean() == pytest.approx(1 / 2, abs=0.015)


def test_large_rewards_do_no_harm_and_pairs_stay_pairs() -> None:
    pairs = np.array([[0, 1], [1, 0], [1, 1]])
    with np.errstate(all="raise", under="ignore"):
        assert draw_preferences(pairs, [-1e300, 1e300]).tolist() == [
            [1, 0],
            [1, 0],
            [1, 1],
        ]
    assert (
        draw_preferences(pairs, [0.0, 1.0], seed=3).tolist()
        == draw_preferences(pairs, [0.0, 1.0], seed=3).tolist()
    )


@pytest.mark.parametrize(
    ("pairs", "reward", "message"),
    [([[0, 1, 2]], [0.0], "pairs must be"), ([[0, 1]], [[0.0]], "reward")],
)
def test_people_refuse_what_cannot_be_right(
    pairs: Any, reward: Any, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        draw_preferences(pairs, reward)


HIDDEN = np.ma.array([0.5, 0.5], mask=[False, True])


def test_what_a_mask_hides_is_not_brought_back(world: Reviews) -> None:
    with pytest.raises(ValueError, match="reward must not be masked, 1 of 2"):
        draw_preferences([[0, 1]], HIDDEN)
    with pytest.raises(ValueError, match="pairs must not be masked, 1 of 2"):
        draw_preferences(HIDDEN[None], [0.0, 1.0])
    with pytest.raises(ValueError, match="policy must not be masked, 1 of 2"):
        measure(HIDDEN, HIDDEN, world)


def test_pairs_are_of_what_the_policy_writes(
    world: Reviews, reference: nn.Module
) -> None:
    texts, pairs = preference_pairs(reference, world, 300)
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
        preference_pairs(reference, world, 300, seed=seed)[0] for seed in (0, 1)
    )
    assert torch.equal(again.ids, texts.ids)
    assert not torch.equal(others.ids, texts.ids)


def test_a_formatter_that_sorts_keys_changes_nothing(tmp_path: Path) -> None:
    words = json.loads(GRAMMAR_FILE.read_text("utf-8"))
    again = tmp_path / "again.json"
    again.write_text(json.dumps(words, sort_keys=True), encoding="utf-8")
    assert read_grammar(again) == GRAMMAR
    assert GRAMMAR.nouns == ("film", "plot")
    assert [adverb.word for adverb in GRAMMAR.adverbs] == ["", "very", "not"]
    assert GRAMMAR.adjectives[0] == ("awful", 0.1, -4.0)
