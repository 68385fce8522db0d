from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample
from PIL import Image

from internvl_seg.visualization.overlay_hook import OverlayHook


@pytest.mark.parametrize("labelled", [True, False])
def test_every_image_gets_a_picture_of_its_own_name(labelled: bool, tmp_path: Path) -> None:
    Image.fromarray(np.full((30, 40, 3), 128, np.uint8)).save(tmp_path / "street.jpg")
    labels = PixelData(data=torch.ones(1, 30, 40, dtype=torch.long))
    sample = SegDataSample(metainfo={"img_path": str(tmp_path / "street.jpg")})
    sample.pred_sem_seg = labels
    if labelled:
        sample.gt_sem_seg = labels
    meta = {"classes": ("sky", "road"), "palette": [(0, 0, 255), (255, 0, 0)]}
    runner = SimpleNamespace(test_dataloader=SimpleNamespace(dataset=SimpleNamespace(metainfo=meta)))
    OverlayHook(str(tmp_path / "out")).after_test_iter(runner, 0, outputs=[sample])
    picture = np.asarray(Image.open(tmp_path / "out" / "street.png").convert("RGB")).astype(int)
    # The tinted area of the prediction, and of the ground truth where there is one.
    tinted = (abs(picture - [211, 45, 45]) < 8).all(axis=-1).mean()
    assert tinted > (0.3 if labelled else 0.2)
    assert picture.shape[1] > picture.shape[0]
