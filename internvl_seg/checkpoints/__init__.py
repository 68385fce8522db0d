"""Any released file to an InternViT or an official classifier."""

from .classifier import load_classifier
from .converting import convert_checkpoint
from .errors import CheckpointError
from .exporting import export_encoder
from .loading import load_encoder

__all__ = ["CheckpointError", "convert_checkpoint", "export_encoder", "load_classifier", "load_encoder"]
