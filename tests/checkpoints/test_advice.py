"""What is no checkpoint, or no place for one, is named with a next step that helps."""

import json
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
import torch

from internvl_seg import convert_checkpoint, export_encoder, load_encoder
from internvl_seg.checkpoints import errors
from internvl_seg.checkpoints.classifier import load_classifier
from internvl_seg.checkpoints.reading import read_pickle
from internvl_seg.segmentation import InternViTBackbone
from internvl_seg.segmentation.timm_vit import TimmViT

from ..error_table import DocumentedError
from .encoders import random_encoder

ENCODER = random_encoder()
WEIGHTS = {name: tensor.detach() for name, tensor in ENCODER.state_dict().items()}


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("encoder") / "encoder.pth"
    export_encoder(ENCODER, path, to="official")
    return path


@pytest.mark.parametrize("source", [None, 5, b"a", ["a"], 1.5, {"a": 1}], ids=repr)
def test_what_is_no_name(source: Any, file: Path) -> None:
    head = {"norm.weight": torch.ones(64), "head.weight": torch.ones(3, 64), "head.bias": torch.ones(3)}
    torch.save(head, file.parent / "head.pth")
    for call in (
        lambda: load_encoder(source),
        lambda: convert_checkpoint(source, file.parent / "x.pth"),
        lambda: load_classifier(source),
    ):
        with pytest.raises(errors.CheckpointNotFoundError, match="expected a text or a path, found"):
            call()
    if source is not None:
        with pytest.raises(errors.CheckpointNotFoundError, match="expected a text or a path, found"):
            load_classifier(file.parent / "head.pth", encoder=source)


@pytest.mark.parametrize(
    "address", ["http://x/w.pth", "https://example.org/a/b.safetensors", "s3://b/w", "file:///w.pth"]
)
def test_an_address(address: str) -> None:
    with pytest.raises(errors.CheckpointNotFoundError, match=r"is an address, and nothing is fetched from \w+:// here"):
        load_encoder(address)


@pytest.mark.parametrize("address", ["hf://owner/name", "https://huggingface.co/owner/name"])
def test_an_address_of_a_hub_repository(address: str) -> None:
    with pytest.raises(errors.CheckpointNotFoundError, match="repository of that address is named 'owner/name'"):
        load_encoder(address)


@pytest.mark.parametrize("subfolder", ["..", "/", "../x", "a\0b", 5, "C:\\x"])
def test_a_subfolder_that_is_elsewhere(subfolder: Any, tmp_path: Path) -> None:
    for source in (tmp_path, "owner/name"):
        with pytest.raises(errors.CheckpointNotFoundError, match=r"subfolder=.* is no folder within"):
            load_encoder(source, subfolder=subfolder)


@pytest.mark.parametrize("destination", [None, 5, b"a.pth"], ids=repr)
def test_what_is_no_place(destination: Any, file: Path) -> None:
    for call in (
        lambda: convert_checkpoint(file, destination),
        lambda: export_encoder(ENCODER, destination, to="official"),
    ):
        with pytest.raises(errors.DestinationError, match="is no place to write to: expected a text or a path"):
            call()


@pytest.mark.parametrize("name", ["encoder.pth/x.pth", "x" * 300 + ".pth", "a\0b.pth"], ids=["below", "long", "nul"])
def test_places_that_no_file_can_have(name: str, file: Path) -> None:
    before = sorted(file.parent.iterdir())
    for to in ("official", "hf_native"):
        with pytest.raises(errors.DestinationError, match=r"cannot be written: .*Name another place"):
            convert_checkpoint(file, file.parent / name, to=to)
    assert sorted(file.parent.iterdir()) == before


def test_0_heads_are_not_those_of_the_file(file: Path) -> None:
    with pytest.raises(ValueError, match="num_heads=0 is not a whole number"):
        convert_checkpoint(file, file.parent / "x.pth", num_heads=0)


