"""The transformer block of InternViT (arXiv 2312.14238, section 3.2)."""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.ops import StochasticDepth

from .attention import attention
from .linear import Linear, QuantizedLinear


class RMSNorm(nn.RMSNorm):
    """``nn.RMSNorm`` in its input's dtype; under autocast PyTorch's would mix two, for which it has no fast kernel.

    Threads may share it.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Normalise (..., C) over C."""
        return F.rms_norm(x, self.normalized_shape, self.weight.to(x.dtype), self.eps)


NormType = Literal["rms_norm", "layer_norm"]
NORMS: dict[str, type[RMSNorm] | type[nn.LayerNorm]] = {"rms_norm": RMSNorm, "layer_norm": nn.LayerNorm}
NORM_EPS = 1e-6


def hidden_channels(dim: int, mlp_ratio: float) -> int:
    """Channels between the two layers of an MLP: as many whole ones as there are.

    A ratio that was told from a file is a quotient of whole numbers, whose product may end just below its number.
    """
    return int(dim * mlp_ratio + 1e-6)


class Attention(nn.Module):
    """Multi-head self-attention whose q/k norm spans the whole embedding, not one head."""

    def __init__(
        self,
        dim: int,
        num_heads: int,
        norm: NormType,
        qkv_bias: bool,
        qk_norm: bool,
        kernel: str,
        norm_eps: float = NORM_EPS,
    ) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.kernel = kernel
        self.qkv = Linear(dim, 3 * dim, bias=qkv_bias)
        self.q_norm = NORMS[norm](dim, eps=norm_eps) if qk_norm else nn.Identity()
        self.k_norm = NORMS[norm](dim, eps=norm_eps) if qk_norm else nn.Identity()
        self.proj = Linear(dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        """Mix the tokens of (B, N, C)."""
        q, k, v = self.qkv(x).chunk(3, dim=-1)
        q, k = self.q_norm(q), self.k_norm(k)
        q, k, v = (t.unflatten(-1, (self.num_heads, -1)) for t in (q, k, v))
        out: Tensor = self.proj(attention(q, k, v, self.kernel).flatten(2))
        return out


class Mlp(nn.Module):
    """Two linear layers with the exact GELU between them."""

    def __init__(self, dim: int, hidden_dim: int) -> None:
        super().__init__()
        self.fc1 = Linear(dim, hidden_dim)
        self.act = nn.GELU()
        self.fc2 = Linear(hidden_dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        """Map every token of (B, N, C)."""
        # A layer put in fc1's place, such as an adapter, only promises to be called.
        fuses = isinstance(self.fc1, (Linear, QuantizedLinear))
        x = self.fc1(x, gelu=True) if fuses else self.act(self.fc1(x))
        out: Tensor = self.fc2(x)
        return out


class LayerScale(nn.Module):
    """A learned factor per channel on a residual branch."""

    def __init__(self, dim: int, init_values: float) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.full((dim,), float(init_values)))

    def forward(self, x: Tensor, branch: Tensor) -> Tensor:
        """Return ``x + gamma * branch``, all (B, N, C)."""
        return torch.addcmul(x, branch, self.gamma)


class Block(nn.Module):
    """Pre-norm attention and MLP, each with LayerScale and stochastic depth."""

    def __init__(
        self,
        dim: int,
        num_heads: int,
        mlp_ratio: float,
        norm: NormType,
        qkv_bias: bool,
        qk_norm: bool,
        init_values: float,
        drop_path: float,
        kernel: str,
        norm_eps: float = NORM_EPS,
    ) -> None:
        super().__init__()
        self.norm1 = NORMS[norm](dim, eps=norm_eps)
        self.attn = Attention(dim, num_heads, norm, qkv_bias, qk_norm, kernel, norm_eps)
        self.ls1 = LayerScale(dim, init_values)
        self.norm2 = NORMS[norm](dim, eps=norm_eps)
        self.mlp = Mlp(dim, hidden_channels(dim, mlp_ratio))
        self.ls2 = LayerScale(dim, init_values)
        self.drop_path = StochasticDepth(drop_path, mode="row")

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, N, C) to (B, N, C)."""
        x = self.ls1(x, self.drop_path(self.attn(self.norm1(x))))
        out: Tensor = self.ls2(x, self.drop_path(self.mlp(self.norm2(x))))
        return out
