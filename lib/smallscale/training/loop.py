"""How is a model trained? Steps along the gradient of a loss, each on another batch.

Adversarial training (Madry et al. 2018, eq. 2.1) is the same loop with one line more: each
batch is first replaced by the worst images that an attack finds near it.
"""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn
from torch.optim.lr_scheduler import LRScheduler

from smallscale.core.devices import few_threads, fitting_threads
from smallscale.core.progress import ProgressBar
from smallscale.core.seeds import seeded
from smallscale.training.optimizers import make_optimizer

Perturb = Callable[
    [nn.Module, Tensor, Tensor], Tensor
]  # (model, images, labels) -> images
# (model, images, labels, share of the training that is done) -> ()
Loss = Callable[[nn.Module, Tensor, Tensor, float], Tensor]
BatchLoss = Callable[[Generator], Tensor]  # draws a batch with the generator -> ()


def minimise(
    model: nn.Module,
    loss: BatchLoss,
    *rates: LRScheduler,
    steps: int,
    seed: int = 0,
    progress: str = "",
) -> nn.Module:
    """What all training here has in common: steps along the gradient of loss(generator), each time of a new batch.

    rates: the optimizers, with their schedules. seed: of the generator and of dropout. progress: what to call a bar of
    the steps; empty: no bar. `model` is in training mode when loss is called first, and returned in eval mode.
    """
    generator = Generator().manual_seed(seed)
    model.train()
    with seeded(seed, next(model.parameters()).device), few_threads(model):
        for _ in ProgressBar(range(steps), desc=progress, unit="step"):
            model.zero_grad()
            loss(generator).backward()
            for rate in rates:
                rate.optimizer.step()
                rate.step()
    return model.eval()


def train_classifier(
    model: nn.Module,
    images: Any,
    labels: Any,
    *,
    epochs: int,
    batch_size: int = 64,
    lr: float = 3e-3,
    weight_decay: float = 0.0,
    perturb: Perturb | None = None,
    loss: Loss | None = None,
    order: Callable[[int], Tensor] = torch.randperm,
    settle: bool = True,
    watch: Callable[[int, nn.Module], None] | None = None,
    seed: int = 0,
    progress: str = "",
) -> nn.Module:
    """Fit `model` in place to mean cross-entropy + weight_decay/2 * ||parameters||^2; returned in eval mode.

    images: (n, ...) as the model takes them; labels: (n,) classes counted from 0, or what `loss` takes.
    lr: Adam's step, which falls to zero along half a cosine, so that the last epochs settle; with settle=False it
        stays as it is, so that stopping early and training for fewer epochs are the same thing.
    perturb: called as perturb(model, images, labels) on every batch, with the model in eval mode; what it
        returns is trained on. With an attack it is adversarial training: the minimum over parameters of the
        expected maximum over the ball (Madry et al. 2018, eq. 2.1).
    loss: called as loss(model, images, labels, done) in place of cross-entropy, the model in training mode; done
        is the share of all batches that lies behind, from 0 to just below 1, for losses that change on the way.
    order: called as order(n) for each epoch, the positions of its images. watch: called as watch(epoch, model) after
        each epoch, 1 the first, with the model in eval mode.
    seed: of the batches' order and of dropout; the same seed gives the same model, and no global state is
        touched. progress: a text for a progress bar; empty for none.
    Raises ValueError where counts differ, or epochs or batch_size is below 1.
    """
    images, labels = torch.as_tensor(images), torch.as_tensor(labels).long()
    if len(images) != len(labels) or len(images) == 0:
        raise ValueError(
            f"images and labels must be as many, at least 1; got {len(images)} and {len(labels)}"
        )
    for name, value in (("epochs", epochs), ("batch_size", batch_size)):
        if value < 1:
            raise ValueError(f"{name} must be at least 1; got {value}")
    like = next(model.parameters())
    # The penalty belongs to the loss (Adam's weight_decay, not AdamW's): what is minimised has a name and a Hessian.
    # foreach: one call for all parameters, which on networks this small is a third of the time.
    optimizer = make_optimizer(
        "adam", model.parameters(), lr=lr, weight_decay=weight_decay
    )
    batches = -(-len(images) // batch_size)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs * batches)
    with seeded(seed, like.device), fitting_threads(images):
        for epoch in ProgressBar(range(epochs), desc=progress, unit="epoch"):
            for i, batch in enumerate(order(len(images)).split(batch_size)):
                x, y = images[batch].to(like), labels[batch].to(like.device)
                if perturb is not None:
                    model.eval()  # the attack meets the model as it will be used, and moves no running mean
                    x = perturb(model, x, y)
                model.train()
                done = (epoch + i / batches) / epochs
                total = (
                    F.cross_entropy(model(x), y)
                    if loss is None
                    else loss(model, x, y, done)
                )
                optimizer.zero_grad()
                total.backward()
                optimizer.step()
                if settle:
                    schedule.step()
            if watch is not None:
                watch(epoch + 1, model.eval())
    return model.eval()
