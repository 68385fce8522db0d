"""Heads and grids of one's own runs come from what their checkpoints hold."""

from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.config import Config

from internvl_seg import InternViT, convert_checkpoint, export_encoder, load_encoder
from internvl_seg.checkpoints.errors import ShapeMismatchError, WrongConfigError
from internvl_seg.checkpoints.meta_config import read_told
from internvl_seg.encoder.position import resize_pos_embed
from internvl_seg.segmentation import InternViTBackbone

from ..error_table import DocumentedError

ARCH = {"embed_dim": 64, "depth": 2, "num_heads": 8, "norm": "layer_norm", "qkv_bias": True, "qk_norm": False}


def run_of(path: Path, img_size: Any = (126, 224), config: Any = None, **more: Any) -> InternViT:
    """Write a checkpoint as a run does; 9 x 16 patches are as many as 12 x 12."""
    trained = InternViT(img_size=img_size, **ARCH | more).eval()
    for parameter in trained.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    state = {f"backbone.{name}": tensor for name, tensor in trained.state_dict().items()}
    state |= {"decode_head.conv_seg.weight": torch.zeros(2, 64, 1, 1), "decode_head.conv_seg.bias": torch.zeros(2)}
    backbone = {"type": "InternViT", "arch": ARCH | more, "img_size": img_size} if config is None else config
    torch.save({"state_dict": state, "meta": {"cfg": f"model = dict(backbone={backbone!r})\n", "iter": 2}}, path)
    return trained


@torch.no_grad()
@pytest.mark.parametrize("img_size", [(126, 224), (224, 126), (126, 210), 126])
def test_an_encoder_is_that_of_its_run(img_size: Any, tmp_path: Path) -> None:
    trained = run_of(tmp_path / "iter_2.pth", img_size, norm_eps=1e-2)
    encoder = load_encoder(tmp_path / "iter_2.pth")
    assert (encoder.num_heads, encoder.norm_eps, encoder.grid_size) == (8, 1e-2, trained.grid_size)
    images = torch.randn(1, 3, 42, 70)
    assert torch.equal(encoder(images), trained(images))
    assert torch.equal(load_encoder(tmp_path / "iter_2.pth", img_size=(42, 70))(images), trained(images))


@torch.no_grad()
@pytest.mark.parametrize("to", ["hf_native", "hf_remote_code", "segmentor", "official_segmentor"])
def test_what_it_is_converted_to_says_so(to: str, tmp_path: Path) -> None:
    trained = run_of(tmp_path / "iter_2.pth")
    report = convert_checkpoint(tmp_path / "iter_2.pth", tmp_path / f"{to}.pth", to=to)
    assert [what for what, _ in report.left_out] == ["meta"] or to.startswith("hf")
    encoder = load_encoder(tmp_path / f"{to}.pth")
    assert (encoder.num_heads, encoder.grid_size) == (8, (9, 16))
    assert torch.equal(encoder(torch.ones(1, 3, 28, 42)), trained(torch.ones(1, 3, 28, 42)))


@pytest.mark.parametrize("name", ["encoder.pth", "encoder.safetensors"])
def test_files_of_this_package_say_so(name: str, tmp_path: Path) -> None:
    encoder = InternViT(img_size=28, **ARCH, norm_eps=1e-3)
    export_encoder(encoder, tmp_path / name, to="official")
    read = load_encoder(tmp_path / name)
    assert (read.num_heads, read.norm_eps, read.grid_size) == (8, 1e-3, (2, 2))
    with pytest.raises(WrongConfigError, match=r"'internvl_seg', says num_heads = 8, but 4 was asked for"):
        load_encoder(tmp_path / name, num_heads=4)


@pytest.mark.parametrize(
    ("about", "message"),
    [
        ([1], "holds list"),
        ("{", "no JSON"),
        ({"num_heads": "8"}, "num_heads = '8'"),
        ({"img_size": [14, 14]}, r"img_size = \(14, 14\)"),
    ],
)
def test_what_a_file_says_of_itself_is_checked(about: Any, message: str, tmp_path: Path) -> None:
    state = InternViT(img_size=28, **ARCH).state_dict()
    torch.save({"module": state, "internvl_seg": about}, tmp_path / "encoder.pth")
    with pytest.raises(WrongConfigError, match=message):
        load_encoder(tmp_path / "encoder.pth", num_heads=8)


