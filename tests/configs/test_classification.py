"""Every config for images is built at its full size, has the values of its protocol, trains and predicts."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.optim import OptimWrapper, build_optim_wrapper
from mmengine.registry import PARAM_SCHEDULERS, init_default_scope
from mmpretrain.registry import DATASETS, MODELS
from mmpretrain.structures import DataSample
from PIL import Image
from torchvision import transforms

from internvl_seg import list_encoders
from internvl_seg.classification.variants import VARIANTS
from internvl_seg.encoder import get_release
from internvl_seg.segmentation import InternViTBackbone
from internvl_seg.training.config import is_segmentation

from . import CLASSIFICATION, CONFIGS, FOLDER, SEGMENTATION, read

NAME = re.compile(r"(\w+?)/(\w+)_(linear|attention-pooling)_(frozen|full)_\1-(\d+)x\5\.py")
PROBES = [name for name in CLASSIFICATION if name.startswith("imagenet/") and "_frozen_" in name]
TUNED = [name for name in CLASSIFICATION if "_full_" in name]
POOLINGS = {"linear": "cls_patch_concat", "attention-pooling": "attention_pooling"}
# Side of the small images, and channels of the small encoder.
SIDE, CHANNELS = 42, 32
# By the class of a small image.
COLOURS = torch.tensor([(220, 40, 40), (40, 220, 40), (40, 40, 220), (220, 220, 40)])


@pytest.fixture(autouse=True)
def _scope() -> None:
    init_default_scope("mmpretrain")
    np.random.seed(0)


def title(name: str) -> tuple[str, str, str, str, int]:
    """Data set, encoder, head, protocol and size that a file is named after."""
    match = NAME.fullmatch(name)
    assert match is not None, name
    *words, size = match.groups()
    return (*words, int(size))


def test_the_lists_are_of_what_they_say() -> None:
    assert [name for name in CONFIGS if is_segmentation(read(name))] == SEGMENTATION
    print(f"{len(CLASSIFICATION)} configs for images, {len(PROBES)} of them probes of ImageNet")


def test_every_release_is_probed_with_both_heads_at_both_sizes() -> None:
    expected = {
        f"imagenet/{release}_{head}_frozen_imagenet-{size}x{size}.py"
        for release in list_encoders()
        for head in POOLINGS
        for size in (224, 448)
    }
    assert len(expected) == 7 * 2 * 2
    assert expected == set(PROBES)
    assert "imagenet/internvit_300m_448px_v2_5_linear_full_imagenet-448x448.py" in TUNED


@pytest.mark.parametrize("name", CLASSIFICATION)
def test_the_model_is_built_at_its_size(name: str) -> None:
    data, encoder, head, protocol, size = title(name)
    config = read(name)
    with torch.device("meta"):
        model = MODELS.build(config.model)
    backbone, classifier = model.backbone, model.head.classifier
    assert isinstance(backbone, InternViTBackbone)
    assert all(p.is_meta for p in model.parameters())
    assert backbone.out_type == "raw"
    assert tuple(backbone.out_indices) == (backbone.depth - 1,)
    if encoder in list_encoders():
        release = get_release(encoder)
        # Official classifiers are of the first 45 blocks, too.
        assert backbone.depth == (45 if encoder == "internvit_6b_448px_v1_0" else release.depth)
        assert (backbone.embed_dim, backbone.num_heads) == (release.embed_dim, release.num_heads)
        assert backbone.init_cfg == {"type": "Pretrained", "checkpoint": encoder}
        assert backbone.grid_size == (size // 14, size // 14)

    assert classifier.embed_dim == backbone.embed_dim
    assert classifier.pooling == POOLINGS[head]
    if head == "attention-pooling":
        assert classifier.attn_pooling.cross_attn.num_heads == backbone.num_heads
    assert data != "imagenet" or classifier.head.out_features == 1000
    # Labels are mixed before the head sees them.
    assert model.data_preprocessor.num_classes == (model.head.num_classes if "train_cfg" in config.model else None)

    trained = {key for key, parameter in model.named_parameters() if parameter.requires_grad}
    parts = ("head.",) if protocol == "frozen" else ("head.", "backbone.")
    assert trained == {key for key, _ in model.named_parameters() if key.startswith(parts)}
    assert any(key.startswith("backbone.") for key, _ in model.named_parameters())


@pytest.mark.parametrize("name", CLASSIFICATION)
def test_all_images_are_prepared_at_its_size(name: str) -> None:
    config, (*_, size) = read(name), title(name)
    train = {t.type: t for t in config.train_dataloader.dataset.pipeline}
    assert train["RandomResizedCrop"].scale == size
    assert train["RandomFlip"] == {"type": "RandomFlip", "prob": 0.5, "direction": "horizontal"}
    tested = config.test_dataloader.dataset
    for dataset in (config.val_dataloader.dataset, *tested.get("datasets", [tested])):
        steps = {t.type: t for t in dataset.pipeline}
        assert (steps["ResizeEdge"].scale, steps["ResizeEdge"].edge) == (size, "short")
        assert steps["CenterCrop"].crop_size == size


@pytest.mark.parametrize("name", PROBES)
def test_a_probe_is_the_official_recipe(name: str) -> None:
    _, _, head, _, size = title(name)
    config = read(name)
    assert (config.model.backbone.frozen, config.model.backbone.dtype) == (True, "bfloat16")
    assert config.optim_wrapper == {
        "type": "OptimWrapper",
        "optimizer": {"type": "SGD", "lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.0},
        "clip_grad": {"max_norm": 5.0},
    }
    assert config.auto_scale_lr == {"enable": True, "base_batch_size": 512}
    assert config.train_dataloader.batch_size == {224: 128, 448: 16}[size]
    assert config.train_dataloader.drop_last
    assert config.train_cfg == {"type": "IterBasedTrainLoop", "max_epochs": 10, "val_interval": 1}
    assert config.model.train_cfg.augments == [{"type": "Mixup", "alpha": 0.8}, {"type": "CutMix", "alpha": 1.0}]
    loss = config.model.head.loss
    assert (loss.type, loss.mode, loss.label_smooth_val) == ("LabelSmoothLoss", "original", 0.1)
    # The figures that are published are of the linear head at 224 pixels, without an average.
    averages = [] if (head, size) == ("linear", 224) else [{"type": "TrainedEMAHook", "decay": 0.998}]
    assert config.get("custom_hooks", []) == averages


@pytest.mark.parametrize("name", TUNED)
def test_full_tuning_decays_with_depth(name: str) -> None:
    config = read(name)
    backbone = config.model.backbone
    assert (backbone.frozen, backbone.with_cp) == (False, True)
    assert config.optim_wrapper.constructor == "LayerDecayOptimWrapperConstructor"
    assert config.optim_wrapper.paramwise_cfg == {"layer_decay_rate": 0.85}
    with torch.device("meta"):
        model = MODELS.build(config.model)
    names = {id(parameter): key for key, parameter in model.named_parameters()}
    rates = {}
    for group in build_optim_wrapper(model, config.optim_wrapper).optimizer.param_groups:
        rates |= {names[id(parameter)]: group["lr"] for parameter in group["params"]}
    assert rates.keys() == set(names.values())
    base, depth = config.optim_wrapper.optimizer.lr, model.backbone.depth
    for key, steps in (
        ("head.classifier.head.weight", 0),
        (f"backbone.blocks.{depth - 1}.attn.qkv.weight", 1),
        ("backbone.blocks.0.attn.qkv.weight", depth),
        ("backbone.pos_embed", depth + 1),
    ):
        assert rates[key] == pytest.approx(base * 0.85**steps)


@pytest.mark.parametrize("name", CLASSIFICATION)
def test_the_learning_rate_rises_and_falls_over_the_epochs(name: str) -> None:
    config, length = read(name), 8
    base, epochs = config.optim_wrapper.optimizer.lr, config.train_cfg.max_epochs
    warm = {10: 1, 20: 1, 30: 3}[epochs] * length
    optimizer = OptimWrapper(torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=base))
    arguments = {"optimizer": optimizer, "epoch_length": length}
    schedulers = [PARAM_SCHEDULERS.build({**s, **arguments}) for s in config.param_scheduler]
    rates = []
    for _ in range(epochs * length):
        rates.append(optimizer.get_lr()["lr"][0])
        for scheduler in schedulers:
            scheduler.step()
    # The official cosine covers all epochs, and the warm-up is put over its beginning.
    whole = config.optim_wrapper.optimizer.type == "SGD"
    begin, falling = (0, epochs * length) if whole else (warm, epochs * length - warm)
    for step in (0, 1, warm // 2, warm - 1, warm, warm + 1, 2 * warm, epochs * length - 1):
        ramp = 1 - (1 - step / (warm - 1)) * (1 - 1e-6) if step < warm else 1.0
        cosine = (1 + np.cos(np.pi * max(step - begin, 0) / falling)) / 2
        assert rates[step] == pytest.approx(base * ramp * cosine, rel=1e-5)
    assert rates[-1] < 1e-3 * base


@pytest.mark.parametrize("name", [name for name in CLASSIFICATION if name.startswith("imagenet/")])
def test_every_variant_is_tested(name: str) -> None:
    config = read(name)
    sets = config.test_dataloader.dataset.datasets
    assert [dataset.variant for dataset in sets] == list(VARIANTS)
    assert len({dataset.data_root for dataset in sets}) == len(VARIANTS) == 6
    # Images of ObjectNet have a red border of two pixels.
    bordered = {d.variant: [t.width for t in d.pipeline if t.type == "RemoveBorder"] for d in sets}
    assert bordered == {variant: [2] if variant == "objectnet" else [] for variant in VARIANTS}
    # Metric and ReaL's labels go by what is kept of a sample.
    assert all(d.pipeline[-1] == {"type": "PackInputs", "meta_keys": ("img_path", "variant")} for d in sets)
    assert config.test_evaluator.real_labels == "timm"
    # Of validation while it trains only ImageNet itself is asked.
    assert config.val_dataloader.dataset == sets[0]


def write(folder: Path) -> dict[str, Path]:
    """Photographs of one class, which their cameras noted to be turned."""
    draw = np.random.default_rng(0)
    files = {}
    for number, (height, width) in enumerate(((300, 400), (683, 513), (224, 500), (101, 137)), start=1):
        noise = draw.integers(0, 256, (height // 8, width // 8, 3), dtype=np.uint8)
        exif = Image.Exif()
        exif[0x0112] = 6  # Orientation: turned by 90 degrees.
        path = folder / "n01440764" / f"ILSVRC2012_val_{number:08d}.JPEG"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(noise).resize((width, height)).save(path, quality=95, exif=exif)
        files[path.name] = path
    return files


@pytest.mark.parametrize("size", [224, 448])
def test_images_are_read_as_by_the_official_code(size: int, tmp_path: Path) -> None:
    config = read(f"imagenet/internvit_6b_224px_linear_frozen_imagenet-{size}x{size}.py")
    files = write(tmp_path / "val")
    write(tmp_path / "train")
    part = {"data_root": str(tmp_path), "folders": ["n01440764"], "num_images": len(files)}
    preprocess = MODELS.build(config.model.data_preprocessor)
    # Source: OpenGVLab/InternVL classification/dataset/build.py (build_transform_for_linear_probe).
    official = transforms.Compose(
        [
            transforms.Resize(size, interpolation=transforms.InterpolationMode.BICUBIC),
            transforms.CenterCrop(size),
            transforms.ToTensor(),
            transforms.Normalize(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225)),
        ]
    )
    tested = DATASETS.build({**config.val_dataloader.dataset, **part})
    assert len(tested) == len(files)
    for sample in tested:
        name = Path(sample["data_samples"].img_path).name
        assert sample["data_samples"].variant == "imagenet"
        inputs = preprocess({"inputs": [sample["inputs"]], "data_samples": [sample["data_samples"]]})["inputs"]
        expected = official(Image.open(files[name]).convert("RGB"))
        torch.testing.assert_close(inputs[0], expected, atol=1e-5, rtol=0)

    trained = DATASETS.build({**config.train_dataloader.dataset, **part})
    crops = [trained[0]["inputs"] for _ in range(3)]
    assert all(crop.shape == (3, size, size) for crop in crops)
    assert not torch.equal(crops[0], crops[1])


def shrink(config: Config) -> Config:
    """The same model and optimizer around a tiny encoder, with four classes."""
    model = config.model
    model.backbone.arch = {"embed_dim": CHANNELS, "depth": 2, "num_heads": 2, "img_size": SIDE}
    model.backbone.update(dtype="float32", init_cfg=None)
    model.backbone.pop("img_size", None)
    model.head.update(in_channels=CHANNELS, num_classes=len(COLOURS))
    if "num_classes" in model.data_preprocessor:
        model.data_preprocessor.num_classes = len(COLOURS)
    if "pool_heads" in model.head:
        model.head.pool_heads = 2
    # So few steps are too few at their learning rates.
    config.optim_wrapper.optimizer.lr = 0.1 if config.optim_wrapper.optimizer.type == "SGD" else 0.01
    return config


def distinct() -> dict[str, Config]:
    """One config of every model and optimizer that differ in more than the encoder and the data set."""
    found: dict[str, tuple[str, Config]] = {}
    for name in CLASSIFICATION:
        config = shrink(read(name))
        key = json.dumps([config.model.to_dict(), config.optim_wrapper.to_dict()], sort_keys=True)
        found.setdefault(key, (name, config))
    return dict(found.values())


DISTINCT = distinct()


def test_they_stand_for_all_classifiers() -> None:
    print(f"{len(DISTINCT)} distinct models and protocols in {len(CLASSIFICATION)} configs")
    heads = {(c.model.head.pooling, c.model.backbone.frozen, "train_cfg" in c.model) for c in DISTINCT.values()}
    # Images are mixed in the probes of ImageNet and in full tuning.
    assert {(pooling, True, mixes) for pooling in POOLINGS.values() for mixes in (True, False)} <= heads
    assert ("cls_patch_concat", False, True) in heads


@pytest.mark.parametrize("name", DISTINCT)
def test_it_trains_and_predicts(name: str) -> None:
    config = DISTINCT[name].copy()
    frozen = config.model.backbone.frozen
    model = MODELS.build(config.model)
    model.init_weights()
    before = {key: parameter.detach().clone() for key, parameter in model.named_parameters()}
    optim_wrapper = build_optim_wrapper(model, config.optim_wrapper)

    def batch() -> dict[str, Any]:
        labels = torch.arange(8) % len(COLOURS)
        images = (COLOURS[labels].view(8, 3, 1, 1) + torch.randint(-30, 30, (8, 3, SIDE, SIDE))).to(torch.uint8)
        return {"inputs": list(images), "data_samples": [DataSample().set_gt_label(int(i)) for i in labels]}

    losses = [model.train().train_step(batch(), optim_wrapper)["loss"].detach() for _ in range(40)]
    assert torch.isfinite(torch.stack(losses)).all()
    assert torch.stack(losses[-10:]).mean() < 0.9 * torch.stack(losses[:5]).mean()

    for key, parameter in model.named_parameters():
        trained = key.startswith("head.") or not frozen
        # An optimizer has a state of what it had a gradient of.
        assert (parameter.requires_grad, parameter in optim_wrapper.optimizer.state) == (trained, trained), key
        # What is added to all keys of an attention alike does nothing.
        if not key.endswith("k_bias"):
            assert torch.equal(parameter, before[key]) != trained, key
    assert all(p.dtype == torch.float32 for p in model.parameters())

    tests = batch()
    with torch.no_grad():
        predictions = model.eval().test_step(tests)
    assert [int(p.pred_label) for p in predictions] == [int(s.gt_label) for s in tests["data_samples"]]
    for prediction in predictions:
        assert prediction.pred_score.shape == (len(COLOURS),)
        assert prediction.pred_score.dtype == torch.float32
        assert float(prediction.pred_score.sum()) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("name", CLASSIFICATION)
def test_a_leaf_is_short_and_says_what_it_is(name: str) -> None:
    data, _, head, protocol, _ = title(name)
    lines = (FOLDER / name).read_text().splitlines()
    assert len(lines) <= 25
    what = {"linear": "Linear probing", "attention-pooling": "Attention pooling"}[head]
    assert lines[0].startswith(f"# {what if protocol == 'frozen' else 'Full tuning'} o")
    assert ("ImageNet-1K" in lines[0]) == (data == "imagenet")
