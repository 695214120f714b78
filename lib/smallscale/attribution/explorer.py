"""What would be read without these images, and who is paid for this completion? Two widgets.

All they show was computed beforehand: on networks that were trained without the images, on every token's value. Moving
a slider only writes HTML. Texts may come from anybody: the template escapes whatever it is given.
"""

from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import ipywidgets as widgets
import numpy as np
import torch
from jinja2 import Environment, FileSystemLoader
from matplotlib.image import imsave
from torch import Generator, Tensor, nn

from smallscale.attribution.checks import require
from smallscale.attribution.markets.ngram_model import Counts, Tokenizer
from smallscale.attribution.markets.payments import payouts
from smallscale.attribution.scores.gradients import Loss
from smallscale.attribution.scores.retraining import Run, retrain, stack_outputs

WAYS = ("most helpful", "most harmful", "random")
# Okabe and Ito's colours, told apart by colour-blind readers; no meaning hangs on colour alone.
COLOURS = (
    "#E69F00",
    "#56B4E9",
    "#009E73",
    "#F0E442",
    "#0072B2",
    "#D55E00",
    "#CC79A7",
    "#999999",
)
OTHER, TRUE, READ = COLOURS[1], COLOURS[2], COLOURS[5]
PANEL, SMALL, SHOWN = (
    120,
    50,
    10,
)  # pixels of a test image and of a removed one; how many of these are drawn
POT, REASONS = 100, 3  # cents for a completion; how many of its tokens are reasons

Explorer = tuple[
    Callable[..., str], dict[str, Any]
]  # what `smallscale.notebook.explore` shows
SCENE = Environment(
    loader=FileSystemLoader(Path(__file__).parent), autoescape=True
).get_template("scene.html.j2")


def removal_order(scores: Any, *, seed: int = 0) -> Tensor:
    """(ways, n_train, n_test): training points in the order in which each of WAYS removes them for a test point."""
    scores = torch.as_tensor(scores)
    shuffled = torch.randperm(len(scores), generator=Generator().manual_seed(seed))
    down = scores.argsort(0, descending=True)
    return torch.stack([down, down.flip(0), shuffled[:, None].expand(scores.shape)])


def read_without(
    model: nn.Module,
    loss: Loss,
    train: Any,
    inputs: Any,
    order: Tensor,
    counts: Any,
    run: Run,
    progress: str = "",
) -> Tensor:
    """Class probabilities of test inputs as read by networks trained without points, (ways, counts, n_test, classes).

    One network for each way, count and test point: the run as it is, the first `count` points of `order` (see
    `removal_order`) taken out of their batches. model: with the weights that the run starts from.
    """
    place = order.argsort(1).transpose(1, 2)[:, None]  # (ways, 1, n_test, n)
    weights = (
        place >= torch.tensor(counts)[:, None, None]
    ).float()  # (ways, counts, n_test, n)
    stack = retrain(
        model, loss, train, run, weights=weights.flatten(0, 2), progress=progress
    )
    own = (
        torch.arange(weights[..., 0].numel()) % order.shape[2]
    )  # of its outputs, each network is asked for one
    logits = stack_outputs(model, stack, inputs)[torch.arange(len(own)), own]
    return logits.softmax(-1).view(*weights.shape[:3], -1)


def removal_explorer(
    train: tuple[Tensor, Tensor],
    test: tuple[Tensor, Tensor],
    order: Tensor,
    counts: Sequence[int],
    readings: Any,
) -> Explorer:
    """For `explore`: choose a test image, and how many of which training images to remove; see what is read then.

    train, test: images (n, 1, height, width) in [0, 1] and labels; order, counts, readings: of `removal_order` and
    `read_without`. It opens on the image and count for which removing harmful images first makes a wrong reading right.
    """
    probabilities, truth = torch.as_tensor(readings).double().numpy(), test[1].tolist()
    right = probabilities[1].argmax(-1) == np.array(truth)  # (counts, n_test)
    late = np.where(right.any(0) & ~right[0], right.argmax(0), len(right))
    first, notch = int(late.argmin()), min(int(late.min()), len(right) - 1)

    def show(i: int, way: str, count: int) -> str:
        removed = [
            (train[0][j, 0], int(train[1][j]))
            for j in order[WAYS.index(way), :count, i][:SHOWN]
        ]
        before, after = probabilities[WAYS.index(way), [0, counts.index(count)], i]
        return removal_scene(
            test[0][i, 0], truth[i], before, after, removed, way, count
        )

    images = widgets.SelectionSlider(
        options=[(f"{i + 1}: a {y}", i) for i, y in enumerate(truth)], value=first
    )
    ways = widgets.SelectionSlider(options=WAYS, value="most harmful")
    numbers = widgets.SelectionSlider(options=counts, value=counts[notch])
    return show, {"test image": images, "remove": ways, "how many": numbers}


