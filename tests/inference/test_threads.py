"""Threads that share a segmentor or a classifier get what one alone gets."""

import os
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope
from PIL import Image

from internvl_seg import Classifier, InternViT, Segmentation, Segmenter, export_encoder
from internvl_seg.inference.model import find_pipeline
from internvl_seg.inference.rasters import RasterReader
from internvl_seg.inference.videos import VideoReader, VideoWriter

from ..classification.small import CLASSES as KINDS
from ..classification.small import write
from ..in_threads import in_threads, one_by_one
from .conftest import CLASSES, CONFIG, picture

SIZES = [(20, 30), (17, 40), (30, 16), (8, 9), (23, 23), (16, 24), (31, 12), (24, 40)]
ARCH = {"embed_dim": 8, "depth": 4, "num_heads": 2, "patch_size": 2, "img_size": 16}
SLIDE = {"test_cfg": {"mode": "slide", "crop_size": (16, 24), "stride": (10, 14), "window_batch": 3}}
UPERNET = {
    "neck": {"type": "FeaturePyramid", "embed_dim": 8},
    "decode_head": {
        "type": "UPerHead", "in_channels": [8] * 4, "in_index": [0, 1, 2, 3], "channels": 8, "pool_scales": (1, 2),
        "norm_cfg": {"type": "BN"}, "num_classes": 4,
    },
}  # fmt: skip
MLP = {"type": "MLPHead", "in_channels": 8, "hidden_channels": 16, "num_classes": 4}
DM = {"type": "DMHead", "in_channels": 8, "channels": 4, "num_classes": 4, "filter_sizes": (1, 3)}
# What is changed of the config's backbone, and of its model.
SEGMENTORS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "whole": ({}, {}),
    "slide": ({}, SLIDE),
    "bfloat16": ({"dtype": "bfloat16"}, SLIDE),
    "lora": ({"frozen": True, "lora": {"rank": 2}}, SLIDE),
    "streamed": ({"frozen": True, "blocks_in_memory": 1, "init_cfg": {"type": "Pretrained"}}, SLIDE),
    "mlp": ({}, SLIDE | {"decode_head": MLP}),
    "upernet": ({"out_indices": (0, 1, 2, 3)}, SLIDE | UPERNET),
    "dm": ({}, SLIDE | {"decode_head": DM}),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An encoder, pictures of all sizes, a config and weights of a segmentor."""
    folder = tmp_path_factory.mktemp("threads")
    for i, size in enumerate(SIZES):
        Image.fromarray(picture(*size, i)).save(folder / f"{i}.png")
    torch.manual_seed(0)
    encoder = InternViT(**ARCH)
    for parameter in encoder.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    export_encoder(encoder, folder / "encoder.pth", to="official")
    (folder / "config.py").write_text(CONFIG)
    segmenter = build(folder, *SEGMENTORS["whole"])
    torch.save({"state_dict": segmenter.model.state_dict(), "meta": {}}, folder / "weights.pth")
    return folder


@pytest.fixture
def pictures(folder: Path) -> list[Any]:
    """Half of them files, half arrays."""
    return [folder / f"{i}.png" if i % 2 else picture(*size, i) for i, size in enumerate(SIZES)]


def build(folder: Path, backbone: dict[str, Any], model: dict[str, Any], tta: bool = False) -> Segmenter:
    """A segmentor of random weights whose classes all win somewhere."""
    config = Config.fromfile(folder / "config.py")
    if "init_cfg" in backbone:
        backbone = backbone | {"init_cfg": {"type": "Pretrained", "checkpoint": str(folder / "encoder.pth")}}
    init_default_scope("mmseg")
    made = {**config.model, "backbone": {**config.model.backbone, "arch": ARCH, **backbone}, **model}
    torch.manual_seed(3)
    segmentor = MODELS.build(made)
    for name, parameter in segmentor.named_parameters():
        if parameter.dtype == torch.float32 and parameter.ndim > 1 and not name.startswith("backbone.blocks"):
            torch.nn.init.normal_(parameter, std=0.5)
    palette = [[i, i, i] for i in range(4)]
    return Segmenter(segmentor.eval(), find_pipeline(config, tta), CLASSES, palette)


def check(function: Callable[[Any], Segmentation], pictures: list[Any]) -> None:
    """Compare what eight threads get of pictures with what one gets."""
    wanted = one_by_one(function, pictures)
    assert len({int(label) for one in wanted for label in np.unique(one.labels)}) > 1
    for number, found in enumerate(in_threads(function, pictures * 2)):
        want = wanted[number % len(pictures)]
        assert np.array_equal(found.labels, want.labels)
        assert found.areas == want.areas
        assert found.probabilities is not None
        assert np.array_equal(found.probabilities, want.probabilities)


@pytest.mark.parametrize("kind", SEGMENTORS)
def test_a_segmentor_of_any_kind(kind: str, folder: Path, pictures: list[Any]) -> None:
    segmenter = build(folder, *SEGMENTORS[kind])
    check(lambda one: segmenter(one, probabilities=True), pictures)


def test_a_segmentor_that_sees_pictures_several_times(folder: Path, pictures: list[Any]) -> None:
    segmenter = build(folder, *SEGMENTORS["slide"], tta=True)
    check(lambda one: segmenter(one, probabilities=True), pictures)


def test_a_segmentor_that_finds_out_how_many_windows_fit(folder: Path, pictures: list[Any]) -> None:
    slide = {"test_cfg": SLIDE["test_cfg"] | {"window_batch": None}}
    alone, segmenter = build(folder, {}, slide), build(folder, {}, slide)
    wanted = [found.labels for found in one_by_one(alone, pictures)]
    assert all(np.array_equal(f.labels, w) for f, w in zip(in_threads(segmenter, pictures), wanted, strict=True))
    held, before = segmenter.model.test_cfg, dict(segmenter.model.test_cfg)
    assert segmenter.model.halve_window_batch()
    assert segmenter.model.test_cfg != before
    assert held == before  # Others may be reading it.


def test_parts_of_a_picture(folder: Path) -> None:
    segmenter = build(folder, *SEGMENTORS["slide"])

    def label(number: int) -> np.ndarray:
        pixels = picture(*SIZES[number], number)
        bands = segmenter.bands(SIZES[number], lambda start, stop: pixels[start:stop])
        return np.concatenate([band for _, band in bands])

    wanted = one_by_one(label, range(8))
    assert all(np.array_equal(f, wanted[i % 8]) for i, f in enumerate(in_threads(label, [*range(8)] * 2)))


def test_models_that_are_built_while_others_are(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path)
    init_default_scope("mmpretrain")
    classifier = MODELS.build(Config.fromfile("config.py").model)
    for parameter in classifier.head.parameters():
        torch.nn.init.normal_(parameter)
    torch.save({"state_dict": classifier.state_dict(), "meta": {"dataset_meta": {"classes": KINDS}}}, "model.pth")
    photographs = sorted(Path("photos").rglob("*.png"))[:8]

    def see(number: int) -> Any:
        if number % 2:
            found = Classifier.from_checkpoint("config.py", "model.pth", device="cpu")(photographs[0])
            return found.labels, found.probabilities
        files, options = (folder / "config.py", folder / "weights.pth"), {"model.backbone.arch": ARCH}
        return Segmenter.from_checkpoint(*files, device="cpu", options=options)(folder / "1.png").areas

    assert in_threads(see, range(8)) == one_by_one(see, range(2)) * 4
    shared = Classifier.from_checkpoint("config.py", "model.pth", device="cpu")
    assert in_threads(shared, photographs * 2) == one_by_one(shared, photographs) * 2


def test_rasters_and_videos_of_a_thread_each(folder: Path, tmp_path: Path) -> None:
    with VideoWriter(tmp_path / "a.mp4", 10, 48, 64) as video:
        video.write(picture(48, 64))
    filters, environment = list(warnings.filters), dict(os.environ)

    def read(number: int) -> list[np.ndarray]:
        with RasterReader(folder / f"{number % 8}.png") as raster, VideoReader(tmp_path / "a.mp4") as video:
            return [*(raster.rows(row, row + 1) for row in range(raster.height)), *video]

    wanted = one_by_one(read, range(8))
    for number, found in enumerate(in_threads(read, range(24))):
        assert all(np.array_equal(f, w) for f, w in zip(found, wanted[number % 8], strict=True))
    assert warnings.filters == filters
    assert dict(os.environ) == environment
