"""Is the attack as fast as foolbox's? `pgd` against LinfPGD and L2PGD.

Both have the same model, start, steps and step size. Ours looks once more than
foolbox's, at the last point, and keeps the worst point of the walk. The two take turns,
so that a busy moment hits both alike; the ratio is that of the medians.

    python benchmarks/pgd.py
"""

import statistics
import sys
import time
from collections.abc import Callable

import foolbox
import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

from smallscale.datasets.digits import digits
from smallscale.models.classifiers import small_cnn
from smallscale.robustness import pgd
from smallscale.training.loop import train_classifier

ROUNDS = 9
STEPS = 40
RADII = {"linf": 0.1, "l2": 0.8}
THEIR_ATTACKS = {"linf": foolbox.attacks.LinfPGD, "l2": foolbox.attacks.L2PGD}
WANTED = 1.1  # the largest ratio that is wanted


def main() -> None:
    """Measure and print."""
    torch.set_num_threads(1)
    data = digits()
    images, labels = data.images[data.test], data.labels[data.test]
    model = small_cnn((1, 8, 8))
    train_classifier(model, data.images[data.train], data.labels[data.train], epochs=5)
    title = (
        f"{len(images)} digits, {STEPS} steps from the image itself, "
        f"{torch.get_num_threads()} thread, medians of {ROUNDS}"
    )
    table = Table("norm", "ours, s", "foolbox, s", "ratio", title=title)
    for norm in RADII:
        ours, theirs = measure(model, images, labels, norm)
        ratio = f"{ours / theirs:.2f}   (wanted: at most {WANTED})"
        table.add_row(norm, f"{ours:.3f}", f"{theirs:.3f}", ratio)
    Console(width=100).print(table)


def measure(
    model: nn.Module, images: Tensor, labels: Tensor, norm: str
) -> tuple[float, float]:
    """Return the median seconds of our attack, and of foolbox's."""
    eps = RADII[norm]
    size = 2.5 * eps / STEPS
    wrapped = foolbox.PyTorchModel(model, bounds=(0, 1), device="cpu")
    their_attack = THEIR_ATTACKS[norm](
        steps=STEPS, abs_stepsize=size, random_start=False
    )

    def ours() -> object:
        return pgd(model, images, labels, eps, norm=norm, steps=STEPS, step_size=size)

    def theirs() -> object:
        return their_attack(wrapped, images, labels, epsilons=eps)

    our_seconds, their_seconds = [], []
    for turn in range(ROUNDS + 1):
        print(f"{norm}, round {turn} of {ROUNDS}", file=sys.stderr)
        our_seconds.append(seconds(ours))
        their_seconds.append(seconds(theirs))
    # The first round warms up.
    return statistics.median(our_seconds[1:]), statistics.median(their_seconds[1:])


def seconds(run: Callable[[], object]) -> float:
    """Return how long one run takes."""
    begin = time.perf_counter()
    run()
    return time.perf_counter() - begin


if __name__ == "__main__":
    main()
