"""Every key of a config.json that changes what an encoder computes is read or refused."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from transformers import InternVLVisionModel

from internvl_seg import InternViT, export_encoder, load_encoder
from internvl_seg.checkpoints.errors import CheckpointError, NotACheckpointError, WrongConfigError

from ..error_table import DocumentedError
from .encoders import random_encoder

FORMATS = ("hf_native", "hf_remote_code")


@pytest.fixture(scope="module", params=FORMATS)
def written(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an encoder of 32 channels and two heads."""
    folder = tmp_path_factory.mktemp("hf") / request.param
    export_encoder(random_encoder("layer_norm"), folder, to=request.param)
    return folder


def change(folder: Path, tmp_path: Path, content: Any) -> Path:
    """The same weights beside another config.json: of other keys, of bytes, or of anything else."""
    (tmp_path / "model.safetensors").symlink_to(folder / "model.safetensors")
    if isinstance(content, dict):
        content = json.loads((folder / "config.json").read_text()) | content
    (tmp_path / "config.json").write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    return tmp_path


@torch.no_grad()
def test_the_epsilon_is_read_and_written(written: Path, tmp_path: Path) -> None:
    encoder = load_encoder(change(written, tmp_path, {"layer_norm_eps": 1e-3}))
    assert encoder.norm_eps == encoder.blocks[2].norm1.eps == encoder.blocks[0].norm2.eps == 1e-3
    wanted = InternViT(
        img_size=42, embed_dim=32, depth=3, num_heads=2, norm="layer_norm", qkv_bias=True, qk_norm=False, norm_eps=1e-3
    )
    wanted.load_state_dict(encoder.state_dict())
    images = torch.randn(1, 3, 42, 42)
    assert torch.equal(encoder(images), wanted(images))
    assert not torch.allclose(encoder(images), load_encoder(written)(images), atol=1e-4)
    for to in (*FORMATS, "official"):
        place = tmp_path / (to if to in FORMATS else "encoder.pth")
        export_encoder(encoder, place, to=to)
        assert load_encoder(place).norm_eps == 1e-3


@torch.no_grad()
def test_transformers_has_the_same_epsilon(tmp_path: Path) -> None:
    encoder = InternViT(
        img_size=42, embed_dim=32, depth=2, num_heads=2, norm="layer_norm", qkv_bias=True, qk_norm=False, norm_eps=0.1
    ).eval()
    for parameter in encoder.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    export_encoder(encoder, tmp_path / "hf", to="hf_native")
    images = torch.randn(1, 3, 42, 42)
    theirs = InternVLVisionModel.from_pretrained(tmp_path / "hf").eval()(images).last_hidden_state
    torch.testing.assert_close(load_encoder(tmp_path / "hf")(images), theirs, rtol=1e-5, atol=1e-5)


def test_an_epsilon_that_transformers_gives_some_norms_only(tmp_path: Path, documented_error: DocumentedError) -> None:
    export_encoder(random_encoder("rms"), tmp_path / "hf", to="hf_native")
    (tmp_path / "changed").mkdir()
    with documented_error("an epsilon that is not that of all norms", WrongConfigError):
        load_encoder(change(tmp_path / "hf", tmp_path / "changed", {"layer_norm_eps": 1e-5}))
    other = InternViT(img_size=42, embed_dim=32, depth=1, num_heads=2, norm_eps=1e-5)
    with documented_error("an epsilon that a format cannot say", ValueError):
        export_encoder(other, tmp_path / "other", to="hf_native")
    export_encoder(other, tmp_path / "other", to="hf_remote_code")
    assert load_encoder(tmp_path / "other").blocks[0].attn.q_norm.eps == 1e-5


@pytest.mark.parametrize("value", [None, "gelu_pytorch_tanh", "quick_gelu", "silu", 3, ["gelu"]])
def test_another_activation(value: Any, written: Path, tmp_path: Path) -> None:
    with pytest.raises(WrongConfigError, match=r"config\.json beside .*hidden_act = .*exact GELU"):
        load_encoder(change(written, tmp_path, {"hidden_act": value}))


