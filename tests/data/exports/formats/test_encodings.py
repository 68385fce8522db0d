"""JSON and tables as editors and spreadsheets save them: with a mark, in UTF-16, with semicolons."""

import codecs
import json
from pathlib import Path

import numpy as np
import pytest

from internvl_seg.data.exports.export import SourceError
from internvl_seg.data.exports.find_format import find_format
from internvl_seg.data.exports.source import Source, read_json

from ..making import ids, picture
from .test_coco import SQUARE, entry, of
from .test_labelme import record, shape
from .test_vectors import HOUSE, SIZE, collection, raster

ENCODINGS = ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"]


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_coco(tmp_path: Path, encoding: str) -> None:
    picture(tmp_path / "images/a.png")
    content = of(entry([SQUARE], 1), categories=[{"id": 1, "name": "Kätzchen"}])
    (tmp_path / "a.json").write_bytes(json.dumps(content, ensure_ascii=False).encode(encoding))
    module, _ = find_format(Source(tmp_path))
    export = module.read(Source(tmp_path))
    assert (export.format, export.classes[0].name) == ("coco", "Kätzchen")
    assert (ids(export, "images/a") == 0).sum() > 50


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_labelme(tmp_path: Path, encoding: str) -> None:
    picture(tmp_path / "a.jpg")
    content = record([shape("Straße", [[2, 2], [9, 2], [9, 9]])])
    (tmp_path / "a.json").write_bytes(json.dumps(content, ensure_ascii=False).encode(encoding))
    module, _ = find_format(Source(tmp_path))
    assert [label.name for label in module.read(Source(tmp_path)).classes] == ["Straße"]


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("name", ["a.json", "a.geojson"])
def test_geojson(tmp_path: Path, encoding: str, name: str) -> None:
    raster(tmp_path / "ortho.tif")
    content = collection((HOUSE, {"class": "Gebäude"}), crs="EPSG:32632")
    (tmp_path / name).write_bytes(json.dumps(content, ensure_ascii=False).encode(encoding))
    module, _ = find_format(Source(tmp_path))
    export = module.read(Source(tmp_path))
    assert (export.format, export.classes[0].name) == ("vectors", "Gebäude")
    assert (ids(export, "ortho", *SIZE) == 0).any()


@pytest.mark.parametrize("content", [codecs.BOM_UTF16_LE + b"{\0}", b"{\0\0\0\xff\xff\xff\xff", b'{"\xff": 1}', b"\0"])
def test_what_is_no_text_of_its_encoding_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(SourceError, match=r"a\.json is no JSON"):
        read_json(tmp_path / "a.json")
    with pytest.raises(SourceError, match="is no export of a known format"):
        find_format(Source(tmp_path))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("quote", ["", '"'])
def test_run_lengths_of_a_spreadsheet(tmp_path: Path, encoding: str, separator: str, quote: str) -> None:
    picture(tmp_path / "train/a.jpg")
    rows = [("ImageId", "ClassId", "EncodedPixels"), ("a.jpg", "Öl", "1 20 41 20")]
    lines = [separator.join(f"{quote}{field}{quote}" for field in row) for row in rows]
    (tmp_path / "train.csv").write_bytes("\r\n".join(lines).encode(encoding))
    module, why = find_format(Source(tmp_path))
    assert why == "train.csv has a column 'EncodedPixels'"
    export = module.read(Source(tmp_path))
    assert [label.name for label in export.classes] == ["Öl"]
    assert np.flatnonzero((ids(export, "train/a") == 0).any(0)).tolist() == [0, 2]
