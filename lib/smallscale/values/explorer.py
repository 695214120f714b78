"""Who agreed with this, and would more of them have carried it? A widget: the opinion map, one statement at a time.

Nothing is fitted when a slider moves: groups, positions and scores are computed beforehand, and the view is written
as SVG.
"""

from html import escape
from typing import Any

import ipywidgets as widgets
import numpy as np
import pandas as pd

from smallscale.values.consensus import group_aware_consensus
from smallscale.values.votes import group_labels, vote_matrix

# Okabe and Ito's colours; a vote also has a word in the bars, a group its own mark on the map.
AGREE, DISAGREE, PASS, UNSEEN = "#0072B2", "#D55E00", "#F0E442", "#BBBBBB"
COLOURS = {1: AGREE, -1: DISAGREE, 0: PASS}
MARKS = (
    "M-4 0a4 4 0 1 0 8 0a4 4 0 1 0-8 0z",  # circle, square, triangle, diamond, bar
    "M-3.5-3.5h7v7h-7z",
    "M0-4.6L4.3 3.4H-4.3z",
    "M0-5L5 0L0 5L-5 0z",
    "M-5-2h10v4h-10z",
)
NAMES = "ABCDE"
WIDTH, MAP, HEIGHT = 760, 360, 330  # the SVG's units: all, the map's width, the height
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
    sizes = labels.value_counts()[_by_size(labels)].astype(float)
    if len(sizes) > 1:
        sizes *= (1 - share) / sizes.iloc[1:].sum()
        sizes.iloc[0] = share
    return (agree.loc[sizes.index].T @ (sizes / sizes.sum())).rename("agreement")


def _by_size(labels: pd.Series) -> list[Any]:
    """The groups' names, largest first."""
    return labels.value_counts().sort_index().sort_values(ascending=False, kind="stable").index.tolist()


