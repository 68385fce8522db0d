"""The encoder that a study has written is found from its heads' checkpoints, and nothing outside of the study is."""

import os
import shutil
from pathlib import Path

import pytest
import torch

from internvl_seg import convert_checkpoint, load_encoder
from internvl_seg.checkpoints.errors import CheckpointNotFoundError
from internvl_seg.checkpoints.reading import read_pickle
from internvl_seg.checkpoints.reference import REFERENCE, WrongEncoderError, read_reference, write_reference
from internvl_seg.checkpoints.study_encoder import find_of_study, name_of_study, readable
from internvl_seg.inference import Segmenter

from .conftest import Run

ARCH = {"embed_dim": 48, "depth": 2, "num_heads": 3, "patch_size": 7}
ENCODERS = {
    "random": {"type": "InternViT", "frozen": True, "arch": ARCH | {"img_size": 42}},
    "wide": {"type": "InternViT", "frozen": True, "arch": ARCH | {"img_size": (28, 42)}},  # Positions of no square.
}


@pytest.fixture
def heads(run: Run) -> dict[str, Path]:
    """Checkpoints of heads by their encoder, in a study that was moved."""
    options = {"probe__encoders": ENCODERS, "probe__blocks": [-1], "probe__iterations": 2, "probe__views": 1}
    found = run(probe__heads=[{"lr": [1e-2]}], **options)
    Path("out").rename("moved")
    return {result.spec.encoder: Path("moved", result.checkpoint or "") for result in found.results}


def test_heads_on_a_random_encoder_are_converted(heads: dict[str, Path], tmp_path: Path) -> None:
    for name, path in heads.items():
        file = Path(f"moved/encoders/{name}.safetensors")
        wanted = load_encoder(file, img_size=ENCODERS[name]["arch"]["img_size"], num_heads=3)
        for to, encoder in (
            ("hf_native", None),
            ("segmentor", None),
            ("hf_remote_code", shutil.copy(file, "e.safetensors")),
        ):
            convert_checkpoint(path, tmp_path / f"{name}_{to}", to=to, encoder=encoder)
            found = load_encoder(tmp_path / f"{name}_{to}")
            assert found.grid_size == wanted.grid_size
            assert all(torch.equal(p, found.get_parameter(n)) for n, p in wanted.named_parameters())
    config, image = heads["random"].with_suffix(".py"), "tiny/images/val/0.png"
    before = Segmenter.from_checkpoint(config, heads["random"], device="cpu")(image).labels
    after = Segmenter.from_checkpoint(
        config, "random_segmentor", device="cpu", options={"model.backbone.init_cfg": None}
    )
    assert (after(image).labels == before).all()

    # What a model that is put on another encoder says is a file that is there.
    with pytest.raises(WrongEncoderError, match=r"frozen encoder '/[^{]*/moved/encoders/random\.safetensors' and not"):
        Segmenter.from_checkpoint(config, heads["random"], device="cpu", options={"model.backbone.init_cfg": None})
    with pytest.raises(WrongEncoderError, match=r"'/[^{]*/moved/encoders/random\.safetensors', but .*wide.* another"):
        convert_checkpoint(heads["random"], "x.pth", encoder=_of_square("moved/encoders/wide.safetensors"))

    # A checkpoint alone, and an encoder that is a link to elsewhere.
    Path("alone", "heads").mkdir(parents=True)
    lone = Path(shutil.copy(heads["random"], "alone/heads"))
    Path("alone", "encoders").mkdir()
    Path("alone", "encoders", "random.safetensors").symlink_to(Path("moved/encoders/random.safetensors").absolute())
    for to in (None, "hf_native"):
        with pytest.raises(CheckpointNotFoundError, match=r"'STUDY/encoders/random\.safetensors'.*--encoder FILE"):
            convert_checkpoint(lone, "x.pth", to=to)
    assert not Path("x.pth").exists()
    convert_checkpoint(lone, "x.pth", encoder="moved/encoders/random.safetensors")


def _of_square(path: str) -> Path:
    """Another encoder than that of a file, of a name like its own."""
    encoder = load_encoder(path, img_size=(28, 42), num_heads=3)
    state = encoder.state_dict()
    state["pos_embed"] = torch.zeros(1, 37, 48)
    state["blocks.0.attn.proj.weight"] += 1
    torch.save(state, "wide_other.pth")
    return Path("wide_other.pth")


def test_only_a_file_in_the_study_is_named(tmp_path: Path) -> None:
    for folder in ("study/heads", "study/encoders/inner", "elsewhere"):
        (tmp_path / folder).mkdir(parents=True)
    checkpoint, file = tmp_path / "study/heads/head.pth", tmp_path / "study/encoders/a.safetensors"
    outside = tmp_path / "elsewhere/a.safetensors"
    for path in (
        checkpoint,
        file,
        outside,
        tmp_path / "a.safetensors",
        tmp_path / "study/encoders/inner/a.safetensors",
    ):
        path.touch()
    assert find_of_study(name_of_study("a.safetensors"), checkpoint) == file
    assert readable(name_of_study("a.safetensors"), checkpoint) == os.fspath(file)
    (tmp_path / "study/encoders/link.safetensors").symlink_to(outside)
    for name in ("../../a", "../../elsewhere/a", "inner/a", "..\\a", "link", "b", "", "a\0b", "x" * 5000, str(outside)):
        assert find_of_study(name_of_study(f"{name}.safetensors"), checkpoint) is None
    for told in ("a.safetensors", os.fspath(file), name_of_study("a.pth"), "{{ fileDirname }}/../encoders"):
        assert find_of_study(told, checkpoint) is None
    assert find_of_study(name_of_study("a.safetensors"), "owner/name:head.pth") is None


def test_an_encoder_that_is_gone_is_asked_for(tmp_path: Path) -> None:
    reference = write_reference("runs/a/gone.safetensors", "0" * 64)
    torch.save({"state_dict": {f"backbone.{REFERENCE}": reference, "decode_head.x": torch.ones(1)}}, tmp_path / "h.pth")
    with pytest.raises(CheckpointNotFoundError, match=r"h\.pth holds heads .*'runs/a/gone.*--encoder FILE") as caught:
        convert_checkpoint(tmp_path / "h.pth", tmp_path / "x.pth")
    assert "hf download" not in str(caught.value)
    told = read_reference(read_pickle(tmp_path / "h.pth")["state_dict"][f"backbone.{REFERENCE}"])
    assert told.checkpoint == "runs/a/gone.safetensors"
