"""An encoder's linear layers with weights of 8 or 4 bits, for inference, out of PyTorch's own operators.

Why not torchao: it has no 4-bit layer for CPUs, and for 8 bits needs a compiler at run time to be as fast as this
(``benchmarks/quantization.py`` measures both).
"""

import abc
import math
import threading
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from .allocation import allocate
from .cpu import has_bf16_products, has_int8_products, is_traced_or_fake
from .intern_vit import InternViT
from .linear import Linear, QuantizedLinear, linear

# Weights that share a scale and an offset in 4 bits: 16 bits each, so a weight takes 4 + 32 / 64 bits.
GROUP = 64
# Numbers that are worked on at a time, so that they stay in the cache.
_AT_ONCE = 1 << 18


class _Scratch(threading.local):
    """Memory for the weights of the layer that is computing, one for each thread."""

    def __init__(self) -> None:
        self._memory: dict[tuple[torch.device, torch.dtype], Tensor] = {}

    def take(self, shape: tuple[int, int], dtype: torch.dtype, device: torch.device) -> Tensor:
        """Uninitialised memory, that of the call before if it suffices."""
        memory = self._memory.get((device, dtype))
        if memory is None or len(memory) < math.prod(shape):
            with torch.inference_mode(False):  # Or it could be written to within that mode only.
                memory = torch.empty(math.prod(shape), dtype=dtype, device=device)
            self._memory[device, dtype] = memory
        return memory[: math.prod(shape)].view(shape)


_scratch = _Scratch()


