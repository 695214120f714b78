"""What can be proved of a model too large for bounds? Where its vote cannot change.

Randomized smoothing (Cohen, Rosenfeld and Kolter 2019) reads an image many times with
Gaussian noise on it. If a class wins with probability p, no image within sigma times
the p-quantile of the normal distribution, in l2, has another winner. p is estimated, so
the certificate holds with a stated confidence.
"""

from typing import Any

import torch
import torch.nn.functional as F
from scipy.stats import beta, norm
from torch import Generator, Tensor

from smallscale.core.seeds import generator_or_new
from smallscale.core.validation import (
    as_tensor,
    finite,
    finite_number,
    whole_number,
)
from smallscale.robustness.images.preparation import (
    require_finite_logits,
    require_images,
)
from smallscale.training.evaluation import Model, predict_logits

ABSTAIN = -1  # in place of a class; equal to no label


def smoothed(
    model: Model,
    images: Any,
    *,
    sigma: float,
    samples: int = 1000,
    alpha: float = 0.001,
    generator: Generator | None = None,
) -> tuple[Tensor, Tensor]:
    """Return the class that wins under noise, and the l2 radius in which it must win.
        radius = sigma * quantile(p)
    p: the lower end of Clopper and Pearson's one-sided interval at 1 - alpha for the
    chance that the class is read (Cohen et al. 2019, algorithm CERTIFY).

    images: (n, channels, height, width); the noise, of standard deviation sigma, is not
    clipped: the model should have been trained with it. samples: that estimate p; a
    tenth as many, drawn before, select the class, since the winner of a sample looks
    better in it than it is. alpha: of each image, the chance that its radius is wrong.
    generator: of the noise; None is a private one seeded 0. All images get the same
    noise, so that no result depends on what else is in the batch.

    Returns (classes, radii), (n,) each. Where p is not above 1/2 the class is -1, an
    abstention, which equals no label and so counts as wrong, with radius 0.
    Raises ValueError for a sigma or alpha out of range, fewer than 10 samples, images
    that are not floating-point, and a model that returns anything but finite logits
    (n, classes) of at least 2 classes, with and without noise.
    """
    sigma = finite_number("sigma", sigma, above=0)
    alpha = finite_number("alpha", alpha, above=0, below=1)
    samples = whole_number("samples", samples, least=10)
    images = _checked_images(images)
    generator = generator_or_new(generator)
    to_select = votes(model, images, sigma, samples // 10, generator)
    selected = to_select.argmax(1)
    to_estimate = votes(model, images, sigma, samples, generator)
    wins = to_estimate.gather(1, selected[:, None]).squeeze(1)
    # Clopper and Pearson: the p at which this many wins or more would be seen with
    # probability alpha.
    p = torch.as_tensor(beta.ppf(alpha, wins, samples - wins + 1)).nan_to_num(0)
    sure = p > 0.5
    radii = torch.where(sure, sigma * torch.as_tensor(norm.ppf(p)), 0)
    return torch.where(sure, selected, ABSTAIN), radii


def votes(
    model: Model, images: Tensor, sigma: float, samples: int, generator: Generator
) -> Tensor:
    """Count how often each class is read under noise, (n, classes).

    The noise is drawn and added in float32 at least: in a narrower type it would not be
    normal. The noisy image is then given in the images' own type.
    """
    wide = images.to(torch.promote_types(images.dtype, torch.float32))
    readings = []
    for _ in range(samples):
        noise = torch.randn(
            images.shape[1:],
            generator=generator,
            device=generator.device,
            dtype=wide.dtype,
        )
        noisy = (wide + sigma * noise.to(images.device)).to(images.dtype)
        logits = predict_logits(model, noisy)
        require_finite_logits(logits, len(images))
        readings.append(F.one_hot(logits.argmax(1), logits.shape[1]))
    return torch.stack(readings).sum(0)


def _checked_images(images: Any) -> Tensor:
    images = as_tensor("images", images)
    require_images(images)
    detached: Tensor = images.detach()
    finite("images", detached)
    return detached
