"""Any ViT of timm as a frozen backbone of MMEngine configs, to stand beside InternViT under one protocol."""

import difflib
import inspect
from collections.abc import Sequence
from typing import Any, Literal

import timm
import torch
import torch.nn.functional as F
from mmengine.registry import MODELS
from timm.layers.patch_embed import PatchEmbed
from torch import Tensor, nn

from ..checkpoints.errors import HubUnavailableError
from ..checkpoints.reference import REFERENCE, WrongEncoderError, hash_parameters, read_reference, write_reference
from ..common.kinds import Kind, check_arguments, flag, integer, text, whole, whole_numbers
from ..encoder.intern_vit import resolve_indices
from ..encoder.linear import Conv2d
from ..encoder.position import EXTRA_BANDS, RGB, widen_patch_embed
from ..encoder.releases import building, drawing
from .backbone import features
from .encoder_options import DTYPES, OUT_TYPES, check_init_cfg, warn_of_unread_bands
from .timm_config import base_name
from .timm_weights import cast_weights, read_timm_weights

# How the images of all configs come, on the scale of 0 to 1: ImageNet's mean and standard deviation.
_MEAN = (0.485, 0.456, 0.406)
_STD = (0.229, 0.224, 0.225)
HUB = "hub"
_KINDS: dict[str, Kind] = {"arch": text, "out_indices": whole_numbers, "norm": flag, "seed": integer, "in_chans": whole}


def _create(arch: str, pretrained: bool, in_chans: int = RGB, extra_bands: str = "zero") -> Any:
    """Build a ViT of timm without a classifier.

    timm would repeat and scale what it downloads for other bands than RGB; it is widened as all weights are here.

    Raises:
        ValueError: timm has no such model, or it is no ViT.
        HubUnavailableError: Its weights cannot be had.
    """
    name = arch.removeprefix("timm/")
    if not timm.is_model(name.partition(".")[0]):
        near = difflib.get_close_matches(name, timm.list_models(), n=5)
        raise ValueError(f"backbone.arch={arch!r} is no model of timm {timm.__version__}; near it are: {near}.")
    try:
        model: Any = timm.create_model(
            name, pretrained=pretrained, num_classes=0, dynamic_img_size=True, in_chans=RGB if pretrained else in_chans
        )
    except TypeError as error:
        raise ValueError(f"backbone.arch={arch!r} takes images of one size only; choose a ViT.") from error
    except Exception as error:
        if not pretrained:
            raise
        raise HubUnavailableError(
            f"The weights of timm's {name!r} cannot be downloaded ({error}). Connect, set HF_ENDPOINT to a mirror, or "
            "download them elsewhere and set backbone.init_cfg.checkpoint to the file."
        ) from error
    plain = "return_prefix_tokens" in inspect.signature(model.forward_intermediates).parameters
    # A hybrid's patches are those of a convolutional network's maps, whose size it does not tell.
    if not plain or not isinstance(model.patch_embed, PatchEmbed):
        raise ValueError(f"backbone.arch={arch!r} is no plain ViT: it has no tokens of one grid after every block.")
    _replace_proj(model, in_chans, extra_bands)
    return model


def _replace_proj(model: Any, in_chans: int, extra_bands: str) -> None:
    """Give a model of timm a patch embedding of so many bands, in which the first three are a sum of their own."""
    own = model.patch_embed.proj
    if in_chans == RGB or type(own) is not nn.Conv2d:
        return
    with torch.device("meta"):
        sides: Any = {"kernel_size": own.kernel_size, "stride": own.stride}
        new = Conv2d(in_chans, own.out_channels, bias=own.bias is not None, **sides)
    new.weight = nn.Parameter(widen_patch_embed(own.weight.detach(), in_chans, extra_bands))
    if own.bias is not None:
        new.bias = own.bias
    model.patch_embed.proj = new


