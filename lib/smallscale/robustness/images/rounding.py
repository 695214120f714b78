"""How far may a network's own arithmetic stray from the formula W x + b?

A layer of a network in float32 computes its sums of n products in some order and rounds
after each operation. Whatever the order, the result differs from the exact one by at
most

    gamma_n (|W| |x| + |b|),   gamma_n = n u / (1 - n u),

with u half a unit in the last place (Higham 2002, Accuracy and Stability of Numerical
Algorithms, section 3.1). Bounds are widened by this, layer by layer. A ReLU and a
Flatten round nothing.
"""

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from smallscale.core.validation import require

HALF_TYPES = (torch.float16, torch.bfloat16)
UNIT_64 = 2.0**-53  # of the bounds' own arithmetic
# Of the bounds' own arithmetic, roundings for each term of a sum, and apart from it.
OWN_PER_TERM = 4
OWN_BESIDES = 256
# A half-precision layer sums in float32; it rounds the sum, and again with the bias.
HALF_ROUNDINGS = 3
# What the two factors of a product may lose where float32 is multiplied as a shorter
# type.
SHORTENED = {"tf32": 2.0**-8, "bf16": 2.0**-7}
# What Winograd's method may add to a convolution, in units of the largest sum.
WINOGRAD_ROUNDINGS = 1024


@dataclass(frozen=True)
class Rounding:
    """What a network of this type, on this device, may round.

    dtype: of the weights; images: the type in which it is given its images.
    """

    dtype: torch.dtype
    images: torch.dtype
    device: torch.device

    def of_images(self, largest: Tensor) -> Tensor:
        """Return what an image loses where it is cast to the weights' type.

        largest: the largest absolute value of each pixel.
        """
        weights, images = torch.finfo(self.dtype), torch.finfo(self.images)
        coarser = weights.eps > images.eps
        relative = weights.eps / 2 if coarser else 0.0
        absolute = weights.tiny if self.dtype != self.images else 0.0
        return relative * largest + absolute

    def of_layer(self, layer: nn.Module, largest: Tensor) -> Tensor:
        """Return what a linear layer may round of each of its outputs.

        largest: the largest absolute value of each input.
        """
        assert isinstance(layer, nn.Linear | nn.Conv2d)
        terms = layer.weight[0].numel()
        sums = linear(layer, largest, layer.weight.abs(), _absolute(layer.bias))
        of_sums = self._of_sums(layer, terms + 2)
        own_roundings = OWN_PER_TERM * (terms + sums.shape[1:].numel()) + OWN_BESIDES
        relative = of_sums + own_roundings * UNIT_64
        slack = relative * sums + self._underflow(terms + 2)
        if isinstance(layer, nn.Conv2d) and not self._sums_directly():
            unit = torch.finfo(torch.float32).eps / 2
            weights = layer.weight.abs().sum((1, 2, 3))
            of_image = largest.flatten(1).amax(1)
            most = (of_image[:, None] * weights)[..., None, None]
            slack = slack + WINOGRAD_ROUNDINGS * unit * most
        return slack

    def may_overflow(self, layer: nn.Module, largest: Tensor) -> Tensor:
        """Say for which images, (batch,) of bool, a linear layer may become infinite.

        largest: the largest absolute value of each input.
        """
        assert isinstance(layer, nn.Linear | nn.Conv2d)
        sums = linear(layer, largest, layer.weight.abs(), _absolute(layer.bias))
        most = sums.flatten(1).amax(1) * 1.01
        return ~(most < torch.finfo(self.dtype).max)  # NaN counts as an overflow

    def _of_sums(self, layer: nn.Module, roundings: int) -> float:
        """Return gamma: what sums lose, relative to the sums of absolute values."""
        if self.dtype == torch.float64:
            return _gamma(roundings, self.dtype)
        lost = _gamma(roundings, torch.float32)
        if self.dtype in HALF_TYPES:
            return lost + (1 + lost) * _gamma(HALF_ROUNDINGS, self.dtype)
        return lost + SHORTENED.get(_product_type(layer, self.device), 0.0) * (1 + lost)

    def _underflow(self, roundings: int) -> float:
        """Return what is lost where numbers are too small for the type."""
        # Not kept below the least normal number, in float32 and in the weights' type.
        sums = torch.finfo(
            torch.float64 if self.dtype == torch.float64 else torch.float32
        )
        own = torch.finfo(self.dtype)
        return roundings * (sums.tiny + own.tiny * own.eps)

    def _sums_directly(self) -> bool:
        """Say whether a convolution is the sum of its products, and no transform."""
        if self.dtype == torch.float64 and self.device.type == "cpu":
            return True
        onednn: Any = torch.backends.mkldnn
        return self.device.type == "cpu" and onednn.is_available() and onednn.enabled


