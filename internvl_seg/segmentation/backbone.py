"""``InternViT`` as a backbone of MMEngine configs."""

import contextlib
import math
from collections.abc import Sequence
from typing import Any

import torch
from mmengine.registry import MODELS
from torch import Tensor

from ..checkpoints import load_encoder
from ..checkpoints.classifier import MODEL_PREFIX, PARTS
from ..checkpoints.encoder_file import EncoderFile
from ..checkpoints.loading import assign_parameter, read_weights
from ..checkpoints.reference import REFERENCE, WrongEncoderError, hash_encoder, read_reference, write_reference
from ..checkpoints.sources import open_source
from ..encoder import InternViT, get_release
from ..encoder.cpu import has_bf16_products
from ..encoder.intern_vit import Size
from ..encoder.lora import add_lora, is_lora
from ..encoder.position import resize_pos_embed
from ..encoder.releases import building

OUT_TYPES = ("featmap", "raw")
# Names of dtypes in configs.
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


@MODELS.register_module(name="InternViT")
class InternViTBackbone(InternViT):
    """An InternViT that gives a tuple of feature maps, registered as ``InternViT`` in MMEngine's root registry.

    A frozen encoder has no gradient and no drop path, stays in eval mode when the model is put in training mode, runs
    no block after the last tapped one, is read when the model is built, and is left out of checkpoints: they hold a
    reference (where it came from and a hash) that is compared when they are loaded. With ``lora`` that is so, too,
    but for adapters that are trained and saved.

    Args:
        arch: A name of ``list_encoders()``, or arguments of :class:`InternViT`.
        img_size: Side, or (height, width), in pixels to which the position grid is resized when weights are loaded,
            as the official code does; the architecture's if None.
        out_indices: Blocks whose patch tokens are given, from 0; negative ones count from the last.
        frozen: Whether the encoder is not trained.
        dtype: 'float32', 'bfloat16' or 'float16', of the computation; the maps are fp32 always. A frozen encoder's
            weights have it, too; those of a tuned one are fp32, because steps as small as those of fine-tuning are
            lost in bf16, and are rounded where they are used (autocast).
        drop_path_rate: Stochastic depth of the last block.
        with_cp: Recompute each block in the backward pass instead of keeping its activations.
        attention: Attention kernel, as in :class:`InternViT`.
        out_type: 'featmap' for the maps of the patches, or 'raw' for all tokens, the CLS token first, as MMPretrain's
            heads take them.
        encoder: A frozen encoder in memory whose weights are used instead of read, and not copied: of the same
            architecture and dtype. The position embedding of another ``img_size`` is read from ``init_cfg``.
        lora: Adapters for a frozen encoder, ``dict(rank=...)`` with the other arguments of
            :func:`internvl_seg.encoder.lora.add_lora` as wanted; none if None.
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
        out_type: str = "featmap",
        encoder: InternViT | None = None,
        lora: dict[str, Any] | None = None,
        init_cfg: dict[str, Any] | None = None,
    ) -> None:
        if dtype not in DTYPES:
            raise ValueError(f"backbone.dtype={dtype!r} is not known; choose one of {', '.join(DTYPES)}.")
        if out_type not in OUT_TYPES:
            raise ValueError(f"backbone.out_type={out_type!r} is not known; choose one of {', '.join(OUT_TYPES)}.")
        if init_cfg is not None and (init_cfg.get("type") != "Pretrained" or "checkpoint" not in init_cfg):
            raise ValueError(
                f"backbone.init_cfg={init_cfg} is not known; use dict(type='Pretrained', checkpoint=...) or None."
            )
        if lora is not None and not frozen:
            raise ValueError(f"backbone.lora={lora} adapts a frozen encoder: set backbone.frozen=True.")
        if encoder is not None and (not frozen or lora is not None):
            raise ValueError("backbone.encoder is shared, so it may not be tuned: set frozen=True and leave lora out.")
        arguments = get_release(arch).arguments() if isinstance(arch, str) else dict(arch)
        arguments |= {"drop_path_rate": drop_path_rate, "attention": attention, "grad_checkpointing": with_cp}
        if img_size is not None:
            arguments["img_size"] = img_size
        # Weights that a file holds need not be drawn first. A model built on the meta device is only looked at.
        from_file = init_cfg is not None and encoder is None and torch.get_default_device().type != "meta"
        with building("meta" if from_file or encoder is not None else None, DTYPES[dtype] if frozen else torch.float32):
            super().__init__(**arguments)
        self.out_type = out_type
        self.out_indices = self.resolve_indices(out_indices)
        self.init_cfg = init_cfg
        self.frozen = frozen
        self.lora = lora
        self.compute_dtype = DTYPES[dtype]
        self.is_init = not from_file
        self._hash: str | None = None
        self._is_shared = encoder is not None
        if encoder is not None:
            _share(encoder, self)
        elif from_file and frozen:
            weights = load_encoder(init_cfg["checkpoint"], dtype=self.dtype, **arguments)  # type: ignore[index]
            self.load_state_dict(weights.state_dict(), assign=True)
            self.is_init = True
        elif from_file:
            self.to_empty(device="cpu")
        if lora is not None:
            add_lora(self, **lora)
        elif frozen:
            self.requires_grad_(False)
        self.train(not frozen)
        self.register_state_dict_post_hook(_leave_encoder_out)  # type: ignore[no-untyped-call]
        self.register_load_state_dict_pre_hook(_check_reference)  # type: ignore[no-untyped-call]

    def init_weights(self) -> None:
        """Read the weights of an encoder that is to be tuned; a frozen one has them since it was built."""
        if not self.is_init:
            read_weights(self, self.init_cfg["checkpoint"])  # type: ignore[index]
        self.is_init = True

    @staticmethod
    def _checkpoint_filter(state: dict[str, Any], prefix: str, *_rest: object) -> None:
        """Give an official classifier the names of MMPretrain's models; they call this before they load anything."""
        if prefix + "head.weight" in state:
            for name in [name for name in state if name.startswith(prefix)]:
                official = name.removeprefix(prefix)
                new = MODEL_PREFIX + official if official.startswith(PARTS) else f"backbone.{official}"
                state[prefix + new] = state.pop(name)

    def get_layer_depth(self, param_name: str, prefix: str = "") -> tuple[int, int]:
        """Layer of a parameter, for learning rates that decay with depth, and the number of layers.

        Args:
            param_name: Name of a parameter of the model that the backbone is part of.
            prefix: What stands before the backbone's own names.

        Returns:
            0 for the embeddings, block index + 1 in a block, depth + 1 for all else; and depth + 2.
        """
        layers = self.depth + 2
        name = param_name.removeprefix(prefix)
        if not param_name.startswith(prefix):
            return layers - 1, layers
        if name.startswith("blocks."):
            return int(name.split(".")[1]) + 1, layers
        return 0, layers

    def train(self, mode: bool = True) -> "InternViTBackbone":
        """Set the mode; a frozen encoder stays in eval mode."""
        super().train(mode and not self.frozen)
        return self

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:  # type: ignore[override]
        """Map normalised images to features, one per ``out_indices``.

        Args:
            images: (B, in_chans, H, W).

        Returns:
            Maps (B, C, H/p, W/p) or, with ``out_type='raw'``, tokens (B, 1 + H/p * W/p, C), in fp32.
        """
        if not self.is_init:
            raise RuntimeError("The encoder has no weights yet: call init_weights() or load a checkpoint.")
        learns = not self.frozen or self.lora is not None
        # A frozen encoder's weights are rounded already; a CPU that cannot multiply bf16 computes in fp32.
        rounds = self.compute_dtype != self.dtype and (images.device.type != "cpu" or has_bf16_products())
        rounding = torch.autocast(images.device.type, self.compute_dtype) if rounds else contextlib.nullcontext()
        with torch.set_grad_enabled(torch.is_grad_enabled() and learns), rounding:
            return features(self, images)

    def _sha256(self) -> str:
        """Hash of the encoder; taken once, while it is frozen."""
        self._hash = self._hash or hash_encoder(self)
        return self._hash


