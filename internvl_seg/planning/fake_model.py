"""A config's model and a batch for it, on tensors without data."""

from typing import Any

import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.structures import PixelData
from mmpretrain.structures import DataSample
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample

from ..encoder.block import Attention
from ..encoder.position import RGB
from ..segmentation.backbone import InternViTBackbone
from ..training.checks.bands import bands_of
from ..training.config import ConfigError, is_segmentation, walk


def build_meta(config: Config) -> Any:
    """A config's model on the meta device: shapes and dtypes; no weights are read."""
    init_default_scope(config.get("default_scope", "mmseg"))
    with torch.device("meta"):
        return MODELS.build(config.model)


def materialise(model: Any, device: str, with_cp: bool) -> None:
    """Give a model of :func:`build_meta` fake tensors and put it in training mode, within :func:`fake_tensors`.

    Args:
        model: The model; changed in place.
        device: 'cpu' or 'cuda'.
        with_cp: Whether the encoder's blocks are recomputed.
    """
    if isinstance(model.backbone, InternViTBackbone):
        model.backbone.grad_checkpointing = with_cp
    for module in model.modules():
        # All kernels for GPUs are fused, and hold the same: queries, keys, values, result and a sum per query.
        if isinstance(module, Attention) and device == "cuda" and module.kernel != "plain":
            module.kernel = "sdpa"
    model.to_empty(device=device)
    model.data_preprocessor.to(device)
    model.train()


def image_size(config: Config) -> tuple[int, int]:
    """Height and width of the images of a training.

    Raises:
        ConfigError: The config does not tell.
    """
    size = config.model.get("data_preprocessor", config.get("data_preprocessor", {})).get("size")
    if size is None:
        for _, node in walk(config.train_dataloader.to_dict()):
            if node.get("type") in ("RandomCrop", "CenterCrop"):
                size = node["crop_size"]
            elif node.get("type") in ("RandomResizedCrop", "Resize"):
                size = node["scale"]
    if size is None:
        raise ConfigError(
            f"{config.filename}: no size of the images in training: model.data_preprocessor.size is missing, and no "
            "step of train_dataloader.dataset.pipeline crops or resizes. Set model.data_preprocessor.size."
        )
    height, width = (size, size) if isinstance(size, int) else size
    return height, width


def batch(config: Config) -> dict[str, Any]:
    """What a data loader of the config gives: images of one size and their labels."""
    count, size = config.train_dataloader.batch_size, image_size(config)
    channels = bands_of(config.model.get("backbone")) or RGB
    images = list(torch.zeros(count, channels, *size, dtype=torch.uint8).unbind())
    if not is_segmentation(config):
        return {"inputs": torch.stack(images), "data_samples": [DataSample().set_gt_label(0) for _ in images]}
    meta = {"img_shape": size, "ori_shape": size, "pad_shape": size}
    masks = [PixelData(data=torch.zeros(1, *size, dtype=torch.int64)) for _ in images]
    return {"inputs": images, "data_samples": [SegDataSample(gt_sem_seg=mask, metainfo=meta) for mask in masks]}
