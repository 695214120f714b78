"""How is a classifier trained, and how surely do we know its accuracy?

Training is plain Adam over shuffled batches. Adversarial training (Madry et al. 2018, eq. 2.1) is the same loop
with one line more: each batch is first replaced by the worst images an attack finds near it.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from scipy.stats import binomtest
from torch import Tensor, nn
from tqdm import tqdm

from smallscale.models import seeded

Model = Callable[[Tensor], Tensor]  # an nn.Module, or any function of a batch of inputs
SMALL = 256  # values in one image
Perturb = Callable[[nn.Module, Tensor, Tensor], Tensor]  # (model, images, labels) -> images
Loss = Callable[[nn.Module, Tensor, Tensor, float], Tensor]  # (model, images, labels, share of training done) -> ()


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
        raise ValueError(f"images and labels must be as many, at least 1; got {len(images)} and {len(labels)}")
    for name, value in (("epochs", epochs), ("batch_size", batch_size)):
        if value < 1:
            raise ValueError(f"{name} must be at least 1; got {value}")
    like = next(model.parameters())
    # The penalty belongs to the loss (Adam's weight_decay, not AdamW's): what is minimised has a name and a Hessian.
    # foreach: one call for all parameters, which on networks this small is a third of the time.
    optimizer = torch.optim.Adam(model.parameters(), lr=lr, weight_decay=weight_decay, foreach=True)
    batches = -(-len(images) // batch_size)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs * batches)
    with seeded(seed, like.device), fitting_threads(images):
        for epoch in tqdm(range(epochs), desc=progress, unit="epoch", leave=False, disable=not progress):
            for i, batch in enumerate(order(len(images)).split(batch_size)):
                x, y = images[batch].to(like), labels[batch].to(like.device)
                if perturb is not None:
                    model.eval()  # the attack meets the model as it will be used, and moves no running mean
                    x = perturb(model, x, y)
                model.train()
                done = (epoch + i / batches) / epochs
                total = F.cross_entropy(model(x), y) if loss is None else loss(model, x, y, done)
                optimizer.zero_grad()
                total.backward()
                optimizer.step()
                if settle:
                    schedule.step()
            if watch is not None:
                watch(epoch + 1, model.eval())
    return model.eval()


def predict_logits(model: Model, images: Any, *, batch_size: int = 1024) -> Tensor:
    """The model's outputs (n, classes) for images (n, ...), in eval mode, without gradients, on the CPU."""
    images = torch.as_tensor(images)
    with eval_mode(model), torch.no_grad(), fitting_threads(images):
        return torch.cat([outputs(model, part).cpu() for part in images.split(batch_size)])


def correct(model: Model, images: Any, labels: Any) -> Tensor:
    """Which of the images (n, ...) are read as their labels (n,), (n,) of bool."""
    return predict_logits(model, images).argmax(1) == torch.as_tensor(labels)


def accuracy(model: Model, images: Any, labels: Any) -> float:
    """The fraction of images (n, ...) that are read as their labels (n,)."""
    return float(correct(model, images, labels).double().mean())


def share_interval(right: Tensor) -> tuple[float, float, float]:
    """The share of True in (n,) of bool, and the ends of its 95 % Wilson interval."""
    return float(right.double().mean()), *binomial_interval(int(right.sum()), len(right))


def binomial_interval(successes: int, n: int) -> tuple[float, float]:
    """The 95 % Wilson score interval (low, high) for a probability, from `successes` out of `n` (Wilson 1927).

    Unlike "plus or minus two standard errors" it stays inside [0, 1], and says something at 0 and at n.
    Raises ValueError unless 0 <= successes <= n and n >= 1.
    """
    if not (n >= 1 and 0 <= successes <= n):
        raise ValueError(f"successes must lie in [0, n] with n at least 1; got {successes} of {n}")
    interval = binomtest(int(successes), int(n)).proportion_ci(0.95, method="wilson")
    return float(interval.low), float(interval.high)


def outputs(model: Model, images: Tensor) -> Tensor:
    """model(images), in the floating type and on the device of the model's parameters, where it has any.

    The model gets a copy: a first layer that works in place leaves the caller's images alone.
    """
    like = next(model.parameters(), images) if isinstance(model, nn.Module) else images
    return model(images.to(like, copy=True))


def fitting_threads(images: Tensor) -> AbstractContextManager[None]:
    """Torch on one thread inside where images (n, ...) are small, as before outside.

    On 8 x 8 pixels a second thread gains nothing, and where the cores are busy it costs tenfold: each waits for
    the other. One thread also sums in one order, so results do not depend on how many cores a machine has.
    """
    return threads(1 if images[:1].numel() <= SMALL else torch.get_num_threads())


@contextmanager
def threads(n: int) -> Iterator[None]:
    """Torch on n threads inside, as before outside."""
    before = torch.get_num_threads()
    torch.set_num_threads(n)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def eval_mode(model: Model) -> Iterator[None]:
    """Inside, every part of the model is in eval mode; afterwards each is as it was."""
    modes = {module: module.training for module in model.modules()} if isinstance(model, nn.Module) else {}
    try:
        for module in modes:
            module.training = False
        yield
    finally:
        for module, mode in modes.items():
            module.training = mode
