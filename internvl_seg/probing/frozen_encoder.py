"""A frozen encoder and what feeds it, from the backbone of a config."""

from collections.abc import Mapping, Sequence
from math import gcd
from pathlib import Path
from typing import Any

import torch
from mmengine.device import get_device
from mmengine.registry import MODELS
from safetensors.torch import save_file
from torch import Tensor

from ..checkpoints.reference import hash_tensors
from ..data.writing import whole_file
from ..training import ConfigError
from .store_key import hash_json


class FrozenEncoder:
    """An encoder whose tokens after some blocks are asked for.

    Args:
        name: Name in results.
        backbone: Config of the backbone, an ``InternViT`` or a ``TimmViT``.
        blocks: Blocks that will be asked for, from 0; negative ones count from the last.
        seed: Of the weights of an encoder that reads none; whatever was drawn before, they are the same.

    Attributes:
        config: Of the backbone, frozen, tapped after the last of the blocks.
        backbone: The module.
        state: What stands for it in a checkpoint: a reference, or all weights if they are in no file.
        is_random: Whether its weights are in no file.

    Raises:
        ConfigError: The backbone has no blocks to tap, or learns.
    """

    def __init__(self, name: str, backbone: Mapping[str, Any], blocks: Sequence[int], seed: int = 0) -> None:
        if backbone.get("lora") is not None or not backbone.get("frozen", True):
            raise ConfigError(
                f"backbone={dict(backbone)}: a probe's encoder is frozen; leave lora and frozen=False out."
            )
        self.name = name
        drawn = {"seed": seed} if backbone.get("init_cfg") is None else {}
        self.config = drawn | dict(backbone) | {"out_indices": tuple(blocks)}
        self.backbone: Any = MODELS.build(self.config)
        if not hasattr(self.backbone, "forward_intermediates"):
            raise ConfigError(f"backbone.type={backbone.get('type')!r} has no blocks: use 'InternViT' or 'TimmViT'.")
        self.device = torch.device("meta" if self.is_meta else get_device())
        self.backbone.to(self.device)
        self.state = self._state()

    def _state(self) -> dict[str, Tensor]:
        if self.is_meta:
            return {}
        return {name: tensor.cpu() for name, tensor in self.backbone.state_dict().items()}

    @property
    def is_random(self) -> bool:
        """Whether its weights are in no file."""
        return self.backbone.init_cfg is None

    def write(self, path: Path, told: str) -> None:
        """Write random weights to a file, of which the encoder is then: checkpoints refer to it and need not hold them.

        Args:
            path: The file.
            told: How configs name the file.
        """
        model = self.backbone.model if hasattr(self.backbone, "model") else self.backbone
        tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
        with whole_file(path) as file:
            save_file(tensors, file)
        self.config["init_cfg"] = {"type": "Pretrained", "checkpoint": told}
        self.backbone.init_cfg = self.config["init_cfg"]
        self.state = self._state()

    @property
    def is_meta(self) -> bool:
        """Whether it has no weights, only shapes."""
        return bool(next(self.backbone.parameters()).is_meta)

    def resolve(self, blocks: Sequence[int]) -> tuple[int, ...]:
        """Block indices from 0."""
        return tuple(self.backbone.resolve_indices(blocks))

    @property
    def depth(self) -> int:
        """Number of blocks."""
        return int(self.backbone.depth)

    @property
    def embed_dim(self) -> int:
        """Channels of a token."""
        return int(self.backbone.embed_dim)

    @property
    def pool_heads(self) -> int:
        """Heads of an attention pooling on it: its own, as in the official code."""
        own = getattr(self.backbone, "num_heads", None)
        if own is None:  # Of timm's models those of a block's attention.
            (block, *_) = self.backbone.model.blocks
            own = getattr(getattr(block, "attn", None), "num_heads", None)
        return int(own or gcd(self.embed_dim, max(self.embed_dim // 64, 1)))

    def sha256(self) -> str:
        """Hash of all weights."""
        named = [*self.backbone.named_parameters(), *self.backbone.named_buffers()]
        there = [(name, tensor) for name, tensor in named if not tensor.is_meta]
        found = hash_tensors(there)
        # Blocks that are in memory only while they compute are hashed in their file.
        return found if len(there) == len(named) else hash_json([found, self.backbone.sha256()])

    def release(self) -> None:
        """Give the memory of the weights back; shapes and :attr:`state` stay."""
        self.backbone.to("meta")

    @torch.no_grad()
    def maps(self, images: Tensor, blocks: Sequence[int]) -> dict[int, Tensor]:
        """Patch tokens after some blocks, (B, h, w, C) each, in the encoder's dtype, on the CPU.

        Args:
            images: (B, 3, H, W), normalised.
            blocks: From 0.
        """
        found = self.backbone.forward_intermediates(images.to(self.device), blocks)
        return {block: _home(f.permute(0, 2, 3, 1)) for block, f in zip(blocks, found, strict=True)}

    @torch.no_grad()
    def tokens(self, images: Tensor, blocks: Sequence[int]) -> dict[int, Tensor]:
        """All tokens after some blocks, the CLS token first, (B, 1 + N, C) each, in the encoder's dtype, on the CPU.

        Args:
            images: (B, 3, H, W), normalised.
            blocks: From 0.
        """
        found = self.backbone.forward_intermediates(images.to(self.device), blocks, return_prefix_tokens=True)
        return {
            block: _home(torch.cat([prefix, patches.flatten(2).transpose(1, 2)], dim=1))
            for block, (patches, prefix) in zip(blocks, found, strict=True)
        }


def _home(tensor: Tensor) -> Tensor:
    """The tensor on the CPU, or one of shapes only as it is."""
    return tensor if tensor.is_meta else tensor.cpu()
