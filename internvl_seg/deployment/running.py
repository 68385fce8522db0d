"""Running what was exported, as a program elsewhere would."""

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from .errors import ExportError
from .exporting import METADATA_FILE
from .packages import require

Run = Callable[[NDArray[np.float32]], list[NDArray[Any]]]


@dataclass(frozen=True)
class ExportedGraph:
    """A graph in memory. Threads may share it.

    Attributes:
        outputs: Names of what comes out.
        metadata: ``classes``, ``palette``, ``mean``, ``std``, ``patch_size``, ``versions`` and more.
        run: Maps images (B, channels, H, W) float32 to the outputs, in order.
    """

    outputs: tuple[str, ...]
    metadata: dict[str, Any]
    run: Run

    def __call__(self, images: NDArray[np.float32]) -> dict[str, NDArray[Any]]:
        """Map images (B, channels, H, W) float32 to the outputs by name."""
        return dict(zip(self.outputs, self.run(images), strict=True))


def open_graph(path: str | os.PathLike[str]) -> ExportedGraph:
    """Read an exported file, to be run on the CPU.

    Args:
        path: ``.onnx``, run by ONNX Runtime, or ``.pt2``.

    Raises:
        ExportError: There is no such file, or ONNX Runtime is not installed.
    """
    path = Path(path)
    if not path.is_file():
        raise ExportError(f"There is no file {os.fspath(path)!r} (looked from {Path.cwd()}).")
    return _open_onnx(path) if path.suffix == ".onnx" else _open_pt2(path)


def _read(texts: dict[str, str]) -> dict[str, Any]:
    return {key: json.loads(text) for key, text in texts.items()}


def _open_onnx(path: Path) -> ExportedGraph:
    require("Running ONNX", "onnxruntime")
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (name,) = (node.name for node in session.get_inputs())
    outputs = tuple(node.name for node in session.get_outputs())
    metadata = _read(session.get_modelmeta().custom_metadata_map)
    return ExportedGraph(outputs, metadata, lambda images: session.run(None, {name: images}))


def _open_pt2(path: Path) -> ExportedGraph:
    extra = {METADATA_FILE: ""}
    module = torch.export.load(path, extra_files=extra).module()
    metadata = _read(json.loads(extra[METADATA_FILE]))

    def run(images: NDArray[np.float32]) -> list[NDArray[Any]]:
        with torch.inference_mode():
            return [output.numpy() for output in module(torch.from_numpy(images))]

    return ExportedGraph(tuple(metadata.pop("outputs")), metadata, run)