@MODELS.register_module()
class TimmViT(nn.Module):
    """A frozen ViT of timm that gives a tuple of feature maps, as ``InternViT`` does.

    Images come as all configs normalise them; where the model was trained with another mean and deviation they are
    changed to these. A side that is no multiple of the model's patch is resized to the nearest one, so that models of
    other patches stand in the same config: maps then cover the whole image with fewer patches, or more.
    Threads may share it.

    Args:
        arch: Name of timm's model, with or without ``timm/``, such as ``vit_small_patch14_dinov2.lvd142m``.
        out_indices: Blocks whose patch tokens are given, from 0; negative ones count from the last.
        frozen: True.
        dtype: 'float32', 'bfloat16' or 'float16', of weights and computation; the maps are fp32 always.
        out_type: 'featmap' for the maps of the patches, or 'raw' for tokens: the CLS token (of a model without one, the
            mean of the patches) and the patches.
        norm: Whether the model's last norm is applied to every map, as DINOv2's evaluations do.
        init_cfg: None for random weights, or ``dict(type='Pretrained', checkpoint=...)`` with a file or folder, as
            :func:`internvl_seg.load_encoder` takes it, or ``'hub'`` for the weights that timm downloads.
        seed: Of random weights, which are the same whenever and wherever the model is built.
        in_chans: Bands of an image. Weights of RGB are made to fit them
            (:func:`internvl_seg.encoder.position.widen_patch_embed`); the first three are normalised as RGB is.
        extra_bands: What bands after the third get of such weights: 'zero' or 'mean'.

    Raises:
        ValueError: An argument is not among the allowed values.
        CheckpointError: The weights could not be read.
    """

    # Of any size: what is no multiple of the patch is resized here, not padded before.
    patch_size = 1

    def __init__(
        self,
        arch: str,
        out_indices: Sequence[int] = (-1,),
        frozen: bool = True,
        dtype: str = "float32",
        norm: bool = False,
        out_type: str = "featmap",
        init_cfg: dict[str, Any] | None = None,
        seed: int = 0,
        in_chans: int = RGB,
        extra_bands: str = "zero",
    ) -> None:
        super().__init__()
        if extra_bands not in EXTRA_BANDS:
            raise ValueError(f"extra_bands={extra_bands!r} is not known; choose one of {', '.join(EXTRA_BANDS)}.")
        if not isinstance(dtype, str) or dtype not in DTYPES:
            raise ValueError(f"backbone.dtype={dtype!r} is not known; choose one of {', '.join(DTYPES)}.")
        if out_type not in OUT_TYPES:
            raise ValueError(f"backbone.out_type={out_type!r} is not known; choose one of {', '.join(OUT_TYPES)}.")
        if not frozen:
            raise ValueError("backbone.frozen=False: a TimmViT is a frozen backbone; use 'InternViT' to tune.")
        check_init_cfg(init_cfg)
        check_arguments(_KINDS, locals())
        source = None if init_cfg is None or torch.get_default_device().type == "meta" else init_cfg["checkpoint"]
        # In fp32 first: timm resizes position embeddings when it reads weights.
        with building(None, torch.float32), drawing(seed):
            self.model = _create(arch, source == HUB, in_chans, extra_bands)
        if source not in (None, HUB):
            read_timm_weights(self.model, source, arch, extra_bands)
        warn_of_unread_bands(self.model.patch_embed.proj.weight, source is not None)
        self.model.requires_grad_(False).eval()
        cast_weights(self.model, DTYPES[dtype], arch if source in (None, HUB) else source)
        self.arch = arch
        self.init_cfg = init_cfg
        self.frozen = True
        self.norm = norm
        self.out_type = out_type
        self.embed_dim = int(self.model.embed_dim)
        self.depth = len(self.model.blocks)
        self.out_indices = self.resolve_indices(out_indices)
        self._patch = tuple(self.model.patch_embed.patch_size)
        mean, std = (torch.tensor(self.model.pretrained_cfg[name]) for name in ("mean", "std"))
        # From images normalised by ImageNet's to those that the model was trained on.
        self._scale = _of_bands(torch.tensor(_STD) / std, in_chans, 1)
        self._shift = _of_bands((torch.tensor(_MEAN) - mean) / std, in_chans, 0)
        self.register_state_dict_post_hook(_leave_out)  # type: ignore[no-untyped-call]
        self.register_load_state_dict_pre_hook(_check)  # type: ignore[no-untyped-call]

    def config_values(self) -> dict[str, Any]:
        """What decides what it gives of the same weights, by the names of a config's values."""
        return {"arch": base_name(self.arch), "norm": self.norm, "out_indices": tuple(self.out_indices)}

    def train(self, mode: bool = True) -> "TimmViT":
        """Stay in eval mode."""
        return super().train(False)

    def resolve_indices(self, indices: Sequence[int]) -> list[int]:
        """Turn block indices, negative ones counted from the end, into the range 0 to depth - 1.

        Raises:
            ValueError: There are none, or one lies outside the encoder.
        """
        return resolve_indices(indices, self.depth)

    def _prepare(self, images: Tensor) -> Tensor:
        """Images of whole patches, normalised as the model wants them."""
        size = [max(round(side / patch), 1) * patch for side, patch in zip(images.shape[-2:], self._patch, strict=True)]
        if size != list(images.shape[-2:]):
            images = F.interpolate(images, size, mode="bilinear", antialias=True)
        images = images * self._scale.to(images) + self._shift.to(images)
        return images.to(next(self.model.parameters()).dtype)

    @torch.no_grad()
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
            images: (B, in_chans, H, W), RGB normalised by ImageNet's mean and deviation, of any size.
            indices: Blocks to tap, counted from 0; negative ones count from the last block.
            output_fmt: 'NCHW' for maps, 'NLC' for tokens.
            return_prefix_tokens: Whether to give the CLS token, too; of a model without one, the mean of the patches.

        Returns:
            One tensor per index, in the order of ``indices``: (B, C, h, w) or (B, h w, C). With
            ``return_prefix_tokens`` each is a pair with the CLS token, (B, 1, C). Registers are left out.
        """
        wanted = self.resolve_indices(indices)
        unique = sorted(set(wanted))
        found = self.model.forward_intermediates(
            self._prepare(images),
            unique,
            return_prefix_tokens=True,
            norm=self.norm,
            stop_early=True,
            output_fmt=output_fmt,
            intermediates_only=True,
        )
        # timm leaves the prefix out of models that have none.
        pairs = [entry if isinstance(entry, tuple) else (entry, None) for entry in found]
        maps = {i: patches for i, (patches, _) in zip(unique, pairs, strict=True)}
        if not return_prefix_tokens:
            return [maps[i] for i in wanted]
        has_cls = getattr(self.model, "cls_token", None) is not None
        prefixes = {
            i: prefix[:, :1] if has_cls else _mean(patches, output_fmt)
            for i, (patches, prefix) in zip(unique, pairs, strict=True)
        }
        return [(maps[i], prefixes[i]) for i in wanted]

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Map normalised images (B, in_chans, H, W) to fp32 maps (B, C, h, w), or tokens (B, 1 + h w, C)."""
        return features(self, images)


