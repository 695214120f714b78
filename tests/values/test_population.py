"""Do the made-up people vote as their camp wishes, and does a reply say what it
follows?"""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import adjusted_rand_score

from smallscale.dpo import Tabular, all_logps
from smallscale.values import opinion_groups
from smallscale.values.population import (
    CAMPS,
    MATERIAL,
    POPULATION_FILE,
    PRINCIPLE_NAMES,
    PRINCIPLES,
    STATEMENTS,
    camp_utility,
    constitution_points,
    population,
    read_material,
    replies,
)


@pytest.mark.parametrize(("majority", "size"), [(0.5, 120), (0.7, 168), (0.95, 228)])
def test_the_camps_have_the_sizes_asked_for(majority: float, size: int) -> None:
    votes = population(majority=majority)
    assert (votes.groups == "majority").sum() == size
    assert set(votes.groups) <= set(CAMPS)
    assert votes.matrix.shape == (240, 24)
    assert votes.matrix.notna().mean(axis=None) == pytest.approx(0.8, abs=0.02)
    assert votes.matrix.isin([1, -1, 0]).sum().sum() == votes.matrix.notna().sum().sum()


def test_votes_follow_the_camps_wishes_and_the_statements_direction() -> None:
    votes = population(2000, seen=1.0)
    mean = votes.matrix.groupby(votes.groups).mean()
    for statement, row in votes.statements.iterrows():
        for camp, name in enumerate(CAMPS):
            principle = PRINCIPLES[PRINCIPLE_NAMES.index(row.principle)]
            utility = (principle.majority, principle.minority)[camp]
            assert np.sign(mean.loc[name, statement]) == np.sign(
                utility * row.direction
            )
    # A wish of 1.2 and one of 1.0 look much alike; only a mild one shows by failing
    # more often.
    strong = mean.loc["minority", 12]
    mild = mean.loc["majority", 12]
    assert strong < -0.9
    assert 0.2 < mild < 0.6


def test_every_principle_has_two_statements_each_way() -> None:
    table = pd.DataFrame(STATEMENTS)
    assert (table.groupby(["principle", "direction"]).size() == 2).all()
    assert list(dict.fromkeys(table.principle)) == list(PRINCIPLE_NAMES)
    assert table.text.is_unique


def test_the_seed_decides() -> None:
    pd.testing.assert_frame_equal(population(seed=3).matrix, population(seed=3).matrix)
    assert not population(seed=3).matrix.equals(population(seed=4).matrix)


@pytest.mark.parametrize("majority", [0.5, 0.7, 0.9])
def test_polis_rules_find_the_camps(majority: float) -> None:
    votes = population(majority=majority)
    assert (
        adjusted_rand_score(votes.groups, opinion_groups(votes.matrix).fillna(-1))
        > 0.85
    )


@pytest.mark.parametrize(
    "wrong",
    [{"people": 3}, {"majority": 0.4}, {"majority": 1.0}, {"seen": 0.0}, {"seen": 1.1}],
)
def test_numbers_out_of_range_are_refused(wrong: dict) -> None:
    with pytest.raises(ValueError, match="people must be at least 4, majority in"):
        population(**wrong)


def test_replies_are_all_different_and_worth_what_they_follow() -> None:
    every = replies()
    assert len(set(every.sentences)) == 64
    assert every.utility.shape == (64, 2)
    assert (
        every.sentences[0]
        == "in short, perhaps, studies say, you must, rest as your faith asks, ha ha"
    )
    np.testing.assert_allclose(every.utility[0], camp_utility().sum(1))
    np.testing.assert_allclose(every.utility[-1], 0)
    best = every.sentences[int(every.utility[:, 1].argmax())]
    assert best.split(", ") == [
        "at length",
        "perhaps",
        "studies say",
        "you may",
        "rest as your faith asks",
        "take care",
    ]


def test_replies_are_texts_that_a_policy_can_read() -> None:
    texts = replies().texts
    assert texts.ids.shape == (64, 8)  # the question, six phrases, the end
    assert len({tuple(row) for row in texts.ids.tolist()}) == 64
    assert (texts.labels[:, 0] == -100).all()
    flat = Tabular(np.full((14, 14), 1 / 14))  # each of seven tokens, one of fourteen
    np.testing.assert_allclose(all_logps(flat, texts), -7 * np.log(14), rtol=1e-6)


def test_a_constitutions_points_count_what_is_satisfied() -> None:
    statements = population(10).statements
    for_sources = 8
    against_orders = 14
    points = constitution_points(statements, [for_sources, against_orders])
    follows = dict(zip(PRINCIPLE_NAMES, replies().follows.T, strict=True))
    np.testing.assert_array_equal(points, follows["sources"] + (1 - follows["orders"]))
    assert constitution_points(statements, [])[0] == 0


def test_a_formatter_that_sorts_keys_changes_nothing(tmp_path: Path) -> None:
    entries = json.loads(POPULATION_FILE.read_text("utf-8"))
    again = tmp_path / "again.json"
    again.write_text(json.dumps(entries, sort_keys=True), encoding="utf-8")
    assert read_material(again) == MATERIAL
    assert MATERIAL.principles[3] == ("orders", 0.5, -2.5, "you must", "you may")
    assert MATERIAL.statements[2].direction == -1
