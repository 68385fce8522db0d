"""Devices as users name them."""

import torch


def find_device(device: torch.device | str | int) -> torch.device:
    """A device that can hold weights, by its name.

    Args:
        device: Such as 'cpu', 'cuda' or 'cuda:1'.

    Raises:
        ValueError: There is no such device here, or it holds no values.
    """
    try:
        found = torch.device(device)
    except (RuntimeError, TypeError) as error:
        raise ValueError(
            f"device={device!r} is no device of PyTorch; such are 'cpu', 'cuda', 'cuda:1', 'mps'."
        ) from error
    if found.type == "meta":
        raise ValueError(
            f"device={device!r} holds no values, so weights cannot be read there. create_encoder(NAME, device='meta') "
            "builds an encoder without any."
        )
    try:
        torch.empty(0, device=found)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ValueError(f"device={device!r} is not here ({reason.rstrip('.')}). Use 'cpu', or one that is.") from error
    return found
