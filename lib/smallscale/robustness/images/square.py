"""What can an attacker find without any gradient? Squares of changed pixels, at random.

Square (Andriushchenko et al. 2020) only asks the model for its outputs, so that no
hidden gradient stops it.
"""

import math
from dataclasses import replace

import torch
from torch import Generator, Tensor

from smallscale.robustness.images.losses import margin, require_finite
from smallscale.robustness.images.norms import (
    Ball,
    choose,
    l2_norm,
    per_image,
    random_signs_like,
)
from smallscale.training.evaluation import Model, predict_logits

SQUARE_QUERIES = 1000  # the paper's 5,000 are for images of far more pixels
FIRST_SHARE = 0.8  # of the image's pixels, how many the first square changes
# The number of pixels is halved after so many queries, of 10,000 (section 4.1).
HALVED_AFTER = (10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000)
LEAST_LENGTH = 1e-12  # divided by in place of 0


def square(model: Model, ball: Ball, y: Tensor, generator: Generator) -> Tensor:
    """Return the images that random squares lead to, kept where the margin falls.

    Andriushchenko et al. 2020, algorithms 1 to 3. linf: a square's pixels all move to
    +eps or all to -eps, channel by channel. l2: the change's length in two squares is
    gathered in the first, as its old pattern plus a pyramid of random sign. The squares
    shrink as queries are spent. The pyramid, and stripes as the l2 start, are simpler
    than the paper's. y: (batch,) the true classes.
    """
    shape = ball.centre.shape
    ball = _as_pictures(ball)
    best = ball.project(ball.centre + _stripes(ball, generator))
    lowest = _margin_of(model, ball.as_images(best).reshape(shape), y)
    for query in range(1, SQUARE_QUERIES):
        if (lowest < 0).all():
            break
        side = side_length(query, *ball.centre.shape[2:])
        change = _next_change(best - ball.centre, ball, side, generator)
        tried = ball.project(ball.centre + change)
        now = _margin_of(model, ball.as_images(tried).reshape(shape), y)
        best = choose(now < lowest, tried, best)
        lowest = torch.minimum(now, lowest)
    return ball.as_images(best).reshape(shape)


def side_length(query: int, height: int, width: int) -> int:
    """Return the side of the square at this query, in pixels (section 4.1)."""
    spent = query * 10_000
    halvings = sum(spent > SQUARE_QUERIES * after for after in HALVED_AFTER)
    share = FIRST_SHARE * 0.5**halvings
    return max(1, round(math.sqrt(share * height * width)))


def pyramid(
    height: int, width: int, side: int, like: Tensor, generator: Generator
) -> Tensor:
    """Return a square somewhere in the image, highest in its middle, of length 1.

    side: in pixels; where the image is narrower, the square is cut to it.
    Returns (1, 1, height, width), 0 outside the square, in the type of `like`.
    """
    down = _slope(height, side, like, generator)
    across = _slope(width, side, like, generator)
    heights = down[:, None] * across
    length = torch.linalg.vector_norm(heights)
    pictures: Tensor = (heights / length).to(like)[None, None]
    return pictures


def _slope(length: int, side: int, like: Tensor, generator: Generator) -> Tensor:
    """Return (length,) numbers that rise by 1 to the middle of a random stretch."""
    side = min(side, length)
    last_start = length - side
    start = torch.randint(
        0, last_start + 1, (), generator=generator, device=generator.device
    ).to(like.device)
    middle = start + (side - 1) / 2
    distance = (torch.arange(length, device=like.device) - middle).abs()
    return ((side + 1) / 2 - distance).clamp_min(0)


def _as_pictures(ball: Ball) -> Ball:
    """Return the ball with its images as (batch, channels, height, width).

    Images of another shape are rows of pixels; a square is then a stretch of them.
    """
    x = ball.centre
    pictures = x if x.dim() == 4 else x.reshape(len(x), 1, 1, -1)
    return replace(ball, centre=pictures)


def _stripes(ball: Ball, generator: Generator) -> Tensor:
    """Return the first change: each column of a channel up or down by all it may."""
    x = ball.centre
    size = ball.eps
    if ball.norm == "l2":
        size = ball.eps / math.sqrt(x[0].numel())
    return size * random_signs_like(x, generator, (1, x.shape[1], 1, x.shape[3]))


def _next_change(change: Tensor, ball: Ball, side: int, generator: Generator) -> Tensor:
    """Return another change to try: the one so far with a new square in it."""
    _, channels, height, width = change.shape
    first = pyramid(height, width, side, change, generator)
    second = pyramid(height, width, side, change, generator)
    sign = random_signs_like(change, generator, (1, channels, 1, 1))
    if ball.norm == "linf":
        return torch.where(first > 0, ball.eps * sign, change)
    outside = torch.where((first > 0) | (second > 0), 0, change)
    inside = torch.where(first > 0, change, 0)
    old_pattern = inside / per_image(_length(inside), change)
    pattern = old_pattern + sign * first
    # What is left of the radius goes into the first square.
    left = (ball.eps**2 - l2_norm(outside) ** 2).clamp_min(0).sqrt()
    return outside + per_image(left / _length(pattern), change) * pattern


def _length(x: Tensor) -> Tensor:
    return l2_norm(x).clamp_min(LEAST_LENGTH)


def _margin_of(model: Model, images: Tensor, y: Tensor) -> Tensor:
    logits = predict_logits(model, images).to(y.device)
    require_finite(logits)
    return margin(logits, y)
