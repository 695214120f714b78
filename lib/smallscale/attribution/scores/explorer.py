"""What would be read without these images? A widget.

All that it shows was computed beforehand, on networks that were trained without the
images. Moving a slider only writes HTML.
"""

from base64 import b64encode
from collections.abc import Sequence
from io import BytesIO
from typing import Any

import ipywidgets as widgets
import numpy as np
import torch
from matplotlib.image import imsave
from torch import Generator, Tensor, nn

from smallscale.attribution.scores.loss_checks import Loss
from smallscale.attribution.scores.retraining import retrain, stack_outputs
from smallscale.attribution.scores.training_config import TrainingConfig
from smallscale.core.templates import template
from smallscale.notebook.explorer import Explorer

REMOVAL_ORDERS = ("most helpful", "most harmful", "random")
# Okabe and Ito's colours, told apart by colour-blind readers. No meaning hangs on
# colour alone: the words beside each bar say the same.
OTHER_COLOUR = "#56B4E9"
TRUE_COLOUR = "#009E73"
READ_COLOUR = "#D55E00"
TEST_IMAGE_PIXELS = 120
REMOVED_IMAGE_PIXELS = 50
REMOVED_SHOWN = 10  # how many of the removed images are drawn

TEMPLATE = template("attribution/scores/removal.html.j2")


def removal_order(scores: Any, *, seed: int = 0) -> Tensor:
    """Return the order in which training points are removed, (orders, n_train, n_test).

    By each of REMOVAL_ORDERS, for each test point of scores (n_train, n_test). seed: of
    the random order, which is the same for all test points.
    """
    table = torch.as_tensor(scores)
    helpful_first = table.argsort(0, descending=True)
    generator = Generator().manual_seed(seed)
    shuffled = torch.randperm(len(table), generator=generator)
    at_random = shuffled[:, None].expand(table.shape)
    return torch.stack([helpful_first, helpful_first.flip(0), at_random])


def read_without(
    model: nn.Module,
    loss: Loss,
    train: Any,
    inputs: Any,
    order: Tensor,
    counts: Any,
    config: TrainingConfig,
    progress: str = "",
) -> Tensor:
    """Return class probabilities of networks trained without points.

    (orders, counts, n_test, classes): one network for each order of removal, count and
    test point. Each is the run as it is, with the first `count` points of `order` (see
    `removal_order`) taken out of their batches.

    model: with the weights that the run starts from. inputs: (n_test, ...).
    """
    place = order.argsort(
        1
    )  # the turn at which a point goes: (orders, n_train, n_test)
    place = place.transpose(1, 2)[:, None]  # (orders, 1, n_test, n_train)
    stays = place >= torch.tensor(counts)[:, None, None]
    weights = stays.float()  # (orders, counts, n_test, n_train)
    stack = retrain(
        model,
        loss,
        train,
        config,
        weights=weights.flatten(0, 2),
        progress=progress,
    )
    outputs = stack_outputs(model, stack, inputs)  # (networks, n_test, classes)
    networks = torch.arange(len(outputs))
    own_test_point = networks % order.shape[2]  # each network is asked about one
    logits = outputs[networks, own_test_point]
    return logits.softmax(-1).view(*weights.shape[:3], -1)


