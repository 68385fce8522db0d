"""Any released file to an InternViT or an official classifier."""

from .classifier import load_classifier
from .errors import CheckpointError
from .loading import load_encoder

__all__ = ["CheckpointError", "load_classifier", "load_encoder"]
