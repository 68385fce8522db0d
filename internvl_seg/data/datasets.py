"""Datasets with fixed classes, for MMSegmentation."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmseg.datasets import BaseSegDataset
from mmseg.registry import DATASETS

from .folder_pairs import PairedFolders
from .image_lists import read_image_list
from .sample_set import CLASSES


class _ListedFolders(BaseSegDataset):
    """Listed as :class:`.folder.FolderDataset`: without junk, and by lists of any encoding; masks need not be there."""

    def load_data_list(self) -> list[dict[str, Any]]:
        """One entry per image, as mmseg's pipelines take them.

        Raises:
            FolderError: There is no image, or a list names others.
        """
        if (self.backend_args or {"backend": "local"}) != {"backend": "local"}:
            listed: list[dict[str, Any]] = super().load_data_list()
            return listed
        masks = self.data_prefix.get("seg_map_path")
        folders = PairedFolders(
            Path(self.data_prefix["img_path"]),
            None if masks is None else Path(masks),
            self.img_suffix,
            self.seg_map_suffix,
        )
        names = list(folders.stems)
        if self.ann_file:
            names = read_image_list(Path(self.ann_file), folders.stems, folders.images)
        fields = {"label_map": self.label_map, "reduce_zero_label": self.reduce_zero_label}
        if folders.masks is None:
            return [{"img_path": str(folders.images / name), "seg_fields": [], **fields} for name in names]
        return [
            {"img_path": str(image), "seg_map_path": str(mask), "seg_fields": [], **fields}
            for image, mask in folders.pairs(names)
        ]


@DATASETS.register_module()
class HGSCNestDataset(_ListedFolders):
    """The demo's tissue tiles (:mod:`internvl_seg.data.sample_set`), RGB and id maps as PNG.

    Threads may not share it; the processes of a loader have one each.

    Args:
        **kwargs: Arguments of mmseg's ``BaseSegDataset``.
    """

    METAINFO = {  # noqa: RUF012
        "classes": CLASSES,
        # They stand out from pink and violet; blue and yellow differ for colour-blind readers, green in brightness too.
        "palette": [(255, 255, 255), (86, 180, 233), (255, 235, 60), (0, 200, 120)],
    }

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"img_suffix": ".png", "seg_map_suffix": ".png"} | kwargs)


@DATASETS.register_module()
class CamVidDataset(_ListedFolders):
    """CamVid street scenes with 11 classes: JPEG images, PNG id maps, id 11 = void.

    Threads may not share it; the processes of a loader have one each.

    Args:
        **kwargs: Arguments of mmseg's ``BaseSegDataset``.
    """

    METAINFO = {  # noqa: RUF012
        "classes": (
            "sky",
            "building",
            "pole",
            "road",
            "pavement",
            "tree",
            "sign symbol",
            "fence",
            "car",
            "pedestrian",
            "bicyclist",
        ),
        "palette": [
            (128, 128, 128),
            (128, 0, 0),
            (192, 192, 128),
            (128, 64, 128),
            (60, 40, 222),
            (128, 128, 0),
            (192, 128, 128),
            (64, 64, 128),
            (64, 0, 128),
            (64, 64, 0),
            (0, 128, 192),
        ],
    }
    VOID = 11

    @classmethod
    def get_label_map(cls, new_classes: Sequence[str] | None = None) -> dict[int, int]:
        """Old ids to new ones; void becomes 255, which loader, padding, loss and metric all ignore.

        Args:
            new_classes: A subset of the classes, when a config asks for one.
        """
        return (super().get_label_map(new_classes) or {}) | {cls.VOID: 255}
