"""Who agreed with this, and would more of them have carried it? A widget: the opinion
map, one statement at a time.

Nothing is fitted when a slider moves. Groups, positions and scores are computed
beforehand, and the view is written as SVG.
"""

from typing import Any, NamedTuple

import ipywidgets as widgets
import numpy as np
import pandas as pd

from smallscale.core.templates import template
from smallscale.core.validation import finite_number
from smallscale.notebook.explorer import Explorer
from smallscale.values.consensus import enough_votes, group_aware_consensus
from smallscale.votes.polis import group_labels, vote_matrix

VOTES_TEMPLATE = template("values/votes.html.j2")


class VoteStyle(NamedTuple):
    """A vote's word, its colour (Okabe and Ito's), and the colour of words on it."""

    word: str
    colour: str
    ink: str


VOTE_STYLES = {
    1: VoteStyle("agree", "#0072B2", "#fff"),
    0: VoteStyle("pass", "#F0E442", "#000"),
    -1: VoteStyle("disagree", "#D55E00", "#fff"),
}
UNSEEN_COLOUR = "#BBBBBB"
# The marks of groups on the map, as SVG paths.
CIRCLE = "M-4 0a4 4 0 1 0 8 0a4 4 0 1 0-8 0z"
SQUARE = "M-3.5-3.5h7v7h-7z"
TRIANGLE = "M0-4.6L4.3 3.4H-4.3z"
DIAMOND = "M0-5L5 0L0 5L-5 0z"
BAR = "M-5-2h10v4h-10z"
GROUP_MARKS = (CIRCLE, SQUARE, TRIANGLE, DIAMOND, BAR)
GROUP_NAMES = "ABCDE"
SHARES = [round(0.5 + 0.05 * i, 2) for i in range(10)]  # of the largest group


def reweighted_agreement(matrix: Any, groups: Any, share: float) -> pd.Series:
    """Return how likely a voter would agree, by statement, if the largest group were
    `share` of the voters.

    Within group g nothing changes: (A_g + 1) / (S_g + 2), as in the consensus. This is
    their mean over voters, where the consensus is their product over groups. The other
    groups keep their proportions to one another. As in `pooled_agreement`, a statement
    with too few votes has 0.
    Raises ValueError for a share outside [0, 1].
    """
    share = finite_number("share", share, least=0, most=1)
    votes = vote_matrix(matrix)
    labels = group_labels(votes, groups)
    agreements = (votes == 1).groupby(labels).sum()
    cast = votes.notna().groupby(labels).sum()
    chance = (agreements + 1) / (cast + 2)  # (groups, statements)
    sizes = _sizes(labels).astype(float)
    if len(sizes) > 1:
        sizes *= (1 - share) / sizes.iloc[1:].sum()
        sizes.iloc[0] = share
    weights = sizes / sizes.sum()
    agreement = (chance.loc[sizes.index].T @ weights).rename("agreement")
    return agreement.where(enough_votes(votes), 0.0)


def _sizes(labels: pd.Series) -> pd.Series:
    """Return how many people are in each group, the largest group first."""
    by_name = labels.value_counts().sort_index()
    return by_name.sort_values(ascending=False, kind="stable")


class Standing(NamedTuple):
    """How a statement stands: the share of votes that agree and its rank, and its
    group-aware consensus and its rank."""

    agreement: float
    count_rank: int
    consensus: float
    consensus_rank: int


