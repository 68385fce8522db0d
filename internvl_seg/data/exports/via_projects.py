"""VGG Image Annotator 3's projects as version 2 has them: files with regions, and attributes of regions.

As ``_via_data.js``, ``_via_metadata.js`` and ``_via_file_annotator.js`` of https://gitlab.com/vgg/via, via-3.x.y, write
them: ``metadata`` holds a view, a place in time ``z`` and a shape ``xy``, numbers of which the first is its kind.
"""

from typing import Any, NamedTuple

import numpy as np

from .export import SourceError
from .fields import as_list, as_mapping, as_number, as_text, first_upper
from .notes import Notes

_KEYS = ("project", "config", "attribute", "file", "metadata", "view")
_IMAGE, _INLINE = 2, 4
# Of _VIA_ATTRIBUTE_TYPE, as version 2 calls them.
_TICKED = 2
_KINDS = {_TICKED: "checkbox", 3: "radio", 4: "dropdown"}
# Of _VIA_RSHAPE: how many numbers follow at least.
_NUMBERS = {2: 4, 3: 3, 4: 4, 7: 6, 8: 4, 9: 6}
_NO_AREAS = {1: "point", 5: "line", 6: "polyline"}


class ViaFiles(NamedTuple):
    """What a file of VGG Image Annotator holds.

    Attributes:
        entries: Pictures by their keys, each with ``filename``, ``size`` and ``regions``, as in ``_via_img_metadata``.
        attributes: Of regions by name, as in ``_via_attributes``.
    """

    entries: dict[str, Any]
    attributes: dict[str, Any]


def is_project(found: Any) -> bool:
    """Whether a JSON file holds a project of version 3."""
    return isinstance(found, dict) and all(isinstance(found.get(key), dict) for key in _KEYS)


def files_of_project(content: dict[str, Any], name: str, notes: Notes) -> ViaFiles:
    """The pictures of a project with their regions.

    Args:
        content: What the file holds; ``attribute``, ``file``, ``view`` and ``metadata`` are read.
        name: Of the file, for messages.
        notes: Takes what is no area of a picture.

    Raises:
        SourceError: Something in it is not as VGG Image Annotator writes it.
    """
    attributes = {key: as_mapping(value, f"attribute {key} of {name}") for key, value in content["attribute"].items()}
    titles = _titles(attributes)
    entries: dict[str, Any] = {}
    of_view: dict[str, list[Any]] = {}
    for key, value in content["view"].items():
        view = as_mapping(value, f"view {key} of {name}")
        files = [str(fid) for fid in as_list(view.get("fid_list"), f"'fid_list' of view {key} of {name}")]
        if len(files) != 1:
            notes.add("Views of several files, whose regions belong to none, are left out", f"view {key} of {name}")
            continue
        entry = _file(content["file"].get(files[0]), files[0], name, notes)
        if entry is not None:
            of_view[str(key)] = entries.setdefault(files[0], entry)["regions"]
    for key, value in content["metadata"].items():
        what = f"metadata {key} of {name}"
        given = as_mapping(value, what)
        numbers = [as_number(one, f"'xy' of {what}") for one in as_list(given.get("xy"), f"'xy' of {what}")]
        if not numbers:
            notes.add("Attributes of whole files are left out", what)
        elif given.get("z"):
            notes.add("Regions in frames of videos are left out", what)
        elif (regions := of_view.get(str(given.get("vid")))) is not None:
            values = as_mapping(given.get("av") or {}, f"'av' of {what}")
            of_region = {
                titles[aid]: _value(attributes[aid], value) for aid, value in values.items() if aid in attributes
            }
            regions.append({"shape_attributes": _shape(numbers, what), "region_attributes": of_region})
    return ViaFiles(entries, {titles[aid]: _as_before(one) for aid, one in attributes.items()})


def _titles(attributes: dict[str, dict[str, Any]]) -> dict[str, str]:
    """Names of attributes by their ids, which two of one name keep."""
    names = {aid: " ".join(str(one.get("aname", "")).split()) or aid for aid, one in attributes.items()}
    often = list(names.values())
    return {aid: title if often.count(title) == 1 else f"{title} ({aid})" for aid, title in names.items()}


def _as_before(attribute: dict[str, Any]) -> dict[str, Any]:
    options = attribute.get("options")
    return {"type": _KINDS.get(attribute.get("type", 0), "text"), "options": options if options else {}}


def _value(attribute: dict[str, Any], value: Any) -> Any:
    """What a region has of an attribute: of boxes to be ticked the ids with commas between them."""
    if attribute.get("type") == _TICKED and isinstance(value, str):
        return {key: True for key in value.split(",") if key}
    return value


def _file(given: Any, fid: str, name: str, notes: Notes) -> dict[str, Any] | None:
    what = f"file {fid} of {name}"
    file = as_mapping(given, what)
    if file.get("type", _IMAGE) != _IMAGE:
        notes.add("Videos and sounds are left out", what)
        return None
    source = file.get("src")
    inside = source if file.get("loc") == _INLINE else ""
    named = as_text(file.get("fname") or source, f"'fname' of {what}")
    return {"filename": named, "size": -1, "regions": [], "base64_img_data": inside}


def _shape(numbers: list[float], what: str) -> dict[str, Any]:
    kind, values = int(numbers[0]), numbers[1:]
    if kind in _NO_AREAS:
        return {"name": _NO_AREAS[kind]}
    if kind not in _NUMBERS or len(values) < _NUMBERS[kind]:
        raise SourceError(
            f"{first_upper(what)} has the shape {str(numbers)[:60]}: the number of a rectangle (2), circle (3), "
            "ellipse (4) or polygon (7) and its coordinates were expected. Delete it, and save the project again."
        )
    if kind == 2:
        return dict(zip(("name", "x", "y", "width", "height"), ("rect", *values), strict=False))
    if kind == 3:
        return dict(zip(("name", "cx", "cy", "r"), ("circle", *values), strict=False))
    if kind == 4:
        return dict(zip(("name", "cx", "cy", "rx", "ry"), ("ellipse", *values), strict=False))
    if kind == 7:
        return {"name": "polygon", "all_points_x": values[0::2], "all_points_y": values[1::2]}
    x, y = np.array(values[0 : len(values) // 2 * 2]).reshape(-1, 2).T
    if kind == 8:  # Points on the sides of a box.
        left, top = float(x.min()), float(y.min())
        return {"name": "rect", "x": left, "y": top, "width": float(np.ptp(x)), "height": float(np.ptp(y))}
    return _circle(x[:3], y[:3], what)


def _circle(x: Any, y: Any, what: str) -> dict[str, Any]:
    """The circle through three points."""
    sides = 2 * np.array([[x[1] - x[0], y[1] - y[0]], [x[2] - x[0], y[2] - y[0]]])
    if abs(np.linalg.det(sides)) < 1e-9:
        raise SourceError(f"The three points of {what} lie on a line, where a circle was expected. Delete it.")
    squares = x**2 + y**2
    cx, cy = np.linalg.solve(sides, squares[1:] - squares[0]).tolist()
    return {"name": "circle", "cx": cx, "cy": cy, "r": float(np.hypot(cx - x[0], cy - y[0]))}