def _of_bands(values: Tensor, in_chans: int, rest: float) -> Tensor:
    """Values of red, green and blue as those of so many bands, (in_chans, 1, 1): of fewer than three their mean."""
    if in_chans < RGB:
        return values.mean().expand(in_chans).reshape(-1, 1, 1)
    return torch.cat([values, torch.full((in_chans - RGB,), rest)]).view(-1, 1, 1)


def _mean(patches: Tensor, output_fmt: str) -> Tensor:
    """Mean of all patches, (B, 1, C)."""
    return patches.flatten(2).mean(2)[:, None] if output_fmt == "NCHW" else patches.mean(1, keepdim=True)


def _leave_out(module: TimmViT, state: dict[str, Any], prefix: str, _metadata: object) -> None:
    """Replace weights that are in a file by a reference."""
    if module.init_cfg is None or next(module.parameters()).is_meta:
        return
    for name in [name for name in state if name.startswith(f"{prefix}model.")]:
        del state[name]
    state[prefix + REFERENCE] = write_reference(str(module.init_cfg["checkpoint"]), hash_parameters(module))


def _check(module: TimmViT, state: dict[str, Any], prefix: str, *_rest: object) -> None:
    """Compare the reference in a state dict with the encoder that is there, which then stands in for its weights."""
    if prefix + REFERENCE not in state:
        return
    told = read_reference(state.pop(prefix + REFERENCE))
    if told.sha256 != (own := hash_parameters(module)):
        raise WrongEncoderError(
            f"This checkpoint's heads were trained on the frozen encoder {told.checkpoint!r} (SHA-256 "
            f"{told.sha256[:12]}...), but the config reads {(module.init_cfg or {}).get('checkpoint')!r} "
            f"({own[:12]}...). Set backbone.init_cfg.checkpoint to the encoder it was trained on."
        )
    for name, tensor in [*module.named_parameters(), *module.named_buffers()]:
        state.setdefault(prefix + name, tensor.detach())
