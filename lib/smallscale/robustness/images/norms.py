"""What is near an image? The ball of allowed changes, in linf or l2.

In linf the size of a change is its largest pixel, in l2 the root of the sum of its
squares. An attack steps inside the ball, is brought back into it, and may start
anywhere in it.
"""

import math
from dataclasses import dataclass, replace

import torch
from torch import Generator, Tensor

NORMS = ("linf", "l2")
# Of images, weights and logits: the types that torch computes with.
FLOAT_TYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)

Bounds = tuple[float, float]  # the least and the greatest value of a pixel


@dataclass(frozen=True)
class Ball:
    """All images within eps of an image, and within bounds.

    centre: (batch, channels, height, width), the original images, within bounds;
    eps: the radius, per pixel for norm "linf", of the whole image for "l2"; dtype: the
    type in which the model is shown images of the ball, None for the centre's own. A
    search walks in the centre's type, which may be wider.
    """

    centre: Tensor
    eps: float
    norm: str
    bounds: Bounds
    dtype: torch.dtype | None = None

    def project(self, x: Tensor) -> Tensor:
        """Return the points x, shaped as the centre, brought into the ball.

        Clamping to the bounds comes last. It moves each pixel towards the centre, which
        is within bounds, so it cannot lead out of the ball again.
        """
        change = x - self.centre
        if self.norm == "linf":
            change = change.clamp(-self.eps, self.eps)
        else:
            longest = l2_norm(change).clamp_min(max(self.eps, 1e-30))
            change = change * per_image(self.eps / longest, x)
        return (self.centre + change).clamp(*self.bounds)

    def as_images(self, x: Tensor) -> Tensor:
        """Return the points x as the images that the model is shown, in their type.

        Where the type is narrower than the search's, each pixel is rounded towards the
        original's, so that an image of the ball stays in it.
        """
        if self.dtype in (None, x.dtype):
            return x
        return rounded_towards(self.centre, x, self.dtype)

    def random_point(self, generator: Generator) -> Tensor:
        """Return a random point of each image's ball: the same random change for all.

        So no image's point depends on what else is in the batch.
        """
        change = random_change(self.centre, self.eps, self.norm, generator)
        return self.project(self.centre + change)

    def of(self, chosen: Tensor) -> "Ball":
        """Return the ball around these images of the batch alone; chosen: positions."""
        return replace(self, centre=self.centre[chosen])


def direction(gradient: Tensor, norm: str) -> Tensor:
    """Return the step of length one in the norm that climbs fastest.

        linf: sign(g),   l2: g / ||g||_2

    It is zero where the gradient is zero; NaN and infinity count as zero.
    """
    gradient = gradient.nan_to_num(0.0, 0.0, 0.0)
    if norm == "linf":
        return gradient.sign()
    # Divided by its largest entry first: the square of a confident model's gradient
    # would round to zero. After that the length is at least 1, unless all is zero.
    largest = gradient.flatten(1).abs().amax(1)
    gradient = gradient / per_image(torch.where(largest > 0, largest, 1), gradient)
    return gradient / per_image(l2_norm(gradient).clamp_min(1), gradient)


def random_change(x: Tensor, eps: float, norm: str, generator: Generator) -> Tensor:
    """Draw one change uniformly from the ball of radius eps, (1, *image shape)."""
    change = torch.empty(1, *x.shape[1:], dtype=x.dtype, device=generator.device)
    if norm == "linf":
        return change.uniform_(-eps, eps, generator=generator).to(x.device)
    change.normal_(generator=generator)
    share = torch.rand(1, generator=generator, device=generator.device, dtype=x.dtype)
    # The volume within a radius grows as radius^pixels.
    radius = eps * share ** (1 / change.numel())
    return (radius * change / l2_norm(change)).to(x.device)


def rounded_towards(centre: Tensor, x: Tensor, dtype: torch.dtype) -> Tensor:
    """Return x in a narrower type, each pixel rounded towards the centre's.

    centre: shaped as x, of values that the narrower type holds.
    """
    rounded = x.to(dtype)
    origin = centre.to(dtype)
    outside = (rounded.to(x) - centre).abs() > (x - centre).abs()
    # One step inwards. Bits of a float, read as a whole number, count up from 0 in
    # size; the sign is a bit of its own.
    bits = rounded.view(torch.int16)
    shrinks = (rounded > 0) == (rounded > origin)
    inwards = torch.where(shrinks, bits - 1, bits + 1)
    from_zero = torch.where(origin > 0, 1, torch.iinfo(torch.int16).min + 1)
    inwards = torch.where(rounded == 0, from_zero.to(torch.int16), inwards).view(dtype)
    return torch.where(outside, inwards, rounded)


def farthest(x: Tensor, norm: str, bounds: Bounds) -> float:
    """Return a radius around images x that holds all images within bounds.

    A larger ball is this one: what lies beyond it is out of bounds.
    """
    side = float(bounds[1]) - float(bounds[0])
    return side if norm == "linf" else side * math.sqrt(x.shape[1:].numel())


def l2_norm(x: Tensor) -> Tensor:
    """Return the Euclidean length of each image of x (batch, ...), (batch,)."""
    rows = x.flatten(1)
    length: Tensor = torch.linalg.vector_norm(rows, dim=1)
    if length.isfinite().all():
        return length
    # The squares of very large numbers are infinite; their root need not be.
    largest = rows.abs().amax(1).clamp_min(1)
    scaled: Tensor = torch.linalg.vector_norm(rows / largest[:, None], dim=1)
    return largest * scaled


def per_image(values: Tensor, x: Tensor) -> Tensor:
    """Reshape values (batch,) to (batch, 1, 1, 1), with as many dimensions as x."""
    return values.reshape(-1, *[1] * (x.dim() - 1))


def choose(decision: Tensor, yes: Tensor, no: Tensor) -> Tensor:
    """Return, for each image, yes or no (batch, ...) as the decision (batch,) says."""
    return torch.where(per_image(decision, yes), yes, no)


def random_signs_like(
    x: Tensor, generator: Generator, shape: tuple[int, ...] | None = None
) -> Tensor:
    """Draw -1 or 1 at random, in x's type and on its device; x's shape unless given."""
    shape = tuple(x.shape) if shape is None else shape
    bits = torch.randint(0, 2, shape, generator=generator, device=generator.device)
    return bits.to(x) * 2 - 1
