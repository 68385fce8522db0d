"""A config whose bands, in_chans, mean, std and steps do not go together is refused before an image is read."""

from typing import Any

import pytest
import torch

from internvl_seg import InternViT
from internvl_seg.training import ConfigError, evaluate
from internvl_seg.training.checks import check_form
from internvl_seg.training.checks.bands import check_bands

from .conftest import Read

DATA, ZERO = "train_dataloader.dataset", "model.data_preprocessor"
TINY: dict[str, Any] = {"embed_dim": 32, "depth": 1, "num_heads": 2}
FOUR: dict[str, Any] = {f"{ZERO}.mean": [1.0, 2.0, 3.0, 4.0], f"{ZERO}.std": [1.0] * 4, "model.backbone.in_chans": 4}


def steps(*middle: dict[str, Any], **load: Any) -> dict[str, Any]:
    load = {"type": "LoadImageFromFile", "bands": [1, 2, 3, 4]} | load
    return {f"{DATA}.pipeline": [load, {"type": "LoadAnnotations"}, *middle, {"type": "PackSegInputs"}]}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"model.backbone.in_chans": 3}, r"bands = \[1, 2, 3, 4\] are 4, but the encoder takes in_chans = 3"),
        ({"model.backbone.in_chans": None}, r"model.backbone.in_chans=4"),
        ({f"{ZERO}.mean": [1.0] * 3, f"{ZERO}.std": [1.0] * 3}, r"mean has 3 numbers.*measure_bands"),
        ({f"{ZERO}.bgr_to_rgb": True}, r"bgr_to_rgb = True is for BGR.*bgr_to_rgb=False"),
        (steps({"type": "PhotoMetricDistortion"}), r"\(PhotoMetricDistortion\) takes pictures of 8 bits"),
        (steps({"type": "RandomApply", "transforms": [{"type": "CLAHE"}]}), r"\(CLAHE\) takes pictures of 8 bits"),
        (
            steps({"type": "Normalize", "mean": [0.0] * 4, "std": [255.0] * 4}),
            r"to_rgb is True, by default, too, for BGR.*pipeline.2.to_rgb=False",
        ),
        (steps({"type": "RandomRotate", "prob": 0.5, "degree": 9, "pad_val": 7}), "pad_val = 7 is what the first band"),
        (steps({"type": "RandomMosaic", "prob": 0.5}), r"\(RandomMosaic\) takes 3 bands.*bands are 4"),
        (
            steps(bands=None, color_type="unchanged") | {f"{ZERO}.bgr_to_rgb": True},
            r"bgr_to_rgb = True is for three channels, but .*gives 4 channels.*bgr_to_rgb=False",
        ),
        (
            steps(bands=None, color_type="unchanged") | {f"{ZERO}.mean": [1.0] * 3, f"{ZERO}.std": [1.0] * 3},
            "mean has 3 numbers, but .*gives 4 channels",
        ),
        (
            steps(bands=None, color_type="grayscale")
            | {"model.backbone.in_chans": 1, f"{ZERO}.mean": [1.0] * 3, f"{ZERO}.std": [1.0] * 3},
            "mean has 3 numbers, but .*gives 1 channel",
        ),
        ({f"{ZERO}.std": None}, "std is None, but mean = .*: images are normalised by both or not at all"),
        ({f"{ZERO}.mean": None}, "mean is None, but std = .*: images are normalised by both or not at all"),
        (
            steps({"type": "RandomFlip", "prob": 0.5}, {"type": "Resize", "scale": (28, 42), "backend": "pillow"}),
            r"backend = 'pillow' takes pictures of 8 bits.*pipeline.3.backend=cv2",
        ),
        (steps(bands=[0, 1]), "counted from 1"),
        (steps(bands="1234"), "counted from 1"),
        (steps(no_data="none"), "no_data = 'none'"),
        (
            {**steps({"type": "Pad", "size": (28, 42)}, bands=[1, 2, 3, 4, 5]), "model.backbone.in_chans": 5},
            "pads up to 4 bands",
        ),
        (steps(bands=None), r"gives 3 channels, but the encoder takes in_chans = 4.*bands=\[1,2,3,4\]"),
        (
            {"val_dataloader.dataset.pipeline": steps(bands=[4, 3, 2, 1])[f"{DATA}.pipeline"]},
            r"bands = \[4, 3, 2, 1\], but elsewhere it is \[1, 2, 3, 4\]",
        ),
    ],
)
def test_what_does_not_go_together_is_refused(options: dict[str, Any], words: str, read: Read) -> None:
    with pytest.raises(ConfigError, match=words):
        check_form(read(FOUR | steps() | options), "train")


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"model.backbone.in_chans": None, "model.backbone.arch.in_chans": 4},
        {**steps(bands=None, color_type="unchanged")},
        {**steps({"type": "RandomFlip", "prob": 0.5}, bands=[4, 8, 3, 2], no_data=0)},
        {f"{ZERO}.bgr_to_rgb": False},
        steps({"type": "RandomRotate", "prob": 0.5, "degree": 9}),
    ],
)
def test_what_goes_together_is_not(options: dict[str, Any], read: Read) -> None:
    check_form(read(FOUR | steps() | options), "train")


