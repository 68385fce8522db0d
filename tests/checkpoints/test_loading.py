"""Every format gives the tokens of the official code, and nothing else is needed to load it."""

import json
import logging
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from internvl_seg import InternViT, convert_checkpoint, create_encoder, export_encoder, load_encoder
from internvl_seg.checkpoints.architecture import find_architecture
from internvl_seg.checkpoints.encoder_file import EncoderFile
from internvl_seg.checkpoints.errors import ChangedCheckpointError, KeyMismatchError
from internvl_seg.checkpoints.formats import FORMATS, HF_REMOTE_CODE
from internvl_seg.checkpoints.reading import TensorReader
from internvl_seg.checkpoints.sources import Source, open_source
from internvl_seg.checkpoints.stored import InMemory
from internvl_seg.encoder import get_release
from internvl_seg.encoder.position import resize_patch_embed, resize_pos_embed
from internvl_seg.encoder.quantization import QUANTIZATIONS, quantize_encoder

from ..conftest import Golden
from ..error_table import DocumentedError
from .conftest import assert_close, save_sharded
from .encoders import random_encoder

HF_MODELS = ("hf_remote_code_rms", "hf_remote_code_layernorm", "hf_native_layernorm")
Write = Callable[..., Path]


@torch.no_grad()
@pytest.mark.parametrize("name", HF_MODELS)
def test_hugging_face_folders_give_the_official_tokens(
    name: str, hf_folder: Write, golden: Callable[[str], Golden]
) -> None:
    encoder = load_encoder(hf_folder(name))
    assert not encoder.training
    assert_close(encoder.forward_features(golden(name).image), golden(name).expected["tokens"])


@torch.no_grad()
@pytest.mark.parametrize("container", ["module", "state_dict", "model", None])
def test_official_files_give_the_official_maps(
    container: str | None, official_file: Write, golden: Callable[[str], Golden]
) -> None:
    model = golden("official_seg_rms")
    encoder = load_encoder(official_file(container=container), img_size=model.config["img_size"], num_heads=2)
    maps = encoder.forward_intermediates(model.image, model.config["out_indices"])
    for i, got in enumerate(maps):
        assert_close(got, model.expected[str(i)])


@torch.no_grad()
@pytest.mark.parametrize("kind", ["concat", "attention_pooling", "clip_projector"])
def test_an_encoder_is_read_out_of_a_classifier(
    kind: str, official_file: Write, golden: Callable[[str], Golden]
) -> None:
    model = golden(f"official_cls_{kind}")
    encoder = load_encoder(official_file(f"official_cls_{kind}"), num_heads=2)
    assert_close(encoder.forward_features(model.image), model.expected["tokens"])


@torch.no_grad()
def test_an_encoder_is_read_out_of_an_official_segmentor(tmp_path: Path, golden: Callable[[str], Golden]) -> None:
    model = golden("official_seg_rms_pyramid")
    state = {f"backbone.{name}": value for name, value in model.state.items()}
    torch.save({"state_dict": state | {"decode_head.conv_seg.weight": torch.ones(3)}}, tmp_path / "segmentor.pth")
    encoder = load_encoder(tmp_path / "segmentor.pth", num_heads=2)
    plain = InternViT(img_size=42, embed_dim=32, depth=4, num_heads=2)
    plain.load_state_dict(model.encoder_state())
    assert_close(encoder.forward_features(model.image), plain.forward_features(model.image))


@torch.no_grad()
@pytest.mark.parametrize("sharded", [False, True])
@pytest.mark.parametrize(
    ("name", "prefix"),
    [
        ("hf_remote_code_rms", "vision_model."),
        ("hf_native_layernorm", "vision_tower."),
        ("hf_native_layernorm", "model.vision_tower."),
    ],
)
def test_an_encoder_is_read_out_of_a_whole_chat_model(
    name: str, prefix: str, sharded: bool, hf_folder: Write, golden: Callable[[str], Golden]
) -> None:
    extra = {"language_model.layers.0.weight": torch.zeros(4), "mlp1.0.weight": torch.zeros(4)}
    folder = hf_folder(name, prefix=prefix, extra=extra, sharded=sharded)
    assert_close(load_encoder(folder).forward_features(golden(name).image), golden(name).expected["tokens"])


