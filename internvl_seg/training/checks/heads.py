"""Decode heads: whether they take a ViT's maps, and whether their outputs, classes and inputs fit each other."""

from collections.abc import Iterator
from typing import Any

from mmengine.config import Config

from ...encoder.releases import get_release
from .contradiction import Contradiction, listed, option, type_name
from .fields import check_own_fields

_COMPILED = "needs compiled operators of MMCV, which are not installed here"
_MMDET = "needs MMDetection, which is not installed here"
_OTHER_BACKBONE = "takes what {} gives in training, several maps of its branches, and not a list of maps"
# Heads of MMSegmentation that cannot be trained on the maps of a ViT, by what they need.
REFUSED = {
    "CCHead": _COMPILED,
    "PSAHead": _COMPILED,
    "PointHead": _COMPILED,
    "Mask2FormerHead": _MMDET,
    "MaskFormerHead": _MMDET,
    "DDRHead": _OTHER_BACKBONE.format("DDRNet"),
    "PIDHead": _OTHER_BACKBONE.format("PIDNet"),
    "LRASPPHead": "pools its last map by 49 x 49, and of 504 pixels a ViT's map has 36 x 36",
    "DPTHead": "takes pairs of a map and a CLS token, and InternViT gives maps",
    "SideAdapterCLIPHead": "takes the tokens of CLIP, and the text of class names",
    "VPDDepthHead": "estimates depth, and there are no masks of depth here",
}
# Heads that go on from the logits of another one, and where they can be.
REFINING = ("OCRHead", "PointHead")
_INSTEAD = "Take another head, such as UPerHead, SegformerHead or FCNHead."


def heads(config: Config) -> Iterator[tuple[str, dict[str, Any]]]:
    """The decode and auxiliary heads of a config, with their keys."""
    if isinstance(config.get("model"), dict):
        yield from listed(config, "model.decode_head")
        yield from listed(config, "model.auxiliary_head")


def is_refused(head: dict[str, Any]) -> bool:
    """Whether a head cannot be trained here at all."""
    return type_name(head) in REFUSED


def check_heads(config: Config) -> Iterator[Contradiction]:
    """Find heads that cannot be trained on the backbone's maps, or whose fields contradict each other.

    Args:
        config: The config.
    """
    cascade = "Cascade" in type_name(config.model)
    if isinstance(config.model.get("decode_head"), (list, tuple)) and not cascade:
        yield Contradiction(
            "model.decode_head",
            f"is a list, but model.type = {type_name(config.model)!r} has one head.",
            f"Set --cfg-options model.type=CascadeEncoderDecoder model.num_stages={len(config.model.decode_head)}.",
        )
    for key, head in heads(config):
        kind = type_name(head)
        if is_refused(head):
            yield Contradiction(f"{key}.type", f"= {kind!r}: it {REFUSED[kind]}.", _INSTEAD)
            continue
        if kind in REFINING and not cascade:
            yield Contradiction(
                f"{key}.type",
                f"= {kind!r}: it refines the logits of another head, and model.type = {type_name(config.model)!r} has "
                "one head.",
                "Set model.type='CascadeEncoderDecoder' and decode_head to a list of two, or take another head.",
            )
            continue
        if head.get("sampler") is not None:
            yield from check_own_fields(f"{key}.sampler", head["sampler"])
        yield from _check_outputs(key, head)
        yield from _check_inputs(config, key, head)


def outputs(head: dict[str, Any]) -> int | None:
    """How many channels the logits of a head have."""
    found = head.get("out_channels") or head.get("num_classes")
    return found if isinstance(found, int) else None


def _check_outputs(key: str, head: dict[str, Any]) -> Iterator[Contradiction]:
    classes, given = head.get("num_classes"), head.get("out_channels")
    threshold = head.get("threshold")
    if not isinstance(classes, int):
        return
    if classes == 1 and type_name(head) != "STDCHead":
        yield Contradiction(
            f"{key}.num_classes",
            "= 1: what is not the class is a class, too, the background.",
            f"Name it in the data set, and set {option(f'{key}.num_classes', 2)}.",
        )
    elif given == 1 and classes > 2:
        yield Contradiction(
            f"{key}.out_channels",
            f"= 1 tells two classes from each other, but num_classes = {classes}.",
            f"Set {option(f'{key}.out_channels', None)} for as many outputs as classes.",
        )
    elif given not in (None, 1, classes):
        yield Contradiction(
            f"{key}.out_channels",
            f"= {given}, but num_classes = {classes}.",
            f"Set {option(f'{key}.out_channels', None)} for as many outputs as classes.",
        )
    if threshold is not None and given != 1 and classes != 1:
        yield Contradiction(
            f"{key}.threshold",
            f"= {threshold}, but it has an output for each class, of which the highest is taken: nothing reads it.",
            f"Set {option(f'{key}.threshold', None)}, or out_channels=1 with a loss of sigmoids.",
        )
    elif threshold is not None and not 0 < threshold < 1:
        yield Contradiction(
            f"{key}.threshold",
            f"= {threshold}: a probability is compared with it, so it is between 0 and 1.",
            f"Set {option(f'{key}.threshold', 0.5)}.",
        )


def _maps(config: Config) -> tuple[int, int | None] | None:
    """How many maps the heads get, and their channels if all have the same; None if that is not known."""
    backbone, neck = config.model.get("backbone"), config.model.get("neck")
    if not isinstance(backbone, dict) or type_name(backbone) != "InternViT":
        return None
    arch = backbone.get("arch")
    try:
        width = (
            get_release(arch).arguments()["embed_dim"] if isinstance(arch, str) else dict(arch or {}).get("embed_dim")
        )
    except ValueError:
        return None
    count = len(backbone.get("out_indices", (-1,)))
    if neck is not None and type_name(neck) != "FeaturePyramid":
        return None
    return count, width


def _check_inputs(config: Config, key: str, head: dict[str, Any]) -> Iterator[Contradiction]:
    """Compare the maps that a head reads with those that it gets."""
    found = _maps(config)
    if found is None:
        return
    count, width = found
    index, channels = head.get("in_index", -1), head.get("in_channels")
    indices = [index] if isinstance(index, int) else list(index)
    wrong = [i for i in indices if not -count <= i < count]
    if wrong:
        mended = [min(max(i, -count), count - 1) for i in indices]
        yield Contradiction(
            f"{key}.in_index",
            f"= {index}, but model.backbone.out_indices = {config.model.backbone.get('out_indices', (-1,))} gives "
            f"{count} map{'s' * (count > 1)}: there is no {wrong[0]}.",
            f"Set {option(f'{key}.in_index', mended[0] if isinstance(index, int) else mended)}, or give more maps.",
        )
    widths = [channels] if isinstance(channels, int) else list(channels or [])
    if width is not None and any(w != width for w in widths):
        yield Contradiction(
            f"{key}.in_channels",
            f"= {channels}, but the maps of model.backbone have {width} channels (embed_dim).",
            f"Set {option(f'{key}.in_channels', width if isinstance(channels, int) else [width] * len(widths))}.",
        )
