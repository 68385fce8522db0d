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


def write_pictures(paths: list[Path], out: Path, labelled: bool = True) -> None:
    """Run the hook over grey images whose every pixel is road, in ground truth and prediction."""
    runner = SimpleNamespace(test_dataloader=SimpleNamespace(dataset=Images(paths)))
    hook = OverlayHook(str(out))
    hook.before_test_epoch(runner)
    for path in paths:
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(np.full((30, 40, 3), 128, np.uint8)).save(path)
        labels = PixelData(data=torch.ones(1, 30, 40, dtype=torch.long))
        sample = SegDataSample(metainfo={"img_path": str(path)})
        sample.pred_sem_seg = labels
        if labelled:
            sample.gt_sem_seg = labels
        hook.after_test_iter(runner, 0, outputs=[sample])


@pytest.mark.parametrize("labelled", [True, False])
def test_every_image_gets_a_picture_of_its_own_name(labelled: bool, tmp_path: Path) -> None:
    write_pictures([tmp_path / "street.jpg"], tmp_path / "out", labelled)
    picture = np.asarray(Image.open(tmp_path / "out" / "street.png").convert("RGB")).astype(int)
    # The tinted area of the prediction, and of the ground truth where there is one.
    tinted = (abs(picture - [211, 45, 45]) < 8).all(axis=-1).mean()
    assert tinted > (0.3 if labelled else 0.2)
    assert picture.shape[1] > picture.shape[0]


def test_images_of_one_name_get_a_picture_each(tmp_path: Path) -> None:
    names = ["a/street.jpg", "a/street.png", "b/street.jpg"]
    write_pictures([tmp_path / name for name in names], tmp_path / "out")
    written = sorted(path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*.*"))
    assert written == [f"{name}.png" for name in names]
