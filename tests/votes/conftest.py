"""What these tests share: the real conversations, and one made by hand."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from smallscale.votes import Votes, read_polis
from tests.conftest import DATA

CONVERSATIONS = (
    "canadian-electoral-reform",
    "brexit-consensus",
    "scoop-hivemind.taxes",
)


@pytest.fixture(params=CONVERSATIONS, scope="session")
def real(request: pytest.FixtureRequest) -> Votes:
    folder = DATA / "polis" / request.param
    if not folder.is_dir():
        pytest.skip(f"{folder.name} is not beside the project, in shared/data/polis")
    return read_polis(folder)


@pytest.fixture
def export(tmp_path: Path) -> Callable[..., Path]:
    """export(votes, comments, people) writes a Polis export: lines without their
    header."""

    def write(
        votes: str = "1,x,0,7,1\n2,x,1,7,-1\n3,x,0,3,0\n",
        comments: str = (
            '9,x,0,5,1,0,1,"Yes, we can"\n'
            "9,x,1,5,0,1,-1,No\n"
            "9,x,4,5,0,0,0,Nobody saw it\n"
        ),
        people: str | None = None,
        heads: tuple[str, str] = (
            "timestamp,datetime,comment-id,voter-id,vote",
            "timestamp,datetime,comment-id,author-id,agrees,disagrees,moderated,comment-body",
        ),
    ) -> Path:
        (tmp_path / "votes.csv").write_text(f"{heads[0]}\n{votes}", encoding="utf-8")
        (tmp_path / "comments.csv").write_text(
            f"{heads[1]}\n{comments}", encoding="utf-8"
        )
        if people is not None:
            head = "participant,group-id,n-comments,n-votes,n-agree,n-disagree,0,1,4"
            text = f"{head}\n{people}"
            (tmp_path / "participants-votes.csv").write_text(text, encoding="utf-8")
        return tmp_path

    return write


@pytest.fixture
def camps() -> tuple[pd.DataFrame, pd.Series]:
    """Forty people in camps of 20, 12 and 8, twelve statements, a fifth of the votes
    missing, some of them noise."""
    rng = np.random.default_rng(0)
    camp = np.repeat([0, 1, 2], (20, 12, 8))
    wish = np.array(
        [[1, -1, -1], [-1, 1, -1], [-1, -1, 1], [1, 1, 1]]
    )  # (kinds of statements, camps)
    votes = np.repeat(wish, 3, axis=0)[:, camp].T.astype(float)
    votes = np.where(rng.random(votes.shape) < 0.05, -votes, votes)
    votes[rng.random(votes.shape) < 0.2] = np.nan
    people = [f"p{i:02}" for i in range(40)]
    return pd.DataFrame(
        votes, index=people, columns=[f"s{j:02}" for j in range(12)]
    ), pd.Series(camp, index=people)
