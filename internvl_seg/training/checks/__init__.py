"""Whether a config contradicts itself, told before anything is read or built."""

from .bands import check_tta_bands
from .check import check_config, check_form, check_test, report
from .launch import check_launch, check_weights
from .run_hook import RunHook
from .scaling import scale_schedule

__all__ = [
    "RunHook",
    "check_config",
    "check_form",
    "check_launch",
    "check_test",
    "check_tta_bands",
    "check_weights",
    "report",
    "scale_schedule",
]
