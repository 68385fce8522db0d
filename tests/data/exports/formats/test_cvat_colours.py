"""CVAT's CamVid, Cityscapes and KITTI exports, in the folders that cvat-ai/datumaro's exporters write for it."""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from internvl_seg.data.exports.export import UNLABELLED, SourceError
from internvl_seg.data.exports.find_format import find_format
from internvl_seg.data.exports.formats import cvat_colours
from internvl_seg.data.exports.source import Source

from ..making import by_name, ids, written
from ..prepared import SIZE, random_ids, save

TABLE = "0 0 0 background\n250 50 83 car\n51 221 255 road sign\n"
COLOURS = np.array([(0, 0, 0), (250, 50, 83), (51, 221, 255)], np.uint8)
# Where a picture and its mask are, and the masks beside it.
LAYOUTS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "CamVid 1.0": ("{0}/{1}.png", "{0}annot/{1}.png", {}),
    "Cityscapes 1.0": (
        "imgsFine/leftImg8bit/{0}/{1}_leftImg8bit.png",
        "gtFine/{0}/{1}_gtFine_color.png",
        {"gtFine/{0}/{1}_gtFine_labelIds.png": np.uint8, "gtFine/{0}/{1}_gtFine_instanceIds.png": np.uint16},
    ),
    "KITTI 1.0": (
        "{0}/image_2/{1}.png",
        "{0}/semantic_rgb/{1}.png",
        {"{0}/semantic/{1}.png": np.uint8, "{0}/instance/{1}.png": np.uint16},
    ),
}


NAMES = ("a", "day 1/b", "c")


def export_of(
    root: Path, layout: str, subsets: Mapping[str, tuple[str, ...]] = MappingProxyType({"default": NAMES})
) -> dict[str, NDArray[np.uint8]]:
    """Pictures in each subset, of which the last has no mask; gives the ids by subset and name."""
    picture, mask, others = LAYOUTS[layout]
    found = {}
    for number, (subset, names) in enumerate(subsets.items()):
        for i, name in enumerate(names):
            save(root / picture.format(subset, name), 10 * number + i)
            if name == names[-1]:
                continue
            found[f"{subset}/{name}"] = random_ids(10 * number + i, 3)
            save(root / mask.format(subset, name), COLOURS[found[f"{subset}/{name}"]])
            for path, kind in others.items():
                save(root / path.format(subset, name), found[f"{subset}/{name}"].astype(kind))
    written(root / "label_colors.txt", TABLE)
    return found


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_classes_are_those_of_the_task(tmp_path: Path, layout: str) -> None:
    maps = export_of(tmp_path, layout)
    module, why = find_format(Source(tmp_path))
    assert module is cvat_colours
    assert why.startswith("label_colors.txt beside ")
    assert why.endswith(layout)
    export = cvat_colours.read(Source(tmp_path))
    assert [label.name for label in export.classes] == ["background", "car", "road sign"]
    assert export.classes[1].colour == (250, 50, 83)
    assert [picture.name for picture in export.pictures] == ["a", "c", "day 1/b"]
    for name in ("a", "day 1/b"):
        expected = np.where(maps[f"default/{name}"] == 0, UNLABELLED, maps[f"default/{name}"])
        np.testing.assert_array_equal(ids(export, name, *SIZE), expected)
    assert (ids(export, "c", *SIZE) == UNLABELLED).all()
    assert any(note.startswith("Pictures without a mask, as CVAT leaves those") for note in export.notes)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_subsets_are_splits_and_names_may_be_in_several(tmp_path: Path, layout: str) -> None:
    export_of(tmp_path, layout, {"Train": NAMES, "Validation": NAMES})
    splits = {picture.name: picture.split for picture in cvat_colours.read(Source(tmp_path)).pictures}
    assert splits == {
        f"{subset}/{name}": split for subset, split in (("Train", "train"), ("Validation", "val")) for name in NAMES
    }


def test_pictures_elsewhere(tmp_path: Path) -> None:
    export_of(tmp_path / "in", "KITTI 1.0")
    (tmp_path / "in/default/image_2").rename(tmp_path / "photos")
    (tmp_path / "photos/a.png").unlink()
    with pytest.raises(SourceError, match=r"has masks and no picture of one.*--images FOLDER"):
        cvat_colours.read(Source(tmp_path / "in"))
    export = cvat_colours.read(Source(tmp_path / "in", images=tmp_path / "photos"))
    assert by_name(export, "day 1/b").labels is not None
    assert by_name(export, "c").labels is None  # Whether it is of the task is not known.
    assert any("Pictures that are not there" in note and "semantic_rgb/a.png" in note for note in export.notes)


def test_a_table_that_is_not_cvats(tmp_path: Path) -> None:
    """CamVid's own label_colors.txt has no background, and two labels of one colour tell nothing."""
    export_of(tmp_path, "CamVid 1.0")
    written(tmp_path / "label_colors.txt", TABLE.replace("background", "Void"))
    assert cvat_colours.recognise(Source(tmp_path)) is None
    with pytest.raises(SourceError, match=r"has no label_colors\.txt with colours beside masks"):
        cvat_colours.read(Source(tmp_path))
    written(tmp_path / "label_colors.txt", TABLE + "51 221 255 sign\n")
    with pytest.raises(SourceError, match="gives one colour to two classes"):
        cvat_colours.read(Source(tmp_path))
