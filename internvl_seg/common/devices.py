"""Devices as users name them."""

from argparse import ArgumentTypeError

import torch


def find_device(device: torch.device | str | int) -> torch.device:
    """A device that can hold weights, by its name.

    Args:
        device: Such as 'cpu', 'cuda' or 'cuda:1'.

    Raises:
        ValueError: There is no such device here, or it holds no values; the message says which there are.
    """
    here = f"here there {'are' if len(_here()) > 1 else 'is'} {', '.join(_here())}"
    try:
        found = torch.device(device)
    except (RuntimeError, TypeError) as error:
        raise ValueError(f"device={device!r} is no device of PyTorch; {here}.") from error
    if found.type == "meta":
        raise ValueError(
            f"device={device!r} holds no values, so weights cannot be read there. create_encoder(NAME, device='meta') "
            "builds an encoder without any."
        )
    try:
        torch.empty(0, device=found)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ValueError(f"device={device!r} cannot be used ({reason.rstrip('.')}); {here}.") from error
    return found


def device_name(text: str) -> str:
    """The name of a device that is here, for ``type`` of an argument of a command line.

    Raises:
        ArgumentTypeError: As of :func:`find_device`.
    """
    try:
        find_device(text)
    except ValueError as error:
        raise ArgumentTypeError(str(error)) from None
    return text


def _here() -> list[str]:
    """The names of all devices, with and without the number of the first."""
    accelerator = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
    if accelerator is None:
        return ["cpu"]
    numbered = [f"{accelerator.type}:{i}" for i in range(torch.accelerator.device_count())]
    return ["cpu", accelerator.type, *numbered]
