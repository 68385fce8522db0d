"""A tuned encoder in a chat model: transformers computes the same with it, and nothing else of the model is touched."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import InternVLConfig, InternVLForConditionalGeneration

from internvl_seg import InternViT, convert_checkpoint, load_encoder
from internvl_seg.checkpoints.chat_model import WrongChatModelError, insert_encoder
from internvl_seg.checkpoints.errors import (
    DestinationError,
    KeyMismatchError,
    MissingShardError,
    NonFiniteWeightsError,
    NotACheckpointError,
    TruncatedCheckpointError,
    UnreadableWeightsError,
)
from internvl_seg.checkpoints.formats import HF_NATIVE
from internvl_seg.checkpoints.progress import ReadingProgress
from internvl_seg.encoder.lora import add_lora, is_lora
from internvl_seg.encoder.position import resize_pos_embed

from ..conftest import Golden
from ..error_table import DocumentedError
from .conftest import assert_close

Write = Callable[..., Path]
# As the 6B and the 300M; a language model each.
KINDS: dict[str, tuple[dict[str, Any], str]] = {
    "rms": ({"norm_type": "rms_norm", "use_qk_norm": True, "use_mean_pooling": False}, "qwen2"),
    "layer_norm": ({"norm_type": "layer_norm", "attention_bias": True}, "llama"),
}


def chat(kind: str = "rms", **vision: Any) -> InternVLForConditionalGeneration:
    """A small random chat model of transformers: 56 x 56 pixels are four tokens of language."""
    options, language = KINDS[kind]
    size = {"hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 128}
    text = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "num_key_value_heads": 1}
    config = InternVLConfig(
        vision_config={**size, "image_size": [56, 56], **options, **vision},
        text_config={"model_type": language, "intermediate_size": 64, "vocab_size": 100, **text},
        image_token_id=99,
        image_seq_length=4,
        tie_word_embeddings=False,
    )
    model = InternVLForConditionalGeneration(config).eval()
    for parameter in model.parameters():  # Norms and LayerScale have equal numbers otherwise.
        nn.init.normal_(parameter, std=0.3)
    return model


@pytest.fixture
def chat_folder(tmp_path: Path) -> Write:
    """A function that writes a chat model of transformers to a folder, with a file that is not weights."""

    def write(kind: str = "rms", dtype: torch.dtype = torch.float32, **vision: Any) -> Path:
        chat(kind, **vision).to(dtype).save_pretrained(tmp_path / "chat", max_shard_size="60KB")
        (tmp_path / "chat/tokenizer.json").write_text("{}")
        return tmp_path / "chat"

    return write


def tune(encoder: InternViT) -> InternViT:
    """Every weight changed."""
    for parameter in encoder.parameters():
        parameter.data += torch.randn_like(parameter) * 0.1
    return encoder


def tensors_of(folder: Path) -> dict[str, Tensor]:
    return {name: tensor for path in folder.glob("*.safetensors") for name, tensor in load_file(path).items()}


def bytes_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("original_names", [True, False])
@pytest.mark.parametrize("max_shard_size", ["60KB", "1GB"])
@pytest.mark.parametrize("kind", KINDS)
@torch.no_grad()
def test_transformers_computes_with_the_tuned_encoder(
    kind: str, max_shard_size: str, original_names: bool, tmp_path: Path
) -> None:
    old, folder = chat(kind), tmp_path / "chat"
    old.save_pretrained(folder, max_shard_size=max_shard_size, save_original_format=original_names)
    encoder = tune(load_encoder(folder))
    insert_encoder(encoder, folder, tmp_path / "tuned")
    new, info = InternVLForConditionalGeneration.from_pretrained(tmp_path / "tuned", output_loading_info=True)
    assert not any(info[key] for key in ("missing_keys", "unexpected_keys", "mismatched_keys"))

    images = torch.randn(2, 3, 56, 56)
    tokens, tower = encoder(images), new.eval().model.vision_tower
    assert_close(tower(images).last_hidden_state, tower.layernorm(tokens))
    assert (old.model.vision_tower(images).last_hidden_state - tower(images).last_hidden_state).abs().max() > 0.1
    # What language sees of an image, from our tokens through the old model's projector.
    patches = tower.layernorm(tokens)[:, 1:].unflatten(1, (4, 4))
    seen = old.model.multi_modal_projector(old.model.pixel_shuffle(patches, scale_factor=0.5).flatten(1, 2))
    assert_close(new.get_image_features(images).pooler_output, seen)
    text = torch.tensor([[1, *[99] * 4, 2, 3]] * 2)
    embedded = old.get_input_embeddings()(text)
    embedded[:, 1:5] = seen
    torch.testing.assert_close(
        new(input_ids=text, pixel_values=images).logits, old(inputs_embeds=embedded).logits, rtol=1e-4, atol=1e-4
    )

    # Nothing but the encoder is another, not even the order of tensors in a file.
    prefix = "vision_tower." if original_names else "model.vision_tower."
    changed = {prefix + name for official in encoder.state_dict() for name in HF_NATIVE.rename(official)}
    before, after = bytes_of(folder), bytes_of(tmp_path / "tuned")
    assert before.keys() == after.keys()
    for file, data in before.items():
        if not file.endswith(".safetensors"):
            assert after[file] == data, file
            continue
        header = 8 + int.from_bytes(data[:8], "little")
        assert after[file][:header] == data[:header]
        for name, value in load_file(tmp_path / "tuned" / file).items():
            assert torch.equal(value, load_file(folder / file)[name]) == (name not in changed), name
    found = load_encoder(tmp_path / "tuned").state_dict()
    assert all(torch.equal(found[name], value) for name, value in encoder.state_dict().items())


@pytest.mark.parametrize("sharded", [True, False])
@pytest.mark.parametrize("name", ["hf_remote_code_rms", "hf_remote_code_layernorm"])
@torch.no_grad()
def test_a_chat_model_of_remote_code_gives_the_official_tokens(
    name: str, sharded: bool, hf_folder: Write, golden: Callable[[str], Golden], tmp_path: Path
) -> None:
    extra = {"language_model.norm.weight": torch.randn(9), "mlp1.0.weight": torch.randn(3)}
    folder = hf_folder(name, "vision_model.", extra, sharded)
    official, old = golden(name), load_encoder(folder)
    insert_encoder(tune(load_encoder(folder)), folder, tmp_path / "tuned")
    changed = tensors_of(tmp_path / "tuned")
    assert changed.keys() == tensors_of(folder).keys()
    assert all(
        torch.equal(changed[key], value) == key.startswith(("language", "mlp1"))
        for key, value in tensors_of(folder).items()
    )
    insert_encoder(old, tmp_path / "tuned", tmp_path / "back")
    expected = {f"vision_model.{key}": value for key, value in official.state.items()} | extra
    found = tensors_of(tmp_path / "back")
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[key], value) for key, value in expected.items())
    assert_close(load_encoder(tmp_path / "back")(official.image), official.expected["tokens"])


@pytest.mark.parametrize("size", [[56, 56], [28, 84]])
def test_size_and_dtypes_are_the_chat_models(size: list[int], chat_folder: Write, tmp_path: Path) -> None:
    folder = chat_folder(dtype=torch.bfloat16, image_size=size)
    norm = "vision_tower.encoder.layer.1.layernorm_before.weight"
    file = folder / json.loads((folder / "model.safetensors.index.json").read_text())["weight_map"][norm]
    state = load_file(file)
    save_file(state | {norm: state[norm].float()}, file, metadata={"format": "pt"})  # One is kept in fp32.

    encoder = tune(load_encoder(folder, dtype=torch.float32, img_size=(70, 42)))
    insert_encoder(encoder, folder, tmp_path / "tuned")
    found = tensors_of(tmp_path / "tuned")
    assert {name: value.dtype for name, value in found.items()} == {n: v.dtype for n, v in tensors_of(folder).items()}
    assert torch.equal(found[norm], encoder.blocks[1].norm1.weight)
    grid = (size[0] // 14, size[1] // 14)
    positions = found["vision_tower.embeddings.position_embeddings"]
    assert torch.equal(positions, resize_pos_embed(encoder.pos_embed, (5, 3), grid).bfloat16())
    q, k, v = (found[f"vision_tower.encoder.layer.2.attention.{part}_proj.weight"] for part in "qkv")
    assert torch.equal(torch.cat([q, k, v]), encoder.blocks[2].attn.qkv.weight.bfloat16())
    assert load_encoder(tmp_path / "tuned").grid_size == grid


@torch.no_grad()
@pytest.mark.parametrize("value", [float("nan"), 1e5])
def test_weights_that_are_not_finite(value: float, chat_folder: Write, tmp_path: Path) -> None:
    folder = chat_folder(dtype=torch.float16)
    encoder = load_encoder(folder, dtype=torch.float32)
    encoder.blocks[1].mlp.fc1.weight[2, 3] = value  # 1e5 overflows float16.
    with pytest.raises(
        NonFiniteWeightsError, match=r"in the dtypes of .*layer\.1\.mlp\.fc1\.weight: 1 of .*at \(2, 3\)"
    ):
        insert_encoder(encoder, folder, tmp_path / "tuned")
    assert list(tmp_path.iterdir()) == [folder]


def test_what_lies_beside_the_weights(chat_folder: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = tmp_path / "models--OpenGVLab--tiny"
    (cache / "snapshots").mkdir(parents=True)
    folder = chat_folder().rename(cache / "snapshots" / "abc")
    (folder / "code").mkdir()
    (folder / "code/modeling.py").write_text("x = 1\n")
    for name in ("pytorch_model-00001-of-00002.bin", ".git/HEAD", ".cache/huggingface/x"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("old")
    # As the hub's cache keeps a model: links to files that may not be written to.
    first = folder / "model-00001-of-00007.safetensors"
    (cache / "blobs").mkdir()
    blob = first.rename(cache / "blobs" / "0123")
    blob.chmod(0o444)
    first.symlink_to(blob)
    before, encoder, told = bytes_of(folder), tune(load_encoder(folder)), []
    monkeypatch.setattr(ReadingProgress, "advance", lambda _, count: told.append(count))
    insert_encoder(encoder, folder, tmp_path / "tuned")
    assert bytes_of(folder) == before
    kept = {name for name in before if not name.startswith(("pytorch_model", ".git", ".cache"))}
    assert sum(told) == sum(len(before[name]) for name in kept)
    assert set(bytes_of(tmp_path / "tuned")) == kept
    for name in kept:
        copy = (tmp_path / "tuned" / name).lstat()
        assert copy.st_nlink == 1
        assert copy.st_mode & 0o200
        assert not (tmp_path / "tuned" / name).is_symlink()


@torch.no_grad()
def test_a_run_with_adapters_returns_into_the_chat_model(tmp_path: Path) -> None:
    folder = tmp_path / "chat"
    chat().save_pretrained(folder, save_original_format=False)
    init_default_scope("mmseg")
    arch = {"embed_dim": 32, "depth": 3, "num_heads": 2, "img_size": 56}
    init_cfg = {"type": "Pretrained", "checkpoint": str(folder)}
    backbone = {
        "type": "InternViT",
        "arch": arch,
        "img_size": 70,
        "frozen": True,
        "lora": {"rank": 2},
        "out_type": "raw",
    }
    head = {"type": "LinearHead", "in_channels": 32, "num_classes": 5}
    model = MODELS.build({"type": "EncoderDecoder", "backbone": backbone | {"init_cfg": init_cfg}, "decode_head": head})
    for name, parameter in model.named_parameters():
        if is_lora(name):
            nn.init.normal_(parameter, std=0.1)
    torch.save({"state_dict": model.state_dict(), "meta": {}}, tmp_path / "iter_9.pth")

    report = convert_checkpoint(tmp_path / "iter_9.pth", tmp_path / "tuned", into=folder)
    assert ("blocks.*", "model.vision_tower.*", 3 * 15) in report.moved
    assert ("meta", "not weights") in report.left_out
    tuned = InternVLForConditionalGeneration.from_pretrained(tmp_path / "tuned").eval()
    # The run's embedding was resized when it began, the chat model's is as it was and resized at every call.
    images = torch.randn(2, 3, 70, 70)
    found = tuned.model.vision_tower(images, output_hidden_states=True).hidden_states[-1]
    assert_close(found, model.backbone(images)[0])


MEMORY = """
import resource, sys
import torch
from internvl_seg.checkpoints.chat_model import insert_encoder
from internvl_seg import load_encoder
encoder = load_encoder(sys.argv[1])
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
insert_encoder(encoder, sys.argv[1], sys.argv[2])
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def test_shards_are_not_held_in_memory(hf_folder: Write, golden: Callable[[str], Golden], tmp_path: Path) -> None:
    large = torch.ones(20_000_000)
    folder = hf_folder(
        "hf_remote_code_rms", "vision_model.", {"language_model.weight": large, "mlp1.weight": large + 1}
    )
    run = subprocess.run([sys.executable, "-c", MEMORY, folder, tmp_path / "out"], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert int(run.stdout.splitlines()[-1]) < 20_000  # KiB, of a file of 160 MB.
    assert (tmp_path / "out/model.safetensors").read_bytes() == (folder / "model.safetensors").read_bytes()


def nothing_written(tmp_path: Path) -> bool:
    return not list(tmp_path.glob("out*")) and not list(tmp_path.glob(".out*"))


def test_the_chat_model_of_another_encoder(
    chat_folder: Write, tmp_path: Path, documented_error: DocumentedError
) -> None:
    folder = chat_folder()
    with documented_error("a chat model has another encoder", WrongChatModelError):
        insert_encoder(InternViT(embed_dim=32, depth=2, num_heads=4), folder, tmp_path / "out")
    with documented_error("a chat model's encoder has other parameters", KeyMismatchError):
        insert_encoder(InternViT(embed_dim=32, depth=3, num_heads=2, qkv_bias=True), folder, tmp_path / "out")
    adapted = load_encoder(folder)
    add_lora(adapted, rank=2)
    with pytest.raises(ValueError, match="merge_lora"):
        insert_encoder(adapted, folder, tmp_path / "out")
    assert nothing_written(tmp_path)


def test_folders_that_are_no_chat_model(hf_folder: Write, tmp_path: Path, documented_error: DocumentedError) -> None:
    folder = hf_folder("hf_remote_code_rms")
    encoder = load_encoder(folder)
    with documented_error("an encoder is inserted into an encoder", WrongChatModelError):
        insert_encoder(encoder, folder, tmp_path / "out")
    state = load_file(folder / "model.safetensors")
    save_file({f"vision_model.{name}": value for name, value in state.items()}, folder / "model.safetensors")
    (folder / "config.json").unlink()
    with documented_error("a chat model lacks its config.json", WrongChatModelError):
        insert_encoder(encoder, folder, tmp_path / "out")
    (folder / "model.safetensors").unlink()
    torch.save(state, folder / "pytorch_model.bin")
    with documented_error("a chat model has no .safetensors", WrongChatModelError):
        insert_encoder(encoder, folder, tmp_path / "out")
    assert nothing_written(tmp_path)


def test_a_quantised_chat_model(hf_folder: Write, tmp_path: Path, documented_error: DocumentedError) -> None:
    folder = hf_folder("hf_remote_code_rms", "vision_model.")
    encoder, file = load_encoder(folder), folder / "model.safetensors"
    name = "vision_model.encoder.layers.0.mlp.fc1.weight"
    save_file(load_file(file) | {name: load_file(file)[name].to(torch.float8_e4m3fn)}, file)
    with documented_error("a chat model is quantised", UnreadableWeightsError):
        insert_encoder(encoder, folder, tmp_path / "out")
    assert nothing_written(tmp_path)


def test_a_chat_model_that_is_not_whole(chat_folder: Write, tmp_path: Path, documented_error: DocumentedError) -> None:
    folder = chat_folder()
    encoder = load_encoder(folder)
    language = folder / "model-00001-of-00007.safetensors"
    data = language.read_bytes()
    language.write_bytes(data[:-1])
    with pytest.raises(TruncatedCheckpointError, match="00001"):
        insert_encoder(encoder, folder, tmp_path / "out")
    language.unlink()
    with pytest.raises(MissingShardError, match="00001"):
        insert_encoder(encoder, folder, tmp_path / "out")
    # A file of an index is written to, so it may not be anywhere.
    language.write_bytes(data)
    index = folder / "model.safetensors.index.json"
    last = (folder / "model-00007-of-00007.safetensors").rename(tmp_path / "elsewhere.safetensors")
    index.write_text(index.read_text().replace("model-00007-of-00007", "../elsewhere"))
    before = last.read_bytes()
    with pytest.raises(NotACheckpointError, match="expected a file in its own folder"):
        insert_encoder(tune(encoder), folder, tmp_path / "out")
    assert last.read_bytes() == before
    assert nothing_written(tmp_path)


def test_the_destination(
    chat_folder: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, documented_error: DocumentedError
) -> None:
    folder = chat_folder()
    encoder, before = load_encoder(folder), bytes_of(folder)
    with documented_error("a chat model is written into itself", DestinationError):
        insert_encoder(encoder, folder, folder / "more/tuned")
    with pytest.raises(DestinationError, match="exists already"):
        insert_encoder(encoder, folder, tmp_path)
    assert bytes_of(folder) == before

    copy = shutil.copyfile

    def disk_full(source: str, destination: str, **options: Any) -> Any:
        if source.endswith("00004-of-00007.safetensors"):
            raise OSError("No space left on device")
        return copy(source, destination, **options)

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "copyfile", disk_full)
        with pytest.raises(DestinationError, match="No space"):
            insert_encoder(encoder, folder, tmp_path / "out")
    assert nothing_written(tmp_path)
    (tmp_path / ".out.tmp").mkdir()  # Of a run that was killed.
    insert_encoder(encoder, folder, tmp_path / "out")
    assert bytes_of(tmp_path / "out") == before


def test_arguments_that_exclude_each_other(tmp_path: Path, documented_error: DocumentedError) -> None:
    with documented_error("a chat model is to get another dtype", ValueError):
        convert_checkpoint(tmp_path / "a.pth", tmp_path / "out", into=tmp_path, dtype=torch.float16)
