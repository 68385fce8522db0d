"""Devices by name, as a command line has them."""

from argparse import ArgumentTypeError

import torch


def device_name(text: str) -> str:
    """The name of a device that is here; for ``type`` of an argument of a command line.

    Args:
        text: Such as 'cpu' or 'cuda:1'.

    Raises:
        ArgumentTypeError: It is no name of a device, or there is no such device; the message says which there are.
    """
    here = _here()
    advice = f"here there {'are' if len(here) > 1 else 'is'} {', '.join(here)}"
    try:
        device = torch.device(text)
    except RuntimeError:
        raise ArgumentTypeError(f"{text!r} is no name of a device; {advice}.") from None
    if device.type != "cpu" and text not in here:
        raise ArgumentTypeError(f"there is no device {text!r}; {advice}.")
    return text


def _here() -> list[str]:
    """The names of all devices, with and without the number of the first."""
    accelerator = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
    if accelerator is None:
        return ["cpu"]
    numbered = [f"{accelerator.type}:{i}" for i in range(torch.accelerator.device_count())]
    return ["cpu", accelerator.type, *numbered]
