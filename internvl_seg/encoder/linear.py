"""The encoder's layers with weights: linear, with a GELU that can be fused into it on the CPU, and convolution."""

import abc

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .cpu import has_bf16_products, is_traced, replaceable

_RGB = 3


def _fused(x: Tensor, weight: Tensor, bias: Tensor | None, gelu: bool) -> Tensor:
    activation, algorithm = ("gelu", "none") if gelu else ("none", "")
    out: Tensor = torch.ops.mkldnn._linear_pointwise(x, weight, bias, activation, [], algorithm)
    return out


def _widened(x: Tensor, weight: Tensor, bias: Tensor | None, gelu: bool) -> Tensor:
    """In fp32, one layer's weights at a time, so that the encoder still takes the memory of bf16."""
    out = F.linear(x.float(), weight.float(), None if bias is None else bias.float())
    return (torch.ops.aten.gelu_(out) if gelu else out).to(x.dtype)


def linear(x: Tensor, weight: Tensor, bias: Tensor | None, gelu: bool) -> Tensor:
    """``F.linear``, followed by the exact GELU if asked for, in the fastest way that there is for these tensors."""
    if replaceable(x, weight):
        return (_fused if has_bf16_products() else _widened)(x, weight, bias, gelu)
    out = F.linear(x, weight, bias)
    if gelu and (torch.is_grad_enabled() or is_traced()):
        return F.gelu(out)
    # In place: this is the largest activation of a block, and nobody else holds it.
    return torch.ops.aten.gelu_(out) if gelu else out


class Linear(nn.Linear):
    """``nn.Linear`` initialised as ViTs are, and faster in bf16 on the CPU when no gradient is needed.

    ``F.linear`` first copies the bias into the output and then adds the product to it; oneDNN's own linear adds the
    bias (and GELU) while the result is still in registers, which saves 8 % of the 300M encoder in bf16. Where oneDNN
    knows no bf16, the layer computes in fp32. Threads may share it.
    """

    def reset_parameters(self) -> None:
        """Truncated normal weights (std 0.02) and a zero bias."""
        nn.init.trunc_normal_(self.weight, std=0.02)
        if self.bias is not None:
            nn.init.zeros_(self.bias)

    def forward(self, x: Tensor, gelu: bool = False) -> Tensor:
        """Map (..., in_features) to (..., out_features), followed by the exact GELU if asked for."""
        return linear(x, self.weight, self.bias, gelu)


class QuantizedLinear(nn.Module, abc.ABC):
    """A linear layer with weights of few bits, in buffers that no checkpoint holds: they are made of a file's weights.

    Args:
        in_features: Input channels.
        out_features: Output channels.
        bias: (out_features,), or None.
    """

    bias: nn.Parameter | None

    def __init__(self, in_features: int, out_features: int, bias: Tensor | None) -> None:
        super().__init__()
        self.in_features, self.out_features = in_features, out_features
        self.register_parameter("bias", None if bias is None else nn.Parameter(bias.detach(), requires_grad=False))
        for name in ("codes", "scale", "offset"):
            self.register_buffer(name, None, persistent=False)

    @abc.abstractmethod
    def quantize(self, weight: Tensor) -> None:
        """Take the weights, (out_features, in_features)."""

    @abc.abstractmethod
    def forward(self, x: Tensor, gelu: bool = False) -> Tensor:
        """Map (..., in_features) to (..., out_features), followed by the exact GELU if asked for."""


class Conv2d(nn.Conv2d):
    """``nn.Conv2d``, in fp32 where oneDNN knows no bf16 and no gradient is needed.

    Of more than three bands the first three are a sum of their own, so that others with zeros for weights change no bit
    of it: in one sum they would change the order of the rest.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, in_channels, H, W) to (B, out_channels, H', W')."""
        if self.in_channels <= _RGB:
            return self._products(x, self.weight, self.bias)
        first = self._products(x[:, :_RGB].contiguous(), self.weight[:, :_RGB].contiguous(), self.bias)
        return first + self._products(x[:, _RGB:].contiguous(), self.weight[:, _RGB:].contiguous(), None)

    def _products(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        if replaceable(x, weight) and not has_bf16_products():
            wide: Tensor = self._conv_forward(x.float(), weight.float(), None if bias is None else bias.float())
            return wide.to(x.dtype)
        out: Tensor = self._conv_forward(x, weight, bias)
        return out
