"""Writing segmentors and encoders as graphs that run without this package."""

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch.export import ExportedProgram

from ..checkpoints.errors import DestinationError
from ..encoder import InternViT
from ..segmentation.segmentor import StreamingEncoderDecoder
from ..training.results import versions
from .errors import ExportError
from .graphs import EncoderGraph, Graph, SegmentorGraph
from .packages import require
from .portable import portable
from .tracing import trace

# bfloat16 is not among them: runtimes lack kernels for it on CPUs.
DTYPES = {"float32": torch.float32, "float16": torch.float16}
# ONNX's operators of which torch.onnx builds graphs; its conversion to older ones fails and leaves a file that no
# runtime opens.
MIN_OPSET = 18
# Where a .pt2 file keeps what an ONNX file keeps in its metadata_props.
METADATA_FILE = "metadata.json"


def check_destination(destination: Path, dtype: str, opset: int | None) -> None:
    """Find what is wrong before any work is done, such as reading a model.

    Args:
        destination: The file to write.
        dtype: Of the encoder.
        opset: ONNX's version of operators.

    Raises:
        ExportError: Its name has no known ending, there is no such dtype or version, or a package is missing.
        DestinationError: There is something already.
    """
    if destination.suffix not in (".onnx", ".pt2"):
        stem = destination.with_suffix("") if destination.name else destination / "model"
        raise ExportError(
            f"{destination} ends neither in .onnx (for ONNX) nor in .pt2 (for torch.export), so what to write is not "
            f"known. Name it {stem}.onnx or {stem}.pt2."
        )
    if dtype not in DTYPES:
        raise ExportError(f"dtype={dtype!r} is not known; choose one of {', '.join(DTYPES)}.")
    if destination.suffix == ".pt2" and opset is not None:
        raise ExportError(f"opset={opset} is of ONNX; {destination} is a file of torch.export.")
    if opset is not None and opset < MIN_OPSET:
        raise ExportError(
            f"opset={opset} is older than what PyTorch writes: {MIN_OPSET} at least, whose operators cannot all be put "
            f"in older ones. Leave opset out, or take {MIN_OPSET} or later."
        )
    if destination.suffix == ".onnx":
        require("Writing ONNX", "onnx", "onnxscript")
    for path in (destination, destination.with_name(f"{destination.name}.data")):
        if path.exists():
            raise DestinationError(f"{path} exists already. Remove it, or name another place.")


@contextmanager
def _whole(destination: Path) -> Iterator[Path]:
    """A file of the same name in a temporary folder; when it is written, it moves with its data file.

    An ONNX file knows its data file by name, so neither can be renamed.
    """
    destination.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=destination.parent, prefix=f".{destination.name}.tmp.") as folder:
        yield Path(folder) / destination.name
        # The graph comes last: who sees it finds its data.
        for part in sorted(Path(folder).iterdir(), key=lambda path: path.name == destination.name):
            part.rename(destination.with_name(part.name))


def _write_onnx(
    program: ExportedProgram,
    graph: Graph,
    path: Path,
    metadata: dict[str, str],
    opset: int | None,
) -> None:
    sizes = {0: "batch", 2: "height", 3: "width"}
    onnx_program = torch.onnx.export(
        program,
        input_names=graph.input_names,
        output_names=graph.output_names,
        opset_version=opset,
        dynamic_shapes=(sizes,),
        verbose=False,
    )
    assert onnx_program is not None  # It is None where a file is given.
    onnx_program.model.metadata_props.update(metadata)
    onnx_program.save(path)  # From 1.5 GB on with the weights in a file beside it: protobuf ends at 2.


def _write(graph: Graph, destination: Path, metadata: dict[str, Any], opset: int | None) -> None:
    program = trace(graph)
    texts = {key: json.dumps(value) for key, value in ({**metadata, "versions": versions()}).items()}
    with _whole(destination) as path:
        if destination.suffix == ".onnx":
            _write_onnx(program, graph, path, texts, opset)
        else:
            outputs = json.dumps(graph.output_names)
            torch.export.save(program, path, extra_files={METADATA_FILE: json.dumps({**texts, "outputs": outputs})})


