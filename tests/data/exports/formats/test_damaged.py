"""Exports in which a value is another one: readers refuse them in words, or read what is left of them."""

import base64
import copy
import json
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from internvl_seg.data.exports.export import Export, Window
from internvl_seg.data.exports.formats import hasty, label_studio, labelme, segments_ai, supervisely, via
from internvl_seg.data.exports.source import Source
from tests.data.exports.formats.answers import ANSWERS
from tests.data.exports.formats.test_hasty import image, label, project
from tests.data.exports.formats.test_label_studio import annotation, brush, polygon, result, task
from tests.data.exports.formats.test_labelme import png, record, shape
from tests.data.exports.formats.test_segments_ai import IDS, OBJECTS, release, sample
from tests.data.exports.formats.test_segments_ai import label as segmented
from tests.data.exports.formats.test_supervisely import META, bitmap, thing
from tests.data.exports.formats.test_supervisely import annotation as figures
from tests.data.exports.formats.test_via import file, region
from tests.data.exports.formats.test_via import project as via_project
from tests.data.exports.making import picture, written
from tests.data.exports.refusals import refusal

SQUARE = [[2, 3], [9, 3], [9, 8]]
BOX = {"x": 1, "y": 2, "width": 30, "height": 40, "rotation": 5, "rectanglelabels": ["cat"]}
ELLIPSE = {"x": 50, "y": 50, "radiusX": 10, "radiusY": 20, "ellipselabels": ["cat"]}
MIN = {"id": 1, "annotation_id": 1, "annotator": 1, "lead_time": 1, "created_at": "2024", "image": "a.jpg"}
VALUE = {"points": SQUARE, "polygonlabels": ["cat"], "original_width": 30, "original_height": 20}
BITMAP = base64.b64encode(zlib.compress(base64.b64decode(png(3, 4)))).decode()

# By name: the reader, the file that is damaged, what it holds, and the other files.
EXPORTS: dict[str, tuple[Any, str, Any, dict[str, Any]]] = {
    "label_studio": (
        label_studio,
        "a.json",
        [
            task(
                [
                    annotation(
                        [
                            polygon(),
                            brush(ANSWERS["label_studio_brush"][0]["rle"]),
                            result(BOX, "rectanglelabels", "r3"),
                            result(ELLIPSE, "ellipselabels", "r4"),
                        ]
                    ),
                    annotation([polygon("dog")], was_cancelled=True),
                ],
                "a.jpg",
            )
        ],
        {},
    ),
    "label_studio_min": (label_studio, "a.json", [{**MIN, "label": [VALUE]}], {}),
    "labelme": (
        labelme,
        "a.json",
        record(
            [
                shape(),
                shape(points=SQUARE[:2], kind="circle"),
                shape(points=[[2, 2], [5, 5]], kind="mask", mask=png(4, 4)),
                shape(points=SQUARE[:1], kind="point"),
            ]
        ),
        {},
    ),
    "via": (
        via,
        "a.json",
        via_project(
            [
                file(
                    [
                        region(kind="1"),
                        region({"name": "polygon", "all_points_x": [1, 2, 9], "all_points_y": [1, 9, 2]}, kind="2"),
                        region({"name": "ellipse", "cx": 9, "cy": 8, "rx": 3, "ry": 2, "theta": 0.5}, kind={"1": True}),
                    ]
                )
            ],
            {"kind": {"type": "radio", "options": {"1": "cat", "2": "dog"}}},
        ),
        {},
    ),
    "supervisely": (
        supervisely,
        "ds/ann/a.jpg.json",
        figures(
            [
                thing(),
                thing(kind="polygon", exterior=SQUARE),
                {**thing(kind="oriented_bbox"), "points": SQUARE[:2], "angle": 0.3},
                {**thing(kind="multipolygon"), "parts": [{"exterior": SQUARE, "interior": [SQUARE]}]},
                bitmap(BITMAP),
            ]
        ),
        {"meta.json": META},
    ),
    "supervisely_meta": (supervisely, "meta.json", META, {"ds/ann/a.jpg.json": figures([thing()])}),
    "segments_ai": (segments_ai, "a.json", release([sample(segmented(OBJECTS))]), {}),
    "segments_ai_vectors": (
        segments_ai,
        "a.json",
        release([sample(segmented([{"id": 1, "category_id": 4, "type": "polygon", "points": SQUARE}]))], "vector"),
        {},
    ),
    "hasty": (
        hasty,
        "a.json",
        project([image([label(mask=[3, 2, 19]), label(polygon=SQUARE)], dataset_name="")]),
        {},
    ),
    "hasty_masks": (
        hasty,
        "label_classes.json",
        [{"png_index": 3, "class_name": "cat", "color": "#010203"}],
        {},
    ),
}
ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.sampled_from([-1, 0, 1, 7, 10**9, 10**30, 0.5, 1e300, float("nan"), float("inf")]),
    st.sampled_from(["", "cat", "é\0\n", "../../x.jpg", "a.jpg", "/", "http://[", "AAAA", "data:,", "\ud800"]),
    st.sampled_from([[], {}, [[]], [None], [[1, 2], [3, 4]], {"a": 1}, [1, 2, 3]]),
)


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in inside:
        if not (isinstance(key, int) and key > 8):
            yield from places(part, (*path, key))


