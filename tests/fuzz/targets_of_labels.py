"""Readers of exports and of data sets' files that are given damaged ones."""

import math
import random
from contextlib import suppress
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.config import Config
from mmengine.registry import init_default_scope

from internvl_seg.data.class_files import read_class_file
from internvl_seg.data.exports.class_ids import class_ids
from internvl_seg.data.exports.colour_tables import read_classes
from internvl_seg.data.exports.export import SourceError, Window
from internvl_seg.data.exports.find_format import find_format, known_formats
from internvl_seg.data.exports.pictures import Picture
from internvl_seg.data.exports.run_lengths import decode_counts, mask_of_runs
from internvl_seg.data.exports.source import Source
from internvl_seg.data.exports.well_known_binary import polygons_of_geopackage
from internvl_seg.data.preflight.check import check_dataset
from internvl_seg.data.preflight.facts import decode_image, look_at_image, read_mask
from internvl_seg.data.preflight.findings import KINDS
from internvl_seg.data.preflight.loading import Loader

from .edits_of_bytes import change_bytes
from .edits_of_json import change_json
from .seeds_of_exports import BOMBS, EXPORTS, IMAGES
from .target import Target


def read_export(name: str, folder: Path) -> None:
    """Read an export of a format, and draw all of its labels."""
    source = Source(folder)
    with suppress(SourceError):  # What is damaged may look like nothing; its reader is to say why.
        find_format(source)
    export = known_formats()[name].read(source)
    class_ids(export, None)
    for one in export.pictures:
        if one.labels is not None:
            with Picture(one.picture, one.name) as opened:
                drawn = one.labels(opened.size, Window(0, 0, *opened.size))
                opened.check()
            assert drawn.ids.shape == opened.size
            assert set(np.unique(drawn.ids)) <= {*range(len(export.classes)), 254, 255}


def read_table(path: Path) -> None:
    """Read the names and colours of classes."""
    assert all(label.name for label in read_classes(path))


def read_names(path: Path) -> None:
    """Read ``classes.txt``."""
    assert read_class_file(path)


def read_run_lengths(path: Path) -> None:
    """Read COCO's text and make a mask of it."""
    mask_of_runs(decode_counts(path.read_bytes(), path.name), (20, 30), path.name, order="F")


def read_geometry(path: Path) -> None:
    """Read a geometry of a GeoPackage."""
    for polygon in polygons_of_geopackage(path.read_bytes()):
        assert all(len(point) == 2 for ring in polygon for point in ring)


def look_at_file(path: Path) -> None:
    """Look at an image, and at a mask, as the preflight does."""
    found = look_at_image(str(path))
    image = decode_image(found, _loader(), {"img_path": str(path)})
    mask = read_mask(_loader(), {"seg_map_path": str(path)})
    for facts in (image, mask):
        assert bool(facts.problem) == bool(facts.told)
        assert facts.problem in ("", *KINDS)
        assert facts.problem or facts.shape
    assert len(mask.ids) == len(mask.counts)
    assert mask.problem or sum(mask.counts) == math.prod(mask.shape)


@cache
def _loader() -> Loader:
    init_default_scope("mmseg")
    return Loader([])


def check_with_cache(path: Path) -> None:
    """Look at a data set again, with what was kept of it damaged as it follows from a file's bytes."""
    folder, draw = path.parent, random.Random(path.read_bytes())
    expected = check_dataset(_config(folder), splits=("train",), cache=folder / "cache").findings
    for file in sorted((folder / "cache").iterdir()):
        change = draw.choice((change_bytes, change_json))
        file.write_bytes(change(file.read_bytes(), draw.random(), draw))
    assert check_dataset(_config(folder), splits=("train",), cache=folder / "cache").findings == expected


def _config(folder: Path) -> Config:
    def loader(split: str) -> dict[str, Any]:
        steps = [{"type": "LoadImageFromFile"}, {"type": "LoadAnnotations"}, {"type": "PackSegInputs"}]
        prefix = {"img_path": f"images/{split}", "seg_map_path": f"annotations/{split}"}
        dataset = {"type": "FolderDataset", "data_root": str(folder), "data_prefix": prefix, "pipeline": steps}
        classes = {"metainfo": {"classes": ("sky", "sea", "land")}}
        return {"batch_size": 1, "num_workers": 0, "dataset": {**dataset, **classes}}

    text = {"default_scope": "mmseg", "train_dataloader": loader("train"), "val_dataloader": loader("val")}
    return Config({**text, "model": {"type": "EncoderDecoder"}, "custom_imports": {"imports": ["internvl_seg"]}})


_MASKS = tuple(f"data_set/annotations/{name}.png" for name in ("train/a", "val/d"))
_IMAGES = tuple(f"data_set/images/{name}" for name in IMAGES)


def _exports() -> dict[str, Target]:
    """A target for each format."""
    found = {}
    for name, module in known_formats().items():
        seeds = {folder: seed.files for folder, seed in EXPORTS.items() if seed.format == name}
        if seeds:
            found[f"export_{name}"] = Target(
                partial(read_export, name),
                (module.read, Picture, class_ids),
                tuple(f"exports/{folder}/{file}" for folder, files in seeds.items() for file in files),
                folder=True,
                bombs=tuple(f"bombs/{bomb}/{at}" for bomb, (of, at) in BOMBS.items() if EXPORTS[of].format == name),
                depth=2,
                names_files=True,
            )
    return found


_NAMES = ("colours.csv", "labelmap.txt", "classes.txt", "camvid.txt", "colours.json")
_TABLES = tuple(f"exports/tables/{name}" for name in _NAMES)
LABEL_TARGETS: dict[str, Target] = {
    **_exports(),
    "colour_tables": Target(read_table, (read_classes,), _TABLES, names_files=True),
    "class_names": Target(read_names, (read_class_file,), ("exports/tables/classes.txt",), names_files=True),
    "run_lengths": Target(
        read_run_lengths, (decode_counts, mask_of_runs), ("codes/run_lengths.txt",), names_files=True
    ),
    "geometry": Target(read_geometry, (polygons_of_geopackage,), ("codes/geometry.wkb",)),
    "preflight": Target(look_at_file, (), (*_MASKS, *_IMAGES)),
    "preflight_cache": Target(check_with_cache, (check_dataset,), ("data_set/damage.txt",)),
}
