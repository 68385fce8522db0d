"""InternViT for dense prediction: importing this package registers its modules with MMEngine."""

from .common.library_noise import importing_quietly

with importing_quietly():
    from . import classification, segmentation, training
    from .checkpoints import CheckpointError, convert_checkpoint, export_encoder, load_classifier, load_encoder
    from .data import datasets
    from .encoder import InternViT, Release, create_encoder, list_encoders, register_encoder
    from .inference import Classification, Classifier, Segmentation, Segmenter
    from .visualization import overlay_hook

__version__ = "0.1.0"

__all__ = [
    "CheckpointError",
    "Classification",
    "Classifier",
    "InternViT",
    "Release",
    "Segmentation",
    "Segmenter",
    "classification",
    "convert_checkpoint",
    "create_encoder",
    "datasets",
    "export_encoder",
    "list_encoders",
    "load_classifier",
    "load_encoder",
    "overlay_hook",
    "register_encoder",
    "segmentation",
    "training",
]
