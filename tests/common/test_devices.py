"""Devices that are not here are told in words."""

from argparse import ArgumentTypeError
from typing import Any

import pytest
import torch

from internvl_seg.common.devices import device_name, find_device

from ..error_table import DocumentedError


def test_what_is_here_is_taken() -> None:
    assert device_name("cpu") == "cpu"
    if torch.accelerator.is_available():
        assert device_name("cuda:0") == "cuda:0"


@pytest.mark.skipif(torch.accelerator.is_available(), reason="the messages name the devices")
@pytest.mark.parametrize(
    ("case", "name"),
    [("a device's name is none", "gpu"), ("a device is not here", "cuda"), ("it has a number", "cuda:9")],
)
def test_what_is_not_here_is_refused(case: str, name: str, documented_error: DocumentedError) -> None:
    with documented_error(f"--device: {case}", ArgumentTypeError):
        device_name(name)


@pytest.mark.parametrize("device", ["foo", "", "cuda:99", "meta", None, 1.5, []], ids=repr)
def test_odd_devices(device: Any) -> None:
    with pytest.raises(ValueError, match=r"device="):
        find_device(device)


def test_where_no_values_are(documented_error: DocumentedError) -> None:
    with documented_error("weights are to be read where no values are", ValueError):
        find_device("meta")
