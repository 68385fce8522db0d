"""Every segmentor can be built at its full size and has the values of the protocol that it is named after."""

import re

import pytest
import torch
from mmengine.config import Config
from mmengine.optim import OptimWrapper
from mmengine.registry import PARAM_SCHEDULERS, init_default_scope
from mmseg.registry import DATASETS, MODELS

from internvl_seg.encoder import get_release
from internvl_seg.segmentation import InternViTBackbone

from . import FOLDER, OFFICIAL, SEGMENTATION, read

CLASSES = {"ade20k": 150, "coco_stuff164k": 171, "cityscapes": 19, "voc": 21, "folder": 2}
# Iterations of the few-shot settings, by the denominator of their share of the images.
FEW_SHOT = {16: 5_000, 8: 10_000, 4: 20_000, 2: 40_000, 1: 80_000}


@pytest.fixture(autouse=True)
def _scope() -> None:
    init_default_scope("mmseg")


def test_the_official_protocols_are_all_there() -> None:
    releases = [
        "6b_224px",
        *(f"6b_448px_{v}" for v in ("v1_0", "v1_2", "v1_5", "v2_5")),
        "300m_448px",
        "300m_448px_v2_5",
    ]
    expected = {
        f"{data}/internvit_{release}_{protocol}_{data}-504x504.py"
        for data in ("ade20k", "coco_stuff164k")
        for release in releases
        for protocol in ("linear_frozen", "upernet_frozen", "upernet_full")
    }
    expected |= {f"ade20k/internvit_6b_224px_linear_few-shot-1of{k}_ade20k-504x504.py" for k in FEW_SHOT}
    assert len(expected) == 7 * 3 * 2 + 5
    assert expected <= set(SEGMENTATION)
    print(f"{len(SEGMENTATION)} segmentors, {len(expected)} of them official")


@pytest.mark.parametrize("name", SEGMENTATION)
def test_the_model_is_built_at_its_size(name: str) -> None:
    config = read(name)
    with torch.device("meta"):
        model = MODELS.build(config.model)
    backbone = model.backbone
    assert isinstance(backbone, InternViTBackbone)
    assert all(p.is_meta for p in model.parameters())
    assert max(backbone.out_indices) < backbone.depth
    heads = [model.decode_head, *([model.auxiliary_head] if model.with_auxiliary_head else [])]
    classes = DATASETS.get(config.test_dataloader.dataset.type).METAINFO.get("classes")
    for head in heads:
        assert head.num_classes == model.num_classes
        assert classes is None or head.num_classes == len(classes)


@pytest.mark.parametrize("name", OFFICIAL)
def test_it_is_the_official_recipe(name: str) -> None:
    folder, stem = name.removesuffix(".py").split("/")
    match = re.fullmatch(rf"(internvit_\w+?)_(linear|upernet)_(frozen|full|few-shot-1of(\d+))_{folder}-504x504", stem)
    assert match is not None
    release, head, protocol, share = match.groups()
    config, depth = read(name), get_release(release).depth
    backbone, decode_head, auxiliary = (config.model.get(k) for k in ("backbone", "decode_head", "auxiliary_head"))

    if release == "internvit_6b_448px_v1_0":
        depth = 45
        assert backbone.arch == {"depth": 45, "img_size": 448}
    else:
        assert backbone.arch == release
    assert backbone.init_cfg == {"type": "Pretrained", "checkpoint": release}
    linear_tap = {"300m": 23, "few": 47}.get("300m" if "300m" in release else protocol[:3], 44)
    four_taps = {48: (11, 23, 35, 47), 45: (11, 22, 33, 44), 24: (5, 11, 17, 23)}[depth]
    assert backbone.out_indices == ((linear_tap,) if head == "linear" else four_taps)
    tuned = protocol != "frozen"
    assert (backbone.frozen, backbone.get("drop_path_rate", 0.0)) == (not tuned, 0.4 if tuned else 0.0)
    assert backbone.get("with_cp", False) == tuned
    assert (backbone.img_size, backbone.dtype) == (504, "bfloat16")

    assert decode_head.num_classes == CLASSES[folder]
    assert decode_head.loss_decode == {"type": "CrossEntropyLoss", "loss_weight": 1.0}
    if head == "linear":
        assert (decode_head.type, auxiliary) == ("LinearHead", None)
        assert "dropout_ratio" not in decode_head  # LinearHead has none unless asked for.
    else:
        assert (decode_head.type, decode_head.channels, decode_head.in_index) == ("UPerHead", 1536, [0, 1, 2, 3])
        assert (auxiliary.type, auxiliary.channels, auxiliary.in_index) == ("FCNHead", 1536, 2 if tuned else 1)
        assert (auxiliary.loss_decode.loss_weight, auxiliary.num_classes) == (0.4, CLASSES[folder])
    assert config.model.test_cfg == {"mode": "slide", "crop_size": (504, 504), "stride": (322, 322)}

    decay = 0.0 if (head, tuned) == ("linear", False) else 0.05
    assert config.optim_wrapper.optimizer == {"type": "AdamW", "lr": 4e-5, "betas": (0.9, 0.999), "weight_decay": decay}
    if tuned:
        assert config.optim_wrapper.constructor == "LayerDecayOptimWrapperConstructor"
        assert config.optim_wrapper.paramwise_cfg == {"layer_decay_rate": 0.95}
    else:
        assert config.optim_wrapper.paramwise_cfg == {"flat_decay_mult": 0.0}
    assert (config.get("model_wrapper_cfg") == {"type": "FullyShard"}) == (tuned and "6b" in release)

    iterations, warm_up = (FEW_SHOT[int(share)], 100) if share else (80_000, 1_500)
    assert config.train_cfg.max_iters == iterations
    assert [s.end for s in config.param_scheduler] == [warm_up + 1, iterations + 1]  # MMEngine counts one less.
    assert config.train_dataloader.batch_size == 2
    rates = learning_rates(config, iterations if iterations <= 5_000 else warm_up + 2)
    for step in (0, 1, warm_up // 2, warm_up - 1, warm_up, warm_up + 1, len(rates) - 1):
        warm = 1 - (1 - step / warm_up) * (1 - 1e-6) if step < warm_up else 1.0
        assert rates[step] == pytest.approx(4e-5 * (1 - step / iterations) * warm, rel=1e-6)
    if share:
        assert config.train_dataloader.dataset.indices == 20_210 // int(share)


def learning_rates(config: Config, steps: int) -> list[float]:
    """Rates of the first steps, by the config's own schedulers."""
    optimizer = OptimWrapper(torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=4e-5))
    schedulers = [PARAM_SCHEDULERS.build({**s, "optimizer": optimizer}) for s in config.param_scheduler]
    rates = []
    for _ in range(steps):
        rates.append(optimizer.get_lr()["lr"][0])
        for scheduler in schedulers:
            scheduler.step()
    return rates


@pytest.mark.parametrize("name", OFFICIAL)
def test_a_leaf_is_short_and_says_what_it_is(name: str) -> None:
    lines = (FOLDER / name).read_text().splitlines()
    assert len(lines) < 20
    assert re.match(r"# (Linear probing|Head tuning|Full tuning|Few-shot)", lines[0])
    assert "Published: " in lines[0] or "no mIoU is published" in lines[0] or "your own images" in lines[0]
