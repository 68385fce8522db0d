"""``InternViT`` as a backbone of MMEngine configs."""

import hashlib
import json
from collections.abc import Sequence
from typing import Any

import torch
from mmengine.registry import MODELS
from torch import Tensor

from ..checkpoints import load_encoder
from ..checkpoints.errors import CheckpointError
from ..encoder import InternViT, get_release
from ..encoder.intern_vit import Size
from ..encoder.releases import building

REFERENCE = "encoder_reference"
_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


class WrongEncoderError(CheckpointError):
    """A head was trained on another frozen encoder than the one it is put on."""


@MODELS.register_module(name="InternViT")
class InternViTBackbone(InternViT):
    """An InternViT that gives a tuple of feature maps, registered as ``InternViT`` in MMEngine's root registry.

    A frozen encoder has no gradient and no drop path, stays in eval mode when the model is put in training mode, runs
    no block after the last tapped one, is read when the model is built, and is left out of checkpoints: they hold a
    reference (where it came from and a hash) that is compared when they are loaded.

    Args:
        arch: A name of ``list_encoders()``, or arguments of :class:`InternViT`.
        img_size: Side, or (height, width), in pixels to which the position grid is resized when weights are loaded,
            as the official code does; the architecture's if None.
        out_indices: Blocks whose patch tokens are given, from 0; negative ones count from the last.
        frozen: Whether the encoder is not trained.
        dtype: 'float32', 'bfloat16' or 'float16', of the weights and of the computation; the maps are fp32 always.
        drop_path_rate: Stochastic depth of the last block.
        with_cp: Recompute each block in the backward pass instead of keeping its activations.
        attention: Attention kernel, as in :class:`InternViT`.
        init_cfg: None for random weights, or ``dict(type='Pretrained', checkpoint=...)`` with anything that
            :func:`internvl_seg.load_encoder` takes.

    Raises:
        ValueError: An argument is not among the allowed values.
        CheckpointError: The weights of a frozen encoder could not be read.
    """

    def __init__(
        self,
        arch: str | dict[str, Any],
        img_size: Size | None = None,
        out_indices: Sequence[int] = (-1,),
        frozen: bool = False,
        dtype: str = "float32",
        drop_path_rate: float = 0.0,
        with_cp: bool = False,
        attention: str = "auto",
        init_cfg: dict[str, Any] | None = None,
    ) -> None:
        if dtype not in _DTYPES:
            raise ValueError(f"backbone.dtype={dtype!r} is not known; choose one of {', '.join(_DTYPES)}.")
        if init_cfg is not None and (init_cfg.get("type") != "Pretrained" or "checkpoint" not in init_cfg):
            raise ValueError(
                f"backbone.init_cfg={init_cfg} is not known; use dict(type='Pretrained', checkpoint=...) or None."
            )
        arguments = get_release(arch).arguments() if isinstance(arch, str) else dict(arch)
        arguments |= {"drop_path_rate": drop_path_rate, "attention": attention, "grad_checkpointing": with_cp}
        if img_size is not None:
            arguments["img_size"] = img_size
        # A model built on the meta device is only looked at.
        read_now = frozen and init_cfg is not None and torch.get_default_device().type != "meta"
        with building("meta" if read_now else None, _DTYPES[dtype]):
            super().__init__(**arguments)
        self.out_indices = self.resolve_indices(out_indices)
        self.init_cfg = init_cfg
        self.frozen = frozen
        self._arguments = arguments
        self._hash: str | None = None
        self.is_init = False
        if read_now:
            self.load_state_dict(self._load().state_dict(), assign=True)
        if frozen:
            self.requires_grad_(False)
            self.eval()
        self.register_state_dict_post_hook(_leave_encoder_out)  # type: ignore[no-untyped-call]
        self.register_load_state_dict_pre_hook(_check_reference)  # type: ignore[no-untyped-call]

    def _load(self) -> InternViT:
        assert self.init_cfg is not None
        return load_encoder(self.init_cfg["checkpoint"], dtype=self.dtype, **self._arguments)

    def init_weights(self) -> None:
        """Read the weights of an encoder that is to be tuned; a frozen one has them since it was built."""
        if self.init_cfg is not None and not self.frozen:
            self.load_state_dict(self._load().state_dict())
        self.is_init = True

    def train(self, mode: bool = True) -> "InternViTBackbone":
        """Set the mode; a frozen encoder stays in eval mode."""
        super().train(mode and not self.frozen)
        return self

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:  # type: ignore[override]
        """Map normalised images (B, in_chans, H, W) to fp32 maps (B, C, H/p, W/p), one per ``out_indices``."""
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.frozen):
            maps = self.forward_intermediates(images, self.out_indices)
        return tuple(tokens.float() for tokens in maps)

    def reference(self) -> dict[str, str]:
        """Where a frozen encoder came from, and a SHA-256 of its blocks that no dtype or image size changes."""
        assert self.init_cfg is not None
        if self._hash is None:
            digest = hashlib.sha256()
            for _, parameter in sorted(self.blocks.named_parameters()):
                # In bf16, which every release survives exactly, so that one encoder has one hash in any dtype.
                digest.update(parameter.detach().bfloat16().contiguous().view(torch.int16).cpu().numpy().data)
            self._hash = digest.hexdigest()
        return {"checkpoint": str(self.init_cfg["checkpoint"]), "sha256": self._hash}


def _leave_encoder_out(module: InternViTBackbone, state: dict[str, Any], prefix: str, _metadata: object) -> None:
    """Replace a frozen encoder's weights in a state dict by a reference: JSON as a tensor of bytes."""
    if not module.frozen or module.init_cfg is None or module.patch_embed.proj.weight.is_meta:
        return
    for name, _ in module.named_parameters():
        del state[prefix + name]
    state[prefix + REFERENCE] = torch.frombuffer(bytearray(json.dumps(module.reference()).encode()), dtype=torch.uint8)


def _check_reference(module: InternViTBackbone, state: dict[str, Any], prefix: str, *_rest: object) -> None:
    """Compare the reference in a state dict with the encoder that is there, which then stands in for its weights."""
    if prefix + REFERENCE not in state:
        module._hash = None
        return
    expected = json.loads(bytes(state.pop(prefix + REFERENCE).tolist()))
    if module.init_cfg is None:
        raise WrongEncoderError(
            f"This checkpoint holds heads trained on the frozen encoder {expected['checkpoint']!r} and not the encoder "
            "itself. Set backbone.init_cfg=dict(type='Pretrained', checkpoint=...) in the config to read it."
        )
    found = module.reference()
    if module.frozen and found["sha256"] != expected["sha256"]:
        raise WrongEncoderError(
            f"This checkpoint's heads were trained on the frozen encoder {expected['checkpoint']!r} (SHA-256 "
            f"{expected['sha256'][:12]}...), but the config reads {found['checkpoint']!r} ({found['sha256'][:12]}...). "
            "Set backbone.init_cfg.checkpoint to the encoder it was trained on."
        )
    for name, parameter in module.named_parameters():
        state.setdefault(prefix + name, parameter.detach())
