"""Masks of any number of bits keep their ids; those of 8 are MMSegmentation's."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mmengine.registry import init_default_scope
from mmseg.datasets.transforms import LoadAnnotations as MMSegLoadAnnotations
from mmseg.registry import TRANSFORMS
from PIL import Image

from internvl_seg.data.masks import LabelError, LoadAnnotations

from ..error_table import DocumentedError


def load(path: Path, kind: type | None = None, reduce_zero_label: bool = False, **fields: Any) -> np.ndarray:
    init_default_scope("mmseg")
    transform = kind() if kind else TRANSFORMS.build({"type": "LoadAnnotations"})
    fields |= {"seg_map_path": str(path), "seg_fields": [], "reduce_zero_label": reduce_zero_label}
    return transform(fields)["gt_seg_map"]


def save(path: Path, ids: np.ndarray) -> Path:
    Image.fromarray(ids).save(path)
    return path


@pytest.mark.parametrize("reduce_zero_label", [False, True])
@pytest.mark.parametrize("label_map", [None, {1: 255, 2: 1, 3: 7}])
def test_masks_of_8_bits_are_mmsegmentations(
    reduce_zero_label: bool, label_map: dict[int, int] | None, tmp_path: Path
) -> None:
    path = save(tmp_path / "a.png", np.arange(256, dtype=np.uint8).reshape(16, 16))
    options = {"reduce_zero_label": reduce_zero_label, "label_map": label_map}
    found = load(path, **options)
    assert found.dtype == np.uint8
    assert np.array_equal(found, load(path, MMSegLoadAnnotations, **options))
    Image.open(path).convert("1").save(path)
    assert np.array_equal(load(path, **options), load(path, MMSegLoadAnnotations, **options))


@pytest.mark.parametrize(("dtype", "mode"), [(np.uint16, "png"), (np.uint16, "tif"), (np.int32, "tif")])
def test_higher_ids_are_kept(dtype: type, mode: str, tmp_path: Path) -> None:
    ids = np.array([[0, 1, 255], [256, 300, 65535]], dtype)
    path = save(tmp_path / f"a.{mode}", ids)
    assert load(path, MMSegLoadAnnotations).max() == 255
    assert np.array_equal(load(path), ids)
    assert load(path).dtype == np.uint16
    assert load(path, reduce_zero_label=True).tolist() == [[255, 0, 255], [255, 299, 65534]]
    assert load(path, label_map={256: 2}).tolist() == [[0, 1, 255], [2, 300, 65535]]
    assert load(save(path, ids.clip(max=255))).dtype == np.uint8


def test_other_numbers_are_kept_or_told(tmp_path: Path, documented_error: DocumentedError) -> None:
    path = save(tmp_path / "a.tif", np.array([[-1, 3], [-2, 70_000]], np.int32))
    assert load(path).tolist() == [[255, 3], [-2, 70_000]]
    assert load(save(path, np.array([[1, 2]], np.float32))).tolist() == [[1, 2]]
    with documented_error("a mask holds numbers that are not whole", LabelError):
        load(save(path, np.array([[1, 2.5]], np.float32)))
    with documented_error("a mask holds numbers that are no ids", LabelError):
        load(save(path, np.array([[1, 1e20]], np.float32)))
    with pytest.raises(LabelError, match="holds nan"):
        load(save(path, np.array([[1, np.nan]], np.float32)))


@pytest.mark.parametrize("shape", [(1, 5), (5, 1), (1, 1)])
def test_a_line_of_pixels_stays_two_dimensional(shape: tuple[int, int], tmp_path: Path) -> None:
    assert load(save(tmp_path / "a.png", np.zeros(shape, np.uint8))).shape == shape


def test_a_data_set_and_its_transform_agree(tmp_path: Path, documented_error: DocumentedError) -> None:
    path = save(tmp_path / "a.png", np.zeros((2, 2), np.uint8))
    transform = LoadAnnotations(reduce_zero_label=True)
    with documented_error("a transform and its data set differ in reduce_zero_label", ValueError):
        transform({"seg_map_path": str(path), "seg_fields": [], "reduce_zero_label": False})
