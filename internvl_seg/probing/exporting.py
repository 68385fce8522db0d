"""Heads of a study as checkpoints and configs that other tools read."""

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from safetensors.torch import save_file
from torch import Tensor

from ..data.writing import whole_file
from ..training.config import python_text
from ..training.results import versions
from .frozen_encoder import FrozenEncoder
from .head_spec import HeadSpec
from .module_heads import upernet_parts


def head_config(config: Config, encoder: FrozenEncoder, spec: HeadSpec) -> Config:
    """The config of a study with one of its heads as the model.

    Args:
        config: Of the study.
        encoder: Of the head.
        spec: The head.
    """
    cut = copy.deepcopy(config)
    # It is trained: what a runner would train it with, and would want all of, goes.
    for name in ("probe", "train_dataloader", "train_cfg", "optim_wrapper", "param_scheduler", "val_cfg"):
        cut.pop(name, None)
    cut.setdefault("test_dataloader", cut.pop("val_dataloader"))
    evaluator = cut.pop("val_evaluator", {"type": "SegmentationMetric", "iou_metrics": ["mIoU"]})
    cut.setdefault("test_evaluator", evaluator)
    cut.setdefault("test_cfg", {"type": "TestLoop"})
    cut.model.backbone = {**encoder.config, "out_indices": spec.blocks}
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


def export_segmentor(
    folder: Path, config: Config, encoder: FrozenEncoder, spec: HeadSpec, tensors: Mapping[str, Tensor], meta: Any
) -> tuple[Path, Path]:
    """Write a segmentor's checkpoint and config.

    Args:
        folder: Where.
        config: Of the study.
        encoder: Of the head.
        spec: The head.
        tensors: Of the head; of a UperNet, those of all parts.
        meta: Classes and palette.

    Returns:
        Checkpoint and config. The encoder is in the checkpoint only if it is in no file.
    """
    cut = head_config(config, encoder, spec)
    prefix = "" if spec.kind == "upernet" else "decode_head."
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


def export_classifier(folder: Path, spec: HeadSpec, tensors: Mapping[str, Tensor]) -> Path:
    """Write a classifier's head in the official names, which ``load_classifier(file, encoder=...)`` reads."""
    path = folder / f"{spec.name}.safetensors"
    with whole_file(path) as file:
        save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, file)
    return path