@pytest.mark.parametrize("key", ["num_attention_heads", "layer_norm_eps", "hidden_size", "image_size", "patch_size"])
@pytest.mark.parametrize(
    "value", [None, "16", [2, 2, 2], -2, 0, True, float("nan"), float("inf"), 10**30, {"a": 1}], ids=repr
)
def test_values_of_other_types(key: str, value: Any, written: Path, tmp_path: Path) -> None:
    with pytest.raises(WrongConfigError, match=rf"config\.json beside .* says {key} = "):
        load_encoder(change(written, tmp_path, {key: value}), num_heads=2)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("hidden_size", 64),
        ("num_hidden_layers", 2),
        ("intermediate_size", 64),
        ("num_channels", 4),
        ("patch_size", [16, 16]),
        ("patch_size", [14, 16]),
        ("image_size", 224),
        ("image_size", [14, 14]),
        ("norm_type", "rms_norm"),
        ("norm_type", "batch_norm"),
        ("qkv_bias", False),
        ("attention_bias", False),
        ("qk_normalization", True),
        ("use_qk_norm", True),
        ("num_attention_heads", 5),
        ("use_mean_pooling", "yes"),
        ("use_absolute_position_embeddings", False),
        ("pruned_heads", {"0": [1]}),
    ],
)
def test_what_the_weights_contradict(key: str, value: Any, written: Path, tmp_path: Path) -> None:
    with pytest.raises(WrongConfigError, match=rf"\b{key} = "):
        load_encoder(change(written, tmp_path, {key: value}))


@pytest.mark.parametrize("size", [42, [42, 42], {"height": 42, "width": 42}])
def test_ways_to_say_a_size(size: Any, written: Path, tmp_path: Path) -> None:
    assert load_encoder(change(written, tmp_path, {"image_size": size})).grid_size == (3, 3)


@pytest.mark.parametrize(
    "content",
    [
        b"[]",
        b"null",
        b"7",
        b'"text"',
        b'{"vision_config": null}',
        b'{"vision_config": []}',
        b'{"vision_config": "vit"}',
    ],
)
def test_a_config_of_something_else(content: bytes, written: Path, tmp_path: Path) -> None:
    with pytest.raises(WrongConfigError, match=r"config\.json (holds|says vision_config = )"):
        load_encoder(change(written, tmp_path, content), num_heads=2)


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b"[" * 100_000, b"{'a': 1}", b""])
def test_a_config_that_is_no_json(content: bytes, written: Path, tmp_path: Path) -> None:
    with pytest.raises(NotACheckpointError, match=r"config\.json is not valid JSON"):
        load_encoder(change(written, tmp_path, content), num_heads=2)


def test_a_config_that_is_too_large(written: Path, tmp_path: Path) -> None:
    with pytest.raises(WrongConfigError, match="more than any config"):
        load_encoder(change(written, tmp_path, b" " * (5 << 20)))


@pytest.mark.parametrize("written", FORMATS[:1], indirect=True)
def test_messages(written: Path, tmp_path: Path, documented_error: DocumentedError) -> None:
    cases: dict[str, Any] = {
        "config.json of another model": {"hidden_size": 64},
        "config.json names another activation": {"hidden_act": "gelu_pytorch_tanh"},
        "config.json has a value of another type": {"num_attention_heads": None},
        "config.json tells another image size": {"image_size": 448},
        "config.json has no vision part": b'{"vision_config": null}',
    }
    for i, (case, content) in enumerate(cases.items()):
        place = tmp_path / str(i)
        place.mkdir()
        with documented_error(case, WrongConfigError):
            load_encoder(change(written, place, content))
    (tmp_path / "same").mkdir()
    with documented_error("an argument contradicts config.json", WrongConfigError):
        load_encoder(change(written, tmp_path / "same", {}), num_heads=4)


@pytest.mark.parametrize("norm", ["layer_norm", "rms_norm"])
def test_a_foreign_config_gives_no_heads(norm: Any, tmp_path: Path) -> None:
    encoder = InternViT(img_size=28, embed_dim=64, depth=1, num_heads=4, norm=norm)
    save_file(encoder.state_dict(), tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(json.dumps({"hidden_size": 4096, "num_attention_heads": 32}))
    with pytest.raises(WrongConfigError, match=r"hidden_size = 4096, but the weights have 64"):
        load_encoder(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"num_attention_heads": 4}))
    assert load_encoder(tmp_path).num_heads == 4


