"""InternViT in plain PyTorch."""

from .attention import KERNELS, KernelUnavailableError, attention
from .intern_vit import InternViT
from .releases import Release, create_encoder, get_release, list_encoders, register_encoder

__all__ = [
    "KERNELS",
    "InternViT",
    "KernelUnavailableError",
    "Release",
    "attention",
    "create_encoder",
    "get_release",
    "list_encoders",
    "register_encoder",
]
