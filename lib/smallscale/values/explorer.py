"""Who agreed with this, and would more of them have carried it? A widget: the opinion map, one statement at a time.

Nothing is fitted when a slider moves: groups, positions and scores are computed beforehand, and the view is written
as SVG.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import ipywidgets as widgets
import numpy as np
import pandas as pd

from smallscale.dpo.explorer import explorer, framed
from smallscale.values.consensus import group_aware_consensus
from smallscale.values.votes import group_labels, vote_matrix

MARKUP = json.loads(Path(__file__).with_name("explorer.json").read_text("utf-8"))
# A vote's word, its colour (Okabe and Ito's) and that of words on it; on the map a group has its own mark.
VOTES = {1: ("agree", "#0072B2", "#fff"), 0: ("pass", "#F0E442", "#000"), -1: ("disagree", "#D55E00", "#fff")}
UNSEEN = "#BBBBBB"
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
    agree = ((votes == 1).groupby(labels).sum() + 1) / (votes.notna().groupby(labels).sum() + 2)
    sizes = _by_size(labels).astype(float)
    if len(sizes) > 1:
        sizes *= (1 - share) / sizes.iloc[1:].sum()
        sizes.iloc[0] = share
    return (agree.loc[sizes.index].T @ (sizes / sizes.sum())).rename("agreement")


def _by_size(labels: pd.Series) -> pd.Series:
    """How many people are in each group, the largest first."""
    return labels.value_counts().sort_index().sort_values(ascending=False, kind="stable")


def votes_explorer(
    matrix: Any, groups: pd.Series, places: pd.DataFrame, words: pd.Series, *, share: float = 0.7
) -> widgets.VBox:
    """A widget: choose a statement and the largest group's share; see who agreed, and which count it would win.

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
        return votes_scene(votes[s], groups.dropna(), places, str(words[s]), part, standing)

    # Sliders throughout: JupyterLab keeps a drop-down's up and down for itself.
    sliders = {"statement": (named, (rank - ranks[share])[first].idxmax())}
    return explorer(scene, sliders | {"largest group": ([(f"{s:.0%}", s) for s in shares], share)})


def votes_scene(
    votes: pd.Series, groups: pd.Series, places: pd.DataFrame, words: str, share: float, standing: Sequence[float]
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
        bars.append((f"group {name}: {cast} of {size} people voted", counts / max(cast, 1)))
        told.append(f"group {name}: " + (f"{counts[0] / cast:.0%} of {cast} votes agree" if cast else "no votes"))
    bars.append((f"all votes, with group A at {share:.0%}: rank {count_rank}", np.array([agreement])))
    sentence = (
        f"“{words}” {'; '.join(told)}. With group A at {share:.0%} of the voters, {agreement:.0%} of the "
        f"votes agree: rank {count_rank} by count. Group-aware consensus {consensus:.2f}: rank {rank}, at any share."
    )
    drawn = [_bar(12 + 54 * row, head, shares) for row, (head, shares) in enumerate(bars)]
    return framed(sentence, _people(votes, groups, places, sizes.index.tolist()) + "".join(drawn), height=330)


def _people(votes: pd.Series, groups: pd.Series, places: pd.DataFrame, names: list[Any]) -> str:
    """The map: a mark for each person, its form the group, its colour the vote; grey for who did not see it."""
    spots = places.loc[groups.index, ["x", "y"]]
    scaled = (spots - spots.min()) / (spots.max() - spots.min()).clip(lower=1e-9)  # in [0, 1]
    people = pd.DataFrame({"x": 12 + 336 * scaled["x"], "y": 288 - 246 * scaled["y"]})
    people["mark"] = groups.map(dict(zip(names, MARKUP["marks"], strict=False)))
    people["fill"] = votes.map({vote: colour for vote, (_, colour, _) in VOTES.items()}).fillna(UNSEEN)
    drawn = "".join(MARKUP["person"].format(**person) for person in people.to_dict("records"))
    key = [MARKUP["key"].format(x=20 + 90 * g, mark=MARKUP["marks"][g], name=NAMES[g]) for g in range(len(names))]
    return MARKUP["map"].format(people=drawn, key="".join(key))


def _bar(y: float, head: str, shares: np.ndarray) -> str:
    """A bar of up to three parts, agreement first, each with its share and its word where there is room; framed."""
    parts = []
    for share, left, (word, colour, ink) in zip(shares, shares.cumsum() - shares, VOTES.values(), strict=False):
        said = f"{share:.0%} {word}" if share > 0.3 else ""
        parts.append(MARKUP["part"].format(left=left, share=share, colour=colour, ink=ink, said=said))
    return MARKUP["bar"].format(y=y, head=head, parts="".join(parts))