def features(encoder: Any, images: Tensor) -> tuple[Tensor, ...]:
    """What a backbone gives of images, in fp32: maps, or tokens, as its ``out_type`` says.

    Args:
        encoder: With ``forward_intermediates``, ``out_indices`` and ``out_type``.
        images: (B, 3, H, W), normalised.
    """
    if encoder.out_type == "featmap":
        return tuple(maps.float() for maps in encoder.forward_intermediates(images, encoder.out_indices))
    pairs = encoder.forward_intermediates(images, encoder.out_indices, "NLC", return_prefix_tokens=True)
    return tuple(torch.cat([cls, patches], dim=1).float() for patches, cls in pairs)


def _share(encoder: InternViT, backbone: InternViTBackbone) -> None:
    """Let a backbone use an encoder's tensors.

    Raises:
        WrongEncoderError: It is of another architecture or dtype, or has adapters.
    """
    theirs = dict(encoder.named_parameters())
    for name, own in backbone.named_parameters():
        if name not in theirs or (name != "pos_embed" and theirs[name].shape != own.shape):
            found = tuple(theirs[name].shape) if name in theirs else "not there"
            raise WrongEncoderError(
                f"backbone.encoder is of another architecture: {name} is {found}, backbone.arch makes "
                f"{tuple(own.shape)}."
            )
    if extra := theirs.keys() - dict(backbone.named_parameters()).keys():
        raise WrongEncoderError(
            f"backbone.encoder has parameters that backbone.arch does not make, such as {min(extra)}."
        )
    if encoder.dtype != backbone.dtype:
        raise WrongEncoderError(f"backbone.encoder has {encoder.dtype}, but backbone.dtype is {backbone.dtype}.")
    for name, own in backbone.named_parameters():
        tensor = theirs[name].detach()
        if tensor.shape != own.shape:  # The position embedding of another image size.
            tensor = _pos_embed(encoder, backbone)
        assign_parameter(backbone, name, tensor)


