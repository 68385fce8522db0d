"""Finding out what is wrong with images and masks before a training does."""

from .before import check_before_training
from .check import DatasetError, Report, check_dataset
from .findings import KINDS, Finding
from .pasting import Command
from .report import print_report

__all__ = [
    "KINDS",
    "Command",
    "DatasetError",
    "Finding",
    "Report",
    "check_before_training",
    "check_dataset",
    "print_report",
]
