import importlib.util
from pathlib import Path

import pytest

from internvl_seg.deployment import ExportError, open_graph

from ..error_table import DocumentedError


def test_what_cannot_be_run(tmp_path: Path, documented_error: DocumentedError, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with documented_error("there is no file of a graph", ExportError):
        open_graph("graph.onnx")
    (tmp_path / "graph.onnx").touch()
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "onnxruntime" else found(name))
    with documented_error("ONNX is to be run without ONNX Runtime", ExportError):
        open_graph("graph.onnx")