def removal_scene(
    picture: Any,
    truth: int,
    before: np.ndarray,
    after: np.ndarray,
    removed: Sequence[Any],
    way: str,
    count: int,
) -> str:
    """The state as HTML: the test image and those removed, a bar for each class, and a sentence that says the same.

    picture: (height, width) in [0, 1]; before, after: (classes,) probabilities of the full network, and without
    `count` images, of which `removed` holds the first, with their labels.
    """
    readings = [
        f"{p.argmax()} with probability {p.max():.2f} (for {truth}: {p[truth]:.2f})"
        for p in (before, after)
    ]
    without = (
        f"; without {count} training image{'s' * (count > 1)} ({way}) {readings[1]}"
        if count
        else ""
    )
    read = int(after.argmax())
    colours = {read: READ, truth: TRUE}
    words = [
        f"{p:.2f}{', true' * (k == truth)}{', read' * (k == read)}"
        for k, p in enumerate(after)
    ]
    return SCENE.render(
        sentence=f"A {truth}; trained on all images the network reads {readings[0]}{without}.",
        pictures=[(_png(picture), PANEL, "test image")]
        + [(_png(image), SMALL, label) for image, label in removed],
        bars=[(k, p, colours.get(k, OTHER), words[k]) for k, p in enumerate(after)],
        note=f"Beside the test image, the first {len(removed)} removed, with their labels."
        if removed
        else "",
    )


def _png(picture: Any) -> str:
    """The address of a grey picture (height, width) in [0, 1] that holds the picture itself."""
    buffer = BytesIO()
    imsave(buffer, picture, cmap="gray", vmin=0, vmax=1, format="png")
    return f"data:image/png;base64,{b64encode(buffer.getvalue()).decode()}"


def statement_explorer(
    tokenizer: Tokenizer,
    windows: Any,
    prompt: int,
    names: Sequence[str],
    values: Mapping[str, Any],
    counts: Counts,
) -> Explorer:
    """For `explore`: choose a completion and a rule; see the text by creditor, the payments in cents, and the reasons.

    windows: (n, length) tokens, the first `prompt` given; values: rule -> (authors, T) the value of every token after
    the prompts, T = n * (length - prompt); counts: of the same T tokens. The first rule is the one it opens with, at
    the completion for which another rule would pay most otherwise. A dollar is paid for each completion.
    Raises ValueError where shapes differ.
    """
    n, shape = len(windows), (len(names), windows.size - len(windows) * prompt)
    for rule, found in values.items():
        fit = found.shape == counts.hits.shape[0::2] == shape
        require(
            fit,
            f"values and counts must be (authors, T) = {shape}; got {found.shape} for {rule}",
        )
    by_token = {
        rule: found.reshape(len(names), n, -1) for rule, found in values.items()
    }
    cents = {
        rule: [payouts(found[:, j].mean(1), POT) for j in range(n)]
        for rule, found in by_token.items()
    }
    paid = np.array(list(cents.values()))  # (rules, completions, authors)
    disputed = int(np.abs(paid - paid[0]).sum(2).max(0).argmax())

    def show(j: int, rule: str) -> str:
        hits = counts.hits.reshape(*counts.hits.shape[:2], n, -1)[:, :, j]
        pieces = [tokenizer.decode([int(token)]) for token in windows[j]]
        here = {name: each[j] for name, each in cents.items()}
        return scene(pieces, prompt, names, by_token[rule][:, j], hits, here, rule)

    one_of_n = widgets.SelectionSlider(
        options=[(f"{j + 1} of {n}", j) for j in range(n)], value=disputed
    )
    return show, {
        "completion": one_of_n,
        "paid by": widgets.SelectionSlider(options=list(values)),
    }


def scene(
    pieces: Sequence[str],
    prompt: int,
    names: Sequence[str],
    values: Any,
    hits: Any,
    cents: dict[str, Any],
    rule: str,
) -> str:
    """The state as HTML: the text by creditor, a bar for each payment, and sentences that say the same.

    pieces: the text of each token, prompt included; values: (authors, tokens after the prompt); hits: (authors,
    order, tokens after the prompt); cents: rule -> payments (authors,). A token lies on its first creditor's colour,
    stronger where the value is larger, with the creditor's number where it changes. The reasons: the best-paid
    author's most valued tokens, each with the longest run before it that the author wrote, and how often.
    """
    paid, best, creditors = cents[rule], int(np.argmax(cents[rule])), values.argmax(0)
    sentence = f"Paid by {rule}: {names[best]} gets {paid[best]} of {sum(paid)} cents."
    for other, instead in cents.items():
        if np.argmax(instead) != best:
            sentence += f" By {other} it would be {names[int(np.argmax(instead))]}, with {max(instead)}."
    alpha = (
        (0x20 + 0x60 * values.max(0).clip(0) / max(values.max(), 1e-12))
        .round()
        .astype(int)
    )
    numbers = np.where(np.diff(creditors, prepend=-1) != 0, creditors + 1, 0)
    colours = [COLOURS[i % len(COLOURS)] for i in range(len(names))]
    behind = [f"{colours[who]}{a:02x}" for who, a in zip(creditors, alpha, strict=True)]
    text = [(piece, 0, "none") for piece in pieces[:prompt]]
    reasons = []
    for t in np.argsort(-values[best], kind="stable")[:REASONS]:
        longest = int(np.flatnonzero(hits[best, :, t]).max(initial=-1))
        if values[best, t] > 0 and longest >= 0:
            run = repr("".join(pieces[prompt + t - longest : prompt + t + 1]))[1:-1]
            where = [
                f"{int(times)} times in {names[i]}"
                for i, times in enumerate(hits[:, longest, t])
                if times
            ]
            reasons.append(f"“{run}” stands {', '.join(where)}")
    why = (
        "; ".join(reasons) or "nothing in this text is anybody’s; all get equal shares"
    )
    return SCENE.render(
        sentence=sentence,
        text=text + list(zip(pieces[prompt:], numbers, behind, strict=True)),
        bars=[
            (f"{i + 1} {names[i]}", c / max(paid), colours[i], f"{c} cents")
            for i, c in enumerate(paid)
        ],
        note=f"Why {names[best]}: {why}.",
    )
