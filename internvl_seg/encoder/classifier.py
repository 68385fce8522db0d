"""The official image classifiers: an InternViT, a pooling of its tokens, BatchNorm and a linear layer.

Source: OpenGVLab/InternVL ``classification/models/intern_vit_6b.py``; parameters outside the encoder keep its names.
"""

from typing import Literal, get_args

import torch
from torch import Tensor, nn

from .attention import attention
from .intern_vit import InternViT

Pooling = Literal["cls_patch_concat", "attention_pooling", "clip_projector"]
POOLINGS: tuple[Pooling, ...] = get_args(Pooling)
# What the official code calls the module of a pooling.
_PART = {"attention_pooling": "attn_pooling", "clip_projector": "clip_projector"}


class CrossAttention(nn.Module):
    """Multi-head attention of one query over tokens, with separate projections and biases."""

    def __init__(self, dim: int, num_heads: int, out_dim: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.q = nn.Linear(dim, dim, bias=False)
        self.k = nn.Linear(dim, dim, bias=False)
        self.v = nn.Linear(dim, dim, bias=False)
        self.q_bias = nn.Parameter(torch.zeros(dim))
        self.k_bias = nn.Parameter(torch.zeros(dim))
        self.v_bias = nn.Parameter(torch.zeros(dim))
        self.proj = nn.Linear(dim, out_dim)

    def forward(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """Map a query (B, M, C) over keys and values (B, N, C) to (B, M, out_dim)."""
        q, k, v = self.q(query) + self.q_bias, self.k(key) + self.k_bias, self.v(value) + self.v_bias
        q, k, v = (t.unflatten(-1, (self.num_heads, -1)) for t in (q, k, v))
        out: Tensor = self.proj(attention(q, k, v).flatten(2))
        return out


class AttentionPooling(nn.Module):
    """Pool tokens to one vector by cross-attention from their mean."""

    def __init__(self, dim: int, num_heads: int, out_dim: int) -> None:
        super().__init__()
        self.norm1_q = nn.LayerNorm(dim, eps=1e-5)
        self.norm1_k = nn.LayerNorm(dim, eps=1e-5)
        self.norm1_v = nn.LayerNorm(dim, eps=1e-5)
        self.cross_attn = CrossAttention(dim, num_heads, out_dim)

    def forward(self, tokens: Tensor) -> Tensor:
        """Map (B, N, C) to (B, out_dim)."""
        query = self.norm1_q(tokens.mean(dim=1, keepdim=True))
        pooled: Tensor = self.cross_attn(query, self.norm1_k(tokens), self.norm1_v(tokens))
        return pooled.squeeze(1)


class TokenClassifier(nn.Module):
    """Tokens to logits, or to an embedding when there are no classes; in fp32. Threads may share it in eval mode.

    Args:
        embed_dim: Channels of a token, C.
        pooling: 'cls_patch_concat' puts the CLS token beside the mean of the patches, 'attention_pooling' and
            'clip_projector' attend over all tokens, the latter into CLIP's space.
        pool_heads: Attention heads of the pooling; unused by 'cls_patch_concat'.
        pool_dim: Channels out of 'clip_projector'; the others give as many as they get.
        num_classes: Classes; 0 for the pooled vector itself, without BatchNorm.

    Raises:
        ValueError: There is no such pooling, or its heads do not divide the channels.
    """

    def __init__(self, embed_dim: int, pooling: Pooling, *, pool_heads: int, pool_dim: int, num_classes: int) -> None:
        super().__init__()
        if pooling not in POOLINGS:
            raise ValueError(f"pooling={pooling!r} is not known; choose one of {', '.join(POOLINGS)}.")
        self.embed_dim = embed_dim
        self.pooling = pooling
        dim = 2 * embed_dim
        if pooling != "cls_patch_concat":
            if type(pool_heads) is not int or pool_heads < 1 or embed_dim % pool_heads:
                raise ValueError(
                    f"pool_heads={pool_heads!r} does not divide the {embed_dim} channels of a token, as a whole number "
                    "above 0 has to."
                )
            dim = pool_dim if pooling == "clip_projector" else embed_dim
            self.add_module(_PART[pooling], AttentionPooling(embed_dim, pool_heads, dim))
        self.norm = nn.BatchNorm1d(dim, eps=1e-6) if num_classes else nn.Identity()
        self.head = nn.Linear(dim, num_classes) if num_classes else nn.Identity()
        if isinstance(self.head, nn.Linear):
            nn.init.normal_(self.head.weight, std=0.01)
            nn.init.zeros_(self.head.bias)

    def pool(self, tokens: Tensor) -> Tensor:
        """Map tokens (B, N, C), CLS first, to one vector per image."""
        if self.pooling == "cls_patch_concat":
            return torch.cat([tokens[:, 0], tokens[:, 1:].mean(dim=1)], dim=-1)
        pooled: Tensor = self.get_submodule(_PART[self.pooling])(tokens)
        return pooled

    def forward(self, tokens: Tensor) -> Tensor:
        """Map tokens (B, N, C), CLS first, in any dtype, to fp32 logits (B, num_classes) or embeddings."""
        logits: Tensor = self.head(self.norm(self.pool(tokens.float())))
        return logits


class InternViTClassifier(TokenClassifier):
    """Images to logits, or to an embedding when there are no classes; all but the encoder runs in fp32.

    Threads may share it in eval mode, as they may its encoder (:class:`InternViT`).

    Args:
        encoder: The encoder.
        pooling: As in :class:`TokenClassifier`, like all else.
        pool_heads: Attention heads of the pooling.
        pool_dim: Channels out of 'clip_projector'.
        num_classes: Classes, or 0.
    """

    def __init__(
        self, encoder: InternViT, pooling: Pooling, *, pool_heads: int, pool_dim: int, num_classes: int
    ) -> None:
        super().__init__(encoder.embed_dim, pooling, pool_heads=pool_heads, pool_dim=pool_dim, num_classes=num_classes)
        self.encoder = encoder

    def forward(self, images: Tensor) -> Tensor:
        """Map normalised images (B, in_chans, H, W) to fp32 logits (B, num_classes) or embeddings."""
        return super().forward(self.encoder.forward_features(images))
