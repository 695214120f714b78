"""What is near an image? The ball of allowed changes, in linf or l2: how to step in it, stay in it, and fill it."""

import torch
from torch import Generator, Tensor

Bounds = tuple[float, float]


def direction(gradient: Tensor, norm: str) -> Tensor:
    """The step of length one in the norm that climbs fastest: sign(g) for linf, g / ||g||_2 for l2.

    Zero where the gradient is zero; NaN and infinity count as zero.
    """
    gradient = gradient.nan_to_num(0.0, 0.0, 0.0)
    if norm == "linf":
        return gradient.sign()
    # Divided by its largest entry first: the square of a confident model's gradient would round to zero.
    largest = gradient.flatten(1).abs().amax(1)
    gradient = gradient / per_image(torch.where(largest > 0, largest, 1), gradient)
    return gradient / per_image(
        l2_norm(gradient).clamp_min(1), gradient
    )  # at least 1, unless all is zero


def project(point: Tensor, x: Tensor, eps: float, norm: str, bounds: Bounds) -> Tensor:
    """The point brought into the eps-ball around the original x, then clamped to the bounds.

    Clamping moves each pixel towards x, which is within bounds, so it cannot leave the ball again.
    """
    change = point - x
    if norm == "linf":
        change = change.clamp(-eps, eps)
    else:
        change = change * per_image(eps / l2_norm(change).clamp_min(max(eps, 1e-30)), x)
    return (x + change).clamp(*bounds)


def random_change(x: Tensor, eps: float, norm: str, generator: Generator) -> Tensor:
    """One point drawn uniformly from the eps-ball, (1, channels, height, width)."""
    change = torch.empty(1, *x.shape[1:], dtype=x.dtype, device=generator.device)
    if norm == "linf":
        return change.uniform_(-eps, eps, generator=generator).to(x.device)
    change.normal_(generator=generator)
    share = torch.rand(1, generator=generator, device=generator.device, dtype=x.dtype)
    radius = eps * share ** (
        1 / change.numel()
    )  # the volume within a radius grows as radius^pixels
    return (radius * change / l2_norm(change)).to(x.device)


def l2_norm(x: Tensor) -> Tensor:
    """The Euclidean length of each image, (batch,)."""
    return x.flatten(1).norm(
        dim=1
    )  # (batch, channels, height, width) -> (batch, pixels) -> (batch,)


def per_image(values: Tensor, x: Tensor) -> Tensor:
    """(batch,) -> (batch, 1, 1, 1), as many dimensions as x, so that it meets every pixel."""
    return values.reshape(-1, *[1] * (x.dim() - 1))


def choose(decision: Tensor, yes: Tensor, no: Tensor) -> Tensor:
    """Of each image yes or no, (batch, ...) both, as the decision (batch,) says."""
    return torch.where(per_image(decision, yes), yes, no)


def signs(shape: tuple[int, ...], like: Tensor, generator: Generator) -> Tensor:
    """Each -1 or 1 at random."""
    return (
        torch.randint(0, 2, shape, generator=generator, device=generator.device).to(
            like
        )
        * 2
        - 1
    )
