"""The command as a user types it."""

import runpy
import sys
from pathlib import Path

import pytest

from internvl_seg import create_encoder, export_encoder
from internvl_seg.deployment import open_graph, verification

from ..commands import run_command
from ..inference.conftest import CLASSES, checkpoint, config  # noqa: F401  (checkpoint and config are fixtures)

TOOL = Path(__file__).resolve().parents[2] / "tools/export.py"
SMALL = {"embed_dim": 8, "depth": 1, "num_heads": 1, "patch_size": 4, "img_size": 8, "qk_norm": False}


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> None:
    """The command in this process, which saves the time to start another."""
    monkeypatch.setattr(sys, "argv", [str(TOOL), *arguments])
    runpy.run_path(str(TOOL), run_name="__main__")


@pytest.mark.usefixtures("checkpoint")
def test_a_segmentor(tmp_path: Path) -> None:
    options = ["--cfg-options", "model.backbone.dtype=bfloat16", "model.backbone.frozen=True"]
    done = run_command("export.py", "config.py", "weights.pth", "out.onnx", *options, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "PyTorch's in bfloat16" in done.stdout
    for size in ("32 x 44", "35 x 45", "54 x 72"):
        assert f"{size} " in done.stdout
    assert open_graph(tmp_path / "out.onnx").metadata["classes"] == CLASSES


def test_an_encoder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    encoder = create_encoder("internvit_300m_448px", **{**SMALL, "num_heads": 2})
    export_encoder(encoder, tmp_path / "encoder", to="hf_native")
    monkeypatch.chdir(tmp_path)
    run(monkeypatch, "--encoder", "encoder", "maps.pt2", "--indices", "-1")
    assert "relative error" in capsys.readouterr().out
    assert open_graph("maps.pt2").outputs == ("block_0",)
    with pytest.raises(SystemExit, match=r"^DestinationError: maps\.pt2 exists already"):
        run(monkeypatch, "--encoder", "encoder", "maps.pt2")
    with pytest.raises(SystemExit, match=r"^ValueError: indices\[0\] = 7 is outside"):
        run(monkeypatch, "--encoder", "encoder", "none.pt2", "--indices", "7")
    with pytest.raises(SystemExit, match=r"^ExportError: opset=17 is older"):
        run(monkeypatch, "--encoder", "encoder", "old.onnx", "--opset", "17")
    assert not Path("old.onnx").exists()
    # What comes out close is not called equal if it had to be closer.
    monkeypatch.setitem(verification.FEATURE_ERROR, "float32", -1.0)
    with pytest.raises(SystemExit, match=r"^tokens\.pt2 was written, but does not agree with PyTorch\.$"):
        run(monkeypatch, "--encoder", "encoder", "tokens.pt2")


def test_arguments_that_do_not_fit(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (["config.py", "out.onnx"], ["--encoder", "encoder", "weights.pth", "out.onnx"]):
        with pytest.raises(SystemExit):
            run(monkeypatch, *arguments)
        assert "give CONFIG CHECKPOINT OUT, or --encoder SOURCE OUT." in capsys.readouterr().err


def test_an_unknown_ending_is_told_before_a_model_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    # There is no such config, checkpoint or encoder, which would be said first otherwise.
    for arguments in (["none.py", "none.pth", "out/seg.txt"], ["--encoder", "none.pth", "out/seg.txt"]):
        with pytest.raises(SystemExit, match=r"^ExportError: out/seg\.txt ends .* out/seg\.onnx or out/seg\.pt2\.$"):
            run(monkeypatch, *arguments)
