"""``InternViT`` as a backbone of MMEngine configs."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar
from typing import Any

import torch
from mmengine.device import get_device
from mmengine.registry import MODELS
from torch import Tensor

from ..checkpoints import load_encoder
from ..checkpoints.classifier import MODEL_PREFIX, PARTS
from ..checkpoints.loading import assign_parameter, check_overrides, give_memory, read_weights
from ..checkpoints.reference import hash_encoder, hash_file
from ..common.kinds import short
from ..encoder import InternViT, get_release
from ..encoder.compiling import compile_blocks
from ..encoder.cpu import has_bf16_products
from ..encoder.intern_vit import Size
from ..encoder.kernel_table import choose_compile
from ..encoder.lora import add_lora
from ..encoder.position import RGB
from ..encoder.quantization import check_quantization, quantize_encoder
from ..encoder.releases import building, drawing
from .encoder_options import DTYPES, OUT_TYPES, check_init_cfg, warn_of_unread_bands
from .encoder_reference import check_reference, leave_encoder_out
from .shared_encoder import share

_READ_LATER = ContextVar("_READ_LATER", default=False)


@contextmanager
def reading_weights_later() -> Iterator[None]:
    """Backbones that are built within this draw no random weights: a checkpoint with all of them is read next.

    Of 5.9 billion weights that takes minutes.
    """
    token = _READ_LATER.set(True)
    try:
        yield
    finally:
        _READ_LATER.reset(token)


@MODELS.register_module(name="InternViT")
class InternViTBackbone(InternViT):
    """An InternViT that gives a tuple of feature maps, registered as ``InternViT`` in MMEngine's root registry.

    A frozen encoder has no gradient and no drop path, stays in eval mode when the model is put in training mode, runs
    no block after the last tapped one, is read when the model is built, and is left out of checkpoints: they hold a
    reference (where it came from and a hash) that is compared when they are loaded. With ``lora`` that is so, too,
    but for adapters that are trained and saved.

    Threads may share it in eval mode, in which a frozen one always is, as they may an :class:`InternViT`.

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
        compiled: Whether to compile each block (``torch.compile``); 'auto' asks the table of kernels.
        out_type: 'featmap' for the maps of the patches, or 'raw' for all tokens, the CLS token first, as MMPretrain's
            heads take them.
        quantization: For inference with a frozen encoder: weights of fewer bits, 'int8', 'int4' or 'int8_dynamic', as
            in :func:`internvl_seg.encoder.quantize_encoder`; as they are if None.
        blocks_in_memory: For inference with a frozen encoder in little memory: how many blocks are kept there; the
            others are read from the file of ``init_cfg`` each time they are needed. All if None.
        encoder: A frozen encoder in memory whose weights are used instead of read, and not copied: of the same
            architecture and dtype. The position embedding of another ``img_size`` is read from ``init_cfg``.
        lora: Adapters for a frozen encoder, ``dict(rank=...)`` with the other arguments of
            :func:`internvl_seg.encoder.lora.add_lora` as wanted; none if None.
        init_cfg: None for random weights, or ``dict(type='Pretrained', checkpoint=...)`` with anything that
            :func:`internvl_seg.load_encoder` takes.
        seed: Of a frozen encoder's random weights, which are the same whenever and wherever it is built. Those of a
            tuned one are drawn as PyTorch draws: a run's seed is theirs.
        in_chans: Bands of an image; the architecture's if None. Weights of RGB are made to fit them
            (:func:`internvl_seg.encoder.position.widen_patch_embed`).
        extra_bands: What bands after the third get of such weights: 'zero' or 'mean'; the architecture's if None.

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
        compiled: bool | str = False,
        out_type: str = "featmap",
        quantization: str | None = None,
        blocks_in_memory: int | None = None,
        encoder: InternViT | None = None,
        lora: dict[str, Any] | None = None,
        init_cfg: dict[str, Any] | None = None,
        seed: int = 0,
        in_chans: int | None = None,
        extra_bands: str | None = None,
    ) -> None:
        if not isinstance(dtype, str) or dtype not in DTYPES:
            raise ValueError(f"backbone.dtype={dtype!r} is not known; choose one of {', '.join(DTYPES)}.")
        if out_type not in OUT_TYPES:
            raise ValueError(f"backbone.out_type={out_type!r} is not known; choose one of {', '.join(OUT_TYPES)}.")
        check_init_cfg(init_cfg)
        if lora is not None and not frozen:
            raise ValueError(f"backbone.lora={lora} adapts a frozen encoder: set backbone.frozen=True.")
        if encoder is not None and (not frozen or lora is not None):
            raise ValueError("backbone.encoder is shared, so it may not be tuned: set frozen=True and leave lora out.")
        if compiled not in (True, False, "auto") or (compiled is True and (quantization or blocks_in_memory)):
            raise ValueError(
                f"backbone.compiled={compiled!r} is not possible; use True, False or 'auto', and with quantization or "
                "blocks_in_memory not True."
            )
        check_quantization(quantization)
        for name, value in (("quantization", quantization), ("blocks_in_memory", blocks_in_memory)):
            if value is not None and (not frozen or lora is not None or init_cfg is None):
                raise ValueError(
                    f"backbone.{name}={value!r} is for inference with weights from a file: set frozen=True, leave lora "
                    "out, and set init_cfg=dict(type='Pretrained', checkpoint=...), which may name a whole segmentor."
                )
        if not isinstance(arch, (str, Mapping)):
            raise ValueError(
                f"backbone.arch={short(arch)} is neither a name of list_encoders() nor a dict of arguments."
            )
        arguments = get_release(arch).arguments() if isinstance(arch, str) else dict(arch)
        arguments |= {"drop_path_rate": drop_path_rate, "attention": attention, "grad_checkpointing": with_cp}
        if img_size is not None:
            arguments["img_size"] = img_size
        beside = {"in_chans": in_chans, "extra_bands": extra_bands}
        arguments |= {name: value for name, value in beside.items() if value is not None}
        arguments.setdefault("in_chans", RGB)
        check_overrides(arguments)
        # Weights that a file holds need not be drawn first. A model built on the meta device is only looked at.
        drawn = encoder is None and init_cfg is None and not _READ_LATER.get()
        from_file = not drawn and encoder is None and torch.get_default_device().type != "meta"
        random = drawing(seed) if drawn and frozen else nullcontext()
        with building(None if drawn else "meta", DTYPES[dtype] if frozen else torch.float32), random:
            super().__init__(**arguments)
        self.quantization = quantization
        self.out_type = out_type
        self.out_indices = self.resolve_indices(out_indices)
        self.init_cfg = init_cfg
        self.frozen = frozen
        self.lora = lora
        self.compute_dtype = DTYPES[dtype]
        self.is_init = not from_file
        self.encoder_hash: str | None = None
        self.is_shared = encoder is not None
        if encoder is not None:
            share(encoder, self)
        elif from_file and frozen and init_cfg is not None:
            weights = load_encoder(
                init_cfg["checkpoint"],
                dtype=self.dtype,
                quantization=quantization,
                blocks_in_memory=blocks_in_memory,
                **arguments,
            )
            self.blocks = weights.blocks
            self.stored_embeddings = weights.stored_embeddings
            for name, parameter in weights.named_parameters():
                assign_parameter(self, name, parameter)
            self.is_init = True
        elif from_file:
            give_memory(self, self.dtype)
        elif quantization is not None:
            quantize_encoder(self, quantization)
        warn_of_unread_bands(self.patch_embed.proj.weight, frozen and not drawn)
        if compiled == "auto":
            compiled = self.has_all_weights and choose_compile(get_device(), self.compute_dtype)
        if compiled:
            compile_blocks(self)
        if lora is not None:
            add_lora(self, **lora)
        elif frozen:
            self.requires_grad_(False)
        self.train(not frozen)
        # PyTorch leaves both untyped.
        self.register_state_dict_post_hook(leave_encoder_out)  # type: ignore[no-untyped-call]
        self.register_load_state_dict_pre_hook(check_reference)  # type: ignore[no-untyped-call]

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
        # Each weight is used once, so a cache of rounded ones would only keep them: 11 GB of a 6B encoder.
        rounding = (
            torch.autocast(images.device.type, self.compute_dtype, cache_enabled=False) if rounds else nullcontext()
        )
        with torch.set_grad_enabled(torch.is_grad_enabled() and learns), rounding:
            return features(self, images)

    def config_values(self) -> dict[str, Any]:
        """What decides what it gives of the same weights, by the names of a config's values."""
        return {"num_heads": self.num_heads, "norm_eps": self.norm_eps, "out_indices": tuple(self.out_indices)}

    def sha256(self) -> str:
        """Hash of the encoder; taken once, while it is frozen."""
        if self.encoder_hash is None and not self.has_all_weights and self.init_cfg is not None:
            self.encoder_hash = hash_file(self.init_cfg["checkpoint"], self)
        self.encoder_hash = self.encoder_hash or hash_encoder(self)
        return self.encoder_hash


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


def non_finite_advice(model: Any) -> str:
    """What to do about a model whose predictions hold NaN or infinity.

    Args:
        model: A model with a backbone, or a wrapper of one.
    """
    while hasattr(model, "module"):
        model = model.module
    if getattr(getattr(model, "backbone", None), "compute_dtype", None) is torch.float16:
        return "float16 overflows beyond 65504: set model.backbone.dtype='bfloat16', which has the range of float32."
    return "Look at the checkpoint's weights and at the values of the picture."