@pytest.mark.parametrize(
    ("backbone", "message"),
    [
        ({"type": "InternViT", "arch": ARCH | {"num_heads": "8"}}, r"model\.backbone\.arch\.num_heads = '8'"),
        ({"type": "InternViT", "arch": ARCH | {"num_heads": None}}, r"arch\.num_heads = None"),
        ({"type": "InternViT", "arch": ARCH | {"num_heads": 7}}, r"num_heads = 7, which does not divide 64"),
        ({"type": "InternViT", "arch": ARCH | {"embed_dim": 48}}, r"embed_dim = 48, but the weights have 64"),
        ({"type": "InternViT", "arch": ARCH | {"mlp_ratio": 2.0}}, r"mlp_ratio = 128, but the weights have 256"),
        ({"type": "InternViT", "arch": ARCH, "img_size": (126, 126)}, r"backbone\.img_size = \(126, 126\), 9 x 9"),
        ({"type": "InternViT", "arch": [ARCH]}, r"arch = .*expected a name or a dict"),
    ],
)
def test_a_run_that_contradicts_its_weights(backbone: Any, message: str, tmp_path: Path) -> None:
    run_of(tmp_path / "iter_2.pth", config=backbone)
    with pytest.raises(WrongConfigError, match=message):
        load_encoder(tmp_path / "iter_2.pth")


def test_messages(tmp_path: Path, documented_error: DocumentedError) -> None:
    path = tmp_path / "iter_2.pth"
    run_of(path, config={"type": "InternViT", "arch": ARCH, "img_size": (126, 126)})
    with documented_error("a run's config tells another image size", WrongConfigError):
        load_encoder(path)
    run_of(path)
    with documented_error("an argument contradicts a run's config", WrongConfigError):
        load_encoder(path, num_heads=4)
    checkpoint = torch.load(path)
    checkpoint["meta"]["cfg"] = "for i in range(3): pass"
    torch.save(checkpoint, path)
    with documented_error("a run's config cannot be read", WrongConfigError):
        load_encoder(path)
    checkpoint["meta"]["cfg"] = "model = dict(backbone=dict(type='InternViT', arch=arch))"
    torch.save(checkpoint, path)
    with documented_error("a run's config has an encoder that is not understood", WrongConfigError):
        load_encoder(path)


def test_configs_that_say_nothing() -> None:
    for meta in (
        *(None, {}, 3, {"cfg": None}, {"cfg": ""}, {"cfg": "model = None"}, {"cfg": "model = dict(backbone=3)"}),
        *({"config": "/a.py\nx(1"}, {"cfg": "model = dict(neck=dict(type='ResNet', depth=50))"}),
        {"cfg": "model = dict(type='EncoderDecoder', neck=dict(type='ResNet'))\nwork_dir = 'InternViT'"},
    ):
        assert read_told({"meta": meta}, "backbone.", "x.pth") is None
        assert read_told({"meta": meta}, "", "x.pth") is None
    assert read_told({"meta": {}, "message_hub": {"runtime_info": 3}}, "backbone.", "x.pth") is None


def test_a_release_and_the_official_code_tell_heads() -> None:
    cfg = "model = dict(backbone=dict(type='mmengine.InternViT', arch='internvit_300m_448px', img_size=504))"
    told = read_told({"meta": {"cfg": cfg}}, "backbone.", "x.pth")
    assert told is not None
    assert (told.values["num_heads"], told.values["img_size"], told.values["hidden"]) == (16, (504, 504), 4096)
    cfg = "model = dict(backbone=dict(type='InternViT6B', num_heads=25))"
    official = read_told({"meta": {"config": cfg}}, "backbone.", "x")
    assert official is not None
    assert official.values == {"num_heads": 25}
    silent = {"meta": {"config": "model = dict(backbone=dict(type='InternViT6B', img_size=504))"}}
    for width, heads in ((3200, 25), (None, 25), (100, 25), (64, None)):
        official = read_told(silent, "backbone.", "x", width=width)
        assert official is not None
        assert (official.values.get("num_heads"), bool(official.unclear)) == (heads, heads is None)


