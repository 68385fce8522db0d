"""Training and evaluating from configs with MMEngine."""

from .amp import CPUAmpOptimWrapper
from .config import ConfigError
from .runner import evaluate, train

__all__ = ["CPUAmpOptimWrapper", "ConfigError", "evaluate", "train"]
