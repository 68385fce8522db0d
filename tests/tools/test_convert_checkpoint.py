"""The converter as a user types it."""

import json
import runpy
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from internvl_seg import export_encoder, load_encoder

from ..commands import run_command
from ..conftest import Golden

TOOL = Path(__file__).resolve().parents[2] / "tools/convert_checkpoint.py"


def test_from_official_to_transformers(golden: Callable[[str], Golden], tmp_path: Path) -> None:
    torch.save({"module": golden("official_cls_clip_projector").state}, tmp_path / "a.pth")
    command = [tmp_path / "a.pth", tmp_path / "b", "--to", "hf_native", "--num-heads", "2"]
    done = run_command("convert_checkpoint.py", *command)
    assert done.returncode == 0, done.stderr
    assert "encoder.layer.*" in done.stdout
    assert "left out" in done.stdout
    assert load_encoder(tmp_path / "b").depth == 4
    again = run_command("convert_checkpoint.py", *command)
    assert again.returncode == 1
    assert again.stderr.splitlines()[-1].startswith("DestinationError: ")


def test_into_a_chat_model(golden: Callable[[str], Golden], tmp_path: Path) -> None:
    model, chat = golden("hf_remote_code_rms"), tmp_path / "chat"
    chat.mkdir()
    (chat / "config.json").write_text(json.dumps({"vision_config": model.config}))
    state = {f"vision_model.{name}": value for name, value in model.state.items()}
    save_file(state | {"mlp1.0.weight": torch.randn(3)}, chat / "model.safetensors")
    encoder = load_encoder(chat)
    encoder.cls_token.data += 1
    export_encoder(encoder, tmp_path / "tuned.pth", to="official")

    command = [tmp_path / "tuned.pth", tmp_path / "out", "--into", chat, "--num-heads", "2"]
    done = run_command("convert_checkpoint.py", *command)
    assert done.returncode == 0, done.stderr
    assert "vision_model.*" in done.stdout
    before, after = (load_file(folder / "model.safetensors") for folder in (chat, tmp_path / "out"))
    assert {name for name in before if not torch.equal(before[name], after[name])} == {
        "vision_model.embeddings.class_embedding"
    }


@pytest.mark.parametrize("option", [("--to", "hf_native"), ("--dtype", "float16")])
def test_a_chat_model_keeps_its_format(
    option: tuple[str, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["convert_checkpoint.py", "tuned.pth", "out", "--into", "chat", *option])
    with pytest.raises(SystemExit):
        runpy.run_path(str(TOOL), run_name="__main__")
    assert f"{option[0]}: not allowed with argument --into" in capsys.readouterr().err
