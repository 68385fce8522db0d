"""Every config can be built, and has the values of the protocol that it is named after."""

from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.structures import PixelData
from mmseg.registry import MODELS, TRANSFORMS
from mmseg.structures import SegDataSample

from internvl_seg.segmentation import InternViTBackbone
from internvl_seg.training.config import load_config

FOLDER = Path(__file__).resolve().parents[2] / "configs"
CONFIGS = sorted(str(path.relative_to(FOLDER)) for path in FOLDER.rglob("*.py") if "_base_" not in path.parts)
ADE20K = [name for name in CONFIGS if name.startswith("ade20k/")]


@pytest.fixture(autouse=True)
def _scope() -> None:
    init_default_scope("mmseg")


def read(name: str) -> Config:
    return load_config(FOLDER / name)


def shrink(config: Config) -> Config:
    """The same model around a tiny encoder, with heads to match."""
    channels, blocks = 32, len(config.model.backbone.out_indices)
    config.model.backbone.arch = {"embed_dim": channels, "depth": blocks, "num_heads": 2, "img_size": 42}
    config.model.backbone.out_indices = tuple(range(blocks))
    config.model.backbone.init_cfg = None
    if "neck" in config.model:
        config.model.neck.embed_dim = channels
    for head in (config.model.decode_head, config.model.get("auxiliary_head")):
        if head is not None:
            several = isinstance(head.in_channels, (list, tuple))
            head.in_channels = [channels] * len(head.in_channels) if several else channels
            head.channels = 16 if "channels" in head else None
            if head.channels is None:
                del head["channels"]
    return config


@pytest.mark.parametrize("name", CONFIGS)
def test_the_model_is_built_at_its_size(name: str) -> None:
    with torch.device("meta"):
        model = MODELS.build(read(name).model)
    backbone = model.backbone
    assert isinstance(backbone, InternViTBackbone)
    assert all(p.is_meta for p in backbone.parameters())
    assert model.num_classes == model.decode_head.num_classes


@pytest.mark.parametrize("name", CONFIGS)
def test_it_trains_and_predicts_with_a_tiny_encoder(name: str) -> None:
    config = shrink(read(name))
    model = MODELS.build(config.model)
    model.init_weights()
    size = config.model.data_preprocessor.get("size") or (56, 56)
    height, width = size

    def sample() -> SegDataSample:
        labels = torch.randint(model.num_classes, (1, height, width))
        meta = {"img_shape": size, "ori_shape": (height - 3, width + 5), "pad_shape": size}
        return SegDataSample(gt_sem_seg=PixelData(data=labels), metainfo=meta)

    images = torch.randint(256, (2, 3, height, width), dtype=torch.uint8)
    batch = {"inputs": list(images), "data_samples": [sample(), sample()]}
    losses = model(**model.data_preprocessor(batch, training=True), mode="loss")
    total, _ = model.parse_losses(losses)
    total.backward()
    frozen = config.model.backbone.get("frozen", False)
    for parameter_name, parameter in model.named_parameters():
        is_frozen = frozen and parameter_name.startswith("backbone.")
        assert (parameter.grad is None) == is_frozen, parameter_name
    (prediction,) = model.eval().test_step({"inputs": [images[0]], "data_samples": [sample()]})
    assert prediction.pred_sem_seg.data.shape == (1, height - 3, width + 5)


@pytest.mark.parametrize("name", CONFIGS)
def test_its_pipelines_are_built(name: str) -> None:
    config = read(name)
    loaders = [value for key, value in config.items() if key.endswith("_dataloader") and value is not None]
    assert loaders
    for loader in loaders:
        for transform in loader.dataset.pipeline:
            TRANSFORMS.build(transform)


@pytest.mark.parametrize("name", ADE20K)
def test_ade20k_follows_the_official_schedule(name: str) -> None:
    config = read(name)
    linear = "linear" in name
    assert config.model.backbone.frozen
    assert config.model.backbone.out_indices == ((44,) if linear else (11, 23, 35, 47))
    assert config.optim_wrapper.optimizer == {
        "type": "AdamW", "lr": 4e-5, "betas": (0.9, 0.999), "weight_decay": 0.0 if linear else 0.05,
    }  # fmt: skip
    assert config.train_cfg.max_iters == 80_000
    assert config.model.test_cfg == {"mode": "slide", "crop_size": (504, 504), "stride": (322, 322)}
    assert config.model.decode_head.num_classes == 150
    if not linear:
        assert (config.model.decode_head.channels, config.model.auxiliary_head.channels) == (1536, 1536)
        assert (config.model.auxiliary_head.in_index, config.model.auxiliary_head.loss_decode.loss_weight) == (1, 0.4)


def test_learning_rate_warms_up_while_it_decays() -> None:
    from mmengine.optim import OptimWrapper
    from mmengine.registry import PARAM_SCHEDULERS

    config = read(ADE20K[0])
    optimizer = OptimWrapper(torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=4e-5))
    schedulers = [PARAM_SCHEDULERS.build({**s, "optimizer": optimizer}) for s in config.param_scheduler]
    rates = []
    for _ in range(3000):
        rates.append(optimizer.get_lr()["lr"][0])
        for scheduler in schedulers:
            scheduler.step()

    def official(step: int) -> float:
        warm_up = 1 - (1 - step / 1500) * (1 - 1e-6) if step < 1500 else 1.0
        return float(4e-5 * (1 - step / 80_000) * warm_up)

    for step in (0, 1, 700, 1499, 1500, 2999):
        assert rates[step] == pytest.approx(official(step), rel=1e-6)


def test_the_test_pipeline_is_the_official_one() -> None:
    import numpy as np

    config = read(ADE20K[0])
    transforms: list[Any] = [TRANSFORMS.build(t) for t in config.test_dataloader.dataset.pipeline[1:3]]
    for size, want in (
        ((300, 400), (504, 672)),
        ((683, 512), (672, 504)),
        ((683, 500), (700, 504)),
        ((200, 2000), (504, 5040)),
    ):
        results = {"img": np.zeros((*size, 3), np.uint8), "img_shape": size}
        for transform in transforms:
            results = transform(results)
        assert results["img"].shape[:2] == want