@torch.no_grad()
@pytest.mark.parametrize("prefix", ["backbone.", "module.backbone.", "model.backbone."])
def test_a_class_of_ones_own_tells_its_arch(prefix: str, tmp_path: Path) -> None:
    own = {"type": "MyViT", "arch": {"num_heads": 4, "embed_dim": 64, "norm_eps": 1e-3, "norm": "LN", "pooling": "x"}}
    trained = run_of(tmp_path / "run.pth", 126, own, num_heads=4, norm_eps=1e-3)
    checkpoint = torch.load(tmp_path / "run.pth")
    before = prefix.removesuffix("backbone.")
    named = {before + name: tensor for name, tensor in checkpoint["state_dict"].items()}
    torch.save(checkpoint | {"state_dict": named}, tmp_path / "run.pth")
    encoder = load_encoder(tmp_path / "run.pth")
    assert (encoder.num_heads, encoder.norm_eps) == (4, 1e-3)
    assert torch.equal(encoder(torch.ones(1, 3, 28, 42)), trained(torch.ones(1, 3, 28, 42)))
    with pytest.raises(WrongConfigError, match=r"backbone\.arch\.num_heads = 4, but 8 was asked for"):
        load_encoder(tmp_path / "run.pth", num_heads=8)


def test_a_class_of_ones_own_goes_before_another_encoder() -> None:
    mine = "dict(type='MyViT', arch=dict(num_heads=2))"
    about = {"meta": {"cfg": f"model = dict(backbone={mine}, teacher=dict(backbone={BACKBONE}))"}}
    for prefix, heads in {"backbone.": 2, "teacher.backbone.": 8}.items():
        told = read_told(about, prefix, "x.pth")
        assert told is not None
        assert told.values["num_heads"] == heads
    held = read_told({"meta": {"cfg": f"model = dict(backbone=dict(type='Wrap', a={BACKBONE}))"}}, "backbone.", "x.pth")
    assert held is not None
    assert held.values["num_heads"] == 8


BACKBONE = f"dict(type='InternViT', arch={ARCH!r}, img_size=(126, 224))"
TEXT = f"model = dict(backbone={BACKBONE})"


@pytest.mark.parametrize(
    "prefix",
    [
        *("", "module.", "backbone.", "module.backbone.", "_orig_mod.backbone.", "backbone._orig_mod.", "model."),
        *("module._orig_mod.backbone.", "model.backbone.", "teacher.backbone.", "ema.backbone.", "vision_model."),
    ],
)
def test_wrappers_do_not_hide_the_encoder(prefix: str) -> None:
    told = read_told({"meta": {"cfg": TEXT}}, prefix, "x.pth")
    assert told is not None
    assert (told.values["num_heads"], told.values["img_size"], told.unclear) == (8, (126, 224), "")


def test_of_several_encoders_that_of_the_same_name_is_taken() -> None:
    other = BACKBONE.replace("'num_heads': 8", "'num_heads': 4")
    about = {"meta": {"cfg": f"model = dict(backbone={BACKBONE}, teacher=dict(backbone={other}))"}}
    for prefix, heads in {"backbone.": 8, "module.backbone.": 8, "teacher.backbone.": 4}.items():
        told = read_told(about, prefix, "x.pth")
        assert told is not None
        assert told.values["num_heads"] == heads
    told = read_told(about, "student.backbone.", "x.pth")
    assert told is not None
    assert "several encoders" in told.unclear
    assert read_told({"meta": {"cfg": TEXT}}, "vit.", "x.pth", by_name=True) is None


@pytest.mark.parametrize(
    "about",
    [
        {"meta": {"config": TEXT}},
        {"meta": {"cfg": TEXT.replace("'InternViT'", "'project.MyInternViT'")}},
        {"message_hub": {"runtime_info": {"cfg": TEXT}}},
        {"meta": {"cfg": Config.fromstring(TEXT, ".py")._cfg_dict}},
        {"meta": {"cfg": f"base = dict(backbone={BACKBONE})\nmodel = dict(x=1)"}},
    ],
)
def test_wherever_the_config_is_it_is_read_or_not_guessed(about: Any, tmp_path: Path) -> None:
    run_of(tmp_path / "run.pth")
    checkpoint = torch.load(tmp_path / "run.pth")
    torch.save({"state_dict": checkpoint["state_dict"], **about}, tmp_path / "run.pth")
    encoder = load_encoder(tmp_path / "run.pth")
    assert (encoder.num_heads, encoder.grid_size) == (8, (9, 16))