def test_shards_without_encoder_tensors_are_not_touched(tmp_path: Path, hf_folder: Write) -> None:
    folder = hf_folder("hf_remote_code_rms", prefix="vision_model.", sharded=True)
    index = json.loads((folder / "model.safetensors.index.json").read_text())
    index["weight_map"]["language_model.embed.weight"] = "model-of-the-language.safetensors"
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    assert load_encoder(folder).depth == 3


def test_a_safetensors_file_and_an_index_are_sources_too(hf_folder: Write, golden: Callable[[str], Golden]) -> None:
    folder = hf_folder("hf_remote_code_rms")
    index = save_sharded(folder, golden("hf_remote_code_rms").state)
    for source in (folder / "model.safetensors", index):
        state = load_encoder(source).state_dict()
        torch.testing.assert_close(state["cls_token"], golden("hf_remote_code_rms").state["embeddings.class_embedding"])


def test_pytorch_shards_are_read(tmp_path: Path, golden: Callable[[str], Golden]) -> None:
    state = golden("hf_remote_code_rms").state
    torch.save(state, tmp_path / "pytorch_model-00001-of-00001.bin")
    weight_map = dict.fromkeys(state, "pytorch_model-00001-of-00001.bin")
    (tmp_path / "pytorch_model.bin.index.json").write_text(json.dumps({"weight_map": weight_map}))
    assert load_encoder(tmp_path, num_heads=2).depth == 3


def test_legacy_pth_files_are_read(tmp_path: Path, golden: Callable[[str], Golden]) -> None:
    path = tmp_path / "old.pth"
    torch.save({"module": golden("official_seg_rms").state}, path, _use_new_zipfile_serialization=False)
    assert load_encoder(path, num_heads=2).depth == 4


