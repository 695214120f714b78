"""How is a model trained? Steps along the gradient of a loss, each on another batch.

Adversarial training (Madry et al. 2018, eq. 2.1) is the same loop with one line more:
each batch is first replaced by the worst images that an attack finds near it.
"""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn
from torch.optim.lr_scheduler import CosineAnnealingLR, LRScheduler

from smallscale.core.devices import few_threads, fitting_threads
from smallscale.core.progress import ProgressBar
from smallscale.core.seeds import seeded
from smallscale.core.validation import (
    as_tensor,
    finite,
    require,
    same_length,
    type_and_shape,
    whole_number,
)
from smallscale.training.optimizers import make_optimizer

# (model, images, labels) -> images
Perturb = Callable[[nn.Module, Tensor, Tensor], Tensor]
# (model, images, labels, share of the training that is done) -> ()
Loss = Callable[[nn.Module, Tensor, Tensor, float], Tensor]
# draws a batch with the generator -> ()
BatchLoss = Callable[[Generator], Tensor]
HALF_PRECISION = (torch.float16, torch.bfloat16)


def in_single_precision(model: nn.Module) -> nn.Module:
    """Turn what a model keeps in half precision into float32, in place; return it.

    bfloat16 has 8 bits: a step below 1/256 of a weight rounds away, so that at the
    rates of fine-tuning nothing moves. float16 turns the small numbers that Adam
    divides by into 0. A model in float32 or finer is left as it is.

    >>> in_single_precision(nn.Linear(2, 1, dtype=torch.bfloat16)).weight.dtype
    torch.float32
    """
    for parameter in model.parameters():
        if parameter.dtype in HALF_PRECISION:
            parameter.data = parameter.data.float()
            parameter.grad = None
    for module in model.modules():
        for name, buffer in module.named_buffers(recurse=False):
            if buffer.dtype in HALF_PRECISION:
                setattr(module, name, buffer.float())
    return model


def minimise(
    model: nn.Module,
    loss: BatchLoss,
    *rates: LRScheduler,
    steps: int,
    seed: int = 0,
    progress: str = "",
) -> nn.Module:
    """Take steps along the gradient of loss(generator), which draws a new batch.

    rates: schedules of the learning rate, each with its optimizer.
    seed: of the generator and of dropout; no global state is touched.
    progress: the name of a progress bar; empty for none.
    `model` is in training mode when loss is first called, and is returned in eval mode.
    Its weights are float32 or finer from then on: see `in_single_precision`.
    """
    in_single_precision(model)
    generator = Generator().manual_seed(seed)
    model.train()
    with seeded(seed, next(model.parameters()).device), few_threads(model):
        for _ in ProgressBar(range(steps), desc=progress, unit="step"):
            model.zero_grad()
            torch.autograd.backward(loss(generator))
            for rate in rates:
                rate.optimizer.step()
                rate.step()
    return model.eval()


def class_labels(labels: Any) -> Tensor:
    """Return classes (n,) counted from 0 as int64, 3.0 as 3.

    Raises ValueError for fractions, numbers below 0 and another shape.

    >>> class_labels([2.0, 0.0])
    tensor([2, 0])
    """
    given = as_tensor("labels", labels)
    wanted = "labels must be classes (n,), whole numbers from 0"
    good = given.ndim == 1 and not given.is_complex()
    require(good, f"{wanted}; got {type_and_shape(given)}")
    classes: Tensor = given.long()
    wrong = given[(classes != given) | (classes < 0)]
    cure = "give a loss for targets that are no classes"
    require(not len(wrong), f"{wanted}; got {wrong[:1].tolist()}: {cure}")
    return classes


def _check_classes(logits: Tensor, highest: int) -> None:
    """Refuse labels beyond the classes that the model answers with."""
    shape = tuple(logits.shape)
    good = len(shape) == 2
    require(good, f"model must return logits (batch, classes); got {shape}")
    require(
        highest < shape[1],
        f"labels must lie in 0..{shape[1] - 1}, the model's classes; got {highest}",
    )


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
    """Fit `model` in place to mean cross-entropy + weight_decay/2 * ||parameters||^2.

    images: (n, ...) as the model takes them.
    labels: (n,) classes counted from 0, or what `loss` takes, (n, ...): integers and
        truth values reach it as int64, floats as they are.
    lr: Adam's step. It falls to zero along half a cosine, so that the last epochs
        settle; with settle=False it stays as it is, so that stopping early and training
        for fewer epochs are the same thing.
    perturb: called as perturb(model, images, labels) on every batch, the model in eval
        mode; what it returns is trained on. With an attack this is adversarial
        training: the minimum over parameters of the expected maximum over the ball
        (Madry et al. 2018, eq. 2.1).
    loss: called as loss(model, images, labels, done) in place of cross-entropy, the
        model in training mode. For losses that change on the way, done is the share of
        all batches that lies behind, from 0 to just below 1.
    order: called as order(n) for each epoch; the positions of its images.
    watch: called as watch(epoch, model) after each epoch, 1 the first, the model in
        eval mode.
    seed: of the batches' order and of dropout. The same seed gives the same model, and
        no global state is touched.
    progress: the name of a progress bar; empty for none.
    Returns the model in eval mode, its weights in float32 or finer: see
    `in_single_precision`. Batches go to the model's device. Raises ValueError where
    images and labels differ in length, images are not finite, labels without a `loss`
    are no classes of the model, or epochs or batch_size is below 1.

    >>> images, labels = torch.eye(2), [0, 1]
    >>> model = train_classifier(nn.Linear(2, 2), images, labels, epochs=100, lr=0.1)
    >>> model(images).argmax(1)
    tensor([0, 1])
    """
    images, labels = as_tensor("images", images), as_tensor("labels", labels)
    n = same_length(images=images, labels=labels)
    finite("images", images)
    if loss is None:
        labels = class_labels(labels)
        highest = int(labels.max())
    elif not (labels.is_floating_point() or labels.is_complex()):
        labels = labels.long()
    epochs = whole_number("epochs", epochs)
    batch_size = whole_number("batch_size", batch_size)
    batches = -(-n // batch_size)
    like = next(in_single_precision(model).parameters())
    # The penalty belongs to the loss (Adam's weight_decay, not AdamW's): what is
    # minimised has a name and a Hessian.
    optimizer = make_optimizer(
        "adam", model.parameters(), lr=lr, weight_decay=weight_decay
    )
    schedule = CosineAnnealingLR(optimizer, epochs * batches)
    with seeded(seed, like.device), fitting_threads(images):
        for epoch in ProgressBar(range(epochs), desc=progress, unit="epoch"):
            for i, batch in enumerate(torch.split(order(n), batch_size)):
                x, y = images[batch].to(like), labels[batch].to(like.device)
                if perturb is not None:
                    # The attack meets the model as it will be used, and moves no
                    # running mean.
                    model.eval()
                    x = perturb(model, x, y)
                model.train()
                if loss is None:
                    logits = model(x)
                    _check_classes(logits, highest)
                    total = F.cross_entropy(logits, y)
                else:
                    total = loss(model, x, y, (epoch + i / batches) / epochs)
                optimizer.zero_grad()
                torch.autograd.backward(total)
                optimizer.step()
                if settle:
                    schedule.step()
            if watch is not None:
                watch(epoch + 1, model.eval())
    return model.eval()