@pytest.mark.parametrize(("width", "norm"), [(64, "rms_norm"), (96, "layer_norm")])
def test_heads_are_guessed_for_plain_vits_alone(width: int, norm: Any, tmp_path: Path) -> None:
    encoder = InternViT(img_size=28, embed_dim=width, depth=1, num_heads=4, norm=norm, qk_norm=False)
    torch.save(encoder.state_dict(), tmp_path / "encoder.pth")
    with pytest.raises(CheckpointError, match="does not tell how many attention heads"):
        load_encoder(tmp_path / "encoder.pth")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"num_heads": 4}, "num_heads = 4"),
        ({"head_dim": 8}, "head_dim = 8"),
        ({"head_dim": 5}, "head_dim = 5, which does not divide 32"),
        ({"num_key_value_heads": 1}, "num_key_value_heads = 1, but num_attention_heads = 2"),
        ({"depth": 7}, "depth = 7"),
        ({"embed_dim": 64}, "embed_dim = 64"),
        ({"mlp_ratio": 3}, r"mlp_ratio = 3\.0, but the weights have 4"),
        ({"norm_eps": 1e-2}, r"norm_eps = 0\.01"),
        ({"rms_norm_eps": 1e-2}, r"norm_eps = 0\.01"),
        ({"activation": "relu"}, "activation = 'relu'"),
        ({"hidden_activation": "relu"}, "hidden_activation = 'relu'"),
        ({"model_type": "siglip_vision_model"}, "model_type = 'siglip_vision_model'"),
        ({"model_type": 3}, "model_type = 3"),
        ({"rope_theta": 10000.0}, r"rope_theta = 10000\.0"),
        ({"use_swiglu_ffn": True}, "use_swiglu_ffn = True"),
        ({"architecture": "vit_base_patch16_clip_quickgelu_224"}, "quickgelu"),
        ({"model_args": {"num_heads": 4}}, r"model_args\.num_heads = 4"),
        ({"model_args": {"act_layer": "quick_gelu"}}, r"model_args\.act_layer = 'quick_gelu'"),
        ({"model_args": {"norm_layer": "rmsnorm"}}, r"model_args\.norm_layer = 'rmsnorm', and what an InternViT would"),
        ({"model_args": 3}, "model_args = a int"),
        ({"vit_config": {"num_attention_heads": 4}}, "num_attention_heads = 4, but 2 was asked for"),
        ({"vision_tower": {"vision_config": {"hidden_act": "relu"}}}, "hidden_act = 'relu'"),
        ({"vision_config": {"num_heads": 2}, "visual": {"num_heads": 4}}, "vision_config and visual, which differ"),
    ],
    ids=repr,
)
def test_what_others_call_it_is_read(content: Any, message: str, written: Path, tmp_path: Path) -> None:
    asked = {"num_heads": 2} if "vit_config" in content else {}
    with pytest.raises(WrongConfigError, match=message):
        load_encoder(change(written, tmp_path, content), **asked)


@pytest.mark.parametrize(
    "content",
    [
        {"num_heads": 4},
        {"head_dim": 8},
        {"vit_config": {"num_heads": 4}},
        {"architecture": "vit_intern300m_patch14_448", "model_args": {"num_heads": 4, "num_classes": 5}},
        {"model_type": "my_own_vit", "num_heads": 4, "vision_tower": "a name", "rope_scaling": None},
    ],
    ids=repr,
)
def test_heads_by_other_names(content: Any, written: Path, tmp_path: Path) -> None:
    place = change(written, tmp_path, json.dumps(content).encode())
    assert load_encoder(place).num_heads == 4


ENCODER = {"num_attention_heads": 4, "layer_norm_eps": 1e-3}