def votes_explorer(
    matrix: Any, groups: pd.Series, places: pd.DataFrame, words: pd.Series, *, share: float = 0.7, notes: Any = None
) -> widgets.VBox:
    """A widget: choose a statement and the largest group's share; see who agreed, and which count it would win.

    matrix: (participants, statements); groups: by participant, from `opinion_groups`; places: x and y by participant,
    from `opinion_map`; words: the text of each statement. notes: {share: sentence} said beside it, or None.
    It opens, among the quarter of statements that the pooled count puts first, on the one that the consensus puts last.
    """
    votes = vote_matrix(matrix)
    consensus = group_aware_consensus(votes, groups)
    shares = sorted({*SHARES, round(share, 2)})
    pooled = {s: reweighted_agreement(votes, groups, s) for s in shares}
    ranks = {s: pooled[s].rank(ascending=False, method="first").astype(int) for s in shares}
    rank = consensus.rank(ascending=False, method="first").astype(int)
    ranked = ranks[round(share, 2)]
    start = (rank - ranked)[ranked <= max(1, len(rank) // 4)].idxmax()
    order = consensus.sort_values(ascending=False, kind="stable").index
    wide = {"style": {"description_width": "8em"}, "layout": widgets.Layout(width="min(100%, 44em)")}
    named = [(f"{rank[s]}: {words[s][:60]}", s) for s in order]
    # Sliders throughout: JupyterLab keeps a drop-down's up and down for itself.
    statement = widgets.SelectionSlider(options=named, value=start, description="statement", **wide)
    largest = widgets.SelectionSlider(
        options=[(f"{s:.0%}", s) for s in shares], value=round(share, 2), description="largest group", **wide
    )
    view = widgets.HTML()

    def show(_: Any = None) -> None:
        s, part = statement.value, largest.value
        standing = (pooled[part][s], ranks[part][s], consensus[s], rank[s])
        view.value = votes_scene(votes[s], groups, places, str(words[s]), part, standing, (notes or {}).get(part, ""))

    statement.observe(show, names="value")
    largest.observe(show, names="value")
    show()
    return widgets.VBox([statement, largest, view])


def votes_scene(
    votes: pd.Series,
    groups: pd.Series,
    places: pd.DataFrame,
    words: str,
    share: float,
    standing: tuple[float, int, float, int],
    note: str = "",
) -> str:
    """The state as HTML: the map with one statement's votes, how each group voted, and the same in words.

    votes, groups, places: by participant; standing: pooled agreement and its rank, consensus and its rank.
    """
    inside = groups.dropna()
    names = _by_size(inside)
    parts, told = [], []
    for g, name in enumerate(names):
        members = inside.index[inside == name]
        cast = votes[members].dropna()
        counts = [int((cast == vote).sum()) for vote in (1, 0, -1)]
        head = f"group {NAMES[g]}: {sum(counts)} of {len(members)} people voted"
        parts.append(_bar(g, head, np.array(counts) / max(sum(counts), 1), ("agree", "pass", "disagree")))
        agree = f"{counts[0] / len(cast):.0%} of {len(cast)} votes agree" if len(cast) else "no votes"
        told.append(f"group {NAMES[g]}: {agree}")
    agreement, pooled_rank, consensus, rank = standing
    head = f"all votes, with group A at {share:.0%}: rank {pooled_rank}"
    parts.append(_bar(len(names), head, np.array([agreement, 0, 0]), ("agree", "", "")))
    sentence = (
        f"“{words}” {'; '.join(told)}. With group A at {share:.0%} of the voters, {agreement:.0%} of the "
        f"votes agree: rank {pooled_rank} by count. Group-aware consensus {consensus:.2f}: rank {rank}, at any share."
    )
    if note:
        sentence += f" {note}"
    said = escape(sentence)
    return (
        f'<div style="color: var(--jp-ui-font-color1, currentColor); max-width: {WIDTH}px">'
        f'<svg role="img" aria-label="{said}" viewBox="0 0 {WIDTH} {HEIGHT}" '
        f'style="width: 100%; height: auto; font: 14px sans-serif" fill="currentColor"><title>{said}</title>'
        f"{_people(votes, inside, places, names)}{''.join(parts)}</svg><p><strong>{said}</strong></p></div>"
    )


def _people(votes: pd.Series, groups: pd.Series, places: pd.DataFrame, names: list[Any]) -> str:
    """The map: a mark for each person, its form the group, its colour the vote; grey for who did not see it."""
    spots = places.loc[groups.index, ["x", "y"]].to_numpy()
    low, high = spots.min(0), spots.max(0)
    scaled = (spots - low) / np.maximum(high - low, 1e-9)  # in [0, 1]
    form: dict[tuple[int, str], list[str]] = {}
    for (x, y), group, vote in zip(scaled, groups, votes[groups.index], strict=True):
        colour = UNSEEN if pd.isna(vote) else COLOURS[int(vote)]
        at = f"translate({12 + x * (MAP - 24):.4g} {HEIGHT - 42 - y * (HEIGHT - 84):.4g})"
        form.setdefault((names.index(group), colour), []).append(at)
    drawn = [
        f'<path d="{MARKS[g]}" transform="{at}" fill="{colour}" stroke="currentColor" stroke-width="0.5"/>'
        for (g, colour), spots_at in sorted(form.items())
        for at in spots_at
    ]
    key = "".join(
        f'<path d="{MARKS[g]}" transform="translate({20 + 90 * g} {HEIGHT - 12})"/>'
        f'<text x="{30 + 90 * g}" y="{HEIGHT - 7}">group {NAMES[g]}</text>'
        for g in range(len(names))
    )
    return f'<text x="0" y="16">each person on the opinion map</text>{"".join(drawn)}{key}'


def _bar(row: int, head: str, shares: np.ndarray, said: tuple[str, str, str]) -> str:
    """A bar of three parts, agreement first, each with its share and its word where there is room; framed."""
    left, long, y = MAP + 40, WIDTH - MAP - 50, 34 + row * 54
    x, parts = float(left), [f'<text x="{left}" y="{y - 8}">{head}</text>']
    for share, colour, word in zip(shares, (AGREE, PASS, DISAGREE), said, strict=True):
        wide = long * float(share)
        parts.append(f'<rect x="{x:.4g}" y="{y}" width="{wide:.4g}" height="22" fill="{colour}"/>')
        if wide > 90:
            ink = "#000" if colour == PASS else "#fff"
            parts.append(f'<text x="{x + 5:.4g}" y="{y + 16}" fill="{ink}">{share:.0%} {word}</text>')
        x += wide
    frame = (
        f'<rect x="{left}" y="{y}" width="{long}" height="22" fill="none" stroke="currentColor" stroke-opacity="0.5"/>'
    )
    return "".join(parts) + frame
