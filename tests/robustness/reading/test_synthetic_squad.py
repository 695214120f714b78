"""Are the made-up passages sound, and are the names for tests kept apart?"""

import importlib.util
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from smallscale.robustness import add_sentences, load_squad
from smallscale.robustness.reading import synthetic_squad
from smallscale.robustness.reading.dataset import check_dataset, paragraphs
from smallscale.robustness.reading.synthetic_squad import (
    FACTS,
    SUBJECT_KINDS,
    passages,
    thing,
)


@pytest.mark.parametrize("neighbours", [0.0, 1.0])
def test_passages_are_sound_squad_with_names_kept_apart(
    neighbours: float, tmp_path
) -> None:
    data = passages(400, seed=1, neighbours=neighbours)
    (tmp_path / "made.json").write_text(json.dumps(data))
    assert (
        load_squad(tmp_path / "made.json")
        == data
        == passages(400, seed=1, neighbours=neighbours)
    )
    for paragraph in paragraphs(data):
        assert paragraph["context"].count(".") == FACTS + (2 if neighbours else 0)
        assert len(paragraph["qas"]) == FACTS
        said = [qa["answers"][0]["text"] for qa in paragraph["qas"]]
        # An answer to two questions would make a wrong reading right.
        assert len(set(said)) == FACTS
    rng = np.random.default_rng(0)
    mine, others = (
        {thing("town", rng, held_out) for _ in range(2000)}
        for held_out in (False, True)
    )
    assert not mine & others


BIRTH = r"a child of the year|first drew breath in|counted the years from"
MOMENTS = {
    "first": r"^(When|In what year) was .* (born|launched)",
    "last": r" (die|sink)\b",
}


@pytest.mark.parametrize("neighbours", [0.0, 1.0])
def test_nobody_dies_before_birth_and_no_ship_sinks_before_its_launch(
    neighbours: float,
) -> None:
    checked = 0
    for paragraph in paragraphs(passages(600, seed=5, neighbours=neighbours)):
        years = {}
        for qa in paragraph["qas"]:
            for moment, asks in MOMENTS.items():
                if re.search(asks, qa["question"]):
                    years[moment] = int(qa["answers"][0]["text"])
        if len(years) == 2:
            checked += 1
            assert 20 <= years["last"] - years["first"] < 90
    assert checked > 100


def test_a_neighbour_s_life_is_in_order_too() -> None:
    """Two facts about a second subject; both years happen to be told now and then."""
    checked = 0
    for seed in range(400):
        rng = np.random.default_rng(seed)
        told = " ".join(synthetic_squad._about_another("person", "", rng, False))
        years = [int(year) for year in re.findall(r"\d{4}", told)]
        if len(years) == 2:
            checked += 1
            birth_is_told_first = re.search(BIRTH, told.split(". ")[0]) is not None
            first, last = years if birth_is_told_first else reversed(years)
            assert first < last
    assert checked > 5


def test_the_words_are_found_by_name_however_the_file_is_sorted(tmp_path: Path) -> None:
    module = Path(synthetic_squad.__file__)
    shutil.copy(module, tmp_path)
    world = json.loads(module.with_name("world.json").read_text("utf-8"))
    (tmp_path / "world.json").write_text(json.dumps(world, sort_keys=True), "utf-8")
    spec = importlib.util.spec_from_file_location(
        "sorted_world", tmp_path / module.name
    )
    sorted_world = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sorted_world)
    for neighbours in (0.0, 0.5):
        made = sorted_world.passages(60, seed=1, neighbours=neighbours)
        assert made == passages(60, seed=1, neighbours=neighbours)


def test_articles_go_round_the_kinds_of_subjects() -> None:
    titles = [article["title"] for article in passages(35, seed=0)["data"]]
    assert titles == [
        "Made-up person 1",
        "Made-up town 2",
        "Made-up ship 3",
        "Made-up person 4",
    ]
    assert SUBJECT_KINDS == ("person", "town", "ship")


def test_made_up_passages_pass_the_check_with_added_sentences() -> None:
    data = passages(10, seed=9, held_out=True)
    check_dataset(add_sentences(data, seed=0, candidates=2))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: passages(0, seed=0), "n must be a whole number, at least 1; got 0"),
        (
            lambda: passages(1, seed=0, neighbours=2),
            "neighbours must be a finite number, at least 0 and at most 1; got 2",
        ),
    ],
)
def test_bad_arguments(call, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
