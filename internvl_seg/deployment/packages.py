"""Packages that only exporting needs, asked for when they are."""

import importlib.util

from .errors import ExportError


def require(purpose: str, *packages: str) -> None:
    """Check that optional packages are installed.

    Args:
        purpose: What they are needed for.
        *packages: Names as pip knows them.

    Raises:
        ExportError: Some are not.
    """
    if missing := [package for package in packages if importlib.util.find_spec(package) is None]:
        raise ExportError(
            f"{purpose} needs {' and '.join(missing)}, not installed here: python -m pip install {' '.join(missing)}. "
            "A .pt2 file needs nothing but PyTorch."
        )