def _chunks(*tensors: Tensor) -> Iterator[tuple[Tensor, ...]]:
    """The same few rows of several tensors, again and again until the last; as many as the first's width allows."""
    rows = max(_AT_ONCE // tensors[0].shape[1], 1)
    return zip(*(tensor.split(rows) for tensor in tensors), strict=True)


def _buffer(x: Tensor) -> Tensor:
    """Room in fp32 for as many rows as are worked on at a time: pieces that come and go would leave holes in memory."""
    rows = max(_AT_ONCE // x.shape[1], 1)
    return x.new_empty(min(rows, len(x)), x.shape[1], dtype=torch.float32)


def _largest(x: Tensor) -> Tensor:
    """The largest absolute value of each row, in fp32."""
    largest: Tensor = torch.linalg.vector_norm(x, float("inf"), 1, keepdim=True)
    return largest.float()


def _short(scale: Tensor) -> Tensor:
    """A positive scale, rounded to what bf16 holds, so that no dtype that it is used in rounds it again."""
    return scale.clamp_min(torch.finfo(torch.float32).tiny).bfloat16().float()


class _WeightOnly(QuantizedLinear):
    """Weights that are widened to the input's dtype, a layer at a time, and multiplied with as any.

    Threads may share it: each widens into memory of its own, which it keeps until it ends.
    """

    def forward(self, x: Tensor, gelu: bool = False) -> Tensor:
        """Map (..., in_features) to (..., out_features), followed by the exact GELU if asked for."""
        wide = x.dtype
        if wide == torch.bfloat16 and x.device.type == "cpu" and not has_bf16_products():
            wide = torch.float32
        shape = (self.out_features, self.in_features)
        fresh = torch.is_grad_enabled() or is_traced_or_fake(x)
        weight = x.new_empty(shape, dtype=wide) if fresh else _scratch.take(shape, wide, x.device)
        self.widen(weight)
        bias = None if self.bias is None else self.bias.to(wide)
        return linear(x.to(wide), weight, bias, gelu).to(x.dtype)

    @abc.abstractmethod
    def widen(self, out: Tensor) -> None:
        """Write the weights, (out_features, in_features), into a tensor."""


class Int8Linear(_WeightOnly):
    """Weights of 8 bits, symmetric, with a scale for each output channel."""

    codes: Tensor
    scale: Tensor

    def quantize(self, weight: Tensor) -> None:
        """Take the weights, (out_features, in_features)."""
        self.scale, self.codes = _int8(weight)

    def widen(self, out: Tensor) -> None:
        """Write the weights into a tensor."""
        for part, codes, scale in _chunks(out, self.codes, self.scale.to(out.dtype)):
            torch.mul(codes.to(out.dtype), scale, out=part)


class Int4Linear(_WeightOnly):
    """Weights of 4 bits, with a scale and an offset for each group of them in a row."""

    codes: Tensor
    scale: Tensor
    offset: Tensor

    def quantize(self, weight: Tensor) -> None:
        """Take the weights, (out_features, in_features).

        Raises:
            ValueError: The number of input channels is no multiple of 8.
        """
        group = math.gcd(self.in_features, GROUP)
        if group < 8:
            raise ValueError(
                f"quantization='int4' needs a number of channels that is a multiple of 8, not {self.in_features}."
            )
        rows, half = self.out_features, self.in_features // 2
        self.codes = allocate((rows, half), torch.uint8, weight.device)
        self.scale = weight.new_empty(rows, self.in_features // group, 1, dtype=torch.bfloat16)
        self.offset = torch.empty_like(self.scale)
        buffer = _buffer(weight)
        for part, codes, scale, offset in _chunks(weight, self.codes, self.scale, self.offset):
            wide = buffer[: len(part)].copy_(part)
            groups = wide.unflatten(1, (-1, group))
            low, high = groups.amin(2, keepdim=True), groups.amax(2, keepdim=True)
            step = _short((high - low) / 15)
            low = low.bfloat16().float()
            groups.sub_(low).div_(step).round_().clamp_(0, 15)
            found = wide.to(torch.uint8)
            # A byte holds a column of the left half and one of the right: both are written without strides.
            codes.copy_(found[:, :half] | found[:, half:] << 4)
            scale.copy_(step)
            offset.copy_(low)

    def widen(self, out: Tensor) -> None:
        """Write the weights into a tensor."""
        half = self.in_features // 2
        for part, codes, scale, offset in _chunks(out, self.codes, self.scale, self.offset):
            part[:, :half] = codes & 15
            part[:, half:] = codes >> 4
            groups = part.unflatten(1, (scale.shape[1], -1))
            torch.addcmul(offset.to(out.dtype), groups, scale.to(out.dtype), out=groups)


class Int8DynamicLinear(QuantizedLinear):
    """Weights and inputs of 8 bits, multiplied as integers; the inputs' scales, one a token, are found on the way.

    Threads may share it.
    """

    codes: Tensor | None
    scale: Tensor

    def quantize(self, weight: Tensor) -> None:
        """Take the weights, (out_features, in_features)."""
        scale, self.codes = _int8(weight)
        self.scale = scale.flatten()
        self._packed: Tensor | None = None
        if weight.device.type == "cpu" and has_int8_products() and not is_traced_or_fake(weight):
            self._packed = torch.ops.onednn.qlinear_prepack(self.codes, None)
            self.codes = None  # They are in the packed ones.

    def forward(self, x: Tensor, gelu: bool = False) -> Tensor:
        """Map (..., in_features) to (..., out_features), followed by the exact GELU if asked for."""
        rows = x.flatten(0, -2)
        codes, scale = _quantize_rows(rows)
        out = self._product(codes, x.dtype)
        for part, factor in _chunks(out, scale):
            scaled = part * factor if self.bias is None else torch.addcmul(self.bias.to(x.dtype), part, factor)
            part.copy_(nn.functional.gelu(scaled) if gelu else scaled)
        return out.view(*x.shape[:-1], self.out_features)

    def _product(self, x: Tensor, dtype: torch.dtype) -> Tensor:
        """Inputs (rows, in_features), 128 above their value, times weights and their scale: (rows, out_features)."""
        if self._packed is not None:
            if x.device.type != "cpu":
                raise RuntimeError(
                    f"A layer with quantization='int8_dynamic' was made for the CPU, but its input is on {x.device}. "
                    "Quantize the encoder where it is to compute: load_encoder(..., device=...)."
                )
            zero = torch.zeros(self.out_features, dtype=torch.int32)
            out: Tensor = torch.ops.onednn.qlinear_pointwise(
                x, 1.0, 128, self._packed, self.scale, zero, None, 1.0, 0, dtype, "none", [], ""
            )
            return out
        assert self.codes is not None
        signed = (x ^ 128).view(torch.int8)
        if x.device.type == "cuda":
            product: Tensor = torch._int_mm(signed, self.codes.T)
        else:
            product = signed.float() @ self.codes.float().T
        return (product * self.scale).to(dtype)


def _int8(weight: Tensor) -> tuple[Tensor, Tensor]:
    """Scales (rows, 1) in fp32 and codes in int8 of weights."""
    codes = allocate(tuple(weight.shape), torch.int8, weight.device)
    scale = weight.new_empty(len(weight), 1, dtype=torch.float32)
    buffer = _buffer(weight)
    for part, into, factor in _chunks(weight, codes, scale):
        factor.copy_(_short(_largest(part) / 127))
        into.copy_(buffer[: len(part)].copy_(part).div_(factor).round_().clamp_(-127, 127))
    return scale, codes


def _quantize_rows(x: Tensor) -> tuple[Tensor, Tensor]:
    """Codes of inputs (rows, channels), uint8 from 1 to 255 with 128 for zero, and scales (rows, 1) in their dtype."""
    codes, scale = torch.empty_like(x, dtype=torch.uint8), x.new_empty(len(x), 1)
    buffer = _buffer(x)
    for part, into, factor in _chunks(x, codes, scale):
        step = _short(_largest(part) / 127)
        # A number above zero is rounded when a half is added and the fraction cut off.
        into.copy_(buffer[: len(part)].copy_(part).mul_(1 / step).add_(128.5).clamp_(1, 255))
        factor.copy_(step)
    return codes, scale


QUANTIZATIONS: dict[str, type[QuantizedLinear]] = {
    "int8": Int8Linear,
    "int4": Int4Linear,
    "int8_dynamic": Int8DynamicLinear,
}


def check_quantization(kind: str | None) -> None:
    """Check that there is such a quantization.

    Raises:
        ValueError: There is none.
    """
    if kind is not None and kind not in QUANTIZATIONS:
        raise ValueError(f"quantization={kind!r} is not known; choose one of {', '.join(QUANTIZATIONS)}, or None.")


@torch.no_grad()
def quantize_linear(layer: Linear, kind: str) -> QuantizedLinear:
    """A layer with the same function, up to rounding, and weights of fewer bits.

    Args:
        layer: The layer; its bias is kept as it is.
        kind: A key of :data:`QUANTIZATIONS`.
    """
    new = QUANTIZATIONS[kind](layer.in_features, layer.out_features, layer.bias)
    new.quantize(layer.weight.detach())
    return new


def quantize_encoder(encoder: InternViT, kind: str) -> None:
    """Quantize the linear layers of every block, in place; the encoder then serves inference alone.

    :func:`internvl_seg.load_encoder` does so layer by layer while it reads, and needs no more memory than the result.

    Args:
        encoder: The encoder, without adapters.
        kind: 'int8' and 'int4': weights alone, half and 0.28 of the memory of bf16. 'int8_dynamic': inputs, too;
            the fastest on CPUs with integer products (AVX-512 VNNI).

    Raises:
        ValueError: There is no such kind, or a layer cannot be quantized.
    """
    check_quantization(kind)
    for name, layer in list(encoder.blocks.named_modules()):
        if type(layer) is Linear:
            parent, _, leaf = name.rpartition(".")
            setattr(encoder.blocks.get_submodule(parent), leaf, quantize_linear(layer, kind))
    encoder.quantization = kind
