"""InternViT, the vision encoder of InternVL (arXiv 2312.14238), for images of any size.

Parameters have the names of the official ``.pth`` files, so a state dict needs no renaming.
"""

from collections.abc import Iterable, Sequence
from numbers import Integral
from typing import Literal, overload

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from ..common.kinds import Kind, check_arguments, epsilon, height_and_width, number, rate, ratio, short, whole
from .attention import check_kernel
from .block import NORM_EPS, NORMS, Block, NormType, hidden_channels
from .patch_embed import PatchEmbed
from .position import EXTRA_BANDS, resize_pos_embed
from .streamed_blocks import StreamedBlocks

Size = int | tuple[int, int]
# Of the arguments whose values are many; in an order in which each error is about what is wrong first.
_KINDS: dict[str, Kind] = {
    **dict.fromkeys(("patch_size", "in_chans", "embed_dim", "depth", "num_heads"), whole),
    "img_size": height_and_width,
    "mlp_ratio": ratio,
    "init_values": number,
    "drop_path_rate": rate,
    "norm_eps": epsilon,
}


def resolve_indices(indices: Sequence[int], depth: int) -> list[int]:
    """Turn indices of blocks, negative ones counted from the end, into the range 0 to depth - 1.

    Raises:
        ValueError: There are none, or one lies outside an encoder of this depth.
    """
    if not isinstance(indices, Sequence) or not all(type(i) is not bool and isinstance(i, Integral) for i in indices):
        raise ValueError(
            f"indices={short(indices)} is not a list of whole numbers: name the blocks to tap, such as [-1]."
        )
    if not indices:
        raise ValueError("indices is empty: name at least one block to tap.")
    for position, index in enumerate(indices):
        if not -depth <= index < depth:
            raise ValueError(
                f"indices[{position}] = {index} is outside this encoder of {depth} blocks: use {-depth} to {depth - 1}."
            )
    return [index % depth for index in indices]


