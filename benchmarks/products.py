"""The matrix products of an encoder, without which it cannot do: what is left to gain is above their time."""

from collections.abc import Callable
from functools import partial

import torch

from internvl_seg.encoder import InternViT


def products(encoder: InternViT, image_size: int, dtype: torch.dtype) -> dict[str, Callable[[], None]]:
    """The matrix products of one image and nothing else, with the heads batched and one by one."""
    heads = encoder.blocks[0].attn.num_heads
    dim, tokens = encoder.embed_dim, 1 + (image_size // 14) ** 2
    x, hidden = torch.randn(tokens, dim).to(dtype), torch.randn(tokens, 4 * dim).to(dtype)
    patches = torch.randn(tokens - 1, 3 * 14 * 14).to(dtype)
    out = {size: torch.empty(tokens, size, dtype=dtype) for size in (dim, 3 * dim, 4 * dim)}
    q, k, v = torch.randn(3, heads, tokens, dim // heads).to(dtype)
    scores, mixed = torch.zeros(heads, tokens, tokens, dtype=dtype), torch.empty_like(v)

    def batched() -> None:
        torch.bmm(q, k.mT, out=scores)
        torch.bmm(scores, v, out=mixed)

    def one_by_one() -> None:
        for head in range(heads):
            # Into the same scores: they stay in the cache.
            torch.mm(q[head], k[head].T, out=scores[0])
            torch.mm(scores[0], v[head], out=mixed[head])

    def run(attend: Callable[[], None]) -> None:
        torch.mm(patches, encoder.patch_embed.proj.weight.flatten(1).T, out=out[dim][1:])
        for block in encoder.blocks:
            torch.mm(x, block.attn.qkv.weight.T, out=out[3 * dim])
            attend()
            torch.mm(x, block.attn.proj.weight.T, out=out[dim])
            torch.mm(x, block.mlp.fc1.weight.T, out=out[4 * dim])
            torch.mm(hidden, block.mlp.fc2.weight.T, out=out[dim])

    return {
        "products alone, heads batched": partial(run, batched),
        "products alone, head by head": partial(run, one_by_one),
    }


def count_flops(encoder: InternViT, image_size: int) -> int:
    """Floating-point operations of the matrix products of one image."""
    patches, dim = (image_size // 14) ** 2, encoder.embed_dim
    tokens = patches + 1
    per_block = 2 * tokens * dim * (3 * dim + dim + 4 * dim + 4 * dim) + 2 * 2 * tokens * tokens * dim
    return 2 * patches * 3 * 14 * 14 * dim + encoder.depth * per_block
