"""BatchNorm over a single value, which has no variance."""

from collections.abc import Iterator
from typing import Any

from mmengine.config import Config

from .contradiction import Contradiction, option, type_name
from .heads import heads

# Heads that normalise a map pooled to 1 x 1, and the field that says so; None if they always do.
POOLING: dict[str, str | None] = {
    "PSPHead": "pool_scales",
    "UPerHead": "pool_scales",
    "APCHead": "pool_scales",
    "ASPPHead": None,
    "DepthwiseSeparableASPPHead": None,
}
_NORMS = ("BN", "BN2d", "SyncBN", "MMSyncBN")


def normalises_one_value(head: dict[str, Any]) -> bool:
    """Whether a head's BatchNorm sees one value of each image."""
    kind = type_name(head)
    if kind not in POOLING or type_name(head.get("norm_cfg") or {}) not in _NORMS:
        return False
    field = POOLING[kind]
    return field is None or 1 in head.get(field, (1, 2, 3, 6))


def check_batch(config: Config, world_size: int) -> Iterator[Contradiction]:
    """Find batches of one image for a BatchNorm that has nothing but the batch to take statistics over.

    Args:
        config: The config.
        world_size: Processes, over all of which statistics are taken.
    """
    loader = config.get("train_dataloader") or {}
    if loader.get("batch_size") == 1 and world_size == 1 and (where := of_one_value(config)):
        yield Contradiction(
            "train_dataloader.batch_size",
            f"= 1, but {where}: statistics of one value do not exist.",
            f"Set {option('train_dataloader.batch_size', 2)} or more, or train on several processes.",
        )


def of_one_value(config: Config) -> str | None:
    """Where a model's BatchNorm sees one value of each image, in words; None if it sees more."""
    for key, head in heads(config):
        if normalises_one_value(head):
            return f"{key} ({type_name(head)}) has a BatchNorm over maps of 1 x 1"
    classifier = config.model.get("head") if isinstance(config.get("model"), dict) else None
    if isinstance(classifier, dict) and type_name(classifier) == "InternViTClsHead":
        return "model.head (InternViTClsHead) has a BatchNorm over one vector an image"
    return None
