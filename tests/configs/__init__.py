"""Every config in the folder ``configs``."""

import copy
import functools
import re
from pathlib import Path

from mmengine.config import Config

from internvl_seg.training.config import load_config

FOLDER = Path(__file__).resolve().parents[2] / "configs"
# Studies extend these; they are tested by themselves.
CONFIGS = sorted(
    path.relative_to(FOLDER).as_posix() for path in FOLDER.rglob("*.py") if not {"_base_", "probing"} & {*path.parts}
)
# By what is labelled: images, or their pixels.
CLASSIFICATION = [name for name in CONFIGS if name.startswith(("imagenet/", "imagefolder/"))]
SEGMENTATION = [name for name in CONFIGS if name not in CLASSIFICATION]
# Those of the official recipe: not CamVid's and the demo's, which are for a CPU, nor LoRA, nor those that do not scale.
OFFICIAL = [name for name in SEGMENTATION if "504x504" in name and not re.search("_lora_|_tiles-", name)]


@functools.cache
def _parsed(name: str) -> Config:
    return load_config(FOLDER / name)


def read(name: str) -> Config:
    """A config, one's own copy; parsed once, since MMEngine takes a tenth of a second."""
    return copy.deepcopy(_parsed(name))