@pytest.mark.parametrize("checkpoint", [None, 5, "", ["a"]], ids=repr)
def test_where_a_backbone_has_its_weights_from(checkpoint: Any) -> None:
    arch = {"img_size": 28, "embed_dim": 16, "depth": 1, "num_heads": 2}
    for init_cfg in ({"type": "Pretrained", "checkpoint": checkpoint}, {"type": "Pretrained"}, "x.pth", ["x"], 5):
        with pytest.raises(ValueError, match=r"backbone\.init_cfg=.* is not known; use dict"):
            TimmViT("test_vit", init_cfg=init_cfg)
        with pytest.raises(ValueError, match=r"backbone\.init_cfg=.* is not known; use dict"):
            InternViTBackbone(arch, init_cfg=init_cfg)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"arch": None}, "arch=None is not a text"),
        ({"arch": 5}, "arch=5 is not a text"),
        ({"out_indices": "a"}, "out_indices='a' is not a list of whole numbers"),
        ({"out_indices": 3}, "out_indices=3 is not a list"),
        ({"seed": "a"}, "seed='a' is not a whole number"),
        ({"norm": "yes"}, "norm='yes' is not true or false"),
        ({"dtype": ["float32"]}, r"backbone\.dtype="),
    ],
)
def test_odd_arguments_of_a_timm_vit(options: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TimmViT(**{"arch": "test_vit"} | options)


def test_odd_arguments_of_a_backbone() -> None:
    for arch in (None, 5, ["a"]):
        with pytest.raises(ValueError, match=r"backbone\.arch=.* is neither a name"):
            InternViTBackbone(arch)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="width= is no argument of an encoder"):
        InternViTBackbone({"width": 3})


def test_messages(file: Path, tmp_path: Path, documented_error: DocumentedError) -> None:
    (tmp_path / "empty").mkdir()
    with documented_error("a folder is empty", errors.NotACheckpointError):
        load_encoder(tmp_path / "empty")
    with documented_error("a checkpoint is named by an address", errors.CheckpointNotFoundError):
        load_encoder("https://example.org/encoder.pth")
    with documented_error("a place is below a file", errors.DestinationError):
        (tmp_path / "a").write_text("")
        convert_checkpoint(file, tmp_path / "a" / "b.pth")
    index = tmp_path / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": dict.fromkeys(WEIGHTS, index.name)}))
    with documented_error("an index names itself", errors.NotACheckpointError):
        load_encoder(tmp_path)
    index.write_text(json.dumps({"weight_map": dict.fromkeys(WEIGHTS, "z.index.json")}))
    with pytest.raises(errors.NotACheckpointError, match=r"names z\.index\.json, another index, as a file of weights"):
        load_encoder(index)


@pytest.mark.parametrize(("dtype", "factor", "advice"), [
    ("float16", 1e6, "Use dtype='bfloat16'"), ("float32", 1e300, "damaged, or of a training that diverged"),
    ("float16", 1e300, "damaged"),
])  # fmt: skip
def test_advice_about_overflow_holds(dtype: str, factor: float, advice: str, tmp_path: Path) -> None:
    state = WEIGHTS | {"blocks.1.attn.proj.weight": WEIGHTS["blocks.1.attn.proj.weight"].double() * factor}
    torch.save(state, tmp_path / "x.pth")
    with pytest.raises(errors.NonFiniteWeightsError, match=f"overflow {dtype}.*{advice}"):
        load_encoder(tmp_path / "x.pth", num_heads=2, dtype=dtype)


def test_float8_in_the_first_format_is_not_cut_short(tmp_path: Path) -> None:
    state = OrderedDict(WEIGHTS, extra=torch.ones(4).to(torch.float8_e4m3fn))
    torch.save(state, tmp_path / "x.pth", _use_new_zipfile_serialization=False)
    with pytest.raises(errors.UnreadableWeightsError, match="a dtype, such as float8, that PyTorch does not read"):
        read_pickle(tmp_path / "x.pth")
