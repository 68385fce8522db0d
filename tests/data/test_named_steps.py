"""What fails in a pipeline is told with its file and its step, from workers, too."""

import pickle
from pathlib import Path
from typing import Any

import cv2
import mmcv.transforms
import numpy as np
import pytest
from mmengine.dataset import BaseDataset, Compose, ConcatDataset, RepeatDataset
from torch.utils.data import DataLoader

from internvl_seg.data.masks import LabelError, LoadAnnotations
from internvl_seg.data.named_steps import NamedSteps, SampleError, name_steps

from ..error_table import DocumentedError

PIPELINE = [
    {"type": mmcv.transforms.LoadImageFromFile},
    {"type": LoadAnnotations},
    {"type": mmcv.transforms.Resize, "scale": (8, 8)},
]


class Pictures(BaseDataset):
    """Pictures and their masks in a folder."""

    def load_data_list(self) -> list[dict[str, Any]]:
        """As MMSegmentation lists them."""
        about = {"reduce_zero_label": False, "label_map": None}
        return [
            {"img_path": f"image{i}.png", "seg_map_path": f"mask{i}.tiff", "seg_fields": [], **about} for i in range(2)
        ]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two pictures and masks."""
    monkeypatch.chdir(tmp_path)
    for i in range(2):
        cv2.imwrite(f"image{i}.png", np.zeros((4, 4, 3), np.uint8))
        cv2.imwrite(f"mask{i}.tiff", np.zeros((4, 4), np.uint8))


def read(workers: int, pipeline: list[dict[str, Any]] = PIPELINE) -> list[Any]:
    dataset = ConcatDataset([Pictures(pipeline=pipeline), Pictures(pipeline=pipeline)])
    name_steps(dataset)
    return list(DataLoader(dataset, num_workers=workers, collate_fn=list))


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("workers", [0, 1])
def test_a_file_that_is_damaged_is_named(workers: int, documented_error: DocumentedError) -> None:
    assert [len(batch) for batch in read(workers)] == [1, 1, 1, 1]
    Path("image1.png").write_bytes(Path("image1.png").read_bytes()[:40])
    with documented_error("a picture of a batch is damaged", SampleError):
        read(workers)


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("workers", [0, 1])
def test_a_mask_keeps_its_own_words(workers: int) -> None:
    cv2.imwrite("mask1.tiff", np.full((4, 4), 0.5, np.float32))
    with pytest.raises(LabelError) as caught:
        read(workers)
    assert str(caught.value) == "mask1.tiff holds 0.5: a mask has class ids, which are whole numbers. Make it anew."
    Path("mask1.tiff").write_bytes(b"no mask")
    with pytest.raises(SampleError, match=r"^mask1\.tiff: step 1 of the pipeline, LoadAnnotations, failed: "):
        read(workers)


@pytest.mark.usefixtures("folder")
def test_a_step_of_another_kind_is_named_with_the_picture() -> None:
    with pytest.raises(SampleError, match=r"^image0\.png: step 2 of the pipeline, Resize, failed: \w+: \S"):
        read(0, [*PIPELINE[:2], {"type": mmcv.transforms.Resize, "scale": "x"}])


def leave_out(data: dict[str, Any]) -> None:
    """Leave every sample out."""


def fail(data: dict[str, Any]) -> None:
    """Fail without words."""
    raise RuntimeError


def test_a_sample_that_is_left_out_meets_no_further_step() -> None:
    assert NamedSteps([dict, leave_out, fail])({}) is None
    with pytest.raises(SampleError, match=r"^A sample: step 1 .*, function, failed: RuntimeError: no message"):
        NamedSteps([dict, fail])({})


def test_a_set_that_is_repeated_is_looked_into() -> None:
    repeated = RepeatDataset(Pictures(pipeline=PIPELINE), 2)
    name_steps(repeated)
    assert isinstance(repeated.dataset.pipeline, NamedSteps)


def test_another_kind_of_pipeline_stays() -> None:
    class Own(Compose):
        pass

    dataset = Pictures(pipeline=[], lazy_init=True)
    dataset.pipeline = own = Own([])
    name_steps(dataset)
    assert dataset.pipeline is own
    dataset.pipeline = Compose(PIPELINE)
    steps = dataset.pipeline.transforms
    name_steps(dataset)
    assert isinstance(dataset.pipeline, NamedSteps)
    assert dataset.pipeline.transforms is steps  # What a hook alters in it is altered.
    assert len(pickle.loads(pickle.dumps(dataset.pipeline)).transforms) == 3  # A worker that is no fork gets it so.
