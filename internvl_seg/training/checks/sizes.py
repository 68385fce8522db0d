"""Sizes that a model computes in: of batches, and of the windows of a test."""

from collections.abc import Iterator
from typing import Any

from mmengine.config import Config

from ...encoder.releases import get_release
from .contradiction import Contradiction, option, type_name


def check_sizes(config: Config, action: str) -> Iterator[Contradiction]:
    """Find sizes that are no whole patches, and windows that are not described or leave pixels out.

    Args:
        config: The config.
        action: 'train' or 'test', which is to be done with it.
    """
    key = "model.data_preprocessor"
    for field in ("size", "test_cfg.size"):
        found: Any = config.model.get("data_preprocessor") or {}
        for part in field.split("."):
            found = (found or {}).get(part)
        yield from _check_patches(config, f"{key}.{field}", found)
    yield from _check_padding(config, action)
    test = config.model.get("test_cfg") or {}
    mode = test.get("mode", "whole")
    if mode not in ("whole", "slide"):
        near = "slide" if str(mode).startswith("s") else "whole"
        yield Contradiction(
            "model.test_cfg.mode",
            f"= {mode!r}: expected whole or slide.",
            f"Set {option('model.test_cfg.mode', near)}.",
        )
    if mode != "slide":
        return
    for field in ("crop_size", "stride"):
        if field not in test:
            yield Contradiction(
                f"model.test_cfg.{field}",
                "is missing, but mode = 'slide' tests windows.",
                f"Set {option(f'model.test_cfg.{field}', [504, 504] if field == 'crop_size' else [336, 336])}.",
            )
    if "crop_size" in test and "stride" in test:
        yield from _check_patches(config, "model.test_cfg.crop_size", test["crop_size"])
        if any(step > side for step, side in zip(test["stride"], test["crop_size"], strict=True)):
            yield Contradiction(
                "model.test_cfg.stride",
                f"= {test['stride']} is more than crop_size = {test['crop_size']}: pixels between windows are in none.",
                f"Set {option('model.test_cfg.stride', test['crop_size'])} or less.",
            )


def _check_padding(config: Config, action: str) -> Iterator[Contradiction]:
    """Find a preprocessor that cannot tell to which size it is to pad."""
    own = config.model.get("data_preprocessor")
    key, node = ("model.data_preprocessor", own) if own else ("data_preprocessor", config.get("data_preprocessor"))
    places: list[tuple[str, Any]] = [(f"{key}.test_cfg", (node or {}).get("test_cfg") or {})]
    places += [(key, node or {})] if action == "train" else []
    for where, sizes in places if type_name(node or {}) == "SegDataPreProcessor" else ():
        size, divisor = sizes.get("size"), sizes.get("size_divisor")
        if size is not None and divisor is not None:
            yield Contradiction(
                f"{where}.size_divisor",
                f"= {divisor}, but there is size = {size}, too: batches are padded to one or the other.",
                f"Set {option(f'{where}.size_divisor', None)} for batches of one size.",
            )
        elif size is None and divisor is None and (where == key or sizes):
            patch = patch_size(config)
            yield Contradiction(
                f"{where}.size",
                "is missing, and there is no size_divisor: one of them says to which size batches are padded.",
                f"Set {option(f'{where}.size_divisor', patch or 32)}, or the size of all images.",
            )


def _check_patches(config: Config, key: str, size: tuple[int, int] | None) -> Iterator[Contradiction]:
    patch = patch_size(config)
    if size is not None and patch is not None and any(side % patch for side in size):
        yield Contradiction(
            key,
            f"= {size}, but the model's patches have {patch} x {patch} pixels, and both sides are whole patches.",
            f"Set {option(key, [-(-side // patch) * patch for side in size])}.",
        )


def patch_size(config: Config) -> int | None:
    """The side of a patch of the encoder in pixels.

    Args:
        config: The config.

    Returns:
        It; None if that is not known.
    """
    backbone = config.model.get("backbone")
    if not isinstance(backbone, dict) or type_name(backbone) != "InternViT":
        return None
    arch = backbone.get("arch")
    try:
        found = get_release(arch).arguments() if isinstance(arch, str) else dict(arch or {})
    except ValueError:
        return None
    return int(found.get("patch_size", 14))