def damaged(content: Any, path: tuple[Any, ...], value: Any, how: str) -> Any:
    content = copy.deepcopy(content)
    if not path:
        return value
    inside = content
    for key in path[:-1]:
        inside = inside[key]
    if how == "gone":
        del inside[path[-1]]
    elif how == "twice" and isinstance(inside, list):
        inside.append(inside[path[-1]])
    else:
        inside[path[-1]] = value
    return content


def read_all(module: Any, source: Source, size: tuple[int, int] = (20, 30)) -> Export:
    module.recognise(source)
    export: Export = module.read(source)
    for one in export.pictures:
        if one.labels is not None:
            ids = one.labels(size, Window(0, 0, *size)).ids
            assert ids.shape == size
            assert set(np.unique(ids)) <= {*range(len(export.classes)), 254, 255}
    return export


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    made: dict[str, Path] = {}

    def folder(name: str) -> Path:
        if name not in made:
            made[name] = path = tmp_path_factory.mktemp(name)
            picture(path / ("ds/img/a.jpg" if name.startswith("supervisely") else "a.jpg"))
            if name.startswith("segments"):
                Image.fromarray(IDS).save(path / "a_label_ground-truth.png")
            if name == "hasty_masks":
                Image.fromarray(np.full((20, 30), 3, np.uint8)).save(path / "a.png")
            for other, content in EXPORTS[name][3].items():
                written(path / other, content)
        return made[name]

    return folder


@pytest.mark.parametrize("name", EXPORTS)
def test_the_whole_export_is_read(folders: Callable[[str], Path], name: str) -> None:
    module, at, content, _ = EXPORTS[name]
    written(folders(name) / at, content)
    _, words = refusal(lambda: read_all(module, Source(folders(name))))
    assert not words


@pytest.mark.parametrize("name", EXPORTS)
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.data())
def test_only_refusals_leave_a_reader(folders: Callable[[str], Path], name: str, data: st.DataObject) -> None:
    module, at, content, _ = EXPORTS[name]
    for _ in range(data.draw(st.integers(1, 2))):
        path = data.draw(st.sampled_from(list(places(content))))
        content = damaged(content, path, data.draw(ODD), data.draw(st.sampled_from(["other", "gone", "twice"])))
    text = json.dumps(content)
    written(folders(name) / at, text)
    _, words = refusal(lambda: read_all(module, Source(folders(name))))
    assert len(words) < 1500


@pytest.mark.parametrize("name", EXPORTS)
@pytest.mark.parametrize("data", [b"{", b"\xff\xfe\0", b"[" * 200_000, b"[1, 2]", b"{}", b"null", b""])
def test_what_is_no_json_or_of_another_kind_is_named(folders: Callable[[str], Path], name: str, data: bytes) -> None:
    module, at, _, _ = EXPORTS[name]
    (folders(name) / at).parent.mkdir(parents=True, exist_ok=True)
    (folders(name) / at).write_bytes(data)
    _, words = refusal(lambda: read_all(module, Source(folders(name))))
    assert not words or Path(at).name in words or str(folders(name)) in words
