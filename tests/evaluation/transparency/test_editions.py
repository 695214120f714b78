"""Are the published figures whole, and is a change of means split rightly?"""

import math

import pandas as pd
import pytest
from scipy.stats import spearmanr

from smallscale.evaluation.transparency.editions import (
    DOMAINS,
    Edition,
    edition_named,
    mean_change,
    order_kept,
    published_editions,
    returning,
)


@pytest.mark.parametrize(
    ("name", "developers", "mean", "sizes"),
    [
        ("October 2023", 10, 37.0, [32, 33, 35]),
        ("May 2024", 14, 57.93, [32, 33, 35]),
        ("December 2025", 13, 40.69, [34, 30, 36]),
    ],
)
def test_domains_sum_to_the_published_totals(
    name: str, developers: int, mean: float, sizes: list[int]
) -> None:
    edition = published_editions()[name]
    assert len(edition.totals) == developers
    assert (edition.totals == edition.published).all()
    assert edition.published.mean() == pytest.approx(mean, abs=0.005)
    assert edition.sizes.tolist() == sizes
    assert list(edition.yeses.columns) == list(DOMAINS)
    assert (edition.yeses <= edition.sizes).all(axis=None)
    assert (edition.yeses >= 0).all(axis=None)
    assert edition.models.ne("").all()


def test_hugging_face_and_bigcode_are_two_developers_with_two_models() -> None:
    first, second, _ = published_editions().values()
    both = returning(first, second)
    assert len(both) == 7
    assert not {"Hugging Face", "BigCode"} & set(both.index)
    assert both.loc["AI21 Labs"].tolist() == [25, 75, 50, True]
    assert both.index[both.same_model].tolist() == ["Meta", "OpenAI", "AI21 Labs"]
    assert "Stability AI" in both.index


def edition(totals: dict[str, int]) -> Edition:
    yeses = pd.DataFrame({"Model": pd.Series(totals)})
    empty = pd.Series("", yeses.index)
    sizes = pd.Series({"Model": 10})
    return Edition("made up", "made up", sizes, yeses, empty, yeses["Model"])


def test_a_change_of_means_by_hand() -> None:
    first, second = edition({"a": 2, "b": 4}), edition({"b": 5, "c": 9})
    change = mean_change(first, second)  # 3 to 7; b alone 4 to 5
    assert change == (4.0, 1.0, 3.0)
    assert returning(first, second).change.to_dict() == {"b": 1}


def test_the_order_that_is_kept_is_spearmans() -> None:
    before, after = pd.Series([1, 2, 3, 4, 4]), pd.Series([2, 1, 3, 9, 5])
    rho, chance = order_kept(before, after, 4000, seed=0)
    assert rho == pytest.approx(spearmanr(before, after).statistic)
    assert 0.05 < chance < 0.2
    # Of 24 orders one is as high as the perfect one.
    perfect, chance = order_kept(before[:4], before[:4], 4000, seed=0)
    assert perfect == 1
    assert chance == pytest.approx(1 / 24, abs=0.01)
    for none in (pd.Series([], dtype=float), pd.Series([1]), pd.Series([2, 2])):
        assert [math.isnan(each) for each in order_kept(none, none, 10)] == [True] * 2


def test_an_edition_is_found_by_its_name() -> None:
    editions = published_editions()
    assert edition_named(editions, "").name == "December 2025"
    assert edition_named(editions, "May 2024").name == "May 2024"
    with pytest.raises(ValueError, match="edition must be one of October 2023, May"):
        edition_named(editions, "May2024")
