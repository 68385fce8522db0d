"""What a feature store's content depends on, and a hash of it."""

import hashlib
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from mmengine import fileio

import internvl_seg

from ..training.results import sha256_of, versions

# Raised when the files of a store change their meaning.
FORMAT = 1
# Files of this package that features depend on.
_CODE = (
    "encoder",
    # What decides which encoder comes out of a file.
    "checkpoints/architecture.py",
    "checkpoints/config_json.py",
    "checkpoints/config_parts.py",
    "checkpoints/config_text.py",
    "checkpoints/containers.py",
    "checkpoints/encoder_file.py",
    "checkpoints/folder_kinds.py",
    "checkpoints/formats.py",
    "checkpoints/loading.py",
    "checkpoints/meta_config.py",
    "checkpoints/position_grid.py",
    "checkpoints/sources.py",
    "checkpoints/told.py",
    "checkpoints/weight_names.py",
    "data/bands.py",
    "data/gdal.py",
    "data/images.py",
    "probing/extraction.py",
    "probing/frozen_encoder.py",
    "probing/quantization.py",
    "segmentation/backbone.py",
    "segmentation/encoder_options.py",
    "segmentation/preprocessor.py",
    "segmentation/timm_config.py",
    "segmentation/timm_vit.py",
    "segmentation/timm_weights.py",
    "segmentation/windows.py",
    "training/stream.py",
)
# Packages that read, resize and compute.
_PACKAGES = (
    "torch",
    "numpy",
    "opencv-python",
    "rasterio",
    "onedl-mmcv",
    "onedl-mmsegmentation",
    "onedl-mmpretrain",
    "timm",
)
# Where data lie is no matter; what they hold is.
_PLACES = ("data_root", "data_prefix", "ann_file", "pipeline", "serialize_data", "lazy_init")


def hash_json(content: Any) -> str:
    """SHA-256 of plain data, whatever the order of keys, in hexadecimal."""
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=list).encode()).hexdigest()


def hash_code(names: Sequence[str] = _CODE) -> str:
    """SHA-256 of source files of this package.

    Args:
        names: Files, and folders of them; by default those that features depend on.
    """
    root = Path(internvl_seg.__file__).parent
    files = [file for name in names for file in ([root / name] if name.endswith(".py") else (root / name).glob("*.py"))]
    return hash_json({file.relative_to(root).as_posix(): sha256_of(file) for file in files})


def hash_data(samples: Sequence[Mapping[str, Any]]) -> str:
    """SHA-256 of a data list: of the bytes of all images and masks and of the image labels, in their order.

    Args:
        samples: With ``img_path``, and ``seg_map_path`` or ``gt_label``.
    """

    def hash_sample(sample: Mapping[str, Any]) -> list[str]:
        files = [sample[name] for name in ("img_path", "seg_map_path") if sample.get(name) is not None]
        return [*map(_hash_file, files), str(sample.get("gt_label", ""))]

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return hash_json(list(pool.map(hash_sample, samples)))


def _hash_file(path: str) -> str:
    """SHA-256 of a file, or of one in an archive."""
    return hashlib.sha256(fileio.get(path)).hexdigest() if "://" in path else sha256_of(Path(path))


def without_places(dataset: Mapping[str, Any]) -> dict[str, Any]:
    """A dataset's config without where it lies and how it is augmented."""
    return {name: value for name, value in dataset.items() if name not in _PLACES}


def code_versions() -> dict[str, str]:
    """Versions of the packages that features depend on."""
    found = versions()
    return {name: found[name] for name in _PACKAGES}


def differences(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> Iterable[str]:
    """Sentences that say in which parts two keys differ."""
    for name in sorted(found.keys() | wanted.keys()):
        if found.get(name) != wanted.get(name):
            yield f"{name}: the store has {_short(found.get(name))}, asked for is {_short(wanted.get(name))}"


def _short(value: Any) -> str:
    text = json.dumps(value, default=list)
    return text if len(text) < 120 else f"{text[:117]}..."
