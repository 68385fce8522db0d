"""The formats that are known: a module each, imported when it is asked.

A module has ``SUMMARY``, one line for the list of formats; ``recognise(source) -> str | None``, what tells that a
:class:`~internvl_seg.data.exports.source.Source` is of the format, in words, or None; and ``read(source) -> Export``.
"""

# In the order in which they are asked; one that another would take for its own comes first.
FORMATS: tuple[str, ...] = (
    "roboflow_coco",
    "coco",
    "cvat_masks",
    "cvat_colours",
    "cvat_xml",
    "datumaro",
    "roboflow_masks",
    "yolo",
    "label_studio",
    "labelme",
    "labelme_xml",
    "via",
    "supervisely",
    "segments_ai",
    "hasty",
    "kaggle_rle",
    "cityscapes",
    "bdd100k",
    "ade20k",
    "voc",
    "loveda",
    "isprs",
    "vectors",
    "object_masks",
    "class_masks",
    "colour_masks",
    "id_masks",
)
