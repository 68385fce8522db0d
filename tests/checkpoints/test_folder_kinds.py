"""Which file of a folder is read, and what is said of folders whose weights are in parts."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed.checkpoint as dcp
from safetensors.torch import load_file, save_file

from internvl_seg import export_encoder, load_classifier, load_encoder
from internvl_seg.checkpoints import errors
from internvl_seg.checkpoints.converting import convert_checkpoint

from ..error_table import DocumentedError
from .conftest import save_sharded
from .encoders import random_encoder

Write = Callable[..., Path]


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    """A folder with ``model.safetensors``."""
    export_encoder(random_encoder(), tmp_path / "saved", to="hf_native")
    return tmp_path / "saved"


def older(folder: Path) -> dict[str, torch.Tensor]:
    """Other weights than those in a folder, by the same names."""
    return {name: tensor + 1 for name, tensor in load_file(folder / "model.safetensors").items()}


def test_one_file_goes_before_an_index_of_older_shards(saved: Path) -> None:
    want = load_encoder(saved).cls_token.clone()
    save_sharded(saved, older(saved))
    assert torch.equal(load_encoder(saved).cls_token, want)
    for shard in saved.glob("model-*.safetensors"):
        shard.unlink()
    assert torch.equal(load_encoder(saved).cls_token, want)


def test_an_index_goes_before_weights_of_the_older_format(saved: Path) -> None:
    old = older(saved)
    torch.save(old, saved / "pytorch_model.bin")
    save_sharded(saved, load_file(saved / "model.safetensors"))
    want = load_encoder(saved).cls_token.clone()
    (saved / "model.safetensors").unlink()
    assert torch.equal(load_encoder(saved).cls_token, want)


def test_an_index_beside_another_whole_set_of_shards(saved: Path, documented_error: DocumentedError) -> None:
    index = save_sharded(saved, older(saved), shards=2).read_text()
    save_sharded(saved, load_file(saved / "model.safetensors"), shards=3)
    (saved / "model.safetensors").unlink()
    (saved / "model.safetensors.index.json").write_text(index)  # Of the first two, as if the others came later.
    with documented_error("an index lies beside another set of shards", errors.NotACheckpointError):
        load_encoder(saved)
    (saved / "model-00002-of-00003.safetensors").unlink()  # No longer whole.
    load_encoder(saved)


def test_shards_without_an_index(saved: Path, documented_error: DocumentedError) -> None:
    (saved / "model.safetensors").rename(saved / "model-00001-of-00002.safetensors")
    with documented_error("shards lack their index", errors.NotACheckpointError):
        load_encoder(saved)


OUTSIDE: dict[str, Any] = {
    "a parent": "../outside.safetensors",
    "by a detour": "shards/../../outside.safetensors",
    "absolute": "/tmp/outside.safetensors",
    "of Windows": "..\\outside.safetensors",
    "a drive": "C:\\outside.safetensors",
    "a share": "\\\\server\\outside.safetensors",
    "a number": 3,
    "null": None,
    "a list": ["x"],
    "no text": "",
    "itself": ".",
    "a NUL": "a\0b",
    "endless": "a" * 5000,
}


@pytest.mark.parametrize("shard", OUTSIDE.values(), ids=OUTSIDE.keys())
def test_an_index_that_names_a_file_outside(
    shard: object, saved: Path, documented_error: DocumentedError, tmp_path: Path
) -> None:
    (saved / "model.safetensors").rename(tmp_path / "outside.safetensors")
    names = dict.fromkeys(load_file(tmp_path / "outside.safetensors"), shard)
    (saved / "model.safetensors.index.json").write_text(json.dumps({"weight_map": names}))
    for read in (load_encoder, load_classifier, lambda path: convert_checkpoint(path, tmp_path / "out.pth")):
        with pytest.raises(errors.NotACheckpointError, match="expected a file in its own folder"):
            read(saved)
    if shard == "../outside.safetensors":
        with documented_error("an index names a file outside its folder", errors.NotACheckpointError):
            load_encoder(saved)


def test_an_index_whose_shard_is_a_link_to_outside(
    saved: Path, documented_error: DocumentedError, tmp_path: Path
) -> None:
    names = dict.fromkeys(load_file(saved / "model.safetensors"), "model-1.safetensors")
    (saved / "model.safetensors").rename(tmp_path / "outside.safetensors")
    (saved / "model-1.safetensors").symlink_to(tmp_path / "outside.safetensors")
    (saved / "model.safetensors.index.json").write_text(json.dumps({"weight_map": names}))
    with documented_error("an index names a link to a file outside its folder", errors.NotACheckpointError):
        load_encoder(saved)
    cache = tmp_path / "models--o--n"  # As the hub's cache has it.
    (cache / "snapshots").mkdir(parents=True)
    (cache / "blobs").mkdir()
    (tmp_path / "outside.safetensors").rename(cache / "blobs" / "0123")
    folder = saved.rename(cache / "snapshots" / "abc")
    (folder / "model-1.safetensors").unlink()
    (folder / "model-1.safetensors").symlink_to("../../blobs/0123")
    load_encoder(folder)


def deepspeed(folder: Path, **ranks: Any) -> Path:
    """A folder as DeepSpeed leaves it."""
    step = folder / "global_step500"
    step.mkdir(parents=True)
    (folder / "latest").write_text("global_step500")
    for name, content in ranks.items():
        torch.save(content, step / f"{name}_model_states.pt")
    return folder


def test_a_folder_of_deepspeed_is_read(tmp_path: Path) -> None:
    encoder = random_encoder()
    folder = deepspeed(tmp_path / "run", mp_rank_00={"module": encoder.state_dict(), "ds_version": "0.15"})
    for name in (folder, folder / "global_step500"):
        assert torch.equal(load_encoder(name, num_heads=2).cls_token, encoder.cls_token)
    (folder / "latest").write_text("../../elsewhere")
    assert torch.equal(load_encoder(folder / "global_step500", num_heads=2).cls_token, encoder.cls_token)


def test_a_folder_of_deepspeed_in_parts(tmp_path: Path, documented_error: DocumentedError) -> None:
    with documented_error("a folder of DeepSpeed ZeRO-3", errors.UnreadableWeightsError):
        load_encoder(deepspeed(tmp_path / "zero", zero_pp_rank_0_mp_rank_00={}, zero_pp_rank_1_mp_rank_00={}))
    with documented_error("a folder of DeepSpeed with cut layers", errors.UnreadableWeightsError):
        load_encoder(deepspeed(tmp_path / "cut", mp_rank_00={}, mp_rank_01={}))


def test_a_distributed_checkpoint(tmp_path: Path, documented_error: DocumentedError) -> None:
    dcp.save({"model": {"w": torch.ones(2)}}, checkpoint_id=tmp_path / "saved", no_dist=True)
    with documented_error("a folder is a distributed checkpoint", errors.UnreadableWeightsError):
        load_encoder(tmp_path / "saved")


@pytest.mark.parametrize("weights", ["pytorch_model.bin", "model.safetensors"])
def test_adapters_beside_a_model(weights: str, tmp_path: Path) -> None:
    state = {name: tensor.detach() for name, tensor in random_encoder().state_dict().items()}
    save_file(state, tmp_path / weights) if weights.endswith("s") else torch.save(state, tmp_path / weights)
    (tmp_path / "adapter_config.json").write_text("{}")
    assert load_encoder(tmp_path, num_heads=2).num_heads == 2
    save_file({"x.lora_A.weight": torch.ones(2)}, tmp_path / "adapter_model.safetensors")
    with pytest.raises(
        errors.UnreadableWeightsError, match=rf"adapter_model\.safetensors, beside {weights}.*Merge them"
    ):
        load_encoder(tmp_path, num_heads=2)
    assert load_encoder(tmp_path / weights, num_heads=2).num_heads == 2  # Who names the file knows.


def test_adapters_alone(tmp_path: Path, documented_error: DocumentedError) -> None:
    names = ("base_model.model.encoder.layers.0.attn.qkv.lora_A.weight",)
    save_file({name: torch.ones(2) for name in names}, tmp_path / "adapter_model.safetensors")
    with documented_error("a folder holds adapters alone", errors.UnreadableWeightsError):
        load_encoder(tmp_path)
    with documented_error("a file holds adapters alone", errors.UnreadableWeightsError):
        load_encoder(tmp_path / "adapter_model.safetensors")


def test_a_subfolder(saved: Path, documented_error: DocumentedError) -> None:
    assert load_encoder(saved.parent, subfolder="saved").embed_dim == 32
    with documented_error("a folder lacks the subfolder", errors.CheckpointNotFoundError):
        load_encoder(saved.parent, subfolder="other")
    with pytest.raises(errors.CheckpointNotFoundError, match="no folder within"):
        load_encoder(saved, subfolder="../saved")


def test_what_from_pretrained_takes(saved: Path, caplog: pytest.LogCaptureFixture) -> None:
    load_encoder(saved, token="none", cache_dir="cache", revision="main")
    assert "revision='main' says nothing of it" in caplog.text
    for name in ("bfloat16", "torch.bfloat16", torch.bfloat16):
        assert load_encoder(saved, dtype=name).cls_token.dtype == torch.bfloat16
    with pytest.raises(ValueError, match="torch_dtype= is called dtype="):
        load_encoder(saved, torch_dtype=torch.bfloat16)
    with pytest.raises(ValueError, match="device_map= is no argument"):
        load_encoder(saved, device_map="auto")
    for name in ("int8", "bf16", "float8_e4m3fn", "Tensor", 3):
        with pytest.raises(ValueError, match="is no dtype of weights"):
            load_encoder(saved, dtype=name)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["model.safetensors", "model.safetensors.index.json"])
def test_a_link_to_nothing_is_not_passed_over(name: str, tmp_path: Path, documented_error: DocumentedError) -> None:
    torch.save(random_encoder().state_dict(), tmp_path / "pytorch_model.bin")
    (tmp_path / name).symlink_to(tmp_path / "blob")
    if name == "model.safetensors":
        with documented_error("a folder's weights are a link to nothing", errors.CheckpointNotFoundError):
            load_encoder(tmp_path, num_heads=2)
    with pytest.raises(errors.CheckpointNotFoundError, match=rf"{name} is a link to .*blob, which is not there"):
        load_encoder(tmp_path, num_heads=2)
    (tmp_path / name).unlink()
    (tmp_path / name).mkdir()
    with pytest.raises(errors.CheckpointNotFoundError, match=f"{name} is no file"):
        load_encoder(tmp_path, num_heads=2)


def test_a_config_around_the_folder_of_deepspeed_counts(tmp_path: Path) -> None:
    (tmp_path / "global_step3").mkdir()
    torch.save({"module": random_encoder().state_dict()}, tmp_path / "global_step3" / "mp_rank_00_model_states.pt")
    (tmp_path / "config.json").write_text('{"num_attention_heads": 4}')
    assert load_encoder(tmp_path).num_heads == 4


def test_a_download_that_ended_before_the_weights(saved: Path) -> None:
    (saved / "model.safetensors").unlink()
    (saved / ".lock").touch()
    with pytest.raises(errors.NotACheckpointError, match=r"config\.json\. The weights are missing") as caught:
        load_encoder(saved)
    assert "Name the checkpoint" not in str(caught.value)
    assert "holds none of model.safetensors, model.safetensors.index.json, pytorch_model.bin" in str(caught.value)
    (saved / "config.json").rename(saved / "notes.txt")
    with pytest.raises(errors.NotACheckpointError, match=r"holds notes\.txt\. There are no weights in it"):
        load_encoder(saved)
    (saved / "notes.txt").unlink()
    with pytest.raises(errors.NotACheckpointError, match="is empty"):
        load_encoder(saved)


def test_the_work_folder_of_a_training(tmp_path: Path) -> None:
    for name in (".lock", "config.py", "iter_9.pth", "iter_10.pth", "best_mIoU_iter_20.pth"):
        (tmp_path / name).touch()
    for text, newest in ((None, "iter_10"), ("/old/place/iter_9.pth", "iter_9"), ("C:\\x\\gone.pth", "iter_10")):
        if text is not None:
            (tmp_path / "last_checkpoint").write_text(text)
        with pytest.raises(errors.NotACheckpointError, match=rf"of a training.* newest is {tmp_path}/{newest}\.pth\.$"):
            load_encoder(tmp_path)
    for name in ("iter_9.pth", "iter_10.pth", "last_checkpoint"):
        (tmp_path / name).unlink()
    with pytest.raises(errors.NotACheckpointError, match=r"holds best_mIoU.*itself: .*/best_mIoU_iter_20\.pth\.$") as e:
        load_encoder(tmp_path)
    assert ".lock" not in str(e.value)


FOLDERS_OF_TRAINERS: dict[str, tuple[list[str], str]] = {
    "accelerate's FSDP": (
        ["optimizer_0/.metadata", "pytorch_model_fsdp_0/.metadata", "pytorch_model_fsdp_0/__0_0.distcp"],
        r"dcp_to_torch \S+/pytorch_model_fsdp_0 weights\.pth",
    ),
    "DeepSpeed universal": (
        ["global_step1_universal/zero/norm.weight/fp32.pt", "latest_universal"],
        "global_step1_universal is a universal checkpoint of DeepSpeed",
    ),
    "Megatron": (
        ["iter_0000100/mp_rank_00/model_optim_rng.pt", "latest_checkpointed_iteration.txt"],
        "iter_0000100 is a checkpoint of Megatron-LM",
    ),
    "transformers' Trainer": (
        ["checkpoint-90/model.safetensors", "checkpoint-100/model.safetensors", "logs/a.txt"],
        r"its folders do: checkpoint-100, checkpoint-90\. Name one of them, such as \S+/checkpoint-100$",
    ),
}


@pytest.mark.parametrize("kind", FOLDERS_OF_TRAINERS)
def test_folders_of_trainers_are_named_for_what_they_are(kind: str, tmp_path: Path) -> None:
    files, told = FOLDERS_OF_TRAINERS[kind]
    for file in files:
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_bytes(b"x")
    with pytest.raises(errors.CheckpointError, match=told):
        load_encoder(tmp_path)
