"""What stands beside every result, and how it is written."""

import hashlib
import importlib.metadata
import json
import platform
from pathlib import Path
from typing import Any

from ..data.writing import whole_file


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that a result depends on."""
    packages = (
        "internvl-seg torch torchvision numpy onedl-mmengine onedl-mmcv onedl-mmsegmentation onedl-mmpretrain timm "
        "safetensors opencv-python"
    )
    found = {"python": platform.python_version()}
    for package in packages.split():
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:  # The package itself, when run from a folder.
            found[package] = "not installed"
    return found


def sha256_of(path: Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def write_json(path: Path, content: Any) -> None:
    """Write JSON, so that a reader never sees half of it."""
    with whole_file(path) as temporary:
        temporary.write_text(json.dumps(content, indent=2) + "\n")
