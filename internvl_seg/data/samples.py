"""Images and labels of a data set as they are, before any transform."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from mmengine.registry import init_default_scope
from mmseg.registry import DATASETS
from numpy.typing import NDArray

from .confusion import IGNORED
from .folder_errors import FolderError
from .masks import LabelError
from .names import names_of_images


class Sample(NamedTuple):
    """An image with its labels."""

    name: str  # Of the pictures that are made of it.
    image: NDArray[np.uint8]  # RGB, (H, W, 3)
    labels: NDArray[np.uint8]  # (H, W), 255 = ignored


def read_samples(dataset: dict[str, Any]) -> tuple[list[Sample], dict[str, Any]]:
    """Read what training and evaluation read, and check it before minutes of training do.

    Args:
        dataset: Config of an mmseg data set; its pipeline is not run.

    Returns:
        The samples, and the data set's ``metainfo`` with ``classes`` and ``palette``.

    Raises:
        FolderError: A mask holds no ids, or does not fit its image or the classes.
    """
    init_default_scope("mmseg")
    built = DATASETS.build({**dataset, "pipeline": [{"type": "LoadImageFromFile"}, {"type": "LoadAnnotations"}]})
    names = names_of_images(built)
    try:
        samples = [Sample(names[s["img_path"]], s["img"][..., ::-1], s["gt_seg_map"]) for s in built]
    except LabelError as error:
        raise FolderError(str(error)) from error
    for sample in samples:
        _check(sample, dataset["data_root"], built.metainfo["classes"])
    return samples, built.metainfo


def _check(sample: Sample, root: str, classes: Sequence[str]) -> None:
    if sample.labels.shape != sample.image.shape[:2]:
        raise FolderError(
            f"The mask of {sample.name} under {root} is {sample.labels.shape} and its image {sample.image.shape[:2]}: "
            "a mask has one class id for every pixel of its image."
        )
    highest = int(sample.labels[sample.labels != IGNORED].max(initial=0))
    if highest >= len(classes):
        raise FolderError(
            f"The mask of {sample.name} under {root} holds id {highest}, but there are {len(classes)} classes: "
            f"{', '.join(classes)}. Ids count from 0; {IGNORED} is for pixels to ignore."
        )
