"""Are the published files read whole, and is a bad file told what is wrong with it?"""

from pathlib import Path

import pytest

from smallscale.evaluation.transparency.changes import comparable, disclosures
from smallscale.evaluation.transparency.editions import published_editions
from smallscale.evaluation.transparency.indicator_files import read_index
from tests.conftest import ROOT

REAL = ROOT.parent / "shared" / "data" / "fmti"
published_files = pytest.mark.skipif(
    not REAL.is_dir(), reason="the published files are not at ../shared/data/fmti"
)
GOOD = """\
Domain,Subdomain,Indicator,Ann,Bob,Cyd,Total
Upstream,Data,Data size ,1,0,1,2
Upstream,Data,Wages,0,0,0,0
Model,Basics,Model size,1,1,1,3
Downstream,Use,Users,0,0,1,1
,,Total,2,1,3,
"""
LATER = """\
Indicator,Ann,Bob,Dan
Data size,1,1,0
Wages,0,1,0
Model size,0,1,1
Users,0,0,0
"""


def folder(tmp_path: Path, **files: str) -> Path:
    for name, text in files.items():
        (tmp_path / f"{name}.csv").write_text(text, encoding="utf-8")
    return tmp_path


@published_files
def test_the_published_files_sum_to_the_published_totals() -> None:
    editions = read_index(REAL)
    known = published_editions()
    assert [each.name for each in editions] == list(known)
    for each in editions:
        read, published = each.edition(), known[each.name]
        assert len(each.scores) == 100
        order = published.yeses.index
        assert set(order) == set(read.yeses.index)
        assert (read.yeses.loc[order] == published.yeses).all(axis=None)
        assert (read.totals == read.published).all()
        assert (read.published[order] == published.published).all()
        assert (read.models[order] == published.models).all()
        assert read.sizes.to_dict() == published.sizes.to_dict()
        assert not any(name != name.strip() for name in each.scores.index)
        assert "Total" not in each.scores.index


@published_files
def test_the_second_edition_is_joined_to_the_first_by_the_order_of_rows() -> None:
    first, second, third = read_index(REAL)
    assert second.renamed == {
        "Release decision-making protocol": "Release decision-making",
        "Model Asset License": "License",
    }
    assert first.renamed == third.renamed == {}
    assert comparable(first, second)
    assert not comparable(second, third)
    new = disclosures(first, second)
    assert len(new) == 7
    assert new.loc["AI21 Labs"].tolist() == [25, 75, 50, 0, 50]
    assert new.loc["Stability AI"].tolist() == [47, 58, 18, 7, 11]
    with pytest.raises(ValueError, match="May 2024 and December 2025 have other"):
        disclosures(second, third)


@published_files
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_an_edition_under_anothers_name_is_refused(tmp_path: Path, mark: str) -> None:
    text = mark + (REAL / "October2023.csv").read_text(encoding="utf-8-sig")
    with pytest.raises(
        ValueError, match=r"May2024\.csv is not the edition of May 2024"
    ):
        read_index(folder(tmp_path, May2024=text))
    (tmp_path / "May2024.csv").unlink()
    (edition,) = read_index(folder(tmp_path, October2023_scores=text))
    assert edition.name == "October 2023"


@published_files
def test_a_score_that_was_changed_is_found(tmp_path: Path) -> None:
    text = (REAL / "October2023.csv").read_text(encoding="utf-8-sig")
    head, body = text.split("\n", 1)
    lines = [line.rsplit(",", 1)[0] for line in body.splitlines()[:-1]]
    assert lines[0].endswith("Data size,1,1,0,1,0,0,1,0,0,0")
    lines[0] = lines[0].replace("size,1", "size,0")
    changed = "\n".join([head.rsplit(",", 1)[0], *lines])
    says = "not the edition of October 2023: Meta has 53, and 54 was published"
    with pytest.raises(ValueError, match=says):
        read_index(folder(tmp_path, October2023=changed))


def test_a_file_is_read_as_it_stands(tmp_path: Path) -> None:
    there = folder(tmp_path, March2031="\ufeff" + GOOD + "\n,,,,,,\n", April2031=LATER)
    first, second = read_index(there)
    assert [first.name, second.name] == ["March 2031", "April 2031"]
    assert first.scores.to_dict("list") == {
        "Ann": [1, 0, 1, 0],
        "Bob": [0, 0, 1, 0],
        "Cyd": [1, 0, 1, 1],
    }
    assert first.scores.index.tolist() == ["Data size", "Wages", "Model size", "Users"]
    assert second.domains.tolist() == ["Upstream", "Upstream", "Model", "Downstream"]
    edition = second.edition()
    assert edition.totals.to_dict() == {"Ann": 1, "Bob": 3, "Dan": 1}
    assert edition.sizes.to_dict() == {"Upstream": 2, "Model": 1, "Downstream": 1}
    new = disclosures(first, second)
    assert new.loc["Ann"].tolist() == [2, 1, 0, 1, -1]
    assert new.loc["Bob"].tolist() == [1, 3, 2, 0, 2]
    assert list(new.index) == ["Ann", "Bob"]


