"""What an earlier run left in a folder, moved out of a new one's way."""

import time
from collections.abc import Sequence
from itertools import count
from pathlib import Path


def set_aside(paths: Sequence[Path], timestamp: str | None = None) -> str:
    """Move files and folders into ``earlier_TIME/`` in the folder that each is in, so that nothing of them is lost.

    Args:
        paths: What is moved, in this order.
        timestamp: The time in the name; now, as ``20260131_235959``, if None.

    Returns:
        Name of the folder that they are in now; it ends in a number if the same was set aside within this second.

    Raises:
        OSError: Something cannot be moved.
    """
    first = f"earlier_{timestamp or time.strftime('%Y%m%d_%H%M%S')}"
    names = (first if number == 1 else f"{first}_{number}" for number in count(1))
    name = next(name for name in names if not any((path.parent / name / path.name).exists() for path in paths))
    for path in paths:
        aside = path.parent / name
        aside.mkdir(exist_ok=True)
        path.replace(aside / path.name)
    return name