@pytest.mark.parametrize("own", [True, False])
def test_numbers_that_nothing_normalises_are_told(own: bool, read: Read, capsys: pytest.CaptureFixture[str]) -> None:
    step = {"type": "Normalize", "mean": [1.0] * 4, "std": [2.0] * 4, "to_rgb": False}
    none = {f"{ZERO}.mean": None, f"{ZERO}.std": None}
    check_form(read(FOUR | steps(*([step] if own else [])) | none), "train")
    assert ("so nothing normalises" in " ".join(capsys.readouterr().out.split())) != own


@pytest.mark.usefixtures("read")
def test_test_time_augmentation_of_other_bands_is_refused() -> None:
    own = steps()[f"{DATA}.pipeline"]
    inner = {"type": "TestTimeAug", "transforms": [[{"type": "LoadAnnotations"}], [{"type": "PackSegInputs"}]]}
    options = (
        FOUR
        | steps()
        | {
            "test_dataloader": {
                "sampler": {"type": "DefaultSampler"},
                "dataset": {"type": "FolderDataset", "pipeline": own},
            },
            "test_evaluator": {"type": "SegmentationMetric"},
            "test_cfg": {"type": "TestLoop"},
            "tta_model": {"type": "SegTTAModel"},
            "tta_pipeline": [{"type": "LoadImageFromFile"}, inner],
        }
    )
    with pytest.raises(ConfigError, match=r"tta_pipeline\[0\].*Set --cfg-options tta_pipeline.0.bands=\[1,2,3,4\]"):
        evaluate("config.py", "none.pth", options=options, tta=True)
    options["tta_pipeline"] = [own[0], inner]
    with pytest.raises(ConfigError, match=r"FolderDataset|data_root|There is no checkpoint"):
        evaluate("config.py", "none.pth", options=options, tta=True)


def test_a_test_of_other_bands_than_the_training_set_is_refused(read: Read) -> None:
    other = {"test_dataloader.dataset.pipeline": steps(bands=[4, 3, 2, 1])[f"{DATA}.pipeline"]}
    (found,) = check_bands(read(FOUR | steps() | other), ("test_dataloader",))
    assert "bands = [4, 3, 2, 1], but elsewhere it is [1, 2, 3, 4]" in str(found)
    assert not list(check_bands(read(FOUR | steps()), ("test_dataloader",)))


def frozen(source: str, **backbone: Any) -> dict[str, Any]:
    init = {"type": "Pretrained", "checkpoint": source}
    return {f"model.backbone.{name}": value for name, value in ({"frozen": True, "init_cfg": init} | backbone).items()}


@pytest.mark.parametrize("source", ["internvit_300m_448px_v2_5", "rgb.pth"])
def test_a_frozen_encoder_that_does_not_read_a_band_is_told(
    source: str, read: Read, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.save(InternViT(28, **TINY).state_dict(), "rgb.pth")
    check_form(read(FOUR | steps() | frozen(source)), "train")
    told = " ".join(capsys.readouterr().out.split())
    assert "extra_bands = 'zero', but backbone.frozen = True: band 4 of the images is not read" in told
    assert "Set --cfg-options model.backbone.extra_bands=mean" in told


@pytest.mark.parametrize(
    "options",
    [
        frozen("rgb.pth", frozen=False),
        frozen("rgb.pth", extra_bands="mean"),
        frozen("wide.pth"),
        frozen("owner/name"),
        frozen("rgb.pth", init_cfg=None),
    ],
)
def test_an_encoder_that_reads_all_bands_is_not(
    options: dict[str, Any], read: Read, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.save(InternViT(28, **TINY).state_dict(), "rgb.pth")
    torch.save(InternViT(28, in_chans=4, **TINY).state_dict(), "wide.pth")
    check_form(read(FOUR | steps() | options), "train")
    assert "not read" not in capsys.readouterr().out