@pytest.mark.parametrize(
    "content",
    [
        *({key: ENCODER} for key in ("backbone_config", "encoder", "vision_encoder", "vision_cfg", "image_encoder")),
        {"hidden_size": 512, "backbone": ENCODER | {"hidden_size": 32}},
        {"model": {"parts": {"vit": ENCODER | {"model_type": "intern_vit_6b"}}}},
        # A language model's, a projector's and those of other channels are none of it, whatever they have.
        {"hidden_size": 4096, "num_attention_heads": 32, "vision_tower_cfg": ENCODER},
        {"llm_config": {"hidden_size": 32, "num_attention_heads": 8}, "a": ENCODER, "b": ENCODER},
        {"head": {"hidden_size": 64, "num_heads": 8}, "projector_config": {"num_heads": 8}, "encoder_config": ENCODER},
    ],
    ids=repr,
)
def test_an_encoder_under_any_key(content: Any, written: Path, tmp_path: Path) -> None:
    encoder = load_encoder(change(written, tmp_path, json.dumps(content).encode()))
    assert (encoder.num_heads, encoder.norm_eps) == (4, 1e-3)
    with pytest.raises(WrongConfigError, match=r"num_attention_heads = 4, but 2 was asked for"):
        load_encoder(tmp_path, num_heads=2)


def test_a_width_and_an_epsilon_are_an_encoders(written: Path, tmp_path: Path) -> None:
    content = {"backbone": {"hidden_size": 32, "layer_norm_eps": 1e-3}, "neck": {"embed_dim": 32}}
    assert load_encoder(change(written, tmp_path, json.dumps(content).encode()), num_heads=2).norm_eps == 1e-3


def test_parts_that_contradict_each_other_are_not_guessed(written: Path, tmp_path: Path) -> None:
    place = change(written, tmp_path, json.dumps({"encoder": ENCODER, "other": {"num_heads": 2}}).encode())
    with pytest.raises(WrongConfigError, match=r"encoder, other, which differ.*pass num_heads= and img_size="):
        load_encoder(place)
    assert load_encoder(place, num_heads=2, img_size=42).num_heads == 2


@pytest.mark.parametrize(
    ("key", "wrong", "right"),
    [
        ("mlp_act", "relu", "gelu"),
        ("act_fn", "silu", "gelu"),
        ("position_embedding_type", "relative_key", "absolute"),
        ("use_relative_position_bias", True, False),
        ("use_shared_relative_position_bias", True, None),
        ("use_rel_pos", True, False),
        ("qk_layernorm", True, False),
        ("num_register_tokens", 4, 0),
        ("scale_attn_weights", False, True),
        ("scale_attn_by_inverse_layer_idx", True, False),
        ("parallel_attention", True, False),
        ("normalize_before", False, True),
        ("do_layer_norm_before", False, None),
        ("architectures", ["CLIPVisionModel"], ["InternVisionModel"]),
        ("architectures", ["Dinov2WithRegistersModel"], ["Dinov2Model"]),
        ("architectures", "SiglipVisionModel", ["OfAPlugin"]),
    ],
)
def test_what_changes_the_computation_is_not_passed_over(
    key: str, wrong: Any, right: Any, written: Path, tmp_path: Path
) -> None:
    with pytest.raises(WrongConfigError, match=rf"\b{key} = "):
        load_encoder(change(written, tmp_path, {key: wrong}))
    (tmp_path / "right").mkdir()
    assert load_encoder(change(written, tmp_path / "right", {key: right, "of_no_matter": 3})).num_heads == 2


def test_a_config_that_is_not_there_is_not_passed_over(
    written: Path, tmp_path: Path, documented_error: DocumentedError
) -> None:
    place = change(written, tmp_path, {})
    for content, message in (
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:aa\nsize 3\n", "Git LFS pointer"),
        (b"<!DOCTYPE html><html>", r"a page \(HTML\), not the file itself"),
    ):
        (place / "config.json").write_bytes(content)
        with pytest.raises(NotACheckpointError, match=message):
            load_encoder(place)
    (place / "config.json").unlink()
    (place / "config.json").symlink_to(tmp_path / "blob")
    if written.name == FORMATS[0]:
        with documented_error("config.json is a link to nothing", NotACheckpointError):
            load_encoder(place)
    (place / "config.json").unlink()
    (place / "config.json").mkdir()
    with pytest.raises(NotACheckpointError, match=r"config\.json cannot be read: Is a directory"):
        load_encoder(place)
