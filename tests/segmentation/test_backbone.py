"""The registered backbone: maps, freezing, and what a checkpoint holds of it."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.model import BaseModel
from mmengine.registry import MODELS
from mmengine.runner.checkpoint import get_state_dict, load_checkpoint, load_state_dict
from mmpretrain.registry import MODELS as MMPRETRAIN_MODELS
from mmseg.registry import MODELS as MMSEG_MODELS
from torch import nn

from internvl_seg import InternViT, export_encoder, load_encoder
from internvl_seg.checkpoints.errors import CheckpointError
from internvl_seg.checkpoints.reference import (
    REFERENCE,
    WrongEncoderError,
    hash_encoder,
    read_reference,
    write_reference,
)
from internvl_seg.encoder.cpu import has_bf16_products
from internvl_seg.encoder.lora import is_lora
from internvl_seg.encoder.position import resize_pos_embed
from internvl_seg.encoder.quantization import QUANTIZATIONS
from internvl_seg.segmentation import InternViTBackbone
from internvl_seg.segmentation import backbone as backbone_module
from internvl_seg.segmentation.backbone import reading_weights_later

from ..conftest import Golden
from ..error_table import DocumentedError

ARCH = {"embed_dim": 32, "depth": 4, "num_heads": 2, "img_size": 42}


@pytest.fixture
def weights(tmp_path: Path, golden: Callable[[str], Golden]) -> Path:
    """A checkpoint of the architecture."""
    torch.save({"module": golden("official_seg_rms").state}, tmp_path / "encoder.pth")
    return tmp_path / "encoder.pth"


def frozen(weights: Path, **options: Any) -> InternViTBackbone:
    init_cfg = {"type": "Pretrained", "checkpoint": str(weights)}
    return InternViTBackbone(ARCH, frozen=True, init_cfg=init_cfg, **options)


class Model(BaseModel):
    """A backbone with a head, as a segmentor holds it."""

    def __init__(self, backbone: InternViTBackbone) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = nn.Conv2d(32, 3, 1)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.head(self.backbone(images)[-1])


@pytest.mark.parametrize("registry", [MODELS, MMSEG_MODELS, MMPRETRAIN_MODELS])
def test_it_is_found_from_every_scope(registry: Any) -> None:
    backbone = registry.build({"type": "InternViT", "arch": ARCH, "out_indices": (0, -1)})
    assert isinstance(backbone, InternViT)
    assert backbone.out_indices == [0, 3]


def test_its_parameters_have_the_official_names(golden: Callable[[str], Golden]) -> None:
    assert set(Model(InternViTBackbone(ARCH)).backbone.state_dict()) == set(golden("official_seg_rms").state)


@pytest.mark.parametrize("is_frozen", [False, True])
def test_maps_are_fp32_and_follow_the_image(is_frozen: bool) -> None:
    backbone = InternViTBackbone(ARCH, out_indices=(1, 3), frozen=is_frozen, dtype="bfloat16")
    maps = backbone(torch.randn(2, 3, 28, 70))
    assert backbone.dtype == (torch.bfloat16 if is_frozen else torch.float32)
    assert [(m.dtype, tuple(m.shape)) for m in maps] == [(torch.float32, (2, 32, 2, 5))] * 2


@pytest.mark.skipif(not has_bf16_products(), reason="needs a CPU that multiplies bf16 (AVX-512)")
def test_a_tuned_encoder_computes_in_bf16_and_learns_in_fp32() -> None:
    backbone = InternViTBackbone(ARCH, dtype="bfloat16").train()
    exact = InternViTBackbone(ARCH).train()
    exact.load_state_dict(backbone.state_dict())
    dtypes = set()
    for module in backbone.modules():
        if isinstance(module, nn.Linear):
            module.register_forward_hook(lambda *call: dtypes.add(call[-1].dtype))
    images = torch.randn(1, 3, 42, 42)
    (maps,) = backbone(images)
    assert dtypes == {torch.bfloat16}
    torch.testing.assert_close(maps, exact(images)[0], rtol=0.05, atol=0.05)
    assert not torch.equal(maps, exact(images)[0])
    maps.square().mean().backward()
    weight = backbone.blocks[0].mlp.fc1.weight
    assert weight.grad.dtype == torch.float32
    # A step as small as those of fine-tuning, which bf16 would round away.
    before = weight.detach().clone()
    torch.optim.SGD([weight], lr=1e-5 / weight.grad.abs().max().item()).step()
    assert 0 < (weight - before).abs().max() <= 1.1e-5


def test_a_tuned_encoder_needs_its_weights_first(weights: Path, documented_error: DocumentedError) -> None:
    model = Model(InternViTBackbone(ARCH, init_cfg={"type": "Pretrained", "checkpoint": str(weights)}))
    with documented_error("a tuned encoder is used before its weights are read", RuntimeError):
        model(torch.randn(1, 3, 42, 42))
    model.load_state_dict(Model(InternViTBackbone(ARCH)).state_dict())
    model(torch.randn(1, 3, 42, 42))


@torch.no_grad()
def test_heads_of_a_frozen_run_can_be_tuned_on(weights: Path, golden: Callable[[str], Golden]) -> None:
    heads = Model(frozen(weights)).state_dict()
    tuned = Model(InternViTBackbone(ARCH, init_cfg={"type": "Pretrained", "checkpoint": str(weights)}))
    tuned.load_state_dict(heads)
    assert torch.equal(tuned.head.weight, heads["head.weight"])
    assert torch.equal(tuned.backbone.cls_token, golden("official_seg_rms").state["cls_token"])


def test_the_position_embedding_follows_the_image_size(golden: Callable[[str], Golden]) -> None:
    model = golden("official_seg_rms")
    small, large = InternViTBackbone(ARCH), InternViTBackbone(ARCH, img_size=70, out_indices=(3,))
    small.load_state_dict(model.state)
    large.load_state_dict(small.state_dict())
    torch.testing.assert_close(large(model.image)[0], model.expected["3"], rtol=1e-5, atol=1e-5)


def test_adapters_learn_and_the_encoder_does_not(weights: Path, tmp_path: Path) -> None:
    lora = {"rank": 2, "layers": ("qkv", "fc1")}
    model = Model(frozen(weights, lora=lora, with_cp=True)).train()
    before = {name: value.clone() for name, value in model.named_parameters()}
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=10.0)
    for _ in range(2):  # The first factor moves once the second has.
        optimizer.zero_grad()
        model(torch.randn(1, 3, 42, 42)).square().mean().backward()
        optimizer.step()
    for name, parameter in model.named_parameters():
        assert torch.equal(parameter, before[name]) == (name.startswith("backbone.") and not is_lora(name)), name
    state = model.state_dict()
    assert all(is_lora(name) or name.startswith("head.") or name == f"backbone.{REFERENCE}" for name in state)
    torch.save({"state_dict": state}, tmp_path / "run.pth")
    other = Model(frozen(weights, lora=lora))
    load_checkpoint(other, str(tmp_path / "run.pth"), strict=True)
    images = torch.randn(1, 3, 42, 42)
    assert torch.equal(other.eval()(images), model.eval()(images))


@pytest.mark.parametrize(
    ("name", "depth"),
    [
        ("backbone.cls_token", 0),
        ("backbone.pos_embed", 0),
        ("backbone.patch_embed.proj.weight", 0),
        ("backbone.blocks.0.norm1.weight", 1),
        ("backbone.blocks.3.mlp.fc2.bias", 4),
        ("decode_head.blocks.0.weight", 5),
    ],
)
def test_the_depth_of_a_parameter(name: str, depth: int) -> None:
    assert InternViTBackbone(ARCH).get_layer_depth(name, prefix="backbone.") == (depth, 6)


@torch.no_grad()
@pytest.mark.parametrize("is_frozen", [False, True])
def test_weights_are_read_and_resized(is_frozen: bool, weights: Path, golden: Callable[[str], Golden]) -> None:
    model = golden("official_seg_rms")
    backbone = InternViTBackbone(
        ARCH,
        img_size=70,
        out_indices=(0, 1, 2, 3),
        frozen=is_frozen,
        init_cfg={"type": "Pretrained", "checkpoint": str(weights)},
    )
    if not is_frozen:
        backbone.init_weights()
    for i, got in enumerate(backbone(model.image)):
        torch.testing.assert_close(got, model.expected[str(i)], rtol=1e-5, atol=1e-5)


def test_frozen_means_frozen(weights: Path) -> None:
    model = Model(frozen(weights, out_indices=(1,), drop_path_rate=0.5)).train()
    before = {name: value.clone() for name, value in model.backbone.named_parameters()}
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1, weight_decay=0.1)
    calls: list[int] = []
    for i, block in enumerate(model.backbone.blocks):
        block.register_forward_hook(lambda *_, i=i: calls.append(i))
    image = torch.randn(1, 3, 42, 42)
    features = model.backbone(image)[0]
    assert torch.equal(features, model.backbone(image)[0])
    model(image).square().mean().backward()
    optimizer.step()
    assert features.grad_fn is None
    assert not any(module.training for module in model.backbone.modules())
    assert model.head.training
    assert max(calls) == 1
    assert all(p.grad is None and not p.requires_grad for p in model.backbone.parameters())
    assert set(optimizer.state) == set(model.head.parameters())
    assert all(torch.equal(value, before[name]) for name, value in model.backbone.named_parameters())


def test_tuned_means_tuned() -> None:
    model = Model(InternViTBackbone(ARCH, with_cp=True, drop_path_rate=0.1)).train()
    model(torch.randn(2, 3, 42, 42)).square().mean().backward()
    assert model.backbone.blocks[0].training
    assert all(p.grad is not None for p in model.backbone.parameters())


def test_a_head_checkpoint_refers_to_its_encoder(weights: Path, tmp_path: Path) -> None:
    model = Model(frozen(weights))
    for state in (model.state_dict(), get_state_dict(model)):
        assert set(state) == {"head.weight", "head.bias", f"backbone.{REFERENCE}"}
    torch.save({"state_dict": model.state_dict()}, tmp_path / "head.pth")
    other = Model(frozen(weights))
    load_checkpoint(other, str(tmp_path / "head.pth"), strict=True)
    other.load_state_dict(model.state_dict(), strict=True)
    assert torch.equal(other.head.weight, model.head.weight)
    assert torch.equal(other.backbone.cls_token, model.backbone.cls_token)


@pytest.mark.parametrize("options", [{"dtype": "bfloat16"}, {"img_size": 70}])
def test_the_reference_holds_across_dtypes_and_sizes(
    options: dict[str, Any], tmp_path: Path, golden: Callable[[str], Golden]
) -> None:
    state = {name: tensor.bfloat16() for name, tensor in golden("official_seg_rms").state.items()}
    torch.save(state, tmp_path / "encoder.pth")
    trained, used = Model(frozen(tmp_path / "encoder.pth")), Model(frozen(tmp_path / "encoder.pth", **options))
    used.load_state_dict(trained.state_dict())
    assert torch.equal(used.head.weight, trained.head.weight)


def test_the_wrong_encoder_is_refused(
    weights: Path, tmp_path: Path, golden: Callable[[str], Golden], documented_error: DocumentedError
) -> None:
    state = golden("official_seg_rms").state
    state["blocks.3.mlp.fc2.bias"] += 0.5
    torch.save(state, tmp_path / "other.pth")
    trained, wrong = Model(frozen(weights)), Model(frozen(tmp_path / "other.pth"))

    with documented_error("a head is put on another frozen encoder", WrongEncoderError):
        load_state_dict(wrong, get_state_dict(trained))
    with documented_error("a head's frozen encoder is not named in the config", WrongEncoderError):
        load_state_dict(Model(InternViTBackbone(ARCH)), get_state_dict(trained))


EMBEDDINGS = {"cls_token": (0, 0, 3), "patch_embed.proj.weight": (1, 0, 2, 2), "pos_embed": (0, 4, 1)}


@pytest.mark.parametrize("name", [*EMBEDDINGS, "patch_embed.proj.bias"])
def test_an_encoder_of_equal_blocks_and_other_embeddings_is_refused(
    name: str, weights: Path, tmp_path: Path, golden: Callable[[str], Golden]
) -> None:
    state = golden("official_seg_rms").state
    state[name][EMBEDDINGS.get(name, (2,))] += 0.5
    torch.save(state, tmp_path / "other.pth")
    heads, other = Model(frozen(weights)).state_dict(), Model(frozen(tmp_path / "other.pth"))
    part = "position embedding" if name == "pos_embed" else "CLS token or patch embedding"
    with pytest.raises(WrongEncoderError, match=f"equal blocks, but another {part}"):
        other.load_state_dict(dict(heads))
    # As of old, when a reference was of the blocks alone.
    told = read_reference(heads[f"backbone.{REFERENCE}"])
    assert told.embeddings
    assert told.positions.startswith("3x3 ")
    other.load_state_dict({**heads, f"backbone.{REFERENCE}": write_reference(told.checkpoint, told.sha256)})


def test_the_messages_about_embeddings(
    weights: Path, tmp_path: Path, golden: Callable[[str], Golden], documented_error: DocumentedError
) -> None:
    state = golden("official_seg_rms").state
    state["cls_token"] += 1
    torch.save(state, tmp_path / "other.pth")
    heads = Model(frozen(weights)).state_dict()
    with documented_error("a head's frozen encoder has other embeddings", WrongEncoderError):
        Model(frozen(tmp_path / "other.pth")).load_state_dict(dict(heads))
    damaged = {**heads, f"backbone.{REFERENCE}": torch.zeros(7, dtype=torch.uint8)}
    with documented_error("a damaged reference to a frozen encoder", WrongEncoderError):
        Model(frozen(weights)).load_state_dict(damaged)


@pytest.mark.parametrize(
    "reference",
    [torch.zeros(0, dtype=torch.uint8), torch.full((3,), 300), torch.tensor(4), write_reference("a", "b")[:-4]],
    ids=["empty", "no bytes", "one number", "cut"],
)
def test_references_that_are_none(reference: torch.Tensor) -> None:
    with pytest.raises(WrongEncoderError, match="damaged"):
        read_reference(reference)


def test_a_reference_holds_for_an_encoder_that_was_written_at_another_size(weights: Path, tmp_path: Path) -> None:
    export_encoder(load_encoder(weights, img_size=70, num_heads=2), tmp_path / "larger.pth", to="official")
    heads = Model(frozen(weights)).state_dict()
    Model(frozen(tmp_path / "larger.pth")).load_state_dict(heads)


def test_a_shared_encoder_has_the_reference_of_its_file(weights: Path) -> None:
    encoder, heads = load_encoder(weights, num_heads=2), Model(frozen(weights)).state_dict()
    for options in ({}, {"img_size": 70}):
        model = Model(frozen(weights, encoder=encoder, **options))
        assert model.state_dict()[f"backbone.{REFERENCE}"].equal(heads[f"backbone.{REFERENCE}"])


@torch.no_grad()
def test_a_shared_encoder_is_used_as_it_is(weights: Path) -> None:
    for name, value in (("num_heads", 4), ("norm_eps", 1e-3)):
        other = InternViT(**ARCH | {name: value})
        with pytest.raises(WrongEncoderError, match=rf"backbone\.encoder has {name} = .*, but backbone\.arch has"):
            InternViTBackbone(ARCH, frozen=True, encoder=other)
    wide = InternViT(**ARCH | {"img_size": (14, 126)}).eval()  # Of as many positions as a square.
    square = InternViTBackbone(ARCH, frozen=True, encoder=wide)
    wanted = resize_pos_embed(wide.pos_embed, (1, 9), (3, 3))
    assert torch.equal(square.pos_embed, wanted)


@torch.no_grad()
def test_random_frozen_encoders_are_those_of_their_seed() -> None:
    first = InternViTBackbone(ARCH, frozen=True)
    after = torch.randn(3)
    torch.manual_seed(0)
    assert torch.equal(torch.randn(3), after)  # Nothing else depends on that they were drawn.
    torch.manual_seed(7)
    again, other = InternViTBackbone(ARCH, frozen=True), InternViTBackbone(ARCH, frozen=True, seed=1)
    assert torch.equal(again.blocks[2].mlp.fc1.weight, first.blocks[2].mlp.fc1.weight)
    assert not torch.equal(other.blocks[2].mlp.fc1.weight, first.blocks[2].mlp.fc1.weight)
    assert not torch.equal(InternViTBackbone(ARCH).cls_token, InternViTBackbone(ARCH).cls_token)


def test_train_alone_means_training() -> None:
    backbone = InternViTBackbone(ARCH).eval()
    assert backbone.train().training
    assert backbone.blocks[0].training
    assert not InternViTBackbone(ARCH, frozen=True).train().training


def test_random_and_tuned_encoders_are_saved_whole(weights: Path) -> None:
    for backbone in (InternViTBackbone(ARCH, frozen=True), InternViTBackbone(ARCH)):
        state = Model(backbone).state_dict()
        assert len(state) == 2 + len(dict(backbone.named_parameters()))
        fresh = Model(InternViTBackbone(ARCH, frozen=True))
        fresh.load_state_dict(state)
        assert torch.equal(fresh.backbone.cls_token, backbone.cls_token)


def test_a_whole_checkpoint_goes_into_a_frozen_backbone(weights: Path) -> None:
    tuned = Model(InternViTBackbone(ARCH))
    model = Model(frozen(weights))
    hash_before = hash_encoder(model.backbone)
    model.load_state_dict(tuned.state_dict())
    assert torch.equal(model.backbone.pos_embed, tuned.backbone.pos_embed)
    assert hash_encoder(model.backbone) != hash_before


def test_our_own_segmentors_are_sources_of_encoders(tmp_path: Path) -> None:
    model = Model(InternViTBackbone(ARCH))
    torch.save({"state_dict": model.state_dict()}, tmp_path / "segmentor.pth")
    assert torch.equal(load_encoder(tmp_path / "segmentor.pth", num_heads=2).cls_token, model.backbone.cls_token)


def test_on_the_meta_device_nothing_is_read(tmp_path: Path) -> None:
    with torch.device("meta"):
        backbone = frozen(tmp_path / "not-there.pth")
    assert backbone.cls_token.is_meta
    with pytest.raises(CheckpointError, match=re.escape("not-there.pth")):
        frozen(tmp_path / "not-there.pth")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dtype": "float8"}, r"dtype='float8'.*float32, bfloat16, float16"),
        ({"init_cfg": {"type": "Xavier"}}, r"init_cfg=.*Pretrained"),
        ({"out_indices": (4,)}, r"indices\[0\] = 4.*-4 to 3"),
        ({"arch": "vit_b"}, r"'vit_b'.*internvit_6b_224px"),
        ({"lora": {"rank": 2}}, r"backbone\.lora=.*set backbone\.frozen=True"),
    ],
)
def test_a_wrong_argument_fails_at_construction(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        InternViTBackbone(**({"arch": ARCH} | options))


REDUCED = [{"quantization": kind} for kind in QUANTIZATIONS] + [{"blocks_in_memory": n} for n in (1, 2, 3)]


@torch.no_grad()
@pytest.mark.parametrize("options", REDUCED, ids=str)
def test_a_head_goes_on_its_encoder_in_little_memory(options: dict[str, Any], weights: Path) -> None:
    model = Model(frozen(weights))
    images = torch.randn(1, 3, 42, 56)
    small = Model(frozen(weights, **options))
    small.load_state_dict(model.state_dict())  # Which refers to the encoder by its hash.
    error = (small(images) - model(images)).norm() / model(images).norm()
    assert error == 0 if "blocks_in_memory" in options else 0 < error < 0.3
    assert small.state_dict().keys() == model.state_dict().keys()
    assert small.state_dict()["backbone." + REFERENCE].equal(model.state_dict()["backbone." + REFERENCE])
    small.to(torch.device("cpu"))
    assert not small.train().backbone.training


@pytest.mark.parametrize("options", REDUCED, ids=str)
def test_a_head_learns_on_an_encoder_in_little_memory(options: dict[str, Any], weights: Path) -> None:
    model = Model(frozen(weights, **options)).train()
    before = model.backbone(torch.ones(1, 3, 28, 28))[0]
    model(torch.randn(2, 3, 42, 56)).square().sum().backward()
    assert {name for name, p in model.named_parameters() if p.grad is not None} == {"head.weight", "head.bias"}
    assert model.head.weight.grad.abs().sum() > 0
    assert torch.equal(model.backbone(torch.ones(1, 3, 28, 28))[0], before)


@torch.no_grad()
@pytest.mark.parametrize("options", REDUCED, ids=str)
def test_a_whole_checkpoint_is_where_its_encoder_is_read(
    options: dict[str, Any], weights: Path, tmp_path: Path, golden: Callable[[str], Golden]
) -> None:
    tuned = Model(InternViTBackbone(ARCH))
    torch.save({"state_dict": tuned.state_dict()}, tmp_path / "tuned.pth")
    state = torch.load(tmp_path / "tuned.pth")["state_dict"]
    small = Model(frozen(tmp_path / "tuned.pth", **options))
    small.load_state_dict(state)
    want = Model(frozen(tmp_path / "tuned.pth"))
    want.load_state_dict(state)
    images = torch.randn(1, 3, 28, 28)
    error = (small(images) - want(images)).norm() / want(images).norm()
    assert error == 0 if "blocks_in_memory" in options else 0 < error < 0.3
    with pytest.raises(WrongEncoderError, match="holds an encoder of its own"):
        Model(frozen(weights, **options)).load_state_dict(state)


def test_the_wrong_whole_checkpoint(weights: Path, documented_error: DocumentedError) -> None:
    state = Model(InternViTBackbone(ARCH)).state_dict()
    with documented_error("a checkpoint with another encoder than the one that is quantized", WrongEncoderError):
        Model(frozen(weights, quantization="int8")).load_state_dict(state)


@torch.no_grad()
@pytest.mark.parametrize("options", REDUCED, ids=str)
def test_an_encoder_in_little_memory_can_be_shared(options: dict[str, Any], weights: Path) -> None:
    first = frozen(weights, **options)
    second = frozen(weights, encoder=first, img_size=56, **options)
    assert second.blocks is first.blocks
    images = torch.randn(1, 3, 56, 56)
    assert torch.equal(second(images)[0], frozen(weights, img_size=56, **options)(images)[0])
    if "quantization" in options:
        with pytest.raises(WrongEncoderError, match="quantization"):
            frozen(weights, encoder=first)


@pytest.mark.parametrize("options", [{"quantization": "int8"}, {"blocks_in_memory": 2}], ids=str)
@pytest.mark.parametrize("wrong", [{"frozen": False}, {"init_cfg": None}, {"lora": {"rank": 2}}], ids=str)
def test_little_memory_is_for_inference_from_a_file(
    options: dict[str, Any], wrong: dict[str, Any], weights: Path
) -> None:
    right = {"frozen": True, "init_cfg": {"type": "Pretrained", "checkpoint": str(weights)}}
    with pytest.raises(ValueError, match="is for inference with weights from a file"):
        InternViTBackbone(ARCH, **right | wrong | options)


@torch.no_grad()
@pytest.mark.parametrize("is_frozen", [True, False])
def test_weights_that_are_read_later_are_not_drawn(is_frozen: bool, tmp_path: Path) -> None:
    state = Model(InternViTBackbone(ARCH, frozen=is_frozen)).state_dict()
    with reading_weights_later():
        model = Model(InternViTBackbone(ARCH, frozen=is_frozen))
    with pytest.raises(RuntimeError, match="has no weights yet"):
        model(torch.randn(1, 3, 28, 28))
    model.load_state_dict(state)
    assert all(torch.equal(tensor, state[name]) for name, tensor in model.state_dict().items())
    assert torch.isfinite(model(torch.randn(1, 3, 28, 28))).all()
    assert InternViTBackbone(ARCH).is_init


@torch.no_grad()
@pytest.mark.parametrize("compiled", [True, "auto", False])
def test_blocks_are_compiled_if_asked_for(compiled: bool | str, weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backbone_module, "choose_compile", lambda device, dtype: True)
    backbone = frozen(weights, compiled=compiled)
    assert [block._compiled_call_impl is not None for block in backbone.blocks] == [bool(compiled)] * 4
    assert backbone.state_dict().keys() == frozen(weights).state_dict().keys()
    reduced = frozen(weights, compiled="auto", quantization="int8")
    assert all(block._compiled_call_impl is None for block in reduced.blocks)


@pytest.mark.parametrize("options", [{"compiled": "always"}, {"compiled": True, "quantization": "int8"}], ids=str)
def test_what_cannot_be_compiled(options: dict[str, Any], weights: Path) -> None:
    with pytest.raises(ValueError, match=r"backbone\.compiled="):
        frozen(weights, **options)