def test_parts_that_no_encoder_uses_are_left_out(tmp_path: Path, golden: Callable[[str], Golden]) -> None:
    state = golden("official_seg_rms").state
    for name in (
        "clip_projector.x",
        "attn_pooling.x",
        "norm.weight",
        "head.bias",
        "up1.0.weight",
        "mask_token",
        "pooler.x",
    ):
        state[name] = torch.zeros(1)
    torch.save(state, tmp_path / "encoder.pth")
    assert set(load_encoder(tmp_path / "encoder.pth", num_heads=2).state_dict()) == set(
        golden("official_seg_rms").state
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_weights_keep_the_dtype_of_the_file_unless_told(
    dtype: torch.dtype, tmp_path: Path, golden: Callable[[str], Golden]
) -> None:
    state = {name: tensor.to(dtype) for name, tensor in golden("official_seg_rms").state.items()}
    save_file(state, tmp_path / "encoder.safetensors")
    encoder = load_encoder(tmp_path / "encoder.safetensors", num_heads=2)
    for name, parameter in encoder.named_parameters():
        assert parameter.dtype == dtype
        assert torch.equal(parameter, state[name])
    assert load_encoder(tmp_path / "encoder.safetensors", num_heads=2, dtype=torch.float64).dtype == torch.float64


def test_grids_and_patches_are_resized_as_the_reference_does(
    official_file: Write, golden: Callable[[str], Golden]
) -> None:
    state = golden("official_seg_rms").state
    encoder = load_encoder(official_file(), img_size=(70, 112), num_heads=2)
    assert torch.equal(encoder.pos_embed, resize_pos_embed(state["pos_embed"], (3, 3), (5, 8)))
    encoder = load_encoder(official_file(), patch_size=16, num_heads=2)
    assert encoder.grid_size == (3, 3)
    assert torch.equal(encoder.patch_embed.proj.weight, resize_patch_embed(state["patch_embed.proj.weight"], 16))
    assert encoder.forward_features(torch.zeros(1, 3, 32, 48)).shape == (1, 7, 32)


@torch.no_grad()
def test_fewer_blocks_can_be_asked_for(official_file: Write, golden: Callable[[str], Golden]) -> None:
    model = golden("official_seg_rms")
    encoder = load_encoder(official_file(), img_size=70, num_heads=2, depth=2)
    assert encoder.depth == 2
    assert_close(encoder.forward_intermediates(model.image, [-1])[0], model.expected["1"])


def test_a_rectangular_grid_is_told_by_the_configuration(tmp_path: Path, hf_folder: Write) -> None:
    folder = hf_folder("hf_native_layernorm")
    encoder = load_encoder(folder, img_size=(28, 56))
    state = HF_REMOTE_CODE
    renamed = {state.rename(name)[0]: tensor for name, tensor in encoder.state_dict().items()}
    save_file(renamed, folder / "model.safetensors")
    config = json.loads((folder / "config.json").read_text()) | {"image_size": [28, 56]}
    (folder / "config.json").write_text(json.dumps(config))
    assert load_encoder(folder).grid_size == (2, 4)


class _Listed(TensorReader):
    """Names and shapes of a file that is not here."""

    def __init__(self, shapes: dict[str, list[int]]) -> None:
        self._shapes, self.names = shapes, frozenset(shapes)

    def stored(self, name: str) -> InMemory:
        return InMemory(torch.empty(self._shapes[name], device="meta"))


@pytest.mark.parametrize(
    ("file", "release"),
    [
        ("intern_vit_6b_224px.pth", "internvit_6b_224px"),
        ("InternViT-6B-448px-V2_5", "internvit_6b_448px_v2_5"),
        ("InternViT-300M-448px-V2_5", "internvit_300m_448px_v2_5"),
    ],
)
def test_released_manifests_equal_the_models_name_by_name(file: str, release: str, manifests: dict[str, Any]) -> None:
    published = {name: tuple(shape) for name, shape in manifests[file]["parameters"].items()}
    source = next(known for known in FORMATS if known.rename("cls_token")[0] in published)
    model = create_encoder(release, device="meta")
    ours = {source.rename(name)[0]: tuple(p.shape) for name, p in model.named_parameters()}
    assert ours == {name: shape for name, shape in published.items() if not name.startswith("clip_projector.")}


class _Listed(TensorReader):
    """Names and shapes of a file that is not here."""

    def __init__(self, shapes: dict[str, list[int]]) -> None:
        self._shapes, self.names = shapes, frozenset(shapes)

    def stored(self, name: str) -> InMemory:
        return InMemory(torch.empty(self._shapes[name], device="meta"))


@pytest.mark.parametrize(
    ("file", "release"),
    [
        ("intern_vit_6b_224px.pth", "internvit_6b_224px"),
        ("InternViT-6B-448px-V2_5", "internvit_6b_448px_v2_5"),
        ("InternViT-300M-448px-V2_5", "internvit_300m_448px_v2_5"),
    ],
)
def test_the_architecture_of_a_release_is_told_from_its_names_and_shapes(
    file: str, release: str, manifests: dict[str, Any]
) -> None:
    told = find_architecture(EncoderFile.find(Source(file, _Listed(manifests[file]["parameters"]))), {})
    side = told.pop("img_size")
    assert told.pop("in_chans") == 3
    assert side == (get_release(release).img_size,) * 2
    assert told | {"img_size": side[0]} == get_release(release).arguments()


def test_real_weights_load_strictly(shared: Path) -> None:
    path = shared / "weights" / "vit_small_patch14_518.safetensors"
    encoder = load_encoder(path)
    assert (encoder.depth, encoder.embed_dim, encoder.num_heads, encoder.grid_size) == (12, 384, 6, (37, 37))
    reader = open_source(path).reader
    assert set(encoder.state_dict()) == reader.names
    assert all(torch.equal(parameter, reader.read(name)) for name, parameter in encoder.named_parameters())


def _is_mapped(tensor: torch.Tensor, path: Path) -> bool:
    """Whether a tensor lies in a mapping of a file, as the system lists them."""
    for line in Path("/proc/self/maps").read_text().splitlines():
        start, stop = (int(side, 16) for side in line.split(" ")[0].split("-"))
        if start <= tensor.data_ptr() < stop:
            return line.endswith(str(path.resolve()))
    return False


@pytest.mark.skipif(not Path("/proc/self/maps").is_file(), reason="asks Linux what is mapped")
@pytest.mark.parametrize(
    ("options", "mapped"),
    [
        ({}, True),
        ({"dtype": torch.float32}, True),
        ({"mmap": False}, False),
        ({"dtype": torch.bfloat16}, False),
        ({"quantization": "int8"}, True),
        ({"img_size": 70}, True),
    ],
)
def test_what_stays_as_it_is_in_the_file_stays_mapped(
    options: dict[str, Any], mapped: bool, official_file: Write
) -> None:
    path = official_file()
    encoder = load_encoder(path, num_heads=2, **options)
    assert _is_mapped(encoder.blocks[1].norm1.weight, path) == mapped
    assert not _is_mapped(encoder.pos_embed, path)


@torch.no_grad()
@pytest.mark.parametrize("in_memory", [1, 2, 3, 9])
@pytest.mark.parametrize("name", HF_MODELS)
def test_blocks_that_are_read_when_they_are_needed(
    name: str, in_memory: int, hf_folder: Write, golden: Callable[[str], Golden]
) -> None:
    encoder = load_encoder(hf_folder(name), blocks_in_memory=in_memory)
    assert not any(parameter.requires_grad for parameter in encoder.parameters())
    assert_close(encoder.forward_features(golden(name).image), golden(name).expected["tokens"])


@torch.no_grad()
@pytest.mark.parametrize("harm", ["replaced", "written to", "removed"])
def test_blocks_are_read_from_the_file_that_was_opened(
    harm: str, official_file: Write, documented_error: DocumentedError
) -> None:
    path = official_file()
    encoder, image = load_encoder(path, num_heads=2, blocks_in_memory=1), torch.zeros(1, 3, 28, 28)
    encoder(image)
    if harm == "replaced":
        path.rename(path.with_name("before"))
        path.write_bytes(path.with_name("before").read_bytes())
    elif harm == "written to":
        with path.open("r+b") as file:
            file.seek(-8, 2)
            file.write(bytes(8))
    else:
        path.unlink()
    with documented_error("a file was replaced under an encoder that still reads from it", ChangedCheckpointError):
        encoder(image)


@torch.no_grad()
@pytest.mark.parametrize("kind", QUANTIZATIONS)
def test_quantized_while_it_is_read_or_later_is_the_same(
    kind: str, hf_folder: Write, golden: Callable[[str], Golden]
) -> None:
    folder = hf_folder(HF_MODELS[0])
    read, later = load_encoder(folder, quantization=kind), load_encoder(folder)
    quantize_encoder(later, kind)
    image = golden(HF_MODELS[0]).image
    assert torch.equal(read.forward_features(image), later.forward_features(image))
    assert read.quantization == later.quantization == kind


def test_quantized_blocks_are_not_streamed(hf_folder: Write, documented_error: DocumentedError) -> None:
    with documented_error("quantization of blocks that are read when they are needed", ValueError):
        load_encoder(hf_folder(HF_MODELS[0]), quantization="int8", blocks_in_memory=2)


@pytest.mark.parametrize(
    ("other", "where", "wanted"),
    [
        (torch.bfloat16, "patch_embed", torch.float32),
        (torch.bfloat16, "blocks", torch.float32),
        (torch.float64, "blocks.1.norm1", torch.float64),
        (torch.float16, "cls_token", torch.float32),
    ],
)
def test_of_several_dtypes_no_value_is_rounded(
    other: torch.dtype, where: str, wanted: torch.dtype, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    state = {n: t.to(other) if n.startswith(where) else t.detach() for n, t in random_encoder().state_dict().items()}
    torch.save(state, tmp_path / "encoder.pth")
    with caplog.at_level(logging.WARNING):
        encoder = load_encoder(tmp_path / "encoder.pth", num_heads=2)
    assert {parameter.dtype for parameter in encoder.parameters()} == {wanted}
    assert all(torch.equal(tensor, state[name].to(wanted)) for name, tensor in encoder.state_dict().items())
    assert f"the encoder is {str(wanted).removeprefix('torch.')}, which holds them all. Pass dtype=" in caplog.text
    assert load_encoder(tmp_path / "encoder.pth", num_heads=2, dtype="bfloat16").dtype == torch.bfloat16
    state["blocks.2.mlp.fc1.weight"] = state["blocks.2.mlp.fc1.weight"].to(torch.float64)
    torch.save(state, tmp_path / "encoder.pth")  # A block that is not asked for is no matter.
    assert load_encoder(tmp_path / "encoder.pth", num_heads=2, depth=2).dtype == wanted


@torch.no_grad()
@pytest.mark.parametrize("before", ["", "backbone.", "module.", "module.backbone.", "_fsdp_wrapped_module."])
@pytest.mark.parametrize("wrapper", ["_orig_mod", "_checkpoint_wrapped_module", "_fsdp_wrapped_module", "module"])
def test_what_wrapped_single_blocks(wrapper: str, before: str, tmp_path: Path) -> None:
    encoder = random_encoder().eval()
    state = {
        before + re.sub(r"^(blocks\.[02]\.)", rf"\1{wrapper}.", name): t.detach()
        for name, t in encoder.state_dict().items()
    }
    torch.save({"state_dict": state}, tmp_path / "encoder.pth")
    images = torch.randn(1, 3, 28, 28)
    for options in ({}, {"blocks_in_memory": 1}):
        assert torch.equal(load_encoder(tmp_path / "encoder.pth", num_heads=2, **options)(images), encoder(images))
    report = convert_checkpoint(tmp_path / "encoder.pth", tmp_path / "plain.safetensors", num_heads=2)
    assert load_file(tmp_path / "plain.safetensors").keys() == encoder.state_dict().keys()
    assert report.left_out == ()
    twice = {before + name: tensor.detach() for name, tensor in encoder.state_dict().items()}
    torch.save({"state_dict": state | twice}, tmp_path / "encoder.pth")
    with pytest.raises(KeyMismatchError, match="two weights for one place"):
        load_encoder(tmp_path / "encoder.pth", num_heads=2)


def test_queries_keys_and_values_of_several_dtypes_are_not_rounded(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    export_encoder(random_encoder("layer_norm"), tmp_path / "hf", to="hf_native")
    state = load_file(tmp_path / "hf/model.safetensors")
    state = {n: t if "k_proj" in n or "v_proj" in n else t.bfloat16() for n, t in state.items()}
    save_file(state, tmp_path / "hf/model.safetensors")
    with caplog.at_level(logging.WARNING):
        encoder = load_encoder(tmp_path / "hf")
    assert {parameter.dtype for parameter in encoder.parameters()} == {torch.float32}
    parts = [state[f"encoder.layer.1.attention.{part}_proj.weight"].float() for part in "qkv"]
    assert torch.equal(encoder.blocks[1].attn.qkv.weight, torch.cat(parts))
    assert "as float32: the encoder is float32, which holds them all" in caplog.text
