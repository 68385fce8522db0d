"""Training and evaluating from configs with MMEngine."""

from . import amp, checkpoint_hook, ema_hook, layer_decay, loop, metric, stream
from .commands import evaluate, replay_step, train
from .config import ConfigError

# The modules register what configs name.
__all__ = [
    "ConfigError",
    "amp",
    "checkpoint_hook",
    "ema_hook",
    "evaluate",
    "layer_decay",
    "loop",
    "metric",
    "replay_step",
    "stream",
    "train",
]