def _pos_embed(encoder: InternViT, backbone: InternViTBackbone) -> Tensor:
    """The position embedding that a backbone would have read, as it stands in the file: resized once, not twice."""
    if backbone.init_cfg is None:
        return resize_pos_embed(encoder.pos_embed.detach(), encoder.grid_size, backbone.grid_size)
    file = EncoderFile.find(open_source(backbone.init_cfg["checkpoint"]))
    return file.tensor("pos_embed", backbone).to(encoder.pos_embed)


def _leave_encoder_out(module: InternViTBackbone, state: dict[str, Any], prefix: str, _metadata: object) -> None:
    """Replace a frozen encoder's weights in a state dict by a reference; adapters stay."""
    if not module.frozen or module.init_cfg is None or module.patch_embed.proj.weight.is_meta:
        return
    for name, _ in module.named_parameters():
        if not is_lora(name):
            del state[prefix + name]
    state[prefix + REFERENCE] = write_reference(str(module.init_cfg["checkpoint"]), module._sha256())


def _check_reference(module: InternViTBackbone, state: dict[str, Any], prefix: str, *_rest: object) -> None:
    """Compare the reference in a state dict with the encoder that is there, which then stands in for its weights.

    A position embedding of another image size is resized, and adapters of another strength are refused.
    """
    pos_embed = state.get(prefix + "pos_embed")
    if pos_embed is not None and pos_embed.shape != module.pos_embed.shape:
        side = math.isqrt(pos_embed.shape[1] - 1)
        state[prefix + "pos_embed"] = resize_pos_embed(pos_embed, (side, side), module.grid_size)
    alpha = state.get(prefix + "lora_alpha")
    if alpha is not None and module.lora is not None and not alpha.equal(own := module.get_buffer("lora_alpha").cpu()):
        raise WrongEncoderError(
            f"This checkpoint's adapters were trained with alpha = {int(alpha)}, but backbone.lora has {int(own)}. "
            f"Set backbone.lora.alpha={int(alpha)}."
        )
    known = module.frozen and (module.init_cfg is not None or module._is_shared)
    if known and prefix and not any(name.startswith(prefix) for name in state):
        # A file of a head alone, such as the official ones, is put on the encoder that the config reads.
        state.update({prefix + name: parameter.detach() for name, parameter in module.named_parameters()})
        return
    if prefix + REFERENCE not in state:
        if module._is_shared:
            raise WrongEncoderError(
                "This checkpoint holds an encoder of its own, which would replace the one that another model uses, "
                "too. Leave encoder= out."
            )
        module._hash = None
        module.is_init |= any(name.startswith(prefix + "blocks.") for name in state)
        return
    trained_on, sha256 = read_reference(state.pop(prefix + REFERENCE))
    if module.init_cfg is None:
        raise WrongEncoderError(
            f"This checkpoint holds heads trained on the frozen encoder {trained_on!r} and not the encoder "
            "itself. Set backbone.init_cfg=dict(type='Pretrained', checkpoint=...) in the config to read it."
        )
    if module.frozen and module._sha256() != sha256:
        there = f"the config reads {module.init_cfg['checkpoint']!r}"
        remedy = "Set backbone.init_cfg.checkpoint to the encoder it was trained on."
        if module._is_shared:
            there, remedy = "the shared one is another", "Leave encoder= out."
        raise WrongEncoderError(
            f"This checkpoint's heads were trained on the frozen encoder {trained_on!r} (SHA-256 {sha256[:12]}...), "
            f"but {there} ({module._sha256()[:12]}...). {remedy}"
        )
    module.init_weights()  # Of an encoder that is tuned from here on; a frozen one has them.
    for name, parameter in module.named_parameters():
        if not is_lora(name):
            state.setdefault(prefix + name, parameter.detach())
