"""Test-time augmentation against MMSegmentation's."""

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from mmengine.structures import PixelData
from mmseg.models.segmentors import SegTTAModel
from mmseg.structures import SegDataSample
from torch import Tensor

from internvl_seg.segmentation import StreamingTTAModel

from .peers import build_both, samples


def augmented(image: Tensor, scales: list[tuple[int, int]], ori_shape: tuple[int, int]) -> dict[str, list[Any]]:
    """What TestTimeAug gives: every scale as it is and flipped."""
    inputs, found = [], []
    for scale in scales:
        resized = torch.nn.functional.interpolate(image[None], scale, mode="bilinear")[0]
        for flip in (False, True):
            meta = {"ori_shape": ori_shape, "flip": flip, "flip_direction": "horizontal", "img_path": "a.png"}
            inputs.append([resized.flip(-1) if flip else resized])
            found.append(samples(meta | {"img_shape": scale, "pad_shape": scale}))
    return {"inputs": inputs, "data_samples": found}


def label(model: Any, data: dict[str, list[Any]]) -> SegDataSample:
    with torch.no_grad():
        (sample,) = model.test_step(data)
    return sample


@given(
    st.lists(st.tuples(st.integers(2, 12), st.integers(2, 12)), min_size=1, max_size=3),
    st.tuples(st.integers(1, 60), st.integers(1, 60)),
    st.sampled_from(["whole", "slide"]),
)
def test_labels_are_mmsegmentations(scales: list[tuple[int, int]], ori_shape: tuple[int, int], mode: str) -> None:
    theirs, ours = build_both(mode=mode, crop_size=(8, 8), stride=(6, 5))
    scales = [(2 * a, 2 * b) for a, b in scales]
    image = torch.randn(3, 20, 24)
    want = label(SegTTAModel(module=theirs), augmented(image, scales, ori_shape))
    got = label(StreamingTTAModel(module=ours), augmented(image, scales, ori_shape))
    assert got.pred_sem_seg.data.equal(want.pred_sem_seg.data)
    assert got.img_path == "a.png"


def test_mmsegmentations_own_model_works_with_kept_logits() -> None:
    theirs, ours = build_both(mode="whole", keep_logits=True)
    image = torch.randn(3, 20, 24)
    want = label(SegTTAModel(module=theirs), augmented(image, [(8, 8), (12, 16)], (40, 50)))
    got = label(SegTTAModel(module=ours), augmented(image, [(8, 8), (12, 16)], (40, 50)))
    assert got.pred_sem_seg.data.equal(want.pred_sem_seg.data)


def test_one_output_is_averaged_as_probability() -> None:
    theirs, ours = build_both(binary=True, mode="whole")
    data = augmented(torch.randn(3, 20, 24), [(8, 8), (12, 16)], (40, 50))
    with torch.no_grad():
        each = [theirs.predict(i[0][None], s)[0].seg_logits.data for i, s in zip(*data.values(), strict=True)]
    mean = torch.stack(each).mean(0)
    ours.decode_head.threshold = mean.median().item() + 1e-4
    got = label(StreamingTTAModel(module=ours), augmented_again(data)).pred_sem_seg.data
    want = mean > ours.decode_head.threshold
    assert got.bool().equal(want)
    assert 0 < got.sum() < got.numel()


def augmented_again(data: dict[str, list[Any]]) -> dict[str, list[Any]]:
    """The same with fresh samples."""
    return {"inputs": data["inputs"], "data_samples": [samples(s[0].metainfo) for s in data["data_samples"]]}


def test_images_of_a_batch_may_differ_in_size() -> None:
    _, ours = build_both(mode="whole")
    model = StreamingTTAModel(module=ours)
    images = [torch.randn(3, 20, 24), torch.randn(3, 20, 24)]
    scales = [[(8, 8), (12, 16)], [(8, 6), (4, 4)]]
    both = [augmented(i, s, (30, 31)) for i, s in zip(images, scales, strict=True)]
    together = {key: [a + b for a, b in zip(*(d[key] for d in both), strict=True)] for key in both[0]}
    with torch.no_grad():
        got = model.test_step(together)
    for sample, image, scale in zip(got, images, scales, strict=True):
        assert sample.pred_sem_seg.data.equal(label(model, augmented(image, scale, (30, 31))).pred_sem_seg.data)


def test_ground_truth_comes_along() -> None:
    _, ours = build_both(mode="whole")
    data = augmented(torch.randn(3, 8, 8), [(8, 8)], (8, 8))
    for found in data["data_samples"]:
        found[0].set_metainfo({"reduce_zero_label": True})
        found[0].gt_sem_seg = PixelData(data=torch.zeros(1, 8, 8, dtype=torch.long))
    sample = label(StreamingTTAModel(module=ours), data)
    assert sample.gt_sem_seg.shape == (8, 8)
    assert sample.reduce_zero_label


@pytest.mark.parametrize("views", [1, 4])
def test_a_batch_of_views_needs_no_samples(views: int) -> None:
    _, ours = build_both(mode="whole")
    got = ours.predict_views([torch.randn(2, 3, 8, 8) for _ in range(views)])
    assert [tuple(sample.pred_sem_seg.shape) for sample in got] == [(8, 8), (8, 8)]


def test_with_another_segmentor_it_is_mmsegmentations() -> None:
    theirs, _ = build_both(mode="whole")
    image = torch.randn(3, 20, 24)
    want = label(SegTTAModel(module=theirs), augmented(image, [(8, 8), (12, 16)], (40, 50)))
    got = label(StreamingTTAModel(module=theirs), augmented(image, [(8, 8), (12, 16)], (40, 50)))
    assert got.pred_sem_seg.data.equal(want.pred_sem_seg.data)
