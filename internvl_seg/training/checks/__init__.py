"""Whether a config contradicts itself, told before anything is read or built."""

from .check import check_config
from .run_hook import RunHook
from .scaling import scale_schedule

__all__ = ["RunHook", "check_config", "scale_schedule"]
