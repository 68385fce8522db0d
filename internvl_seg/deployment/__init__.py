"""Segmentors and encoders as graphs (ONNX, ``torch.export``) that run without this package."""

from .errors import ExportError
from .exporting import export_encoder_graph, export_segmentor_graph
from .running import ExportedGraph, open_graph

__all__ = ["ExportError", "ExportedGraph", "export_encoder_graph", "export_segmentor_graph", "open_graph"]
