"""Who agreed with this, and would more of them have carried it? A widget: the opinion map, one statement at a time.

Nothing is fitted when a slider moves: groups, positions and scores are computed beforehand, and the view is written
as SVG.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import ipywidgets as widgets
import numpy as np
import pandas as pd
from jinja2 import Template

from smallscale.dpo.explorer import Explorer
from smallscale.values.consensus import group_aware_consensus
from smallscale.values.votes import group_labels, vote_matrix

SCENE = Template(
    Path(__file__).with_name("scene.html.j2").read_text("utf-8"),
    autoescape=True,
    trim_blocks=True,
)
# A vote's word, its colour (Okabe and Ito's) and that of words on it; on the map a group has its own mark.
VOTES = {
    1: ("agree", "#0072B2", "#fff"),
    0: ("pass", "#F0E442", "#000"),
    -1: ("disagree", "#D55E00", "#fff"),
}
UNSEEN = "#BBBBBB"
MARKS = (  # circle, square, triangle, diamond, bar
    *(
        "M-4 0a4 4 0 1 0 8 0a4 4 0 1 0-8 0z",
        "M-3.5-3.5h7v7h-7z",
        "M0-4.6L4.3 3.4H-4.3z",
    ),
    *("M0-5L5 0L0 5L-5 0z", "M-5-2h10v4h-10z"),
)
NAMES = "ABCDE"
SHARES = [round(0.5 + 0.05 * i, 2) for i in range(10)]


def reweighted_agreement(matrix: Any, groups: Any, share: float) -> pd.Series:
    """How likely a voter agrees, by statement, if the largest group were `share` of the voters.

    Within group g nothing changes: (A_g + 1) / (S_g + 2), as in the consensus, of which this is the mean over voters
    where that is the product over groups. The other groups keep their proportions to one another.
    Raises ValueError for a share outside [0, 1].
    """
    if not 0 <= share <= 1:
        raise ValueError(f"share must lie in [0, 1]; got {share}")
    votes = vote_matrix(matrix)
    labels = group_labels(votes, groups)
    agree = ((votes == 1).groupby(labels).sum() + 1) / (
        votes.notna().groupby(labels).sum() + 2
    )
    sizes = _by_size(labels).astype(float)
    if len(sizes) > 1:
        sizes *= (1 - share) / sizes.iloc[1:].sum()
        sizes.iloc[0] = share
    return (agree.loc[sizes.index].T @ (sizes / sizes.sum())).rename("agreement")


def _by_size(labels: pd.Series) -> pd.Series:
    """How many people are in each group, the largest first."""
    return (
        labels.value_counts().sort_index().sort_values(ascending=False, kind="stable")
    )


def votes_explorer(
    matrix: Any,
    groups: pd.Series,
    places: pd.DataFrame,
    words: pd.Series,
    *,
    share: float = 0.7,
) -> Explorer:
    """For `explore`: choose a statement and the largest group's share; see who agreed, and which count it would win.

    matrix: (participants, statements); groups: by participant, from `opinion_groups`; places: x and y by participant,
    from `opinion_map`; words: the text of each statement.
    It opens, among the quarter of statements that the pooled count puts first, on the one that the consensus puts last.
    """
    votes, share = vote_matrix(matrix), round(share, 2)
    shares = sorted({*SHARES, share})
    scores = pd.DataFrame({s: reweighted_agreement(votes, groups, s) for s in shares})
    scores["consensus"] = group_aware_consensus(votes, groups)
    ranks = scores.rank(ascending=False, method="first").astype(int)
    first, rank = ranks[share] <= max(1, len(ranks) // 4), ranks["consensus"]
    named = [(f"{rank[s]}: {words[s][:60]}", s) for s in rank.sort_values().index]

    def scene(s: Any, part: float) -> str:
        standing = (scores[part][s], ranks[part][s], scores["consensus"][s], rank[s])
        return votes_scene(
            votes[s], groups.dropna(), places, str(words[s]), part, standing
        )

    which = widgets.SelectionSlider(
        options=named, value=(rank - ranks[share])[first].idxmax()
    )
    part = widgets.SelectionSlider(
        options=[(f"{s:.0%}", s) for s in shares], value=share
    )
    return scene, {"statement": which, "largest group": part}


def votes_scene(
    votes: pd.Series,
    groups: pd.Series,
    places: pd.DataFrame,
    words: str,
    share: float,
    standing: Sequence[float],
) -> str:
    """The state as HTML: the map with one statement's votes, how each group voted, and the same in words.

    votes, groups, places: by participant; standing: pooled agreement and its rank, consensus and its rank.
    """
    agreement, count_rank, consensus, rank = standing
    sizes, votes = _by_size(groups), votes[groups.index]
    bars, told = [], []
    for name, (group, size) in zip(NAMES, sizes.items(), strict=False):
        counts = np.array([(votes[groups == group] == vote).sum() for vote in VOTES])
        cast = counts.sum()
        bars.append(
            (f"group {name}: {cast} of {size} people voted", counts / max(cast, 1))
        )
        told.append(
            f"group {name}: "
            + (f"{counts[0] / cast:.0%} of {cast} votes agree" if cast else "no votes")
        )
    bars.append(
        (
            f"all votes, with group A at {share:.0%}: rank {count_rank}",
            np.array([agreement]),
        )
    )
    sentence = (
        f"“{words}” {'; '.join(told)}. With group A at {share:.0%} of the voters, {agreement:.0%} of the "
        f"votes agree: rank {count_rank} by count. Group-aware consensus {consensus:.2f}: rank {rank}, at any share."
    )
    drawn = {
        "names": NAMES[: len(sizes)],
        "marks": MARKS,
        "people": _people(votes, groups, places, list(sizes.index)),
    }
    return SCENE.render(
        drawn, sentence=sentence, bars=[(head, _parts(shares)) for head, shares in bars]
    )


def _people(
    votes: pd.Series, groups: pd.Series, places: pd.DataFrame, names: list[Any]
) -> list[tuple[Any, ...]]:
    """Of each person the place on the map in [0, 1], the group's number and the vote's colour, grey for none."""
    spots = places.loc[groups.index, ["x", "y"]]
    scaled = (spots - spots.min()) / (spots.max() - spots.min()).clip(lower=1e-9)
    colours = [VOTES[int(vote)][1] if pd.notna(vote) else UNSEEN for vote in votes]
    return list(
        zip(scaled["x"], scaled["y"], map(names.index, groups), colours, strict=True)
    )


def _parts(shares: np.ndarray) -> list[tuple[Any, ...]]:
    """The parts of a bar, agreement first: where it starts, how long it is, its word and colours."""
    starts = shares.cumsum() - shares
    return [
        (left, share, *look)
        for left, share, look in zip(starts, shares, VOTES.values(), strict=False)
    ]
