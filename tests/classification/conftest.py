"""Small copies of ImageNet and its variants, in their original layouts."""

import json
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import numpy as np
import pytest
from mmengine.registry import init_default_scope
from PIL import Image

from internvl_seg.classification.imagenet_classes import imagenet_classes

from ..conftest import ROOT

TICK, JELLYFISH, LION, ANALOG_CLOCK, DIGITAL_CLOCK = 78, 107, 291, 409, 530
WNID = {c.id: c.wnid for c in imagenet_classes()}
# Folder of ObjectNet, its name, and the classes of ImageNet that it shows.
OBJECTS = {
    "alarm_clock": ("Alarm clock", "analog clock; digital clock"),
    "air_freshener": ("Air freshener", None),
}


@pytest.fixture(autouse=True)
def _scope() -> None:
    init_default_scope("mmpretrain")


def photographs() -> Iterator[Image.Image]:
    """Real photographs, or noise where there are none."""
    shared = sorted((ROOT.parent / "shared/data/imagefolder/train").glob("*/*.jpg"))
    draw = np.random.default_rng(0)
    for i in count():
        if shared:
            yield Image.open(shared[i]).convert("RGB")
        else:
            yield Image.fromarray(draw.integers(0, 256, (60 + i, 80, 3), dtype=np.uint8)).resize((320, 256))


class Copies:
    """Small copies of every variant in a folder.

    Attributes:
        root: The folder.
        pictures: Path of every image in it, without suffix and below ``root``, in the order in which they are listed.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._photographs = photographs()

    def picture(self, name: str, border: bool = False) -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        image = next(self._photographs)
        if border:
            image.paste((255, 0, 0), (0, 0, image.width, 2))
        image.save(path, quality=95)

    def write(self, name: str, content: object) -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content if isinstance(content, str) else json.dumps(content))

    def imagenet(self) -> None:
        for split in ("train", "val"):
            for i in range(6):
                folder = f"{WNID[(TICK, JELLYFISH, LION)[i // 2]]}/" if split == "train" else ""
                self.picture(f"imagenet-1k/{split}/{folder}ILSVRC2012_{split}_{i + 1:08d}.JPEG")
        lines = [f"ILSVRC2012_val_{i + 1:08d}.JPEG {(TICK, JELLYFISH, LION)[i // 2]}" for i in range(6)]
        self.write("imagenet-1k/meta/val.txt", "\n".join(lines) + "\n")

    def real(self, labels: list[list[int]]) -> None:
        self.write("real.json", labels + [[]] * (50_000 - len(labels)))

    def v2(self) -> None:
        for label in (TICK, LION):
            for i in range(2):
                self.picture(f"imagenetv2/imagenetv2-matched-frequency-format-val/{label}/{i}.jpeg")

    def by_wnid(self, folder: str, classes: tuple[int, ...]) -> None:
        for label in classes:
            for i in range(2):
                self.picture(f"{folder}/{WNID[label]}/{i}.jpg")

    def objectnet(self) -> None:
        for folder in OBJECTS:
            for i in range(2):
                self.picture(f"objectnet-1.0/images/{folder}/{i}.png", border=True)
        self.write("objectnet-1.0/mappings/folder_to_objectnet_label.json", {k: v for k, (v, _) in OBJECTS.items()})
        shown = {title: names for title, names in OBJECTS.values() if names}
        self.write("objectnet-1.0/mappings/objectnet_to_imagenet_1k.json", shown)
        self.write("objectnet-1.0/mappings/imagenet_to_label_2012_v2", "kit fox\ndigital clock\nanalog clock\n")
        outputs = {str(DIGITAL_CLOCK): 1, str(ANALOG_CLOCK): 2, "278": 0}
        self.write("objectnet-1.0/mappings/pytorch_to_imagenet_2012_id.json", outputs)


@pytest.fixture
def copies(tmp_path: Path) -> Copies:
    return Copies(tmp_path)
