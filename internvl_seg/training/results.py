"""What stands beside every result, and how it is written."""

import hashlib
import importlib.metadata
import json
import math
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmengine.registry import VISBACKENDS
from mmengine.visualization import LocalVisBackend

from ..data.writing import whole_file


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that a result depends on."""
    packages = (
        "internvl-seg torch torchvision numpy onedl-mmengine onedl-mmcv onedl-mmsegmentation onedl-mmpretrain timm "
        "safetensors opencv-python rasterio"
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
    """Write JSON, so that a reader never sees half of it; NaN and infinity, which JSON has not, are null."""
    with whole_file(path) as temporary:
        temporary.write_text(json.dumps(without_nan(content), indent=2, allow_nan=False) + "\n")


def without_nan(content: Any) -> Any:
    """The same dicts and lists with None for numbers that are NaN or infinite."""
    if isinstance(content, Mapping):
        return {key: without_nan(value) for key, value in content.items()}
    if isinstance(content, (list, tuple)):
        return [without_nan(value) for value in content]
    return None if isinstance(content, float) and not math.isfinite(content) else content


@VISBACKENDS.register_module(name="LocalVisBackend", force=True)
class ValidJsonBackend(LocalVisBackend):
    """MMEngine's backend, in whose place it is registered; the lines of ``scalars.json`` are JSON with NaN, too."""

    def _dump(self, value_dict: dict[str, Any], file_path: str, file_format: str) -> None:
        super()._dump(without_nan(value_dict), file_path, file_format)