@pytest.mark.parametrize(
    "text",
    [
        "model = make(dict(a=1))",
        "model = dict(backbone=make())",
        f"base = dict(a=1)\nmodel = dict(**base, backbone={BACKBONE})",
        f"base = dict(backbone={BACKBONE})\nmodel = dict(**base)",
        f"x = (model := dict(backbone={BACKBONE}))",
        "arch = dict(num_heads=8)\nmodel = dict(backbone=dict(type='InternViT', arch=arch))",
        "model = dict(backbone=dict(type='InternViT', arch='of_a_plugin'))",
        "model = dict(backbone=dict(type='InternViT'))",
        "model = dict(backbone=dict(type='ResNet', depth=50))",
        "model = dict(backbone=dict(type='MyViT', num_heads=8))",
        "model = dict(backbone=dict(type='MyViT', arch=dict(embed_dim=64)))",
        "x = 8\nmodel = dict(backbone=dict(type='MyViT', arch=dict(num_heads=x)))",
        f"x = 8\nmodel = dict(backbone={BACKBONE.replace(': 8', ': x')})",
        f"x = 9\nmodel = dict(backbone={BACKBONE.replace('126', '14 * x')})",
        "model = dict(backbone=dict(type='InternViT6B', num_heads=heads))",
        "model = dict(backbone=dict(type='InternViT6B'))",
        "for InternViT in range(3): pass",
        Config.fromstring(TEXT, ".py"),
    ],
)
def test_what_is_not_understood_is_not_guessed(text: Any, tmp_path: Path) -> None:
    path = tmp_path / "run.pth"
    run_of(path)
    checkpoint = torch.load(path)
    checkpoint["meta"]["cfg"] = text
    torch.save(checkpoint, path)
    for known in ({}, {"num_heads": 8}, {"img_size": (126, 224)}):
        with pytest.raises(WrongConfigError, match="not guessed: pass num_heads= and img_size="):
            load_encoder(path, **known)
    encoder = load_encoder(path, num_heads=8, img_size=(126, 224))
    assert (encoder.num_heads, encoder.grid_size) == (8, (9, 16))
    del checkpoint["meta"]["cfg"]
    checkpoint["meta"]["config"] = text
    torch.save(checkpoint, path)
    with pytest.raises(WrongConfigError, match="not guessed"):
        load_encoder(path)


@torch.no_grad()
@pytest.mark.parametrize("img_size", [(126, 224), (126, 210)])
def test_a_size_asked_for_tells_a_grid_that_nothing_else_does(img_size: tuple[int, int], tmp_path: Path) -> None:
    trained = InternViT(img_size=img_size, **ARCH).eval()
    for parameter in trained.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    torch.save(trained.state_dict(), tmp_path / "encoder.pth")
    encoder = load_encoder(tmp_path / "encoder.pth", num_heads=8, img_size=img_size)
    assert torch.equal(encoder.pos_embed, trained.pos_embed)
    export_encoder(trained, tmp_path / "told", to="hf_native")
    assert encoder.stored_embeddings == load_encoder(tmp_path / "told").stored_embeddings


@torch.no_grad()
def test_a_backbone_takes_the_grid_that_a_state_dict_tells(tmp_path: Path, documented_error: DocumentedError) -> None:
    wide, square = (InternViTBackbone(ARCH, img_size=size).eval() for size in ((126, 224), 168))
    images = torch.randn(1, 3, 42, 70)
    square.load_state_dict(wide.state_dict())  # Of as many positions.
    wanted = InternViTBackbone(ARCH, img_size=168).eval()
    wanted.load_state_dict({k: v for k, v in wide.state_dict().items() if k != "pos_embed"}, strict=False)
    wanted.pos_embed.copy_(resize_pos_embed(wide.pos_embed, (9, 16), (12, 12)))
    assert torch.equal(square(images)[0], wanted(images)[0])
    small = InternViTBackbone(ARCH, img_size=42)
    with documented_error("a checkpoint's position grid that nothing tells", ShapeMismatchError):
        small.load_state_dict(dict(InternViTBackbone(ARCH, img_size=(28, 70)).state_dict().items()))
    state = wide.state_dict()
    state._metadata[""]["grid_size"] = [9, 15]
    with pytest.raises(ShapeMismatchError, match=r"the grid \[9, 15\], but it has 144 positions"):
        square.load_state_dict(state)


def test_a_config_that_is_none_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    run_of(tmp_path / "iter_2.pth", 126)
    checkpoint = torch.load(tmp_path / "iter_2.pth")
    checkpoint["meta"]["cfg"] = None
    torch.save(checkpoint, tmp_path / "iter_2.pth")
    assert load_encoder(tmp_path / "iter_2.pth", num_heads=8).num_heads == 8
    assert "has no config: meta.cfg is None" in caplog.text
