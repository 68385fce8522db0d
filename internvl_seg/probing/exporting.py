"""Heads of a study as checkpoints and configs that other tools read."""

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from torch import Tensor, nn

from ..checkpoints.classifier import MODEL_PREFIX
from ..data.writing import whole_file
from ..training.config import is_segmentation, python_text
from ..training.results import versions
from .features import norm_eps
from .frozen_encoder import FrozenEncoder
from .head_spec import HeadSpec
from .module_heads import upernet_parts


def head_config(config: Config, encoder: FrozenEncoder, spec: HeadSpec, num_classes: int) -> Config:
    """The config of a study with one of its heads as the model.

    Args:
        config: Of the study.
        encoder: Of the head.
        spec: The head.
        num_classes: Of image labels; a segmentor's stand in the config.
    """
    cut = copy.deepcopy(config)
    # It is trained: what a runner would train it with, and would want all of, goes.
    for name in ("probe", "train_dataloader", "train_cfg", "optim_wrapper", "param_scheduler", "val_cfg"):
        cut.pop(name, None)
    cut.setdefault("test_dataloader", cut.pop("val_dataloader"))
    segments = is_segmentation(config)
    metric = {"type": "SegmentationMetric", "iou_metrics": ["mIoU"]} if segments else {"type": "Accuracy"}
    evaluator = cut.pop("val_evaluator", metric)
    cut.setdefault("test_evaluator", evaluator)
    cut.setdefault("test_cfg", {"type": "TestLoop"})
    cut.model.backbone = {**encoder.config, "out_indices": spec.blocks}
    if not segments:
        return _classifier_config(cut, encoder, spec, num_classes)
    for name in ("neck", "auxiliary_head"):
        cut.model.pop(name, None)
    if spec.kind == "upernet":
        cut.model.update(upernet_parts(encoder.embed_dim, config.model.decode_head, spec.channels))
        return cut
    several = len(spec.blocks) > 1
    head = dict(config.model.decode_head) | {
        "type": "MLPHead" if spec.kind == "mlp" else "LinearHead",
        "in_channels": [encoder.embed_dim] * len(spec.blocks) if several else encoder.embed_dim,
        "in_index": list(range(len(spec.blocks))) if several else -1,
    }
    if spec.kind == "mlp":
        head["hidden_channels"] = spec.channels
    cut.model.decode_head = head
    return cut


def _classifier_config(cut: Config, encoder: FrozenEncoder, spec: HeadSpec, num_classes: int) -> Config:
    several = len(spec.blocks) > 1
    cut.model.type = "ImageClassifier"
    cut.model.backbone.out_type = "raw"
    cut.model.head = {
        "type": "InternViTClsHead",
        "num_classes": num_classes,
        "in_channels": [encoder.embed_dim] * len(spec.blocks) if several else encoder.embed_dim,
    }
    if spec.kind == "attention_pooling":
        cut.model.head |= {"pooling": "attention_pooling", "pool_heads": encoder.pool_heads}
    return cut


def export_head(
    folder: Path, config: Config, encoder: FrozenEncoder, spec: HeadSpec, tensors: Mapping[str, Tensor], meta: Any
) -> tuple[Path, Path]:
    """Write a head as a model's checkpoint and config.

    Args:
        folder: Where.
        config: Of the study.
        encoder: Of the head.
        spec: The head.
        tensors: Of the head; of a UperNet, those of all parts.
        meta: Classes, and of a segmentor the palette.

    Returns:
        Checkpoint and config. The encoder is in the checkpoint only if it is in no file.
    """
    cut = head_config(config, encoder, spec, len(meta["classes"]))
    prefix = "" if spec.kind == "upernet" else "decode_head."
    if not is_segmentation(config):
        prefix, tensors = MODEL_PREFIX, _as_classifier(tensors, len(spec.blocks))
    state = {f"backbone.{name}": tensor for name, tensor in encoder.state.items()}
    state |= {prefix + name: tensor for name, tensor in tensors.items()}
    checkpoint, written = folder / f"{spec.name}.pth", folder / f"{spec.name}.py"
    text = python_text(cut)
    about = {"cfg": text, "seed": spec.seed, "dataset_meta": meta, "versions": versions()}
    with whole_file(written) as file:
        file.write_text(text)
    with whole_file(checkpoint) as file:
        torch.save({"state_dict": state, "meta": about}, file)
    return checkpoint, written


def _as_classifier(tensors: Mapping[str, Tensor], blocks: int) -> dict[str, Tensor]:
    """A head on pooled vectors, CLS and mean of a block after the other, as one on the blocks' tokens side by side."""
    width = tensors["head.weight"].shape[1]
    # Of a head without BatchNorm, one that changes nothing.
    norm = nn.BatchNorm1d(width).state_dict()
    norm["running_var"] -= norm_eps("pooled")
    found = {f"norm.{name}": tensor for name, tensor in norm.items()} | dict(tensors)
    if blocks > 1:
        # All CLS tokens, then all means.
        order = torch.arange(width).view(blocks, 2, -1).transpose(0, 1).flatten()
        found = {name: t[..., order] if t.shape[-1:] == (width,) else t for name, t in found.items()}
    return found
