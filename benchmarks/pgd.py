"""Is the attack as fast as foolbox's? `pgd` against LinfPGD and L2PGD: the same model, start, steps and step size.

Ours looks once more than foolbox's, at the last point, and keeps the worst point of the walk. The two take turns, so
that a busy moment hits both alike; the ratio is that of the medians.

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

from smallscale.datasets.digits import digits
from smallscale.models.classifiers import small_cnn
from smallscale.robustness import pgd
from smallscale.training.loop import train_classifier

ROUNDS, STEPS = 9, 40
SIZES = {"linf": 0.1, "l2": 0.8}
WANTED = 1.1


def main() -> None:
    """Measure and print."""
    torch.set_num_threads(1)
    data = digits()
    images, labels = data.images[data.test], data.labels[data.test]
    model = train_classifier(
        small_cnn((1, 8, 8)), data.images[data.train], data.labels[data.train], epochs=5
    )
    wrapped = foolbox.PyTorchModel(model, bounds=(0, 1), device="cpu")
    title = f"{len(images)} digits, {STEPS} steps from the image itself, {torch.get_num_threads()} thread, "
    table = Table(
        "norm", "ours, s", "foolbox, s", "ratio", title=title + f"medians of {ROUNDS}"
    )
    for norm, eps in SIZES.items():
        size = 2.5 * eps / STEPS
        theirs = {"linf": foolbox.attacks.LinfPGD, "l2": foolbox.attacks.L2PGD}[norm]
        attack = theirs(steps=STEPS, abs_stepsize=size, random_start=False)
        ways: list[Callable[[], object]] = [
            lambda norm=norm, eps=eps, size=size: pgd(
                model, images, labels, eps, norm=norm, steps=STEPS, step_size=size
            ),
            lambda attack=attack, eps=eps: attack(
                wrapped, images, labels, epsilons=eps
            ),
        ]
        times: list[list[float]] = [[], []]
        for round in range(ROUNDS + 1):  # the first warms up
            print(f"{norm}, round {round} of {ROUNDS}", file=sys.stderr)
            for each, way in zip(times, ways, strict=True):
                begin = time.perf_counter()
                way()
                each.append(time.perf_counter() - begin)
        ours, peer = (statistics.median(each[1:]) for each in times)
        table.add_row(
            norm,
            f"{ours:.3f}",
            f"{peer:.3f}",
            f"{ours / peer:.2f}   (wanted: at most {WANTED})",
        )
    Console(width=100).print(table)


if __name__ == "__main__":
    main()