def votes_explorer(
    matrix: Any,
    groups: pd.Series,
    places: pd.DataFrame,
    words: pd.Series,
    *,
    share: float = 0.7,
) -> Explorer:
    """Return what `explore` shows: sliders for a statement and the largest group's
    share, and below them who agreed, and which count the statement would win.

    matrix: (participants, statements). groups: by participant, from `opinion_groups`.
    places: x and y by participant, from `opinion_map`. words: the text of each
    statement.
    It opens, among the quarter of statements that the pooled count puts first, on the
    one that the consensus puts last.
    """
    votes = vote_matrix(matrix)
    share = round(share, 2)
    shares = sorted({*SHARES, share})
    scores = pd.DataFrame({s: reweighted_agreement(votes, groups, s) for s in shares})
    scores["consensus"] = group_aware_consensus(votes, groups)
    ranks = scores.rank(ascending=False, method="first").astype(int)
    rank = ranks["consensus"]
    in_first_quarter = ranks[share] <= max(1, len(ranks) // 4)
    furthest_fall = (rank - ranks[share])[in_first_quarter].idxmax()
    by_rank = rank.sort_values().index
    options = [(f"{rank[s]}: {words[s][:60]}", s) for s in by_rank]
    percents = [(f"{s:.0%}", s) for s in shares]
    sliders = {
        "statement": widgets.SelectionSlider(options=options, value=furthest_fall),
        "largest group": widgets.SelectionSlider(options=percents, value=share),
    }

    def scene(statement: Any, share: float) -> str:
        standing = Standing(
            agreement=scores[share][statement],
            count_rank=ranks[share][statement],
            consensus=scores["consensus"][statement],
            consensus_rank=rank[statement],
        )
        text = str(words[statement])
        people = groups.dropna()
        return votes_html(votes[statement], people, places, text, share, standing)

    return scene, sliders


def votes_html(
    votes: pd.Series,
    groups: pd.Series,
    places: pd.DataFrame,
    words: str,
    share: float,
    standing: Standing,
) -> str:
    """Return the votes on one statement as HTML: on the map, by group, and in words.

    votes, groups, places: by participant. words: the statement. share: of the largest
    group among the voters.
    """
    sizes = _sizes(groups)
    votes = votes[groups.index]
    bars = []
    told = []
    for name, (group, size) in zip(GROUP_NAMES, sizes.items(), strict=False):
        counts = np.array(
            [(votes[groups == group] == vote).sum() for vote in VOTE_STYLES]
        )
        cast = counts.sum()
        head = f"group {name}: {cast} of {size} people voted"
        bars.append((head, _bar_parts(counts / max(cast, 1))))
        agree = f"{counts[0] / cast:.0%} of {cast} votes agree" if cast else "no votes"
        told.append(f"group {name}: {agree}")
    head = f"all votes, with group A at {share:.0%}: rank {standing.count_rank}"
    bars.append((head, _bar_parts(np.array([standing.agreement]))))
    sentence = (
        f"“{words}” {'; '.join(told)}. With group A at {share:.0%} of the voters, "
        f"{standing.agreement:.0%} of the votes agree: rank {standing.count_rank} by "
        f"count. Group-aware consensus {standing.consensus:.2f}: rank "
        f"{standing.consensus_rank}, at any share."
    )
    html: str = VOTES_TEMPLATE.render(
        names=GROUP_NAMES[: len(sizes)],
        marks=GROUP_MARKS,
        people=_people(votes, groups, places, list(sizes.index)),
        sentence=sentence,
        bars=bars,
    )
    return html


class _Person(NamedTuple):
    """x, y: the place on the map, in [0, 1]. group: its position, the largest first.
    colour: of the vote."""

    x: float
    y: float
    group: int
    colour: str


def _people(
    votes: pd.Series, groups: pd.Series, places: pd.DataFrame, names: list[Any]
) -> list[_Person]:
    """Return how each person is drawn on the map. names: the groups, largest first."""
    spots = places.loc[groups.index, ["x", "y"]]
    extent = (spots.max() - spots.min()).clip(lower=1e-9)
    scaled = (spots - spots.min()) / extent
    return [
        _Person(x, y, names.index(group), _vote_colour(vote))
        for x, y, group, vote in zip(
            scaled["x"], scaled["y"], groups, votes, strict=True
        )
    ]


def _vote_colour(vote: float) -> str:
    """Return the colour of a vote, grey for a statement that was not seen."""
    return VOTE_STYLES[int(vote)].colour if pd.notna(vote) else UNSEEN_COLOUR


class _BarPart(NamedTuple):
    """Where a part of a bar starts and how long it is, of 1, and how it looks."""

    left: float
    share: float
    word: str
    colour: str
    ink: str


def _bar_parts(shares: np.ndarray) -> list[_BarPart]:
    """Return the parts of a bar, agreement first, then passes and disagreement."""
    starts = shares.cumsum() - shares
    return [
        _BarPart(left, share, *style)
        for left, share, style in zip(
            starts, shares, VOTE_STYLES.values(), strict=False
        )
    ]