class InternViT(nn.Module):
    """Vision transformer with LayerScale, a CLS token and, in the 6B models, RMSNorm and normalised queries and keys.

    The defaults are InternViT-6B-224px. Weights are random until loaded: ``internvl_seg.load_encoder`` builds an
    encoder from a released file, ``internvl_seg.create_encoder`` a random one by name.

    Threads may share an encoder that nobody changes meanwhile: the forward pass writes nothing to it. Of one with
    ``blocks_in_memory`` they take turns, one of quantized layers needs room for the widest of them in each thread, and
    one that is compiled is to be called once before the threads begin.

    Args:
        img_size: Side in pixels, or (height, width), of the grid that ``pos_embed`` stores. Any other size works too,
            the embedding is then resized at every call.
        patch_size: Side of a patch in pixels.
        in_chans: Channels of an image.
        embed_dim: Channels of a token, C.
        depth: Number of blocks.
        num_heads: Attention heads; divides ``embed_dim``.
        mlp_ratio: Hidden channels of the MLP over ``embed_dim``.
        norm: Norm of the blocks and of queries and keys.
        qkv_bias: Whether the qkv projection has a bias.
        qk_norm: Whether queries and keys are normalised, each over all C channels.
        init_values: First value of LayerScale.
        drop_path_rate: Stochastic depth of the last block; it grows linearly from 0 at the first.
        attention: Kernel: 'auto', or one of :data:`KERNELS`.
        grad_checkpointing: Recompute each block in the backward pass instead of keeping its activations.
        norm_eps: What every norm adds to a variance, or mean square.
        extra_bands: What bands after the third get when weights of RGB are read: 'zero' or 'mean'
            (:func:`internvl_seg.encoder.position.widen_patch_embed`).

    Attributes:
        stored_embeddings: Hashes of the embeddings as they stand in the file that the encoder was read from
            (:func:`internvl_seg.checkpoints.reference.hash_embeddings`); None if it was not.

    Raises:
        ValueError: An argument does not fit the others or is not among the allowed values.
        KernelUnavailableError: The attention kernel needs a package that is not installed.
    """

    def __init__(
        self,
        img_size: Size = 224,
        patch_size: int = 14,
        in_chans: int = 3,
        embed_dim: int = 3200,
        depth: int = 48,
        num_heads: int = 25,
        mlp_ratio: float = 4.0,
        norm: NormType = "rms_norm",
        qkv_bias: bool = False,
        qk_norm: bool = True,
        init_values: float = 0.1,
        drop_path_rate: float = 0.0,
        attention: str = "auto",
        grad_checkpointing: bool = False,
        norm_eps: float = NORM_EPS,
        extra_bands: str = "zero",
    ) -> None:
        super().__init__()
        check_kernel(attention)
        for name, value, known in (("norm", norm, NORMS), ("extra_bands", extra_bands, EXTRA_BANDS)):
            if not isinstance(value, str) or value not in known:
                raise ValueError(f"{name}={value!r} is not known; choose one of {', '.join(known)}.")
        check_arguments(_KINDS, locals())
        if hidden_channels(embed_dim, mlp_ratio) < 1:
            raise ValueError(f"mlp_ratio={mlp_ratio!r} leaves the MLP no channels.")
        if embed_dim % num_heads:
            raise ValueError(f"embed_dim={embed_dim} is not a multiple of num_heads={num_heads}.")
        self.embed_dim = embed_dim
        self.num_heads = num_heads
        self.patch_size = patch_size
        self.in_chans = in_chans
        self.extra_bands = extra_bands
        self.norm_eps = norm_eps
        self.grad_checkpointing = grad_checkpointing
        self.quantization: str | None = None
        self.stored_embeddings: dict[str, str] | None = None
        self.grid_size = self._grid_of(*height_and_width(img_size), "img_size")

        self.patch_embed = PatchEmbed(patch_size, in_chans, embed_dim)
        self.cls_token = nn.Parameter(torch.empty(1, 1, embed_dim))
        self.pos_embed = nn.Parameter(torch.empty(1, 1 + self.grid_size[0] * self.grid_size[1], embed_dim))
        self.blocks = nn.ModuleList(
            Block(
                embed_dim,
                num_heads,
                mlp_ratio,
                norm,
                qkv_bias,
                qk_norm,
                init_values,
                drop_path=drop_path_rate * i / max(depth - 1, 1),
                kernel=attention,
                norm_eps=norm_eps,
            )
            for i in range(depth)
        )
        nn.init.trunc_normal_(self.pos_embed, std=0.02)
        nn.init.trunc_normal_(self.cls_token, std=0.02)

    @property
    def depth(self) -> int:
        """Number of blocks."""
        return len(self.blocks)

    @property
    def dtype(self) -> torch.dtype:
        """Dtype of the weights; images are converted to it."""
        return self.patch_embed.proj.weight.dtype

    @property
    def has_all_weights(self) -> bool:
        """Whether the weights of all blocks are in memory, neither quantized nor read when they are needed."""
        return self.quantization is None and not isinstance(self.blocks, StreamedBlocks)

    def _grid_of(self, height: int, width: int, what: str) -> tuple[int, int]:
        size = self.patch_size
        if height % size or width % size or height < size or width < size:
            raise ValueError(
                f"{what} {height}x{width} is not a multiple of the patch size {size}: "
                f"pad or resize height and width to multiples of {size}."
            )
        return height // size, width // size

    def _embed(self, images: Tensor) -> tuple[Tensor, tuple[int, int]]:
        """Tokens before the first block, (B, 1 + rows * columns, C), and their grid."""
        grid = self._grid_of(images.shape[-2], images.shape[-1], "image size")
        tokens = self.patch_embed(images.to(self.dtype))
        pos_embed: Tensor = self.pos_embed
        # Resizing to the same grid gives the same bits, so a graph with dynamic sizes needs no branch.
        if torch.compiler.is_compiling() or grid != self.grid_size:
            pos_embed = resize_pos_embed(pos_embed, self.grid_size, grid)
        cls = self.cls_token.expand(tokens.shape[0], -1, -1)
        return torch.cat([cls, tokens], dim=1) + pos_embed, grid

    def _run(self, tokens: Tensor, indices: Sequence[int]) -> dict[int, Tensor]:
        """Run the blocks up to the last of ``indices`` and keep the tokens after each of them."""
        count = max(indices) + 1
        if isinstance(self.blocks, StreamedBlocks):
            self.blocks.check_inference(tokens, self.parameters())
            with self.blocks.in_turn(count) as blocks:
                return self._run_blocks(blocks, tokens, indices)
        return self._run_blocks(self.blocks[:count], tokens, indices)

    def _run_blocks(self, blocks: Iterable[nn.Module], tokens: Tensor, indices: Sequence[int]) -> dict[int, Tensor]:
        learns = torch.is_grad_enabled() and any(p.requires_grad for p in self.parameters())
        recompute = self.grad_checkpointing and learns
        one_by_one = isinstance(self.blocks, StreamedBlocks) and tokens.device.type == "cpu"
        taps: dict[int, Tensor] = {}
        for i, block in enumerate(blocks):
            if one_by_one:
                # All images while the block is there, but one at a time: its activations would take the memory saved.
                tokens = torch.cat([block(image) for image in tokens.split(1)])
            else:
                tokens = checkpoint(block, tokens, use_reentrant=False) if recompute else block(tokens)
            if i in indices:
                taps[i] = tokens
        return taps

    def forward_features(self, images: Tensor) -> Tensor:
        """Run the whole encoder.

        Args:
            images: (B, in_chans, H, W), normalised; H and W are any multiples of the patch size.

        Returns:
            (B, 1 + H/p * W/p, C) in the encoder's dtype, CLS first, without a final norm.

        Raises:
            ValueError: H or W is not a multiple of the patch size.
        """
        tokens, _ = self._embed(images)
        last = self.depth - 1
        return self._run(tokens, [last])[last]

    forward = forward_features

    def resolve_indices(self, indices: Sequence[int]) -> list[int]:
        """Turn block indices, negative ones counted from the end, into the range 0 to depth - 1.

        Raises:
            ValueError: There are none, or one lies outside the encoder.
        """
        return resolve_indices(indices, self.depth)

    @overload
    def forward_intermediates(
        self, images: Tensor, indices: Sequence[int], output_fmt: Literal["NCHW", "NLC"] = "NCHW"
    ) -> list[Tensor]: ...

    @overload
    def forward_intermediates(
        self,
        images: Tensor,
        indices: Sequence[int],
        output_fmt: Literal["NCHW", "NLC"] = "NCHW",
        *,
        return_prefix_tokens: Literal[True],
    ) -> list[tuple[Tensor, Tensor]]: ...

    def forward_intermediates(
        self,
        images: Tensor,
        indices: Sequence[int],
        output_fmt: Literal["NCHW", "NLC"] = "NCHW",
        *,
        return_prefix_tokens: bool = False,
    ) -> list[Tensor] | list[tuple[Tensor, Tensor]]:
        """Patch tokens after chosen blocks; no block after the last chosen one is run.

        Args:
            images: (B, in_chans, H, W), normalised; H and W are any multiples of the patch size.
            indices: Blocks to tap, counted from 0; negative ones count from the last block.
            output_fmt: 'NCHW' for maps, 'NLC' for tokens.
            return_prefix_tokens: Whether to give the CLS token, too, as timm does.

        Returns:
            One tensor per index, in the order of ``indices`` and in the encoder's dtype: (B, C, H/p, W/p), in
            channels-last memory, or (B, H/p * W/p, C). No norm is applied. With ``return_prefix_tokens`` each is a
            pair with the CLS token, (B, 1, C).

        Raises:
            ValueError: An index, the format or the size of the images is not possible.
        """
        if output_fmt not in ("NCHW", "NLC"):
            raise ValueError(f"output_fmt={output_fmt!r} is not known; choose 'NCHW' or 'NLC'.")
        wanted = self.resolve_indices(indices)
        tokens, grid = self._embed(images)
        taps = self._run(tokens, wanted)
        patches = {i: tap[:, 1:] for i, tap in taps.items()}
        if output_fmt == "NCHW":
            patches = {i: tap.unflatten(1, grid).permute(0, 3, 1, 2) for i, tap in patches.items()}
        if return_prefix_tokens:
            return [(patches[i], taps[i][:, :1]) for i in wanted]
        return [patches[i] for i in wanted]
