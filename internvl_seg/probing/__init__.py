"""Probing frozen encoders: features once, heads many."""

from .commands import probe
from .errors import ProbeError

__all__ = ["ProbeError", "probe"]
