"""What ``tools/export.py`` calls: export, then compare with PyTorch."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from ..checkpoints import load_encoder
from ..inference.pictures import read_picture
from ..inference.segmenter import Segmenter
from .errors import ExportError
from .exporting import check_destination, export_encoder_graph, export_segmentor_graph
from .packages import require
from .portable import portable
from .running import open_graph
from .verification import FeatureCheck, LabelCheck, check_features, check_labels, sample_pictures

_SAMPLES = 2
_OF_BANDS = (
    "The config {}, but a segmentor's graph takes RGB from 0 to 255. Export the encoder alone, which takes images of "
    "its bands, normalised; or predict with tools/infer.py."
)


def _check(destination: str | os.PathLike[str], dtype: str, opset: int | None) -> None:
    """Find out before a model is read whether it can be written, and what is written be compared."""
    check_destination(Path(destination), dtype, opset)
    if os.fspath(destination).endswith(".onnx"):
        require("Comparing ONNX with PyTorch", "onnxruntime")


def export_segmentor(
    config: str | os.PathLike[str],
    checkpoint: str | os.PathLike[str],
    destination: str | os.PathLike[str],
    *,
    logits: bool = False,
    dtype: str = "float32",
    opset: int | None = None,
    pictures: Sequence[str | os.PathLike[str]] = (),
    options: dict[str, Any] | None = None,
) -> list[LabelCheck]:
    """Export a config's segmentor with a checkpoint's weights and compare what was written with PyTorch.

    Args:
        config: The config.
        checkpoint: A checkpoint of its model.
        destination: As of :func:`export_segmentor_graph`.
        logits: Whether the graph gives the logits, too.
        dtype: Of the exported encoder.
        opset: ONNX's version of operators.
        pictures: Photographs to compare on; random blobs if there are none.
        options: Dotted keys that replace values of the config.

    Returns:
        Shares of equal labels at three sizes: those of PyTorch with the same encoder in float32 and, if the config has
        it in another dtype, in that.

    Raises:
        ExportError: The model cannot be exported, or a package is missing.
        ConfigError: The config does not describe a segmentor.
        CheckpointError: The weights could not be read, or the destination is there already.
        PictureError: A picture cannot be read.
    """
    _check(destination, dtype, opset)
    photographs = [read_picture(picture) for picture in pictures] or sample_pictures(_SAMPLES)
    segmenter = Segmenter.from_checkpoint(config, checkpoint, device="cpu", options=options)
    segmentor = segmenter.model
    if segmenter.reader is not None:
        raise ExportError(_OF_BANDS.format(f"reads bands={list(segmenter.reader.bands)}"))
    export_segmentor_graph(
        segmentor,
        destination,
        classes=segmenter.classes,
        palette=segmenter.palette,
        logits=logits,
        dtype=dtype,
        opset=opset,
    )
    segmentor.test_cfg = {"mode": "whole"}
    configured = str(segmentor.backbone.compute_dtype).removeprefix("torch.")
    references = {configured: segmentor}
    if configured != "float32":
        references = {"float32": portable(segmentor), configured: segmentor}
    return check_labels(open_graph(destination), references, photographs)


def export_encoder(
    source: str | os.PathLike[str],
    destination: str | os.PathLike[str],
    *,
    indices: Sequence[int] | None = None,
    dtype: str = "float32",
    opset: int | None = None,
) -> list[FeatureCheck]:
    """Export an encoder and compare what was written with PyTorch in float32.

    Args:
        source: As :func:`internvl_seg.load_encoder` takes it.
        destination: As of :func:`export_encoder_graph`.
        indices: Blocks whose maps the graph gives; all tokens after the last if None.
        dtype: Of the exported encoder.
        opset: ONNX's version of operators.

    Raises:
        ExportError: The encoder cannot be exported, or a package is missing.
        CheckpointError: The weights could not be read, or the destination is there already.
        ValueError: There is no such block.
    """
    _check(destination, dtype, opset)
    encoder = load_encoder(source, dtype=torch.float32)
    export_encoder_graph(encoder, destination, indices=indices, dtype=dtype, opset=opset)
    return check_features(open_graph(destination), encoder, indices)