def test_domains_come_from_the_file_that_defines_indicators(tmp_path: Path) -> None:
    rows = GOOD.splitlines()[1:5]
    defined = "Domain,Indicator,Definition\n" + "\n".join(
        f"{row.split(',')[0]},{row.split(',')[2]},what is asked"
        for row in reversed(rows)
    )
    (edition,) = read_index(folder(tmp_path, mine=LATER, defined=defined))
    assert edition.name == "mine"
    assert edition.domains.tolist() == ["Upstream", "Upstream", "Model", "Downstream"]


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("Data size ,1", "Data size ,2", "Ann has '2' for 'Data size'; a score is"),
        ("Data size ,1", "Data size ,", "Ann has '' for 'Data size'"),
        ("Data size ,1", "Data size ,0.5", "Ann has '0.5'"),
        (
            "Data size ,1",
            "Data size ,0",
            "total of Ann is '2', and its scores sum to 1",
        ),
        (
            "1,0,1,2\n",
            "1,0,1,3\n",
            "the total of 'Data size' is '3', and its scores sum to 2",
        ),
        (",,Total,2", ",,Total,3", "total of Ann is '3', and its scores sum to 2"),
        ("Wages", "Data size", "the indicator 'Data size' twice"),
        ("Wages", "", "a row without the name of an indicator"),
        ("Ann,Bob", "Ann,Ann", "has the column 'Ann' twice"),
        ("Ann,Bob", "Stability AI,Stability", "a developer twice, under two names"),
        ("Ann,Bob", "Ann,", "a column of scores without a developer"),
        ("Indicator", "Question", "has no column Indicator; its columns are"),
        ("Domain,", "Field,", "developers|score is 0 or 1"),
        ("Model,Basics", "Modle,Basics", "'Modle'; it must be one of Upstream"),
        ("Model,Basics", "Upstream,Basics", "has no indicator of the domain Model"),
        ("Wages,0,0,0,0", "Wages,0,0,0", "row 2 has 6 fields, and the header 7"),
        (",,Total,2,1,3,\n", ",,Total,2,1,3,\n,,Total,2,1,3,\n", "two rows Total"),
        (GOOD, "", "is empty"),
        (GOOD, "Domain,Indicator,Ann,Bob,Cyd\n", "holds no rows"),
        (GOOD, 'Indicator,"Ann\n', "is no table in UTF-8"),
        (GOOD, "Domain,Indicator,Ann,Bob\nModel,x,1,1\nModel,y,1,0\n", "at least 3"),
        (GOOD, "Domain,Indicator,Ann,Bob,Cyd\nModel,x,1,1,1\n", "at least 2"),
        (GOOD, LATER, "has no column Domain, and no file beside it"),
    ],
)
def test_a_bad_file_is_refused_in_one_line_with_its_name(
    tmp_path: Path, old: str, new: str, says: str
) -> None:
    there = folder(tmp_path, March2031=GOOD.replace(old, new, 1))
    with pytest.raises(ValueError, match=says) as refusal:
        read_index(there)
    assert "\n" not in str(refusal.value)
    assert "March2031.csv" in str(refusal.value)


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"Indicator,\xff\xfe")
    with pytest.raises(ValueError, match=r"a\.csv is no table in UTF-8"):
        read_index(tmp_path)


@pytest.mark.parametrize("other", ["Bobb", "bob", "B ob"])
def test_a_developer_named_differently_in_two_editions_is_refused(
    tmp_path: Path, other: str
) -> None:
    later = LATER.replace("Bob", other)
    there = folder(tmp_path, March2031=GOOD, April2031=later)
    with pytest.raises(ValueError, match=r"names a developer both .* one name in all"):
        read_index(there)


def test_names_that_differ_in_a_number_are_two(tmp_path: Path) -> None:
    text = GOOD.replace("Ann", "Made-up 1").replace("Bob", "Made-up 2")
    assert len(read_index(folder(tmp_path, March2031=text))[0].scores.columns) == 3


def test_folders_without_an_edition_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="is no folder"):
        read_index(tmp_path / "absent")
    with pytest.raises(ValueError, match="holds no CSV file of indicator scores"):
        read_index(tmp_path)
    there = folder(tmp_path, March2031=GOOD, Mar2031=GOOD)
    with pytest.raises(ValueError, match="two files of one edition"):
        read_index(there)