def removal_explorer(
    train: tuple[Tensor, Tensor],
    test: tuple[Tensor, Tensor],
    order: Tensor,
    counts: Sequence[int],
    readings: Any,
) -> Explorer:
    """Return, for `explore`, a choice of test image and of training images to remove.

    It opens on the image and count for which removing harmful images first makes a
    wrong reading right.

    train, test: images (n, 1, height, width) in [0, 1] and labels. order, counts,
    readings: of `removal_order` and `read_without`.
    """
    probabilities = torch.as_tensor(readings).double().numpy()
    labels = test[1].tolist()
    first_image, first_count = _opening(probabilities, labels)

    def scene(i: int, way: str, count: int) -> str:
        at = REMOVAL_ORDERS.index(way)
        removed = order[at, :count, i][:REMOVED_SHOWN]
        return removal_scene(
            test[0][i, 0],
            labels[i],
            probabilities[at, 0, i],
            probabilities[at, counts.index(count), i],
            [(train[0][j, 0], int(train[1][j])) for j in removed],
            way,
            count,
        )

    names = [(f"{i + 1}: a {label}", i) for i, label in enumerate(labels)]
    return scene, {
        "test image": widgets.SelectionSlider(options=names, value=first_image),
        "remove": widgets.SelectionSlider(options=REMOVAL_ORDERS, value="most harmful"),
        "how many": widgets.SelectionSlider(options=counts, value=counts[first_count]),
    }


def removal_scene(
    picture: Any,
    label: int,
    before: np.ndarray,
    after: np.ndarray,
    removed: Sequence[tuple[Any, int]],
    way: str,
    count: int,
) -> str:
    """Return HTML: the test image, those removed, a bar for each class, a sentence.

    picture: (height, width) in [0, 1]; label: its true class. before, after: (classes,)
    probabilities by the full network, and without `count` images. removed: the first of
    them, with their labels. way: one of REMOVAL_ORDERS.
    """
    sentence = (
        f"A {label}; trained on all images the network reads {_reading(before, label)}"
    )
    if count:
        images = "image" if count == 1 else "images"
        sentence += (
            f"; without {count} training {images} ({way}) {_reading(after, label)}"
        )
    note = (
        f"Beside the test image, the first {len(removed)} removed, with their labels."
    )
    pictures = [_picture(picture, TEST_IMAGE_PIXELS, "test image")]
    for image, its_label in removed:
        pictures.append(_picture(image, REMOVED_IMAGE_PIXELS, str(its_label)))
    return TEMPLATE.render(
        sentence=f"{sentence}.",
        pictures=pictures,
        classes=_bars(after, label),
        note=note if removed else "",
    )


def _opening(probabilities: np.ndarray, labels: list[int]) -> tuple[int, int]:
    """Return the test image that is put right with the fewest harmful images removed.

    And the position of that count. Where none is, it is the first image, and all
    counts.
    """
    harmful = REMOVAL_ORDERS.index("most harmful")
    right = probabilities[harmful].argmax(-1) == np.array(labels)  # (counts, n_test)
    put_right = right.any(0) & ~right[0]
    never = len(right)
    count = np.where(put_right, right.argmax(0), never)  # (n_test,)
    image = int(count.argmin())
    return image, min(int(count[image]), len(right) - 1)


def _reading(probabilities: np.ndarray, label: int) -> str:
    read = probabilities.argmax()
    return (
        f"{read} with probability {probabilities[read]:.2f} "
        f"(for {label}: {probabilities[label]:.2f})"
    )


def _bars(probabilities: np.ndarray, label: int) -> list[dict[str, Any]]:
    """Return a bar for each class, for the template."""
    read = int(probabilities.argmax())
    bars = []
    for k, p in enumerate(probabilities):
        words = [f"{p:.2f}"]
        colour = OTHER_COLOUR
        if k == read:
            colour = READ_COLOUR
        if k == label:
            colour = TRUE_COLOUR
            words.append("true")
        if k == read:
            words.append("read")
        bars.append(
            {"label": k, "share": p, "colour": colour, "words": ", ".join(words)}
        )
    return bars


def _picture(pixels: Any, size: int, caption: str) -> dict[str, Any]:
    """Return a grey picture (height, width) in [0, 1] for the template, in the page."""
    buffer = BytesIO()
    imsave(buffer, pixels, cmap="gray", vmin=0, vmax=1, format="png")
    source = f"data:image/png;base64,{b64encode(buffer.getvalue()).decode()}"
    return {"source": source, "size": size, "caption": caption}
