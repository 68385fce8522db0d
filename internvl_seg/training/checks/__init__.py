"""Whether a config contradicts itself, told before anything is read or built."""

from .check import check_config, check_form, check_test
from .run_hook import RunHook
from .scaling import scale_schedule

__all__ = ["RunHook", "check_config", "check_form", "check_test", "scale_schedule"]
