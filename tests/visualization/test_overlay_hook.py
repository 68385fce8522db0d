from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample
from PIL import Image

from internvl_seg.visualization.overlay_hook import OverlayHook

META = {"classes": ("sky", "road"), "palette": [(0, 0, 255), (255, 0, 0)]}


class Images(list[Path]):
    """As much of a data set as the hook looks at."""

    metainfo = META

    def get_data_info(self, index: int) -> dict[str, str]:
        return {"img_path": str(self[index])}


def write_pictures(paths: list[Path], out: Path, label: int | None = 1, ignored: int = 255) -> None:
    """Run the hook over grey images whose every pixel is predicted to be road, with one label in the ground truth."""
    runner = SimpleNamespace(
        test_dataloader=SimpleNamespace(dataset=Images(paths)),
        test_evaluator=SimpleNamespace(metrics=[SimpleNamespace(ignore_index=ignored)]),
    )
    hook = OverlayHook(str(out))
    hook.before_test_epoch(runner)
    for path in paths:
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(np.full((30, 40, 3), 128, np.uint8)).save(path)
        sample = SegDataSample(metainfo={"img_path": str(path)})
        sample.pred_sem_seg = PixelData(data=torch.ones(1, 30, 40, dtype=torch.long))
        if label is not None:
            sample.gt_sem_seg = PixelData(data=torch.full((1, 30, 40), label))
        hook.after_test_iter(runner, 0, outputs=[sample])


def tinted(picture: Path) -> float:
    """The share of a picture that has the colour of road over grey."""
    pixels = np.asarray(Image.open(picture).convert("RGB")).astype(int)
    assert pixels.shape[1] > pixels.shape[0]
    return float((abs(pixels - [211, 45, 45]) < 8).all(axis=-1).mean())


@pytest.mark.parametrize("label", [1, None])
def test_every_image_gets_a_picture_of_its_own_name(label: int | None, tmp_path: Path) -> None:
    write_pictures([tmp_path / "street.jpg"], tmp_path / "out", label)
    # The area of the prediction, and of the ground truth where there is one.
    assert tinted(tmp_path / "out/street.png") > (0.2 if label is None else 0.3)


@pytest.mark.parametrize(("label", "ignored"), [(11, 11), (255, 11), (1, 1), (-1, 255)])
def test_what_is_ignored_or_no_class_is_not_painted(label: int, ignored: int, tmp_path: Path) -> None:
    write_pictures([tmp_path / "void.jpg"], tmp_path / "out", label, ignored)
    write_pictures([tmp_path / "road.jpg"], tmp_path / "out")
    # The prediction alone, not the ground truth.
    assert tinted(tmp_path / "out/void.png") == pytest.approx(tinted(tmp_path / "out/road.png") / 2, rel=0.05)


def test_images_of_one_name_get_a_picture_each(tmp_path: Path) -> None:
    names = ["a/street.jpg", "a/street.png", "b/street.jpg"]
    write_pictures([tmp_path / name for name in names], tmp_path / "out")
    written = sorted(path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*.*"))
    assert written == ["a/street.jpg.png", "a/street.png.png", "b/street.png"]
