"""Label Studio's bitmasks, which are PNGs in its JSON, as BitmaskRegion.jsx of its editor writes them."""

import base64
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from internvl_seg.data.exports.export import UNLABELLED, SourceError

from ..making import ids
from .test_label_studio import annotation, read, result, task


def bitmask(mask: Any) -> dict[str, Any]:
    """``serialize`` of BitmaskRegion.jsx: black pixels on a transparent ground."""
    data = io.BytesIO()
    Image.fromarray(np.stack([np.zeros_like(mask)] * 3 + [mask * np.uint8(255)], -1)).save(data, "PNG")
    address = f"data:image/png;base64,{base64.b64encode(data.getvalue()).decode()}"
    return {"imageDataURL": address, "bitmasklabels": ["cat"]}


@pytest.mark.parametrize("kind", ["JSON", "JSON-MIN"])
def test_bitmasks_are_pngs_inside(tmp_path: Path, kind: str) -> None:
    masks = np.random.default_rng(0).integers(0, 2, (2, 20, 30), dtype=np.uint8)
    values = [bitmask(masks[0]), {**bitmask(masks[1]), "bitmasklabels": ["dog"]}]
    tasks: list[Any] = [task([annotation([result(one, "bitmasklabels", str(i)) for i, one in enumerate(values)])])]
    if kind == "JSON-MIN":
        sizes = {"original_width": 30, "original_height": 20, "image_rotation": 0}
        of_task = {
            "id": 7,
            "annotation_id": 1,
            "annotator": 1,
            "lead_time": 2.0,
            "image": "/data/upload/1/0a1b2c3d-a.jpg",
        }
        tasks = [{**of_task, "label": [{**sizes, **one} for one in values]}]
    export = read(tmp_path, tasks)
    assert [label.name for label in export.classes] == ["cat", "dog"]
    expected = np.where(masks[1] > 0, 1, np.where(masks[0] > 0, 0, UNLABELLED))
    np.testing.assert_array_equal(ids(export, "a"), expected)


def test_a_bitmask_that_is_empty(tmp_path: Path) -> None:
    values = [bitmask(np.ones((20, 30), np.uint8)), {"imageDataURL": None, "bitmasklabels": ["dog"]}]
    results = [result(one, "bitmasklabels", str(i)) for i, one in enumerate(values)]
    export = read(tmp_path, [task([annotation(results)])])
    assert [label.name for label in export.classes] == ["cat"]
    assert any(note.startswith("Areas of no extent are left out: 1") for note in export.notes)


def test_a_bitmask_of_another_size(tmp_path: Path) -> None:
    export = read(tmp_path, [task([annotation([result(bitmask(np.ones((9, 9), np.uint8)), "bitmasklabels")])])])
    with pytest.raises(SourceError, match=r"The bitmask of result r1 of task 7 .* has 9 x 9 pixels"):
        ids(export, "a")