def rounding_of(model: nn.Module, images: Tensor) -> Rounding:
    """Return what a model rounds. Refuses arithmetic whose rounding is not known."""
    weights = next(model.parameters(), images)
    device = weights.device
    held = [*model.parameters(), *model.buffers()]
    types = {each.dtype for each in held if each.is_floating_point()}
    listed = ", ".join(sorted(str(each) for each in types))
    message = "model must hold all of its weights in one type: model.float()"
    require(len(types) <= 1, f"{message}; got {listed}")
    message = (
        f"images must be in the type of the model's weights, {listed}, which are all "
        "buffers, so that nothing casts the images"
    )
    require(types <= {weights.dtype}, f"{message}; got {images.dtype}")
    message = (
        "model must not run under torch.autocast, which rounds the weights; "
        "ask for bounds outside of it, or of the model in that type: model.bfloat16()"
    )
    require(not torch.is_autocast_enabled(device.type), message)
    if weights.dtype in HALF_TYPES and device.type == "cuda":
        matmul = torch.backends.cuda.matmul
        short = (
            matmul.allow_bf16_reduced_precision_reduction
            or matmul.allow_fp16_reduced_precision_reduction
        )
        message = (
            "model must sum in float32 for its bounds to hold; set "
            "torch.backends.cuda.matmul.allow_bf16_reduced_precision_reduction and "
            "allow_fp16_reduced_precision_reduction to False"
        )
        require(not short, message)
    return Rounding(weights.dtype, images.dtype, device)


def linear(
    layer: nn.Linear | nn.Conv2d, x: Tensor, weight: Tensor, bias: Tensor | None
) -> Tensor:
    """Return W x + b for this weight and bias, in the way of the layer."""
    if isinstance(layer, nn.Linear):
        return F.linear(x, weight, bias)
    return F.conv2d(
        x,
        weight,
        bias,
        layer.stride,
        layer.padding,
        layer.dilation,
        layer.groups,
    )


def rounded_outwards(
    lower: Tensor, upper: Tensor, dtype: torch.dtype
) -> tuple[Tensor, Tensor]:
    """Return bounds in another type, so that rounding makes none of them tighter."""
    limits = torch.finfo(dtype)

    def margin_of(x: Tensor) -> Tensor:
        return x.abs() * limits.eps + limits.tiny * limits.eps

    if lower.dtype != dtype:
        lower = (lower - margin_of(lower)).clamp(max=limits.max)
        upper = (upper + margin_of(upper)).clamp(min=limits.min)
    return lower.to(dtype), upper.to(dtype)


def _gamma(roundings: int, dtype: torch.dtype) -> float:
    lost = roundings * torch.finfo(dtype).eps / 2
    return lost / (1 - lost) if lost < 1 else float("inf")


def _absolute(bias: Tensor | None) -> Tensor | None:
    return None if bias is None else bias.abs()


def _product_type(layer: nn.Module, device: torch.device) -> str:
    """Return the type in which float32 is multiplied: "bf16", "tf32", or another."""
    convolution = isinstance(layer, nn.Conv2d)
    backends: Any = torch.backends
    if device.type == "cpu":
        of_all = backends.mkldnn
        own = of_all.conv if convolution else of_all.matmul
    else:
        of_all = backends.cudnn
        own = of_all.conv if convolution else backends.cuda.matmul
    named = {each.fp32_precision for each in (own, of_all, backends)}
    for shorter in ("bf16", "tf32"):
        if shorter in named:
            return shorter
    return "float32"