def export_segmentor_graph(
    segmentor: StreamingEncoderDecoder,
    destination: str | os.PathLike[str],
    *,
    classes: Sequence[str] = (),
    palette: Sequence[Sequence[int]] = (),
    logits: bool = False,
    dtype: str = "float32",
    opset: int | None = None,
) -> None:
    """Write a segmentor as one graph from pictures to labels, for any number, height and width of them.

    In: ``images``, RGB (B, 3, H, W), float32 from 0 to 255, as they come from a file. Out: ``labels`` (B, H, W) int64.
    Normalising, padding to whole patches, and cutting the padding off are in the graph. The picture is seen whole:
    sliding windows and test-time augmentation (``test_cfg``, ``tta_pipeline``) and the resizing of a test pipeline are
    not part of it.

    Threads may not run it beside each other: a process does one at a time.

    Args:
        segmentor: The segmentor, on an InternViT. It is not changed; adapters are merged into a copy.
        destination: ``.onnx`` for ONNX or ``.pt2`` for ``torch.export``; the file appears whole. The weights of an ONNX
            file above 1.5 GB go into a second one, ``NAME.onnx.data``, which has to stay beside it.
        classes: Names, for the file's metadata.
        palette: RGB, 0 to 255, of every class, for the file's metadata.
        logits: Whether to give ``logits`` (B, C, H, W) float32, too; of a model with one output, before the sigmoid.
        dtype: Of the encoder: 'float32', or 'float16' for half the size. The head is in float32.
        opset: ONNX's version of operators; the one that this PyTorch recommends if None.

    Raises:
        ExportError: The model cannot be exported, or a package is missing.
        DestinationError: There is something already.
    """
    path = Path(destination)
    check_destination(path, dtype, opset)
    preprocessor = segmentor.data_preprocessor
    metadata: dict[str, Any] = {
        "task": "segmentation",
        "classes": list(classes),
        "palette": [list(colour) for colour in palette],
        "patch_size": getattr(segmentor.backbone, "patch_size", None),
        "dtype": dtype,
    }
    if preprocessor._enable_normalize:
        metadata |= {name: getattr(preprocessor, name).flatten().tolist() for name in ("mean", "std")}
    _write(SegmentorGraph(portable(segmentor, DTYPES[dtype]), logits), path, metadata, opset)


def export_encoder_graph(
    encoder: InternViT,
    destination: str | os.PathLike[str],
    *,
    indices: Sequence[int] | None = None,
    dtype: str = "float32",
    opset: int | None = None,
) -> None:
    """Write an encoder as one graph, for any number of images and sides of any multiples of the patch size.

    In: ``images`` (B, in_chans, H, W) float32, normalised. Out, in float32: ``tokens`` (B, 1 + H/p * W/p, C), CLS
    first, or maps ``block_N`` (B, C, H/p, W/p). The position embedding is resized in the graph. Pixels beyond the last
    whole patch are left out: a graph cannot refuse them.

    Threads may not run it beside each other: a process does one at a time.

    Args:
        encoder: The encoder. It is not changed; adapters are merged into a copy.
        destination: As of :func:`export_segmentor_graph`.
        indices: Blocks whose maps are given, negative ones counted from the last; all tokens after the last if None.
        dtype: Of weights and computation: 'float32' or 'float16'.
        opset: ONNX's version of operators; the one that this PyTorch recommends if None.

    Raises:
        ExportError: The encoder cannot be exported, or a package is missing.
        DestinationError: There is something already.
        ValueError: There is no such block.
    """
    path = Path(destination)
    check_destination(path, dtype, opset)
    graph = EncoderGraph(portable(encoder, DTYPES[dtype]), indices)
    _write(graph, path, {"task": "features", "patch_size": encoder.patch_size, "dtype": dtype}, opset)
