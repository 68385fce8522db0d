"""Pictures that are normalised otherwise than those that weights were trained on are told."""

from typing import Any

import pytest
from mmpretrain.models import ClsDataPreprocessor
from mmseg.models import SegDataPreProcessor
from torch import nn

from internvl_seg.checkpoints.input_norm import warn_of_other_norm

MEAN, STD = [123.675, 116.28, 103.53], [58.395, 57.12, 57.375]
TOLD = {"mean": MEAN, "std": STD, "bgr_to_rgb": True}


def told(capture: pytest.LogCaptureFixture, checkpoint: dict[str, Any], **own: Any) -> str:
    model = nn.Module()
    model.data_preprocessor = SegDataPreProcessor(**own)
    capture.clear()
    warn_of_other_norm(model, checkpoint, "iter_2.pth", "config.py")
    return capture.text


def trained(of_model: bool = True, **preprocessor: Any) -> dict[str, Any]:
    config = f"data_preprocessor = {preprocessor!r}"
    return {"meta": {"cfg": f"model = dict(data_preprocessor={preprocessor!r})" if of_model else config}}


@pytest.mark.parametrize("of_model", [True, False])
def test_the_same_is_silent(of_model: bool, caplog: pytest.LogCaptureFixture) -> None:
    assert not told(caplog, trained(of_model, **TOLD), mean=MEAN, std=STD, bgr_to_rgb=True)
    assert not told(caplog, trained(of_model))
    assert not told(caplog, trained(of_model, **{**TOLD, "bgr_to_rgb": False, "rgb_to_bgr": True}), **TOLD)


@pytest.mark.parametrize(
    "checkpoint", [{}, {"meta": None}, {"meta": {"cfg": "model = f("}}, {"meta": {"cfg": "x = 1"}}]
)
def test_a_checkpoint_that_tells_nothing_is_silent(
    checkpoint: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    assert not told(caplog, checkpoint, **TOLD)


def test_the_models_own_field_counts_and_not_one_that_its_base_left_beside_it(caplog: pytest.LogCaptureFixture) -> None:
    cfg = f"data_preprocessor = {TOLD!r}\nmodel = {{'data_preprocessor': {dict(TOLD, mean=[7.0] * 3)!r}}}"
    assert not told(caplog, {"meta": {"cfg": cfg}}, **dict(TOLD, mean=[7.0] * 3))
    assert "mean was [7.0, 7.0, 7.0] and is" in told(caplog, {"meta": {"cfg": cfg}}, **TOLD)


def test_images_are_compared_alike(caplog: pytest.LogCaptureFixture) -> None:
    model = nn.Module()
    model.data_preprocessor = ClsDataPreprocessor(mean=MEAN, std=STD, to_rgb=True)
    warn_of_other_norm(model, trained(False, mean=MEAN, std=STD, to_rgb=True), "epoch_1.pth", "config.py")
    assert not caplog.text
    warn_of_other_norm(model, trained(False, mean=MEAN, std=STD), "epoch_1.pth", "config.py")
    assert "was not turned round and is now" in caplog.text


def test_fields_of_another_class_are_not_compared(caplog: pytest.LogCaptureFixture) -> None:
    assert not told(caplog, trained(**{**TOLD, "mean": "imagenet"}), **TOLD)


@pytest.mark.parametrize("of_model", [True, False])
@pytest.mark.parametrize(
    ("own", "words"),
    [
        ({**TOLD, "mean": [123.675, 116.28, 104.0]}, "data_preprocessor.mean was [123.675, 116.28, 103.53] and is"),
        ({**TOLD, "mean": [0.0], "std": [255.0]}, "data_preprocessor.std was [58.395, 57.12, 57.375] and is [255.0]"),
        ({"bgr_to_rgb": True}, "data_preprocessor.mean was [123.675, 116.28, 103.53] and is None"),
        ({**TOLD, "bgr_to_rgb": False}, "the order of colours was turned round and is not now"),
    ],
)
def test_a_difference_is_told(
    of_model: bool, own: dict[str, Any], words: str, caplog: pytest.LogCaptureFixture
) -> None:
    found = told(caplog, trained(of_model, **TOLD), **own)
    assert words in found
    assert "iter_2.pth was trained with pictures normalised otherwise than config.py" in found
    other = told(caplog, trained(of_model, bgr_to_rgb=False), bgr_to_rgb=True)
    assert "was not turned round and is now" in other
    assert "data_preprocessor.mean" not in other
