"""``torch.compile`` of an encoder, block by block."""

from typing import cast

from .block import Block
from .intern_vit import InternViT


def compile_blocks(encoder: InternViT) -> None:
    """Compile the encoder's blocks in place, at their first call.

    Parameters keep their names. Blocks that are alike share one graph, for images of any size; a batch of one image,
    a mode with gradients and each rate of stochastic depth in training have one each. Recomputation
    (``grad_checkpointing``) goes with it. Where it pays: :func:`choose_compile`.

    Args:
        encoder: Its blocks are compiled with PyTorch's default compiler, which needs a C++ compiler on CPUs and triton
            on GPUs.
    """
    blocks = [cast(Block, block) for block in encoder.blocks]
    rates = {block.drop_path.p for block in blocks}
    for block in blocks:
        # Blocks share their code, and the compiler counts graphs by code. Eight for each rate is its own limit for one.
        block.compile(dynamic=True, recompile_limit=8 * len(rates))
