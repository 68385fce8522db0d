"""Finding out what is wrong with images and masks before a training does."""

from .check import DatasetError, Report, check_before_training, check_dataset
from .findings import KINDS, Finding
from .report import print_report

__all__ = [
    "KINDS",
    "DatasetError",
    "Finding",
    "Report",
    "check_before_training",
    "check_dataset",
    "print_report",
]
